//! W3C trace context, carried through where no tracer does it.

use http::HeaderValue;

/// `traceparent` in its first version: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_BYTES: usize = 55;

/// The caller's `traceparent` and `tracestate`, passed on unchanged.
///
/// This crate is no tracer: a `traceparent` that a tracer already wrote into a request is left
/// alone. Where there is none, passing the caller's on keeps the trace in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: HeaderValue,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads the two headers; `None` when `traceparent` is malformed or all zeros.
    pub fn new(parent: &HeaderValue, state: Option<&HeaderValue>) -> Option<TraceContext> {
        is_traceparent(parent.as_bytes())
            .then(|| TraceContext { parent: parent.clone(), state: state.cloned() })
    }

    /// The `traceparent` header.
    pub fn parent(&self) -> &HeaderValue {
        &self.parent
    }

    /// The `tracestate` header.
    pub fn state(&self) -> Option<&HeaderValue> {
        self.state.as_ref()
    }

    /// The trace id in hex.
    pub fn trace_id(&self) -> &str {
        self.parent.to_str().ok().and_then(|text| text.get(3..35)).unwrap_or_default()
    }
}

fn is_traceparent(bytes: &[u8]) -> bool {
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    // A later version may append fields; version ff is forbidden.
    let has_length = bytes.len() == TRACEPARENT_BYTES
        || (bytes.len() > TRACEPARENT_BYTES && bytes[TRACEPARENT_BYTES] == b'-');
    has_length
        && &bytes[..2] != b"ff"
        && [2, 35, 52].iter().all(|at| bytes[*at] == b'-')
        && [&bytes[..2], &bytes[3..35], &bytes[36..52], &bytes[53..55]].into_iter().all(is_hex)
        && !is_zero(&bytes[3..35])
        && !is_zero(&bytes[36..52])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_usable_parent_is_passed_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::new(&HeaderValue::from_static(good), None).unwrap();
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::new(&HeaderValue::from_static(bad), None), None, "{bad}");
        }
    }
}
