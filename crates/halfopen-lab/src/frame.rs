//! The frame of a service: a listener, routes whose handlers are traced, and an orderly end.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{MethodRouter, on};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use opentelemetry::logs::Severity;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::LabError;
use crate::act::{Act, Node, REQUEST_ID_HEADER, header_attribute};
use crate::chance::digest;
use crate::failure::{Failure, Problem, code_name};

/// Questions of the shop are small; what is longer is refused.
const QUESTION_BYTES_MAX: usize = 1 << 20;
/// The header by which a customer's device tells one attempt from another.
pub(crate) const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

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
        let (head, body) = request.into_parts();
        let arrival = Arrival::http(&node, &method, route, &head);
        let outcome = match read_question(body).await {
            Ok(question) => match handler(arrival.act.clone(), question).await {
                Ok(answer) => write_answer(&answer),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        arrival.answer_http(outcome)
    })
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
        let service = tower::service_fn(move |question: tonic::Request<Q>| {
            let (arrival, handler) = (Arc::clone(&arrival), handler.clone());
            async move {
                let outcome = handler(arrival.act.clone(), question.into_inner()).await;
                arrival.answer_rpc(&outcome);
                match outcome {
                    Ok(answer) => Ok(tonic::Response::new(answer)),
                    Err(failure) => Err(tonic::Status::new(failure.code(), failure.message)),
                }
            }
        });
        let codec = tonic_prost::ProstCodec::<A, Q>::default();
        tonic::server::Grpc::new(codec).unary(service, request).await
    })
}

/// A request that has just come in: its span is open.
struct Arrival {
    act: Act,
    begun: Instant,
    labels: Vec<KeyValue>,
}

impl Arrival {
    fn http(
        node: &Arc<Node>,
        method: &Method,
        route: &'static str,
        head: &http::request::Parts,
    ) -> Arrival {
        let text = |name: http::HeaderName| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", head.uri.path().to_owned()),
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
        let path = head.uri.path();
        Arrival::open(node, format!("{method} {route}"), path, &head.headers, attributes, labels)
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
        let given = headers.get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
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
        Arrival { act, begun: Instant::now(), labels }
    }

    fn answer_http(mut self, outcome: Result<Vec<u8>, Failure>) -> Response {
        let (status, body) = match &outcome {
            Ok(body) => (200, body.clone()),
            Err(failure) => {
                let problem = Problem { error: failure.message.clone() };
                (failure.status, serde_json::to_vec(&problem).unwrap_or_default())
            }
        };
        self.act.set("http.response.status_code", i64::from(status));
        self.labels.push(KeyValue::new("http.response.status_code", i64::from(status)));
        if let Err(failure) = outcome.as_ref()
            && status >= 500
        {
            self.fail(failure, status.to_string());
        }
        self.act.node.telemetry.http_durations.record(self.seconds(), &self.labels);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Ok(id) = http::HeaderValue::from_str(&self.act.request_id) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        response
    }

    fn answer_rpc<A>(&self, outcome: &Result<A, Failure>) {
        let code = outcome.as_ref().map_or_else(Failure::code, |_| tonic::Code::Ok);
        self.act.set("rpc.status_code", code_name(code));
        let mut labels = self.labels.clone();
        labels.push(KeyValue::new("rpc.status_code", code_name(code)));
        if let Err(failure) = outcome {
            self.fail(failure, code_name(code).to_owned());
        }
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

/// Who comes without an id gets one: made from the customer's idempotency key, so that the same
/// seed makes the same ids; else from the trace, so that it is as unique as that.
fn new_request_id(headers: &HeaderMap, context: &Context) -> String {
    let key = headers.get(IDEMPOTENCY_KEY_HEADER).and_then(|key| key.to_str().ok());
    match key {
        Some(key) => request_id_of(key),
        None => request_id_of(&context.span().span_context().trace_id().to_string()),
    }
}

/// The request id that the edge makes of an idempotency key.
pub(crate) fn request_id_of(key: &str) -> String {
    format!("req_{:016x}", digest(&[key]))
}
