//! A port: accepting connections and serving HTTP/1 and HTTP/2 on them.
//!
//! **Invariant:** a connection that is silent for longer than its bound is closed, whatever it was
//! doing, and one that was never used counts as silent from its first moment.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::config::ServeConfig;
use crate::meter::Meter;
use crate::task::{self, StreamTasks};

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
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) meter: Arc<Meter>,
    /// Held by every connection: when all are gone, nothing is left to wait for.
    pub(crate) _alive: mpsc::Sender<Infallible>,
}

impl PortContext {
    pub(crate) fn new(
        config: &ServeConfig,
        phase: watch::Receiver<Phase>,
        meter: Arc<Meter>,
        alive: mpsc::Sender<Infallible>,
    ) -> PortContext {
        PortContext {
            connections_max: config.connections_max,
            header_max: Duration::from_secs(config.header_seconds_max),
            idle_max: Duration::from_secs(config.idle_seconds_max),
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
    let _open = context.meter.connection_opened();
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection stays delayed");
    }
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let meter = Arc::clone(&context.meter);
    let service = service_fn(move |request| {
        let handler = handler.clone();
        let in_flight = meter.request_begun();
        async move {
            let response = handler.handle(request, peer).await;
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder(&context);
    let mut connection = pin!(builder.serve_connection(io, service));
    let (mut drain, mut cut) = (context.phase.clone(), context.phase.clone());
    let mut draining = false;
    loop {
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
            () = tokio::time::sleep_until(activity.last() + context.idle_max) => {
                if activity.last().elapsed() >= context.idle_max {
                    context.meter.connection_idle();
                    debug!(%peer, "a silent connection was closed");
                    return;
                }
            }
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

/// When bytes last moved on a connection.
struct Activity {
    opened: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Activity {
        Activity { opened: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn last(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    fn stamp(&self) {
        let since_ms = self.opened.elapsed().as_millis() as u64;
        self.last_ms.store(since_ms, Ordering::Relaxed);
    }
}

/// A stream that notes when bytes move.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.stamp();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.activity.stamp();
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if polled.is_ready() {
            self.activity.stamp();
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
