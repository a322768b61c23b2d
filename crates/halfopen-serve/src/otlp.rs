//! Receiving OTLP: gRPC on one port, HTTP with protobuf or JSON on the other.
//!
//! gRPC's unary calls are spoken here directly on HTTP/2: the message then reaches the decoder
//! without a copy, is decompressed under our own bound, and every refusal carries the code that
//! makes senders do the right thing.
//!
//! **Invariant:** what cannot be taken now is refused so that senders come back (RESOURCE_EXHAUSTED
//! with RetryInfo, 429 or 503 with Retry-After); what can never be taken so that they do not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use halfopen_ingest::Outcome;
use halfopen_ingest::inflate::{Compression, InflateError};
use halfopen_model::WriteEvidence;
use halfopen_model::port::Refusal;
use http::{HeaderMap, Request, header};
use hyper::body::Incoming;

use crate::body::{self, BodyBudget, BodyError, Framing};
use crate::config::Config;
use crate::intake::{Export, Intake, NotTaken};
use crate::meter::{Meter, Protocol};

pub(crate) mod grpc;
pub(crate) mod http_port;
mod proto;

/// Names of senders are kept up to here.
const SENDER_BYTES_MAX: usize = 200;

/// Name and port under which a request asked for us: HTTP/1 says it in a header, HTTP/2 in its
/// target.
fn host(request: &Request<Incoming>) -> Option<&str> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

/// What both ports work with.
pub(crate) struct Receiver<W> {
    pub(crate) intake: Arc<Intake<W>>,
    pub(crate) budget: BodyBudget,
    pub(crate) meter: Arc<Meter>,
    message_bytes_max: usize,
    body_max: Duration,
    retry_after: Duration,
    /// Without tokens, web pages of other machines are kept out by what browsers say of them.
    pub(crate) has_tokens: bool,
}

/// An export that was not taken, in terms of both protocols.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

/// What a sender should do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FailureKind {
    /// The request is wrong, now and later.
    Wrong,
    /// The request asks for something that is not done here.
    Unsupported,
    /// The request is larger than any bound.
    TooLarge,
    /// The body did not arrive in time.
    Slow,
    /// A bound is reached: come back after this time.
    Full(Duration),
    /// The server is going away: come back, perhaps to the next one.
    Unavailable(Duration),
    /// Something is broken here.
    Broken,
}

impl<W: WriteEvidence + 'static> Receiver<W> {
    pub(crate) fn new(
        intake: Arc<Intake<W>>,
        config: &Config,
        budget: BodyBudget,
        meter: Arc<Meter>,
    ) -> Receiver<W> {
        Receiver {
            intake,
            budget,
            meter,
            message_bytes_max: config.serve.message_bytes_max,
            body_max: config.serve.body_max(),
            retry_after: config.serve.retry_after(),
            has_tokens: config.serve.asks_for_tokens(),
        }
    }

    /// Reads the body of a request within its bounds.
    async fn body(
        &self,
        request: Request<Incoming>,
        framing: Framing,
    ) -> Result<body::Held, Failure> {
        let framed = if framing == Framing::Grpc { body::GRPC_HEADER_BYTES } else { 0 };
        let bytes_max = self.message_bytes_max + framed;
        let budget = self.budget.of(request.extensions());
        body::read(request.into_body(), framing, bytes_max, self.body_max, &budget)
            .await
            .map_err(|error| self.body_failure(&error))
    }

    fn body_failure(&self, error: &BodyError) -> Failure {
        let kind = match error {
            BodyError::TooLarge { .. } => FailureKind::TooLarge,
            BodyError::NoRoom | BodyError::Share => FailureKind::Full(self.retry_after),
            BodyError::Slow { .. } => FailureKind::Slow,
            BodyError::Broken(_) => FailureKind::Wrong,
        };
        Failure { kind, message: error.to_string() }
    }

    /// Takes an export and counts what became of it.
    async fn take(&self, protocol: Protocol, export: Export) -> Result<Outcome, Failure> {
        let signal = export.signal;
        let begun = tokio::time::Instant::now();
        let meter = self.meter.export(protocol, signal);
        meter.bytes.add(export.body.bytes.len() as u64);
        let taken = self.intake.take(export).await;
        meter.took.observe(begun.elapsed());
        match taken {
            Ok(outcome) => {
                self.meter.exported(protocol, signal, &outcome);
                Ok(outcome)
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn failure(&self, error: &NotTaken) -> Failure {
        let kind = match error {
            NotTaken::Full { .. } | NotTaken::Lost => FailureKind::Full(self.retry_after),
            NotTaken::Stopping | NotTaken::Store(Refusal::Closed) => {
                FailureKind::Unavailable(self.retry_after)
            }
            NotTaken::Store(Refusal::Later { after, .. }) => FailureKind::Full(*after),
            NotTaken::Store(Refusal::Never { .. }) => FailureKind::Broken,
            NotTaken::Inflate { source: InflateError::TooLarge { .. }, .. } => {
                FailureKind::TooLarge
            }
            NotTaken::Inflate { .. } => FailureKind::Wrong,
        };
        Failure { kind, message: with_causes(error) }
    }
}

/// The text of an error and of what caused it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Who sent it, for people who look at rejects: its user agent and its address.
fn sender(headers: &HeaderMap, peer: SocketAddr) -> String {
    let agent = headers.get(header::USER_AGENT).map(|value| value.as_bytes());
    let agent = String::from_utf8_lossy(agent.unwrap_or(b"unnamed sender"));
    let agent: String = agent.chars().take(SENDER_BYTES_MAX).collect();
    format!("{agent} at {peer}")
}

/// The compression that a header names; none when it is not there.
fn compression(headers: &HeaderMap, name: &str) -> Result<Compression, Failure> {
    let named = headers.get(name).map_or(Some(""), |value| value.to_str().ok());
    named.and_then(Compression::from_name).ok_or_else(|| Failure {
        kind: FailureKind::Unsupported,
        message: format!("this {name} is not known here; gzip, zstd and deflate are"),
    })
}
