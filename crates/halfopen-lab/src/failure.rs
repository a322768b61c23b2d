//! How a request fails inside a service, and how a call to another one does.

use axum::body::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why a service does not do what it was asked.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Failure {
    /// The HTTP status that the caller gets; gRPC codes follow from it.
    pub(crate) status: u16,
    /// The type of the exception, when one was thrown here.
    pub(crate) exception: Option<String>,
    /// What happened, for people.
    pub(crate) message: String,
}

impl Failure {
    /// An exception that nobody caught.
    pub(crate) fn exception(kind: &str, message: String) -> Failure {
        Failure { status: 500, exception: Some(kind.to_owned()), message }
    }

    /// The service answers with this status and means it.
    pub(crate) fn answer(status: StatusCode, message: &str) -> Failure {
        Failure { status: status.as_u16(), exception: None, message: message.to_owned() }
    }

    /// The gRPC code that says the same.
    pub(crate) fn code(&self) -> tonic::Code {
        match self.status {
            400 => tonic::Code::InvalidArgument,
            404 => tonic::Code::NotFound,
            502 | 503 => tonic::Code::Unavailable,
            504 => tonic::Code::DeadlineExceeded,
            _ => tonic::Code::Internal,
        }
    }
}

/// Why a call to another service gave no answer that can be used.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CallError {
    /// Who was called.
    pub(crate) peer: &'static str,
    /// The HTTP status, when there was one.
    pub(crate) status: Option<u16>,
    /// The gRPC code, when there was one.
    pub(crate) code: Option<tonic::Code>,
    /// `error.type` of the client's span.
    pub(crate) kind: String,
    /// What happened, for people.
    pub(crate) message: String,
}

/// The body of an HTTP answer that is no success.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Problem {
    /// What happened.
    pub(crate) error: String,
}

impl CallError {
    pub(crate) fn unreachable(peer: &'static str, message: &str) -> CallError {
        let (kind, message) = ("connection_error".to_owned(), message.to_owned());
        CallError { peer, status: None, code: None, kind, message }
    }

    pub(crate) fn timeout(peer: &'static str) -> CallError {
        let message = format!("no answer from {peer} in time");
        CallError { peer, status: None, code: None, kind: "timeout".to_owned(), message }
    }

    pub(crate) fn rpc(peer: &'static str, status: &tonic::Status) -> CallError {
        CallError {
            peer,
            status: None,
            code: Some(status.code()),
            kind: code_name(status.code()).to_owned(),
            message: status.message().to_owned(),
        }
    }

    /// The answer, or why it is none.
    pub(crate) fn read_answer<A: DeserializeOwned>(
        peer: &'static str,
        status: u16,
        body: &Bytes,
    ) -> Result<A, CallError> {
        let fail = |kind: String, message: String| CallError {
            peer,
            status: Some(status),
            code: None,
            kind,
            message,
        };
        if !(200..300).contains(&status) {
            let message = serde_json::from_slice::<Problem>(body).map(|problem| problem.error);
            return Err(fail(status.to_string(), message.unwrap_or_default()));
        }
        serde_json::from_slice(body)
            .map_err(|error| fail("invalid_answer".to_owned(), error.to_string()))
    }
}

/// What the caller's own caller gets to see when a call failed.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        let message = format!("{}: {}", error.peer, error.message);
        let status = match error.status {
            Some(status @ 400..=499) => status,
            _ if error.kind == "timeout" => 504,
            _ => 502,
        };
        Failure { status, exception: None, message }
    }
}

/// The name of a gRPC code as the semantic conventions write it.
pub(crate) fn code_name(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "OK",
        tonic::Code::Cancelled => "CANCELLED",
        tonic::Code::Unknown => "UNKNOWN",
        tonic::Code::InvalidArgument => "INVALID_ARGUMENT",
        tonic::Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        tonic::Code::NotFound => "NOT_FOUND",
        tonic::Code::AlreadyExists => "ALREADY_EXISTS",
        tonic::Code::PermissionDenied => "PERMISSION_DENIED",
        tonic::Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        tonic::Code::FailedPrecondition => "FAILED_PRECONDITION",
        tonic::Code::Aborted => "ABORTED",
        tonic::Code::OutOfRange => "OUT_OF_RANGE",
        tonic::Code::Unimplemented => "UNIMPLEMENTED",
        tonic::Code::Internal => "INTERNAL",
        tonic::Code::Unavailable => "UNAVAILABLE",
        tonic::Code::DataLoss => "DATA_LOSS",
        tonic::Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
