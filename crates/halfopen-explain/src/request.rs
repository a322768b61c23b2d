//! When a span failed, and which span of a trace stands for the request.
//!
//! **Invariant:** this is the one place that knows the rule of failure; every other room asks
//! here.

use halfopen_model::batch::Cells;
use halfopen_model::names::GRPC_CODES;

/// From this HTTP status on an answer is the fault of the server (RFC 9110, section 15.6).
pub(crate) const HTTP_FAILED_MIN: i64 = 500;

/// Attributes that carry the HTTP status of the answer, the current name first.
pub(crate) const HTTP_STATUS: [&str; 2] =
    ["span.http.response.status_code", "span.http.status_code"];

/// Attributes that carry the gRPC status, the current names first.
pub(crate) const GRPC_STATUS: [&str; 3] =
    ["span.rpc.status_code", "span.rpc.response.status_code", "span.rpc.grpc.status_code"];

/// gRPC codes that are answers and no failures: the caller asked for something that is not
/// there, is there already or makes no sense, or no longer wants the answer.
const GRPC_ANSWERS: [&str; 5] =
    ["OK", "NOT_FOUND", "ALREADY_EXISTS", "INVALID_ARGUMENT", "CANCELLED"];

/// Whether a span failed: status error, an HTTP status of 500 or more, a gRPC code that is no
/// answer, or no end. Old attribute names count too.
pub fn failed(cells: &Cells<'_>, row: usize) -> bool {
    let value = |name: &&str| cells.attribute(name, row);
    cells.text("status", row) == Some("error")
        || cells.int("duration_ns", row).is_none()
        || HTTP_STATUS.iter().filter_map(value).any(|value| http_text_failed(&value.to_text()))
        || GRPC_STATUS.iter().filter_map(value).any(|value| grpc_text_failed(&value.to_text()))
}

/// The rule for an HTTP status, whatever its type was.
pub(crate) fn http_text_failed(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok_and(|code| code >= HTTP_FAILED_MIN as f64)
}

/// The rule for a gRPC code that was sent as number.
pub(crate) fn grpc_code_failed(code: i64) -> bool {
    let name = usize::try_from(code).ok().and_then(|code| GRPC_CODES.get(code));
    name.is_none_or(|name| !GRPC_ANSWERS.contains(name))
}

/// The rule for a gRPC code that was sent as text: a name in any case, or a number.
pub(crate) fn grpc_text_failed(text: &str) -> bool {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(code) => grpc_code_failed(code),
        Err(_) if text.is_empty() => false,
        Err(_) => !GRPC_ANSWERS.iter().any(|answer| same_code(answer, text)),
    }
}

/// `NOT_FOUND`, `not_found` and `NotFound` are one code; so are both spellings of cancelled.
fn same_code(code: &str, text: &str) -> bool {
    let letters = |text: &str| -> Vec<u8> {
        let bytes = text.bytes().filter(u8::is_ascii_alphabetic);
        bytes.map(|byte| byte.to_ascii_lowercase()).collect()
    };
    letters(code) == letters(text) || (code == "CANCELLED" && letters(text) == b"canceled")
}
