//! What a handler holds while it works on one request: its span, its request id, and the traced
//! ways to work, to log and to call other services.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use halfopen_resilience::body::{HoldBodyError, HoldBodyLayer, WholeBody};
use halfopen_resilience::protocol::{Repeatable, Route};
use halfopen_resilience::stack::ServerLayers;
use http::{HeaderValue, Method, Request};
use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::behaviour::Behaviour;
use crate::chance::digest;
use crate::failure::{CallError, Failure, Unanswered};
use crate::pool::Connections;
use crate::protect::Clients;
use crate::telemetry::{Identity, Telemetry};
use crate::vocabulary::Vocabulary;

/// Messages of the shop are small; what is longer is not sent.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// One running instance of a service.
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) behaviour: Behaviour,
    pub(crate) telemetry: Telemetry,
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// What stands before its handlers.
    pub(crate) server: ServerLayers,
    /// Its ways to other services.
    pub(crate) clients: Clients,
    /// Its connections to the warehouses.
    pub(crate) connections: Connections,
    /// Requests that it works on although nobody may wait for them any more.
    pub(crate) unattended: watch::Sender<usize>,
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
        fate_of(&self.request_id, self.node.identity.service, what)
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
        let tracer = &self.node.telemetry.tracer;
        let span = tracer.span_builder(name).with_kind(SpanKind::Internal);
        let span = span.start_with_context(tracer, &self.context);
        Act { context: self.context.with_span(span), ..self.clone() }
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
        let mut request = Request::new(WholeBody::default());
        *request.uri_mut() = path.parse().map_err(|_| CallError::invalid(peer, "invalid path"))?;
        self.call(peer, route, request).await
    }

    /// Sends an order to another service: what it does must not be done twice.
    pub(crate) async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        peer: &'static str,
        route: &'static str,
        order: &Q,
    ) -> Result<A, CallError> {
        self.call(peer, route, posted(route, order)).await
    }

    /// Sends a question to another service, which changes nothing and may be asked again.
    pub(crate) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        peer: &'static str,
        route: &'static str,
        question: &Q,
    ) -> Result<A, CallError> {
        let mut request = posted(route, question);
        request.extensions_mut().insert(Repeatable);
        self.call(peer, route, request).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        peer: &'static str,
        route: &'static str,
        mut request: Request<WholeBody>,
    ) -> Result<A, CallError> {
        request.extensions_mut().insert(Route(route));
        let answer = self.node.clients.to(peer).oneshot(request);
        let answer = answer.with_context(self.context.clone()).await;
        let answer = answer.map_err(|error| CallError::unanswered(peer, &error))?;
        let status = answer.status().as_u16();
        CallError::read_answer(peer, status, &answer.body().to_bytes())
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
        let stack = tower::ServiceBuilder::new()
            .map_err(status)
            .layer(HoldBodyLayer::new(MESSAGE_BYTES_MAX))
            .service(self.node.clients.to(peer));
        let mut client = tonic::client::Grpc::new(stack);
        let path = http::uri::PathAndQuery::try_from(format!("/{method}"));
        let path = path.map_err(|_| CallError::invalid(peer, "invalid method"))?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let call = async {
            client.ready().await?;
            client.unary(tonic::Request::new(question), path, codec).await
        };
        let answer = call.with_context(self.context.clone()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| CallError::rpc(peer, &status))
    }
}

/// A number from 0 to 1 that depends on these and on nothing else.
pub(crate) fn fate_of(request_id: &str, service: &str, what: &str) -> f64 {
    let bits = digest(&[request_id, service, what]);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn posted<Q: Serialize>(route: &'static str, body: &Q) -> Request<WholeBody> {
    let body = serde_json::to_vec(body).expect("messages of the shop have text keys");
    let mut request = Request::new(WholeBody::from(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(route);
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(http::header::CONTENT_TYPE, json);
    request
}

/// A gRPC call without an answer, in the words of gRPC.
fn status(error: HoldBodyError<tonic::Status, Unanswered>) -> tonic::Status {
    match error {
        HoldBodyError::Call(error) => {
            tonic::Status::new(tonic::Code::from(error.grpc_code()), error.to_string())
        }
        HoldBodyError::Body(error) => tonic::Status::internal(error.to_string()),
    }
}

/// The request id as the conventions record a header: a list, as headers may be repeated.
pub(crate) fn header_attribute(request_id: &str) -> KeyValue {
    let values = Array::String(vec![StringValue::from(request_id.to_owned())]);
    KeyValue::new("http.request.header.x-request-id", Value::Array(values))
}
