//! The request context on the wire: HTTP headers, gRPC metadata, message headers.
//!
//! One header of our own carries deadline, attempt and retry budget
//! (`halfopen-context: d=950;a=2;b=3`); the correlation id and the trace context travel under the
//! names everybody knows. `grpc-timeout`, `x-envoy-expected-rq-timeout-ms` and
//! `x-envoy-attempt-count` are read too: the earliest deadline wins.
//!
//! **Invariant:** reading never fails. What is missing or malformed is as if nobody had sent it,
//! so a hop that does not know the context, or mangles it, does no harm.

mod grpc_timeout;
mod list;
mod triple;

pub use grpc_timeout::{grpc_timeout, read_grpc_timeout};
pub use list::{Carrier, read_list, returned_in_list, write_list};
pub use triple::{TRIPLE_BYTES_MAX, Triple};

use crate::context::{RequestContext, RequestId, TraceContext};
use crate::grant::Grant;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tokio::time::Instant;

/// Deadline, attempt and retry budget: `d=<remaining ms>;a=<attempt>;b=<retries>`.
pub static CONTEXT: HeaderName = HeaderName::from_static("halfopen-context");
/// In an answer: the retries that were granted and not spent.
pub static RETURNED: HeaderName = HeaderName::from_static("halfopen-returned");
/// The correlation id, as most systems name it.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The correlation id, as others name it; read when there is no [`REQUEST_ID`].
pub static CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// W3C trace context.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C trace context, vendors' part.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The deadline of gRPC.
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The deadline of Envoy, in milliseconds.
pub static ENVOY_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// The attempt number of Envoy; the first is 1.
pub static ENVOY_ATTEMPT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
/// In an answer: why its sender refused the work, which it has not begun.
pub static REFUSED: HeaderName = HeaderName::from_static("halfopen-refused");
/// The key that makes a repeated request one request.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a call takes along.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The context of the attempt: its deadline is when the caller stops waiting.
    pub context: &'a RequestContext,
    /// Retries lent to this call.
    pub granted: u32,
}

impl Outgoing<'_> {
    pub(crate) fn triple(&self, now: Instant) -> Triple {
        Triple {
            remaining_ms: self.context.remaining(now).map(whole_ms),
            attempt: self.context.attempt(),
            budget: Some(self.granted),
        }
    }
}

/// Reads the context a request came with; `None` for the id when the caller sent none.
pub fn read_headers(headers: &HeaderMap, now: Instant) -> Received {
    let triple = headers.get(&CONTEXT).map(|value| Triple::decode(value.as_bytes()));
    let id = headers.get(&REQUEST_ID).or_else(|| headers.get(&CORRELATION_ID));
    let trace = headers
        .get(&TRACEPARENT)
        .and_then(|parent| TraceContext::new(parent, headers.get(&TRACESTATE)));
    let foreign = ForeignDeadline {
        grpc: headers.get(&GRPC_TIMEOUT).map(HeaderValue::as_bytes),
        envoy_ms: headers.get(&ENVOY_TIMEOUT).map(HeaderValue::as_bytes),
        envoy_attempt: headers.get(&ENVOY_ATTEMPT).map(HeaderValue::as_bytes),
    };
    Received { id: id.and_then(RequestId::from_header), trace, triple: foreign.merge(triple), now }
}

/// Deadline, attempt and budget of a request, nothing else.
pub fn read_triple(headers: &HeaderMap) -> Triple {
    headers.get(&CONTEXT).map(|value| Triple::decode(value.as_bytes())).unwrap_or_default()
}

/// Writes the context into a request. A trace context that a tracer already wrote stays.
pub fn write_headers(outgoing: &Outgoing<'_>, headers: &mut HeaderMap, now: Instant) {
    let triple = outgoing.triple(now);
    write_triple(&triple, headers);
    headers.insert(&REQUEST_ID, outgoing.context.id().to_header());
    if let Some(remaining_ms) = triple.remaining_ms.filter(|_| is_grpc(headers)) {
        headers.insert(&GRPC_TIMEOUT, grpc_timeout(remaining_ms));
    }
    let Some(trace) = outgoing.context.trace() else { return };
    if !headers.contains_key(&TRACEPARENT) {
        headers.insert(&TRACEPARENT, trace.parent().clone());
        if let Some(state) = trace.state() {
            headers.insert(&TRACESTATE, state.clone());
        }
    }
}

/// Writes deadline, attempt and budget, nothing else.
pub fn write_triple(triple: &Triple, headers: &mut HeaderMap) {
    let mut buffer = [0u8; TRIPLE_BYTES_MAX];
    let text = triple.encode(&mut buffer);
    if let Ok(value) = HeaderValue::from_bytes(text) {
        headers.insert(&CONTEXT, value);
    }
}

/// The retries an answer brings back; `None` when its sender does not know of them.
pub fn returned(headers: &HeaderMap) -> Option<u32> {
    headers.get(&RETURNED).and_then(|value| triple::number(value.as_bytes()))
}

/// Says in an answer how many retries were not spent.
pub fn write_returned(retries: u32, headers: &mut HeaderMap) {
    headers.insert(&RETURNED, HeaderValue::from(retries));
}

/// Whether a message is gRPC, by its content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A context as it was read; [`Received::or_begin`] makes it whole.
#[derive(Clone, Debug)]
pub struct Received {
    id: Option<RequestId>,
    trace: Option<TraceContext>,
    triple: Triple,
    now: Instant,
}

impl Received {
    /// The context, with an id made from `chance` when the caller sent none.
    pub fn or_begin(self, chance: &crate::Chance) -> RequestContext {
        let id = self.id.unwrap_or_else(|| RequestId::new(chance));
        let context = RequestContext::with_id(id)
            .traced(self.trace)
            .as_attempt(self.triple.attempt)
            .granted(self.triple.budget.map(Grant::new));
        match self.triple.remaining_ms {
            Some(ms) => context.until(self.now + Duration::from_millis(u64::from(ms))),
            None => context,
        }
    }

    /// Whether the caller sent a correlation id.
    pub fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

/// Deadlines and attempts under the names of others.
pub(crate) struct ForeignDeadline<'a> {
    pub(crate) grpc: Option<&'a [u8]>,
    pub(crate) envoy_ms: Option<&'a [u8]>,
    pub(crate) envoy_attempt: Option<&'a [u8]>,
}

impl ForeignDeadline<'_> {
    /// The earliest deadline of all; our attempt number before Envoy's. Zero from Envoy means
    /// that it has no timeout.
    fn merge(&self, ours: Option<Triple>) -> Triple {
        let grpc = self.grpc.and_then(read_grpc_timeout).map(whole_ms);
        let envoy = self.envoy_ms.and_then(triple::number).filter(|ms| *ms > 0);
        let mut merged = ours.unwrap_or_default();
        merged.remaining_ms = [merged.remaining_ms, grpc, envoy].into_iter().flatten().min();
        if ours.is_none() {
            let attempt = self.envoy_attempt.and_then(triple::number);
            merged.attempt = attempt.unwrap_or(1).max(1);
        }
        merged
    }
}

pub(crate) fn whole_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

pub(crate) fn received(
    id: Option<RequestId>,
    trace: Option<TraceContext>,
    ours: Option<&[u8]>,
    foreign: &ForeignDeadline<'_>,
    now: Instant,
) -> Received {
    Received { id, trace, triple: foreign.merge(ours.map(Triple::decode)), now }
}

#[cfg(test)]
mod tests;
