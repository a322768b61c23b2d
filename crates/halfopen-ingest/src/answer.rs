//! What the sender is told: the answers of OTLP, written without a protobuf library.

use serde_json::json;

use crate::settings::{Outcome, Signal};
use crate::wire::Writer;

/// Partial success in an `Export...ServiceResponse`, the same for all signals.
const PARTIAL_SUCCESS: u32 = 1;
/// Number of rejected items in a partial success, the same for all signals.
const REJECTED: u32 = 1;
/// Message in a partial success.
const ERROR_MESSAGE: u32 = 2;
/// Code in a `google.rpc.Status`.
const STATUS_CODE: u32 = 1;
/// Message in a `google.rpc.Status`.
const STATUS_MESSAGE: u32 = 2;

/// The `ExportTraceServiceResponse` (logs and metrics likewise) in protobuf. Empty when all is
/// well; a problem without rejected items is a warning.
pub fn protobuf(outcome: &Outcome) -> Vec<u8> {
    let mut answer = Writer::new();
    if is_partial(outcome) {
        let filled = answer.message(PARTIAL_SUCCESS, |partial| -> Result<(), ()> {
            partial.varint(REJECTED, outcome.rejected);
            partial.bytes(ERROR_MESSAGE, message(outcome).as_bytes());
            Ok(())
        });
        debug_assert!(filled.is_ok(), "filling it cannot fail");
    }
    answer.into_bytes()
}

/// The same answer in JSON.
pub fn json(signal: Signal, outcome: &Outcome) -> String {
    if !is_partial(outcome) {
        return "{}".to_owned();
    }
    let rejected = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    let partial =
        json!({ rejected: outcome.rejected.to_string(), "errorMessage": message(outcome) });
    json!({ "partialSuccess": partial }).to_string()
}

/// The body of a refusal over HTTP: a `google.rpc.Status` in protobuf.
pub fn status_protobuf(code: u32, message: &str) -> Vec<u8> {
    let mut status = Writer::new();
    status.varint(STATUS_CODE, u64::from(code));
    status.bytes(STATUS_MESSAGE, message.as_bytes());
    status.into_bytes()
}

/// The same in JSON.
pub fn status_json(code: u32, message: &str) -> String {
    json!({ "code": code, "message": message }).to_string()
}

fn is_partial(outcome: &Outcome) -> bool {
    outcome.rejected > 0 || outcome.problem.is_some()
}

fn message(outcome: &Outcome) -> &str {
    outcome.problem.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message;

    #[test]
    fn an_official_client_reads_the_same_answer() {
        let outcome = Outcome {
            accepted: 5,
            rejected: 300,
            problem: Some("the body is cut short".into()),
            unreadable: false,
        };
        let partial = ExportTracePartialSuccess {
            rejected_spans: 300,
            error_message: "the body is cut short".into(),
        };
        let expected = ExportTraceServiceResponse { partial_success: Some(partial) };
        assert_eq!(ExportTraceServiceResponse::decode(&*protobuf(&outcome)), Ok(expected));
        let text = json(Signal::Logs, &outcome);
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["partialSuccess"]["rejectedLogRecords"], "300");
    }

    #[test]
    fn success_is_an_empty_answer() {
        let outcome = Outcome { accepted: 5, ..Outcome::default() };
        assert!(protobuf(&outcome).is_empty());
        assert_eq!(json(Signal::Traces, &outcome), "{}");
        assert_eq!(status_protobuf(3, "no"), b"\x08\x03\x12\x02no");
    }
}
