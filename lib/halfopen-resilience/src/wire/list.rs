//! The context in message headers: lists of keys and values, as Kafka, AMQP and NATS have them.

use super::{ForeignDeadline, Outgoing, Received, TRIPLE_BYTES_MAX};
use crate::context::{RequestId, TraceContext};
use http::HeaderValue;
use tokio::time::Instant;

/// A list of headers of some messaging client. Implement the two methods for its type; lists of
/// pairs have them already.
pub trait Carrier {
    /// The value of the first header called `name`, whatever its case.
    fn value(&self, name: &str) -> Option<&[u8]>;

    /// Sets the one header called `name`.
    fn set(&mut self, name: &str, value: &[u8]);
}

impl Carrier for Vec<(String, Vec<u8>)> {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.push((name.to_owned(), value.to_vec()));
    }
}

impl Carrier for Vec<(String, String)> {
    fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    }
}

/// Reads the context a message came with.
///
/// The deadline counts from `now`, the moment the message was taken: time in the queue is not in
/// it. A sender for whom a message is worthless after a while must say so to its broker.
pub fn read_list(list: &impl Carrier, now: Instant) -> Received {
    let header = |name: &str| list.value(name).and_then(|v| HeaderValue::from_bytes(v).ok());
    let id = list
        .value(super::REQUEST_ID.as_str())
        .or_else(|| list.value(super::CORRELATION_ID.as_str()))
        .and_then(RequestId::parse);
    let state = header(super::TRACESTATE.as_str());
    let trace = header(super::TRACEPARENT.as_str())
        .and_then(|parent| TraceContext::new(&parent, state.as_ref()));
    let foreign = ForeignDeadline { grpc: None, envoy_ms: None, envoy_attempt: None };
    super::received(id, trace, list.value(super::CONTEXT.as_str()), &foreign, now)
}

/// Writes the context into a message.
pub fn write_list(outgoing: &Outgoing<'_>, list: &mut impl Carrier, now: Instant) {
    let mut buffer = [0u8; TRIPLE_BYTES_MAX];
    list.set(super::CONTEXT.as_str(), outgoing.triple(now).encode(&mut buffer));
    list.set(super::REQUEST_ID.as_str(), outgoing.context.id().to_header().as_bytes());
    let Some(trace) = outgoing.context.trace() else { return };
    if list.value(super::TRACEPARENT.as_str()).is_none() {
        list.set(super::TRACEPARENT.as_str(), trace.parent().as_bytes());
        if let Some(state) = trace.state() {
            list.set(super::TRACESTATE.as_str(), state.as_bytes());
        }
    }
}

/// The retries that the headers of an answer bring back.
pub fn returned_in_list(list: &impl Carrier) -> Option<u32> {
    list.value(super::RETURNED.as_str()).and_then(super::triple::number)
}
