//! One attempt of a call, HTTP or gRPC, on the wire: an instance is picked, the span of the
//! attempt goes along, the whole answer is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use halfopen_resilience::body::WholeBody;
use halfopen_resilience::protocol::Route;
use halfopen_resilience::wire::{self, Triple};
use http::{HeaderValue, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use tower::{Service, ServiceExt as _};

use crate::act::header_attribute;
use crate::directory::{Directory, SERVICE_PORT, Target};
use crate::failure::{Problem, code_name};
use crate::protect::attribute;

/// Answers of the shop are small; what is longer is no answer of ours.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why an attempt brought no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WireError(String);

/// The way to one service without any protection.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) peer: &'static str,
    pub(crate) directory: Arc<Directory>,
    pub(crate) http: Client<HttpConnector, WholeBody>,
    pub(crate) tracer: SdkTracer,
    /// Whether calls say how long their answer is waited for.
    pub(crate) tells_deadline: bool,
}

/// A client with connections of its own.
pub(crate) fn http_client(connect: Duration) -> Client<HttpConnector, WholeBody> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect));
    Client::builder(TokioExecutor::new()).build(connector)
}

impl Service<Request<WholeBody>> for Wire {
    type Response = Response<WholeBody>;
    type Error = WireError;
    type Future = BoxFuture<'static, Result<Response<WholeBody>, WireError>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), WireError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<WholeBody>) -> Self::Future {
        let attempt = Attempt::open(self, &mut request);
        if !self.tells_deadline {
            request.headers_mut().remove(&wire::CONTEXT);
            request.headers_mut().remove(&wire::GRPC_TIMEOUT);
        }
        let wire = self.clone();
        Box::pin(async move {
            let outcome = wire.exchange(request, &attempt).await;
            attempt.close(&outcome);
            outcome
        })
    }
}

impl Wire {
    async fn exchange(
        &self,
        request: Request<WholeBody>,
        attempt: &Attempt,
    ) -> Result<Response<WholeBody>, WireError> {
        let id = request.headers().get(&wire::REQUEST_ID).and_then(|id| id.to_str().ok());
        let target = self.directory.pick(self.peer, id.unwrap_or_default());
        let target = target.ok_or_else(|| WireError("no instance".to_owned()))?;
        attempt.set("network.peer.address", target.address.ip().to_string());
        attempt.set("network.peer.port", i64::from(target.address.port()));
        if attempt.is_grpc {
            grpc(target, request).await
        } else {
            self.http(target.address, request).await
        }
    }

    async fn http(
        &self,
        address: SocketAddr,
        mut request: Request<WholeBody>,
    ) -> Result<Response<WholeBody>, WireError> {
        let url = format!("http://{address}{}", request.uri());
        *request.uri_mut() = url.parse().map_err(|_| WireError("invalid path".to_owned()))?;
        let host = HeaderValue::from_str(&format!("{}:{SERVICE_PORT}", self.peer));
        let host = host.expect("names of services are plain text");
        request.headers_mut().insert(http::header::HOST, host);
        let answer = self.http.request(request).await;
        whole(answer.map_err(|error| WireError(error.to_string()))?).await
    }
}

async fn grpc(
    target: Target,
    request: Request<WholeBody>,
) -> Result<Response<WholeBody>, WireError> {
    let mut channel = target.channel;
    let unreachable = |error: tonic::transport::Error| WireError(error.to_string());
    let ready = channel.ready().await.map_err(unreachable)?;
    let answer = ready.call(request.map(tonic::body::Body::new)).await;
    whole(answer.map_err(unreachable)?).await
}

async fn whole<B>(answer: Response<B>) -> Result<Response<WholeBody>, WireError>
where
    B: http_body::Body,
    B::Error: std::error::Error + 'static,
{
    let (head, body) = answer.into_parts();
    let body = WholeBody::read(body, ANSWER_BYTES_MAX).await;
    let body = body.map_err(|error| WireError(error.to_string()))?;
    Ok(Response::from_parts(head, body))
}

/// An attempt that is under way: its span is open.
struct Attempt {
    context: Context,
    is_grpc: bool,
    begun: Instant,
    /// How long the answer is waited for.
    patience: Duration,
    closed: bool,
}

impl Attempt {
    /// Opens the span of the attempt, and sends it along.
    fn open(wire: &Wire, request: &mut Request<WholeBody>) -> Attempt {
        let is_grpc = wire::is_grpc(request.headers());
        let triple = wire::read_triple(request.headers());
        let (name, attributes) = describe(wire.peer, request, is_grpc, &triple);
        let parent = Context::current();
        let span = wire.tracer.span_builder(name).with_kind(SpanKind::Client);
        let span = span.with_attributes(attributes).start_with_context(&wire.tracer, &parent);
        let context = parent.with_span(span);
        TraceContextPropagator::new()
            .inject_context(&context, &mut HeaderInjector(request.headers_mut()));
        let patience = triple
            .remaining_ms
            .map_or(Duration::MAX, |remaining_ms| Duration::from_millis(u64::from(remaining_ms)));
        Attempt { context, is_grpc, begun: Instant::now(), patience, closed: false }
    }

    fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    fn close(mut self, outcome: &Result<Response<WholeBody>, WireError>) {
        self.closed = true;
        match outcome {
            Ok(answer) if self.is_grpc => self.answered_grpc(answer),
            Ok(answer) => self.answered_http(answer),
            Err(error) => {
                if self.is_grpc {
                    self.set("rpc.status_code", "CANCELLED");
                }
                self.fail("connection_error", error.to_string());
            }
        }
    }

    fn answered_http(&self, answer: &Response<WholeBody>) {
        let status = answer.status();
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if !status.is_success() {
            self.fail(status.as_str(), Problem::read(&answer.body().to_bytes()));
        }
    }

    fn answered_grpc(&self, answer: &Response<WholeBody>) {
        let status = tonic::Status::from_header_map(answer.headers())
            .or_else(|| answer.body().trailers().and_then(tonic::Status::from_header_map));
        let code = status.as_ref().map_or(tonic::Code::Unknown, tonic::Status::code);
        self.set("rpc.status_code", code_name(code));
        if code != tonic::Code::Ok {
            let message = status.map(|status| status.message().to_owned());
            self.fail(code_name(code), message.unwrap_or_default());
        }
    }

    fn fail(&self, kind: &str, message: String) {
        self.set("error.type", kind.to_owned());
        self.context.span().set_status(Status::error(message));
    }
}

/// Ends the span on every way out, also when nobody waits for the answer any more.
impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.closed {
            if self.is_grpc {
                self.set("rpc.status_code", "CANCELLED");
            }
            let late = self.begun.elapsed() >= self.patience;
            let (kind, message) = if late {
                ("timeout", "no answer in time")
            } else {
                ("cancelled", "the caller waits no longer")
            };
            self.fail(kind, message.to_owned());
        }
        self.context.span().end();
    }
}

/// Name and attributes of an attempt's span.
fn describe(
    peer: &'static str,
    request: &Request<WholeBody>,
    is_grpc: bool,
    triple: &Triple,
) -> (String, Vec<KeyValue>) {
    let mut attributes = vec![
        KeyValue::new("server.address", peer),
        KeyValue::new("server.port", i64::from(SERVICE_PORT)),
        KeyValue::new("service.peer.name", peer),
    ];
    triple.attributes(&mut |key, value| attributes.push(attribute(key, value)));
    let id = request.headers().get(&wire::REQUEST_ID).and_then(|id| id.to_str().ok());
    attributes.extend(id.map(header_attribute));
    let path = request.uri().path();
    if is_grpc {
        let method = path.trim_start_matches('/').to_owned();
        attributes.push(KeyValue::new("rpc.system.name", "grpc"));
        attributes.push(KeyValue::new("rpc.method", method.clone()));
        return (method, attributes);
    }
    let method = request.method();
    let route = request.extensions().get::<Route>().map_or("", |route| route.0);
    attributes.push(KeyValue::new("http.request.method", method.to_string()));
    attributes.push(KeyValue::new("url.full", format!("http://{peer}:{SERVICE_PORT}{path}")));
    attributes.push(KeyValue::new("url.template", route));
    if triple.attempt > 1 {
        let resent = i64::from(triple.attempt) - 1;
        attributes.push(KeyValue::new("http.request.resend_count", resent));
    }
    (format!("{method} {route}"), attributes)
}
