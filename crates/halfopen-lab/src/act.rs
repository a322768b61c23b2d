//! What a handler holds while it works on one request: its span, its request id, and the traced
//! ways to work, to log and to call other services.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::metadata::MetadataMap;

use crate::behaviour::Behaviour;
use crate::chance::digest;
use crate::directory::{Directory, SERVICE_PORT};
use crate::failure::{CallError, Failure, code_name};
use crate::telemetry::{Identity, Telemetry};
use crate::vocabulary::Vocabulary;

/// The header that carries a request's id through the shop.
pub(crate) const REQUEST_ID_HEADER: &str = "x-request-id";
/// No call of the shop waits longer; far above every delay of the shop, also on a busy machine.
const CALL_TIMEOUT_MS: u64 = 15_000;
/// Answers of the shop are small; what is longer is no answer of ours.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One running instance of a service.
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) behaviour: Behaviour,
    pub(crate) telemetry: Telemetry,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) http: Client<HttpConnector, Full<Bytes>>,
}

/// One request in one service.
#[derive(Clone)]
pub(crate) struct Act {
    pub(crate) node: Arc<Node>,
    pub(crate) context: Context,
    pub(crate) request_id: Arc<str>,
    pub(crate) path: Arc<str>,
}

impl Act {
    /// Records an attribute on the span.
    pub(crate) fn set(&self, key: impl Into<Key>, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// The last segment of the path: the id in `/stock/{sku}`.
    pub(crate) fn last_segment(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// A number from 0 to 1 that depends on the request, the service and `what`, and on nothing
    /// else.
    pub(crate) fn fate(&self, what: &str) -> f64 {
        let bits = digest(&[&self.request_id, self.node.identity.service, what]);
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Works for some milliseconds, once in a hundred times five times as long.
    pub(crate) async fn work(&self, what: &str, low_ms: u32, high_ms: u32) {
        let spread = f64::from(high_ms - low_ms) * self.fate(what);
        let tail = if self.fate(&format!("{what} tail")) < 0.01 { 5.0 } else { 1.0 };
        let work_ms = (f64::from(low_ms) + spread) * tail * self.node.behaviour.pace;
        tokio::time::sleep(Duration::from_secs_f64(work_ms / 1e3)).await;
    }

    /// A step inside the service, with a span of its own.
    pub(crate) fn step(&self, name: &'static str) -> Act {
        self.child(name.into(), SpanKind::Internal, Vec::new())
    }

    /// Ends a step: a failure is recorded on its span as the exception that it is.
    pub(crate) fn end<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &outcome {
            self.record(failure);
            self.context.span().set_status(Status::error(failure.message.clone()));
        }
        self.context.span().end();
        outcome
    }

    /// Records an exception on the span.
    pub(crate) fn record(&self, failure: &Failure) {
        let Some(exception) = &failure.exception else { return };
        self.set("error.type", exception.clone());
        self.context.span().add_event(
            "exception",
            vec![
                KeyValue::new("exception.type", exception.clone()),
                KeyValue::new("exception.message", failure.message.clone()),
            ],
        );
    }

    /// Writes a log record that belongs to this span.
    pub(crate) fn log(&self, severity: Severity, body: String, fields: &[(&'static str, &str)]) {
        let span = self.context.span().span_context().clone();
        let id = (Key::from_static_str("request_id"), AnyValue::from(self.request_id.to_string()));
        let fields = fields
            .iter()
            .map(|(key, value)| (Key::from_static_str(key), AnyValue::from((*value).to_owned())));
        self.node.telemetry.log(&span, severity, body, fields.chain([id]));
    }

    /// Asks another service; `route` is the template of `path`.
    pub(crate) async fn get<A: DeserializeOwned>(
        &self,
        peer: &'static str,
        route: &'static str,
        path: &str,
    ) -> Result<A, CallError> {
        self.call(Method::GET, peer, route, path, Bytes::new()).await
    }

    /// Sends a question to another service.
    pub(crate) async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        peer: &'static str,
        route: &'static str,
        question: &Q,
    ) -> Result<A, CallError> {
        let body = serde_json::to_vec(question).expect("messages of the shop have text keys");
        self.call(Method::POST, peer, route, route, Bytes::from(body)).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        peer: &'static str,
        route: &'static str,
        path: &str,
        body: Bytes,
    ) -> Result<A, CallError> {
        let span = self.child(
            format!("{method} {route}").into(),
            SpanKind::Client,
            vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("url.full", format!("http://{peer}:{SERVICE_PORT}{path}")),
                KeyValue::new("url.template", route),
                KeyValue::new("server.address", peer),
                KeyValue::new("server.port", i64::from(SERVICE_PORT)),
                KeyValue::new("service.peer.name", peer),
            ],
        );
        let outcome = bounded(peer, span.exchange(method, peer, path, body)).await;
        span.close_client(outcome, |act, error| {
            if let Some(status) = error.map_or(Some(200), |error| error.status) {
                act.set("http.response.status_code", i64::from(status));
            }
        })
    }

    /// One HTTP exchange on this span.
    async fn exchange<A: DeserializeOwned>(
        &self,
        method: Method,
        peer: &'static str,
        path: &str,
        body: Bytes,
    ) -> Result<A, CallError> {
        let target = self.node.directory.pick(peer, &self.request_id);
        let target = target.ok_or_else(|| CallError::unreachable(peer, "no instance"))?;
        self.set("network.peer.address", target.address.ip().to_string());
        self.set("network.peer.port", i64::from(target.address.port()));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://{}{path}", target.address)
            .parse()
            .map_err(|_| CallError::unreachable(peer, "invalid path"))?;
        *request.headers_mut() = self.outgoing_headers();
        let headers = request.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let host = HeaderValue::from_str(&format!("{peer}:{SERVICE_PORT}"));
        headers.insert(http::header::HOST, host.expect("names of services are plain text"));
        let answer = self.node.http.request(request).await;
        let answer = answer.map_err(|error| CallError::unreachable(peer, &error.to_string()))?;
        let status = answer.status().as_u16();
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await;
        let body = body.map_err(|error| CallError::unreachable(peer, &error.to_string()))?;
        CallError::read_answer(peer, status, &body.to_bytes())
    }

    /// Calls a gRPC method of another service.
    pub(crate) async fn rpc<Q, A>(
        &self,
        peer: &'static str,
        method: &'static str,
        question: Q,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let span = self.child(
            method.into(),
            SpanKind::Client,
            vec![
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", method),
                KeyValue::new("server.address", peer),
                KeyValue::new("server.port", i64::from(SERVICE_PORT)),
                KeyValue::new("service.peer.name", peer),
            ],
        );
        let outcome = bounded(peer, span.grpc_exchange(peer, method, question)).await;
        span.close_client(outcome, |act, error| {
            let code = error.map_or(Some(tonic::Code::Ok), |error| error.code);
            act.set("rpc.status_code", code.map_or("CANCELLED", code_name));
        })
    }

    async fn grpc_exchange<Q, A>(
        &self,
        peer: &'static str,
        method: &'static str,
        question: Q,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let target = self.node.directory.pick(peer, &self.request_id);
        let target = target.ok_or_else(|| CallError::unreachable(peer, "no instance"))?;
        self.set("network.peer.address", target.address.ip().to_string());
        self.set("network.peer.port", i64::from(target.address.port()));
        let mut client = tonic::client::Grpc::new(target.channel);
        client.ready().await.map_err(|e| CallError::unreachable(peer, &e.to_string()))?;
        let mut request = tonic::Request::new(question);
        *request.metadata_mut() = MetadataMap::from_headers(self.outgoing_headers());
        let path = http::uri::PathAndQuery::try_from(format!("/{method}"))
            .map_err(|_| CallError::unreachable(peer, "invalid method"))?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let answer = client.unary(request, path, codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| CallError::rpc(peer, &status))
    }

    fn outgoing_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        TraceContextPropagator::new()
            .inject_context(&self.context, &mut HeaderInjector(&mut headers));
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        headers
    }

    fn child(&self, name: Cow<'static, str>, kind: SpanKind, attributes: Vec<KeyValue>) -> Act {
        let tracer = &self.node.telemetry.tracer;
        let mut span = tracer
            .span_builder(name)
            .with_kind(kind.clone())
            .with_attributes(attributes)
            .start_with_context(tracer, &self.context);
        if kind == SpanKind::Client {
            span.set_attribute(header_attribute(&self.request_id));
        }
        Act { context: self.context.with_span(span), ..self.clone() }
    }

    fn close_client<A>(
        &self,
        outcome: Result<A, CallError>,
        describe: impl Fn(&Act, Option<&CallError>),
    ) -> Result<A, CallError> {
        describe(self, outcome.as_ref().err());
        if let Err(error) = &outcome {
            self.set("error.type", error.kind.clone());
            self.context.span().set_status(Status::error(error.message.clone()));
        }
        self.context.span().end();
        outcome
    }
}

/// The request id as the conventions record a header: a list, as headers may be repeated.
pub(crate) fn header_attribute(request_id: &str) -> KeyValue {
    let values = Array::String(vec![StringValue::from(request_id.to_owned())]);
    KeyValue::new("http.request.header.x-request-id", Value::Array(values))
}

async fn bounded<A>(
    peer: &'static str,
    call: impl Future<Output = Result<A, CallError>>,
) -> Result<A, CallError> {
    match tokio::time::timeout(Duration::from_millis(CALL_TIMEOUT_MS), call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::timeout(peer)),
    }
}
