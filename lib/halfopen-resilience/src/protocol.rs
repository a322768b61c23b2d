//! What the layers must know of requests and answers, and what they are for HTTP and gRPC.

mod judged;

pub use judged::Judged;

use crate::call::CallError;
use crate::wire::{self, Outgoing};
use http::{Method, Request, Response, StatusCode};
use std::time::Duration;
use tokio::time::Instant;

/// What a result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer works. An answer that says the caller was wrong counts here.
    Good,
    /// The peer failed.
    Bad(Badness),
}

/// How a peer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badness {
    /// In telemetry: a status code, an error class.
    pub cause: &'static str,
    /// Whether another try may help.
    pub retryable: bool,
    /// Whether the request certainly did no work: then even one that must not be repeated may be
    /// sent again.
    pub never_worked_on: bool,
    /// When the peer wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl Badness {
    /// A failure that another try may cure, after which the work may have been done.
    pub fn retryable(cause: &'static str) -> Badness {
        Badness { cause, retryable: true, never_worked_on: false, retry_after: None }
    }

    /// A failure that another try does not cure.
    pub fn lasting(cause: &'static str) -> Badness {
        Badness { retryable: false, ..Badness::retryable(cause) }
    }
}

/// What the layers must know of one protocol: requests `R`, answers `A`, errors `E`.
pub trait Protocol<R, A, E>: Clone {
    /// What a result means. Timeouts and refusals of layers never come here.
    fn judge(&self, result: Result<&A, &E>) -> Verdict;

    /// A copy to send again; `None` when there can be none.
    fn copy(&self, request: &R) -> Option<R>;

    /// Whether doing the work twice is the same as doing it once.
    fn is_repeatable(&self, request: &R) -> bool;

    /// Writes the context into a request that goes out now.
    fn write(&self, _outgoing: &Outgoing<'_>, _request: &mut R, _now: Instant) {}

    /// The retries that an answer brings back; `None` when the peer does not know of them.
    fn returned(&self, _answer: &A) -> Option<u32> {
        None
    }

    /// Which route an adaptive timeout learns for. From a small, fixed set.
    fn route(&self, _request: &R) -> &'static str {
        "all"
    }
}

/// Put into a request's extensions, says that doing it twice is the same as doing it once: for
/// POST requests and gRPC methods without an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// Put into a request's extensions, names the route an adaptive timeout learns for.
#[derive(Clone, Copy, Debug)]
pub struct Route(pub &'static str);

/// HTTP and gRPC over [`http::Request`] with bodies that can be sent again
/// ([`crate::body::WholeBody`], `http_body_util::Full`).
///
/// gRPC is recognised by its content type, its status by the `grpc-status` header, which failures
/// without a body have. A status in trailers, after a body, comes too late for a retry and is not
/// seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http;

/// As [`Http`], for bodies that can be sent only once: every layer works, retries and hedges are
/// denied with [`crate::telemetry::DenyReason::NoCopy`].
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpOnce;

impl<B: Clone, C, E> Protocol<Request<B>, Response<C>, E> for Http {
    fn judge(&self, result: Result<&Response<C>, &E>) -> Verdict {
        judge_http(result)
    }

    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }

    fn is_repeatable(&self, request: &Request<B>) -> bool {
        is_repeatable(request)
    }

    fn write(&self, outgoing: &Outgoing<'_>, request: &mut Request<B>, now: Instant) {
        wire::write_headers(outgoing, request.headers_mut(), now);
    }

    fn returned(&self, answer: &Response<C>) -> Option<u32> {
        wire::returned(answer.headers())
    }

    fn route(&self, request: &Request<B>) -> &'static str {
        route(request)
    }
}

impl<B, C, E> Protocol<Request<B>, Response<C>, E> for HttpOnce {
    fn judge(&self, result: Result<&Response<C>, &E>) -> Verdict {
        judge_http(result)
    }

    fn copy(&self, _request: &Request<B>) -> Option<Request<B>> {
        None
    }

    fn is_repeatable(&self, request: &Request<B>) -> bool {
        is_repeatable(request)
    }

    fn write(&self, outgoing: &Outgoing<'_>, request: &mut Request<B>, now: Instant) {
        wire::write_headers(outgoing, request.headers_mut(), now);
    }

    fn returned(&self, answer: &Response<C>) -> Option<u32> {
        wire::returned(answer.headers())
    }

    fn route(&self, request: &Request<B>) -> &'static str {
        route(request)
    }
}

fn judge_http<C, E>(result: Result<&Response<C>, &E>) -> Verdict {
    match result {
        Ok(answer) => judge_answer(answer.status(), answer.headers()),
        Err(_) => Verdict::Bad(Badness::retryable("transport")),
    }
}

fn route<B>(request: &Request<B>) -> &'static str {
    request.extensions().get::<Route>().map_or("all", |route| route.0)
}

/// Idempotent by its method (RFC 9110, section 9.2.2), by a key, or by the word of its author.
fn is_repeatable<B>(request: &Request<B>) -> bool {
    matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    ) || request.headers().contains_key(&wire::IDEMPOTENCY_KEY)
        || request.extensions().get::<Repeatable>().is_some()
}

fn judge_answer(status: StatusCode, headers: &http::HeaderMap) -> Verdict {
    let verdict = match headers.get("grpc-status") {
        Some(code) => judge_grpc(code.as_bytes()),
        None => judge_status(status, headers),
    };
    match verdict {
        // Whoever refuses in our terms has not begun, so that even a POST may be sent again.
        Verdict::Bad(badness) if headers.contains_key(&wire::REFUSED) => {
            Verdict::Bad(Badness { never_worked_on: true, ..badness })
        }
        verdict => verdict,
    }
}

fn judge_status(status: StatusCode, headers: &http::HeaderMap) -> Verdict {
    let retry_after = || headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok();
    let retry_after = || retry_after().map(Duration::from_secs);
    match status.as_u16() {
        ..500 if status != StatusCode::TOO_MANY_REQUESTS => Verdict::Good,
        429 => Verdict::Bad(Badness {
            never_worked_on: true,
            retry_after: retry_after(),
            ..Badness::retryable("429")
        }),
        500 => Verdict::Bad(Badness::retryable("500")),
        501 => Verdict::Bad(Badness::lasting("501")),
        502 => Verdict::Bad(Badness::retryable("502")),
        503 => Verdict::Bad(Badness { retry_after: retry_after(), ..Badness::retryable("503") }),
        504 => Verdict::Bad(Badness::retryable("504")),
        _ => Verdict::Bad(Badness::retryable("5xx")),
    }
}

/// The codes by which a peer says that it, and not the caller, is in trouble.
fn judge_grpc(code: &[u8]) -> Verdict {
    Verdict::Bad(match code {
        b"2" => Badness::lasting("UNKNOWN"),
        b"4" => Badness::retryable("DEADLINE_EXCEEDED"),
        b"8" => Badness::retryable("RESOURCE_EXHAUSTED"),
        b"10" => Badness::retryable("ABORTED"),
        b"12" => Badness::lasting("UNIMPLEMENTED"),
        b"13" => Badness::lasting("INTERNAL"),
        b"14" => Badness::retryable("UNAVAILABLE"),
        b"15" => Badness::lasting("DATA_LOSS"),
        _ => return Verdict::Good,
    })
}

/// What a result means, timeouts and refusals included; `None` for a refusal, which says nothing
/// about the peer.
pub(crate) fn verdict<R, A, E, P>(protocol: &P, result: &Result<A, CallError<E>>) -> Option<Verdict>
where
    P: Protocol<R, A, E>,
{
    match result {
        Ok(answer) => Some(protocol.judge(Ok(answer))),
        Err(CallError::Failed { source, .. }) => Some(protocol.judge(Err(source))),
        Err(CallError::TimedOut { .. }) => Some(Verdict::Bad(Badness::retryable("timeout"))),
        Err(CallError::Refused(_)) => None,
    }
}

/// In telemetry: how a result is called.
pub(crate) fn outcome(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Good) => "ok",
        Some(Verdict::Bad(badness)) => badness.cause,
        None => "refused",
    }
}
