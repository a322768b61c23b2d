//! What a sender is told that is refused: `google.rpc.Status`, as protobuf and as JSON, with
//! `RetryInfo` where it may come back.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::StatusCode;
use serde_json::json;

use crate::guard::Denied;

/// Codes of gRPC, as `google.rpc.Code` numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// What stands for a status of HTTP.
    pub(super) fn of_denied(denied: &Denied) -> Code {
        match denied.status() {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            _ => Code::ResourceExhausted,
        }
    }
}

/// Protobuf's wire types.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Protobuf leaves out numbers that are zero.
fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        put_varint(out, field << 3 | VARINT);
        put_varint(out, value);
    }
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | LENGTH);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// `google.rpc.Status`, with `RetryInfo` where a sender may come back.
pub(super) fn status(code: Code, message: &str, retry_after: Option<Duration>) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, code as u64);
    put_bytes(&mut out, 2, message.as_bytes());
    if let Some(delay) = retry_after {
        put_bytes(&mut out, 3, &retry_info(delay));
    }
    out
}

/// `google.protobuf.Any` of a `google.rpc.RetryInfo`.
fn retry_info(delay: Duration) -> Vec<u8> {
    let mut duration = Vec::new();
    put_number(&mut duration, 1, delay.as_secs());
    put_number(&mut duration, 2, u64::from(delay.subsec_nanos()));
    let mut info = Vec::new();
    put_bytes(&mut info, 1, &duration);
    let mut any = Vec::new();
    put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    put_bytes(&mut any, 2, &info);
    any
}

/// The same status in the form of the header `grpc-status-details-bin`.
pub(super) fn status_header(code: Code, message: &str, retry_after: Option<Duration>) -> String {
    STANDARD_NO_PAD.encode(status(code, message, retry_after))
}

/// `google.rpc.Status` as JSON.
pub(super) fn status_json(code: Code, message: &str, retry_after: Option<Duration>) -> Vec<u8> {
    let mut status = json!({ "code": code as u64, "message": message });
    if let Some(delay) = retry_after {
        let delay = format!("{}s", delay.as_secs_f64());
        let info =
            json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay });
        status["details"] = json!([info]);
    }
    status.to_string().into_bytes()
}
