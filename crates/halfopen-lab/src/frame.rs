//! The frame of a service: a listener, routes whose handlers are traced, and an orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{MethodRouter, on};
use halfopen_resilience::RequestContext;
use halfopen_resilience::wire::{IDEMPOTENCY_KEY, REFUSED, REQUEST_ID};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use opentelemetry::logs::Severity;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::{Layer as _, Service, ServiceExt as _};

use crate::LabError;
use crate::act::{Act, Node, header_attribute};
use crate::chance::digest;
use crate::failure::{Failure, Problem, code_name};
use crate::protect::attribute;

/// Questions of the shop are small; what is longer is refused.
const QUESTION_BYTES_MAX: usize = 1 << 20;

/// A service that listens.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Where.
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Serves `routes` on a free port of the loopback.
    pub(crate) async fn start(
        service: &'static str,
        routes: Router,
    ) -> Result<Listening, LabError> {
        let fail = |source| LabError::Listen { service, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let until = async move {
                // An error means that the sender is gone, which is a reason to stop as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until).await {
                tracing::warn!(service, %error, "a service of the lab stopped listening");
            }
        });
        Ok(Listening { address, stop, task })
    }

    /// Takes no more requests and finishes what is under way, if it does not take too long.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// A traced handler for one method and route: the body of the request is read as `Q`, the answer
/// written as JSON. A GET has no body, its handler takes `()`.
pub(crate) fn traced<Q, A, H, F>(
    node: &Arc<Node>,
    method: Method,
    route: &'static str,
    handler: H,
) -> MethodRouter
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    H: Fn(Act, Q) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<A, Failure>> + Send + 'static,
{
    let node = Arc::clone(node);
    let filter = method.clone().try_into().expect("the shop uses standard methods only");
    on(filter, move |request: Request<Body>| async move {
        let arrival = Arc::new(Arrival::http(&node, &method, route, &request));
        let worker = Arc::clone(&arrival);
        let work = tower::service_fn(move |request: Request<Body>| {
            let (worker, handler) = (Arc::clone(&worker), handler.clone());
            async move {
                worker.begin();
                let outcome = match read_question(request.into_body()).await {
                    Ok(question) => match handler(worker.act.clone(), question).await {
                        Ok(answer) => write_answer(&answer),
                        Err(failure) => Err(failure),
                    },
                    Err(failure) => Err(failure),
                };
                Ok::<_, Infallible>(worker.answer_http(outcome))
            }
        });
        let node = Arc::clone(&arrival.act.node);
        let whole = async move {
            let response = arrival.admit(request, work).await;
            arrival.close_http(&response);
            response
        };
        carry_out(&node, whole).await
    })
}

/// Works on a request: as long as somebody waits for the answer, or to the end where time is not
/// shared, as a service does that is not told that its caller is gone.
async fn carry_out<C>(
    node: &Arc<Node>,
    work: impl Future<Output = Response<C>> + Send + 'static,
) -> Response<C>
where
    C: Send + 'static,
{
    if node.behaviour.patience.shared {
        return work.await;
    }
    let unattended = Unattended::begin(node);
    let worker = tokio::spawn(async move {
        let response = work.await;
        drop(unattended);
        response
    });
    match worker.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and we with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Counts one piece of work of a node for as long as it lives.
struct Unattended(Arc<Node>);

impl Unattended {
    fn begin(node: &Arc<Node>) -> Unattended {
        node.unattended.send_modify(|under_way| *under_way += 1);
        Unattended(Arc::clone(node))
    }
}

impl Drop for Unattended {
    fn drop(&mut self) {
        self.0.unattended.send_modify(|under_way| *under_way -= 1);
    }
}

async fn read_question<Q: DeserializeOwned>(body: Body) -> Result<Q, Failure> {
    let refuse = |message: &str| Failure::answer(StatusCode::BAD_REQUEST, message);
    let body = http_body_util::Limited::new(body, QUESTION_BYTES_MAX).collect().await;
    let body = body.map_err(|error| refuse(&error.to_string()))?.to_bytes();
    let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
    serde_json::from_slice(&body).map_err(|error| refuse(&error.to_string()))
}

fn write_answer<A: Serialize>(answer: &A) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(answer)
        .map_err(|error| Failure::exception("SerializationError", error.to_string()))
}

/// A traced unary gRPC method: for a route `/{method}`.
pub(crate) fn traced_rpc<Q, A, H, F>(
    node: &Arc<Node>,
    method: &'static str,
    handler: H,
) -> MethodRouter
where
    Q: prost::Message + Default + Send + Sync + 'static,
    A: prost::Message + Send + Sync + 'static,
    H: Fn(Act, Q) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<A, Failure>> + Send + 'static,
{
    let node = Arc::clone(node);
    axum::routing::post(move |request: Request<Body>| async move {
        let arrival = Arc::new(Arrival::rpc(&node, method, request.headers()));
        let worker = Arc::clone(&arrival);
        let work = tower::service_fn(move |request: Request<Body>| {
            let (worker, handler) = (Arc::clone(&worker), handler.clone());
            async move {
                worker.begin();
                let service = tower::service_fn(move |question: tonic::Request<Q>| {
                    let (worker, handler) = (Arc::clone(&worker), handler.clone());
                    async move {
                        let outcome = handler(worker.act.clone(), question.into_inner()).await;
                        worker.answer_rpc(&outcome);
                        match outcome {
                            Ok(answer) => Ok(tonic::Response::new(answer)),
                            Err(failure) => {
                                Err(tonic::Status::new(failure.code(), failure.message))
                            }
                        }
                    }
                });
                let codec = tonic_prost::ProstCodec::<A, Q>::default();
                Ok::<_, Infallible>(tonic::server::Grpc::new(codec).unary(service, request).await)
            }
        });
        let node = Arc::clone(&arrival.act.node);
        let whole = async move {
            let response = arrival.admit(request, work).await;
            arrival.close_rpc(&response);
            response
        };
        carry_out(&node, whole).await
    })
}

/// A request that has just come in: its span is open.
struct Arrival {
    act: Act,
    begun: Instant,
    labels: Vec<KeyValue>,
    /// Whether the handler has answered; what answers in its place is a refusal.
    answered: AtomicBool,
}

impl Arrival {
    fn http(
        node: &Arc<Node>,
        method: &Method,
        route: &'static str,
        request: &Request<Body>,
    ) -> Arrival {
        let text = |name: http::HeaderName| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", request.uri().path().to_owned()),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("network.protocol.version", "1.1"),
        ];
        if let Some(host) = text(http::header::HOST) {
            let (name, port) = host.rsplit_once(':').unwrap_or((&host, "80"));
            attributes.push(KeyValue::new("server.address", name.to_owned()));
            attributes.push(KeyValue::new("server.port", port.parse::<i64>().unwrap_or(80)));
        }
        if let Some(agent) = text(http::header::USER_AGENT) {
            attributes.push(KeyValue::new("user_agent.original", agent));
        }
        let labels = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("http.route", route),
        ];
        let (path, headers) = (request.uri().path(), request.headers());
        Arrival::open(node, format!("{method} {route}"), path, headers, attributes, labels)
    }

    fn rpc(node: &Arc<Node>, method: &'static str, headers: &HeaderMap) -> Arrival {
        let attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method),
            KeyValue::new("server.address", node.identity.service),
            KeyValue::new("server.port", i64::from(crate::directory::SERVICE_PORT)),
        ];
        let labels = vec![KeyValue::new("rpc.method", method)];
        Arrival::open(node, method.to_owned(), method, headers, attributes, labels)
    }

    fn open(
        node: &Arc<Node>,
        name: String,
        path: &str,
        headers: &HeaderMap,
        attributes: Vec<KeyValue>,
        labels: Vec<KeyValue>,
    ) -> Arrival {
        let parent = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let tracer = &node.telemetry.tracer;
        let span = tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(tracer, &parent);
        let context = parent.with_span(span);
        let given = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        let request_id = match given {
            Some(id) => id.to_owned(),
            None => new_request_id(headers, &context),
        };
        context.span().set_attribute(header_attribute(&request_id));
        node.telemetry.active.add(1, &labels[..1]);
        let act = Act {
            node: Arc::clone(node),
            context,
            request_id: request_id.into(),
            path: path.into(),
        };
        Arrival { act, begun: Instant::now(), labels, answered: AtomicBool::new(false) }
    }

    /// Lets the request through what stands before the handlers; a refusal is an answer too.
    async fn admit<S, C>(&self, mut request: Request<Body>, work: S) -> Response<C>
    where
        S: Service<Request<Body>, Response = Response<C>, Error = Infallible> + Clone,
        C: Default,
    {
        if let Ok(id) = HeaderValue::from_str(&self.act.request_id) {
            request.headers_mut().insert(&REQUEST_ID, id);
        }
        let admitted = self.act.node.server.layer(work).oneshot(request);
        let Ok(response) = admitted.with_context(self.act.context.clone()).await;
        response
    }

    /// The handler begins: how long it may take stands in the span.
    fn begin(&self) {
        let Some(context) = RequestContext::current() else { return };
        let triple = context.triple(tokio::time::Instant::now());
        let span = self.act.context.span();
        triple.attributes(&mut |key, value| span.set_attribute(attribute(key, value)));
    }

    fn answer_http(&self, outcome: Result<Vec<u8>, Failure>) -> Response {
        self.answered.store(true, Ordering::Relaxed);
        let (status, body) = match &outcome {
            Ok(body) => (200, body.clone()),
            Err(failure) => {
                let problem = Problem { error: failure.message.clone() };
                (failure.status, serde_json::to_vec(&problem).unwrap_or_default())
            }
        };
        self.end_http(status, outcome.as_ref().err());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        response
    }

    /// What became of the request when no handler has answered it.
    fn close_http(&self, response: &Response) {
        if !self.answered.load(Ordering::Relaxed) {
            let failure = Failure::answer(response.status(), refusal(response.headers()));
            self.end_http(response.status().as_u16(), Some(&failure));
        }
    }

    fn end_http(&self, status: u16, failure: Option<&Failure>) {
        self.act.set("http.response.status_code", i64::from(status));
        if let Some(failure) = failure.filter(|_| status >= 500) {
            self.fail(failure, status.to_string());
        }
        let mut labels = self.labels.clone();
        labels.push(KeyValue::new("http.response.status_code", i64::from(status)));
        self.act.node.telemetry.http_durations.record(self.seconds(), &labels);
    }

    fn answer_rpc<A>(&self, outcome: &Result<A, Failure>) {
        self.answered.store(true, Ordering::Relaxed);
        let code = outcome.as_ref().map_or_else(Failure::code, |_| tonic::Code::Ok);
        self.end_rpc(code, outcome.as_ref().err());
    }

    /// What became of the request when no handler has answered it.
    fn close_rpc<C>(&self, response: &Response<C>) {
        if !self.answered.load(Ordering::Relaxed) {
            let status = tonic::Status::from_header_map(response.headers());
            let code = status.map_or(tonic::Code::Unknown, |status| status.code());
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let failure = Failure::answer(status, refusal(response.headers()));
            self.end_rpc(code, Some(&failure));
        }
    }

    fn end_rpc(&self, code: tonic::Code, failure: Option<&Failure>) {
        self.act.set("rpc.status_code", code_name(code));
        if let Some(failure) = failure {
            self.fail(failure, code_name(code).to_owned());
        }
        let mut labels = self.labels.clone();
        labels.push(KeyValue::new("rpc.status_code", code_name(code)));
        self.act.node.telemetry.rpc_durations.record(self.seconds(), &labels);
    }

    /// The span of the request failed; the log says so too.
    fn fail(&self, failure: &Failure, code: String) {
        let kind = failure.exception.clone().unwrap_or(code);
        self.act.set("error.type", kind.clone());
        self.act.context.span().set_status(Status::error(failure.message.clone()));
        let body = format!("{} failed: {}", self.act.path, failure.message);
        let fields: &[(&'static str, &str)] = match &failure.exception {
            Some(kind) => {
                &[("exception.type", kind.as_str()), ("exception.message", &failure.message)]
            }
            None => &[("error.type", kind.as_str())],
        };
        self.act.log(Severity::Error, body, fields);
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// Ends the span on every way out, also when the caller hangs up and the handler is dropped.
impl Drop for Arrival {
    fn drop(&mut self) {
        self.act.node.telemetry.active.add(-1, &self.labels[..1]);
        self.act.context.span().end();
    }
}

/// Why a request was refused, or that it was cut off.
fn refusal(headers: &HeaderMap) -> &str {
    let reason = headers.get(&REFUSED).and_then(|reason| reason.to_str().ok());
    reason.unwrap_or("not done before its deadline")
}

/// Who comes without an id gets one: made from the customer's idempotency key, so that the same
/// seed makes the same ids; else from the trace, so that it is as unique as that.
fn new_request_id(headers: &HeaderMap, context: &Context) -> String {
    let key = headers.get(&IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
    match key {
        Some(key) => request_id_of(key),
        None => request_id_of(&context.span().span_context().trace_id().to_string()),
    }
}

/// The request id that the edge makes of an idempotency key.
pub(crate) fn request_id_of(key: &str) -> String {
    format!("req_{:016x}", digest(&[key]))
}
