//! What travels between the layers of a stack: a call, and how it can end without an answer.

use crate::context::RequestContext;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A request on its way through the layers, with its context.
#[derive(Clone, Debug)]
pub struct Call<R> {
    /// What the innermost service gets.
    pub request: R,
    /// The context of this attempt; each layer may move its deadline closer.
    pub context: RequestContext,
    /// Retries lent to this attempt, for use below.
    pub granted: u32,
    /// When this attempt began. Read once and passed on, because a look at the clock costs more
    /// than a closed breaker; a layer that made the call wait sets it anew.
    pub at: Instant,
}

impl<R> Call<R> {
    /// A call without retries to lend.
    pub fn new(request: R, context: RequestContext) -> Call<R> {
        Call { request, context, granted: 0, at: Instant::now() }
    }
}

/// How a call ended without an answer. `E` is the error of the innermost service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E> {
    /// A layer refused: the request was not sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer came in time: whether the work was done is not known.
    #[error("call to \"{peer}\" got no answer within {} ms ({kind})", after.as_millis())]
    TimedOut {
        /// Who was called.
        peer: Arc<str>,
        /// Which bound it was.
        kind: TimeoutKind,
        /// The bound.
        after: Duration,
    },
    /// The service beneath failed.
    #[error("call to \"{peer}\" failed")]
    Failed {
        /// Who was called.
        peer: Arc<str>,
        /// Why.
        #[source]
        source: E,
    },
}

impl<E> CallError<E> {
    /// Why a layer refused, if one did.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            CallError::Refused(refusal) => Some(refusal),
            CallError::TimedOut { .. } | CallError::Failed { .. } => None,
        }
    }

    /// The status code of gRPC that says the same: 4 (`DEADLINE_EXCEEDED`) when time ran out,
    /// else 14 (`UNAVAILABLE`). Clients of generated code would get 2 (`UNKNOWN`) otherwise.
    pub fn grpc_code(&self) -> i32 {
        match self {
            CallError::Refused(Refusal { reason: RefusalReason::DeadlineSpent, .. })
            | CallError::TimedOut { .. } => 4,
            CallError::Refused(_) | CallError::Failed { .. } => 14,
        }
    }
}

/// A request that was not sent, or not worked on, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call to \"{peer}\" was refused: {reason}")]
pub struct Refusal {
    /// Who would have been called.
    pub peer: Arc<str>,
    /// Why it was not.
    pub reason: RefusalReason,
    /// When another try makes sense, if that is known.
    pub retry_after: Option<Duration>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The asker no longer waits, or will not when the answer comes.
    DeadlineSpent,
    /// The breaker is open.
    BreakerOpen,
    /// The breaker is half-open and its probes are under way.
    BreakerProbing,
    /// The breaker has closed and lets load return slowly.
    SlowStart,
    /// All places and the queue of the bulkhead are taken.
    QueueFull,
    /// No place of the bulkhead became free in time.
    QueueTime,
    /// More calls are under way than the adaptive limit allows.
    Overloaded,
}

impl RefusalReason {
    /// As telemetry names it.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusalReason::DeadlineSpent => "deadline_spent",
            RefusalReason::BreakerOpen => "breaker_open",
            RefusalReason::BreakerProbing => "breaker_probing",
            RefusalReason::SlowStart => "slow_start",
            RefusalReason::QueueFull => "queue_full",
            RefusalReason::QueueTime => "queue_time",
            RefusalReason::Overloaded => "overloaded",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefusalReason::DeadlineSpent => "its deadline is spent",
            RefusalReason::BreakerOpen => "the breaker is open",
            RefusalReason::BreakerProbing => "the breaker is half-open and probing",
            RefusalReason::SlowStart => "load returns slowly after recovery",
            RefusalReason::QueueFull => "the bulkhead and its queue are full",
            RefusalReason::QueueTime => "no place became free in the bulkhead in time",
            RefusalReason::Overloaded => "more calls are under way than the limit allows",
        })
    }
}

/// Which bound of time ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The bound of one attempt.
    Attempt,
    /// The deadline of the whole call, all attempts together.
    Deadline,
}

impl TimeoutKind {
    /// As telemetry names it.
    pub fn as_str(self) -> &'static str {
        match self {
            TimeoutKind::Attempt => "attempt",
            TimeoutKind::Deadline => "deadline",
        }
    }
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
