//! How a request fails inside a service, and how a call to another one does.

use axum::body::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wire::WireError;

/// Why a protected call brought no answer.
pub(crate) type Unanswered = halfopen_resilience::CallError<WireError>;

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
    /// What kind of failure, in the words of `error.type`.
    pub(crate) kind: String,
    /// What happened, for people.
    pub(crate) message: String,
    /// The HTTP status that the caller's own caller gets.
    passed_on: u16,
}

/// The body of an HTTP answer that is no success.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Problem {
    /// What happened.
    pub(crate) error: String,
}

impl Problem {
    /// What a body says; nothing, if it is none of ours.
    pub(crate) fn read(body: &[u8]) -> String {
        serde_json::from_slice::<Problem>(body).map(|problem| problem.error).unwrap_or_default()
    }
}

impl CallError {
    fn new(peer: &'static str, kind: &str, message: String, passed_on: u16) -> CallError {
        let kind = kind.to_owned();
        CallError { peer, status: None, kind, message, passed_on }
    }

    /// There is no such thing to be called.
    pub(crate) fn invalid(peer: &'static str, message: &str) -> CallError {
        CallError::new(peer, "invalid_call", message.to_owned(), 502)
    }

    /// No answer came: refused before it was sent, not in time, or the connection broke.
    pub(crate) fn unanswered(peer: &'static str, error: &Unanswered) -> CallError {
        let message = error.to_string();
        match error {
            Unanswered::Refused(refusal) => {
                CallError::new(peer, refusal.reason.as_str(), message, 503)
            }
            Unanswered::TimedOut { .. } => CallError::new(peer, "timeout", message, 504),
            Unanswered::Failed { source, .. } => {
                CallError::new(peer, "connection_error", source.to_string(), 502)
            }
            _ => CallError::new(peer, "unanswered", message, 502),
        }
    }

    /// The answer of a gRPC method that is no success.
    pub(crate) fn rpc(peer: &'static str, status: &tonic::Status) -> CallError {
        let (kind, message) = (code_name(status.code()), status.message().to_owned());
        let passed_on = match status.code() {
            tonic::Code::DeadlineExceeded => 504,
            tonic::Code::ResourceExhausted => 503,
            _ => 502,
        };
        CallError::new(peer, kind, message, passed_on)
    }

    /// The answer, or why it is none.
    pub(crate) fn read_answer<A: DeserializeOwned>(
        peer: &'static str,
        status: u16,
        body: &Bytes,
    ) -> Result<A, CallError> {
        let fail = |kind: &str, message: String| {
            let passed_on = if (400..=499).contains(&status) { status } else { 502 };
            CallError { status: Some(status), ..CallError::new(peer, kind, message, passed_on) }
        };
        if !(200..300).contains(&status) {
            return Err(fail(&status.to_string(), Problem::read(body)));
        }
        serde_json::from_slice(body).map_err(|error| fail("invalid_answer", error.to_string()))
    }
}

/// What the caller's own caller gets to see when a call failed.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        let message = format!("{}: {}", error.peer, error.message);
        Failure { status: error.passed_on, exception: None, message }
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
