//! A port: accepting connections and serving HTTP/1 and HTTP/2 on them.
//!
//! **Invariant:** no request reaches a handler before the guard let it in.
//!
//! **Invariant:** a connection that is silent for longer than its bound is closed, whatever it was
//! doing, and one that was never used counts as silent from its first moment. One that keeps itself
//! busy without reading its answers is closed too.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{debug, warn};

use crate::body;
use crate::config::ServeConfig;
use crate::guard::audit::{Port, Reason};
use crate::guard::tls::HandshakeError;
use crate::guard::{Connection, Denied, Guard, Scope};
use crate::meter::Meter;
use crate::task::{self, StreamTasks};

mod delivery;
mod watched;

use delivery::Deliveries;
use watched::Activity;
pub(crate) use watched::Watched;

/// What one stream may send before we read it: an export of a common SDK fits.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// What one connection may send before we read it; times the connections this is memory.
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;
/// Streams of one connection at a time; exporters use one or two.
const STREAMS_MAX: u32 = 128;
/// Bytes of the header of one request.
const HEADER_BYTES_MAX: u32 = 64 << 10;
/// Pause after an `accept` that failed, for example because no file handle was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How far a server is on its way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Takes connections.
    Serving,
    /// Takes no connections, finishes the requests that it has.
    Draining,
    /// Drops every connection.
    Cut,
}

/// Answers the requests of one port.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// Which port it is.
    const PORT: Port;

    /// What a request needs; `None` when it is open to everybody.
    fn need(request: &Request<Incoming>) -> Option<Scope>;

    /// Tells a sender that its request was not let in.
    fn refuse(&self, request: &Request<Incoming>, denied: &Denied) -> Response<Body>;

    /// Answers a request that was let in; its extensions hold an `Arc<Caller>`.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What every port of a server shares.
#[derive(Clone)]
pub(crate) struct PortContext {
    pub(crate) connections_max: usize,
    pub(crate) header_max: Duration,
    pub(crate) idle_max: Duration,
    pub(crate) answer_max: Duration,
    pub(crate) guard: Arc<Guard>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) meter: Arc<Meter>,
    /// Held by every connection: when all are gone, nothing is left to wait for.
    pub(crate) _alive: mpsc::Sender<Infallible>,
}

impl PortContext {
    pub(crate) fn new(
        config: &ServeConfig,
        guard: Arc<Guard>,
        phase: watch::Receiver<Phase>,
        meter: Arc<Meter>,
        alive: mpsc::Sender<Infallible>,
    ) -> PortContext {
        PortContext {
            connections_max: config.connections_max,
            header_max: Duration::from_secs(config.header_seconds_max),
            idle_max: Duration::from_secs(config.idle_seconds_max),
            answer_max: Duration::from_secs(config.answer_seconds_max),
            guard,
            phase,
            meter,
            _alive: alive,
        }
    }
}

/// Accepts connections until the phase is no longer [`Phase::Serving`].
pub(crate) async fn accept<H: Handler>(listener: TcpListener, handler: H, context: PortContext) {
    let room = Arc::new(Semaphore::new(context.connections_max));
    let mut phase = context.phase.clone();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let handler = handler.clone();
                let context = context.clone();
                task::spawn("connection", async move {
                    serve_connection(stream, peer, handler, context).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: H,
    context: PortContext,
) {
    let Some(connection) = Connection::open(&context.guard, H::PORT, peer) else { return };
    let _open = context.meter.connection_opened();
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection stays delayed");
    }
    let activity = Arc::new(Activity::new());
    let stream = Watched { stream, activity: Arc::clone(&activity) };
    let served = Served { peer, handler, connection: Arc::new(connection), activity, context };
    let Some(tls) = served.context.guard.tls() else { return served.run(stream).await };
    let mut phase = served.context.phase.clone();
    let secured = tokio::select! {
        secured = tls.accept(stream, served.context.header_max) => secured,
        _ = phase.wait_for(|phase| *phase > Phase::Serving) => return,
    };
    match secured {
        Ok(stream) => served.run(stream).await,
        Err(HandshakeError::Gone) => {}
        Err(error) => {
            debug!(%peer, %error, "no handshake came about");
            let not_tls = matches!(error, HandshakeError::NotTls);
            served.connection.refused(if not_tls { Reason::NotTls } else { Reason::Handshake });
        }
    }
}

/// A connection that is served.
struct Served<H> {
    peer: SocketAddr,
    handler: H,
    connection: Arc<Connection>,
    activity: Arc<Activity>,
    context: PortContext,
}

impl<H: Handler> Served<H> {
    async fn run(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Served { peer, activity, context, .. } = self;
        let deliveries = Arc::new(Deliveries::default());
        let builder = builder(context);
        let service = self.service(&deliveries);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let (mut drain, mut cut) = (context.phase.clone(), context.phase.clone());
        let mut draining = false;
        loop {
            let idle_at = activity.last() + context.idle_max;
            let late_at = deliveries.oldest().map(|begun| begun + context.answer_max);
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%peer, %error, "a connection ended early");
                    }
                    return;
                }
                _ = drain.wait_for(|phase| *phase > Phase::Serving), if !draining => {
                    connection.as_mut().graceful_shutdown();
                    draining = true;
                }
                _ = cut.wait_for(|phase| *phase == Phase::Cut), if draining => return,
                () = deliveries.begun() => {}
                () = tokio::time::sleep_until(late_at.map_or(idle_at, |at| at.min(idle_at))) => {
                    if self.is_over(&deliveries) {
                        return;
                    }
                }
            }
        }
    }

    /// Whether the connection is silent, or does not read its answers.
    fn is_over(&self, deliveries: &Deliveries) -> bool {
        let (peer, context) = (self.peer, &self.context);
        if deliveries.oldest().is_some_and(|begun| begun.elapsed() >= context.answer_max) {
            self.connection.refused(Reason::SlowReader);
            debug!(%peer, "a connection that does not read its answers was closed");
            return true;
        }
        if self.activity.last().elapsed() < context.idle_max {
            return false;
        }
        context.meter.connection_idle();
        debug!(%peer, "a silent connection was closed");
        true
    }

    fn service(&self, deliveries: &Arc<Deliveries>) -> impl Answering + use<H> {
        let (handler, peer) = (self.handler.clone(), self.peer);
        let connection = Arc::clone(&self.connection);
        let (meter, deliveries) = (Arc::clone(&self.context.meter), Arc::clone(deliveries));
        service_fn(move |request| {
            let (handler, connection) = (handler.clone(), Arc::clone(&connection));
            let (in_flight, deliveries) = (meter.request_begun(), Arc::clone(&deliveries));
            async move {
                let response = answer(&handler, &connection, request, peer).await;
                drop(in_flight);
                Ok::<_, Infallible>(response.map(|body| deliveries.watch(body)))
            }
        })
    }
}

type Asked = Request<Incoming>;

/// What hyper calls for each request.
trait Answering:
    Service<Asked, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
{
}

impl<S> Answering for S where
    S: Service<Asked, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
{
}

/// Lets a request in and has it answered, or refuses it.
async fn answer<H: Handler>(
    handler: &H,
    connection: &Connection,
    mut request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    let admitted = connection.admit(request.headers(), H::need(&request));
    // Nobody behind this line sees a token.
    request.headers_mut().remove(header::AUTHORIZATION);
    match admitted {
        Ok(admitted) => {
            request.extensions_mut().insert(Arc::clone(&admitted.caller));
            handler.handle(request, peer).await
        }
        Err(denied) => {
            let mut response = handler.refuse(&request, &denied);
            denied.mark(&mut response);
            body::discard(request.into_body()).await;
            response
        }
    }
}

fn builder(context: &PortContext) -> Builder<StreamTasks> {
    let mut builder = Builder::new(StreamTasks);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(context.header_max)
        .max_buf_size(HEADER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    builder
}
