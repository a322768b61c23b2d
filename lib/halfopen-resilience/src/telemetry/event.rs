//! The events and their names.

use crate::call::{RefusalReason, TimeoutKind};
use std::time::Duration;

/// The name of an event, the same in counters, traces and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Name {
    /// A call ended, all attempts together.
    CallEnded,
    /// One attempt ended.
    AttemptEnded,
    /// A retry is made.
    RetryMade,
    /// A retry is not made.
    RetryDenied,
    /// A breaker changed its state.
    BreakerChanged,
    /// A breaker refused a call.
    BreakerRejected,
    /// A call waited for a place in a bulkhead.
    BulkheadQueued,
    /// A bulkhead refused a call.
    BulkheadRejected,
    /// The adaptive limit moved.
    LimitChanged,
    /// The adaptive limit refused a call.
    LimitRejected,
    /// Work was refused because its deadline is spent.
    DeadlineRefused,
    /// A call or an attempt ran out of time.
    TimedOut,
    /// A second request was sent because the first is slow.
    HedgeSent,
    /// The second request answered first.
    HedgeWon,
    /// A second request was not sent.
    HedgeDenied,
    /// An endpoint is taken out.
    OutlierEjected,
    /// An endpoint is back.
    OutlierReadmitted,
    /// An endpoint should be taken out and was not.
    OutlierKept,
    /// A fallback stands in for an optional part.
    FallbackUsed,
    /// The level of service changed.
    LevelChanged,
}

impl Name {
    /// All names, in the order of the counters.
    pub const ALL: [Name; 20] = [
        Name::CallEnded,
        Name::AttemptEnded,
        Name::RetryMade,
        Name::RetryDenied,
        Name::BreakerChanged,
        Name::BreakerRejected,
        Name::BulkheadQueued,
        Name::BulkheadRejected,
        Name::LimitChanged,
        Name::LimitRejected,
        Name::DeadlineRefused,
        Name::TimedOut,
        Name::HedgeSent,
        Name::HedgeWon,
        Name::HedgeDenied,
        Name::OutlierEjected,
        Name::OutlierReadmitted,
        Name::OutlierKept,
        Name::FallbackUsed,
        Name::LevelChanged,
    ];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::CallEnded => "halfopen.call.ended",
            Name::AttemptEnded => "halfopen.attempt.ended",
            Name::RetryMade => "halfopen.retry.made",
            Name::RetryDenied => "halfopen.retry.denied",
            Name::BreakerChanged => "halfopen.breaker.changed",
            Name::BreakerRejected => "halfopen.breaker.rejected",
            Name::BulkheadQueued => "halfopen.bulkhead.queued",
            Name::BulkheadRejected => "halfopen.bulkhead.rejected",
            Name::LimitChanged => "halfopen.limit.changed",
            Name::LimitRejected => "halfopen.limit.rejected",
            Name::DeadlineRefused => "halfopen.deadline.refused",
            Name::TimedOut => "halfopen.timeout",
            Name::HedgeSent => "halfopen.hedge.sent",
            Name::HedgeWon => "halfopen.hedge.won",
            Name::HedgeDenied => "halfopen.hedge.denied",
            Name::OutlierEjected => "halfopen.outlier.ejected",
            Name::OutlierReadmitted => "halfopen.outlier.readmitted",
            Name::OutlierKept => "halfopen.outlier.kept",
            Name::FallbackUsed => "halfopen.fallback.used",
            Name::LevelChanged => "halfopen.level.changed",
        }
    }
}

/// Why a retry, or a hedge, was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyReason {
    /// This kind of failure is not cured by another try.
    NotRetryable,
    /// The stack's own number of attempts is used up.
    AttemptsSpent,
    /// The work may have been done, and doing it twice is not safe.
    NotRepeatable,
    /// The request cannot be copied, because its body is a stream.
    NoCopy,
    /// No time is left for a pause and another try.
    Deadline,
    /// The client's own budget is used up.
    ClientBudget,
    /// The budget that travels with the request is used up.
    TravellingBudget,
    /// A layer of this stack refused; it would refuse again.
    Refused,
}

impl DenyReason {
    /// As telemetry names it.
    pub fn as_str(self) -> &'static str {
        match self {
            DenyReason::NotRetryable => "not_retryable",
            DenyReason::AttemptsSpent => "attempts_spent",
            DenyReason::NotRepeatable => "not_repeatable",
            DenyReason::NoCopy => "no_copy",
            DenyReason::Deadline => "deadline",
            DenyReason::ClientBudget => "client_budget",
            DenyReason::TravellingBudget => "travelling_budget",
            DenyReason::Refused => "refused",
        }
    }
}

/// One decision, with what it was based on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields are the attributes that docs/telemetry.md explains")]
pub enum Event<'a> {
    CallEnded { attempts: u32, outcome: &'static str, took: Duration },
    AttemptEnded { attempt: u32, outcome: &'static str, took: Duration },
    RetryMade { attempt: u32, cause: &'static str, delay: Duration },
    RetryDenied { attempt: u32, cause: &'static str, reason: DenyReason },
    BreakerChanged { from: &'static str, to: &'static str, failures: f64, slow: f64, calls: u32 },
    BulkheadQueued { waited: Duration },
    Refused { reason: RefusalReason },
    LimitChanged { limit: u32 },
    TimedOut { kind: TimeoutKind, after: Duration },
    HedgeSent { delay: Duration },
    HedgeWon,
    HedgeDenied { reason: DenyReason },
    OutlierEjected { endpoint: &'a str, cause: &'static str, pause: Duration },
    OutlierReadmitted { endpoint: &'a str },
    OutlierKept { endpoint: &'a str, cause: &'static str },
    FallbackUsed { part: &'a str, kind: &'static str, cause: &'static str },
    LevelChanged { from: &'static str, to: &'static str, cause: &'a str },
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text from a small set, or a name.
    Text(&'a str),
    /// A whole number.
    Count(u64),
    /// Anything measured; durations are in seconds.
    Measure(f64),
}

impl Event<'_> {
    /// Its name.
    pub fn name(&self) -> Name {
        match self {
            Event::CallEnded { .. } => Name::CallEnded,
            Event::AttemptEnded { .. } => Name::AttemptEnded,
            Event::RetryMade { .. } => Name::RetryMade,
            Event::RetryDenied { .. } => Name::RetryDenied,
            Event::BreakerChanged { .. } => Name::BreakerChanged,
            Event::BulkheadQueued { .. } => Name::BulkheadQueued,
            Event::Refused { reason } => refused_by(*reason),
            Event::LimitChanged { .. } => Name::LimitChanged,
            Event::TimedOut { .. } => Name::TimedOut,
            Event::HedgeSent { .. } => Name::HedgeSent,
            Event::HedgeWon => Name::HedgeWon,
            Event::HedgeDenied { .. } => Name::HedgeDenied,
            Event::OutlierEjected { .. } => Name::OutlierEjected,
            Event::OutlierReadmitted { .. } => Name::OutlierReadmitted,
            Event::OutlierKept { .. } => Name::OutlierKept,
            Event::FallbackUsed { .. } => Name::FallbackUsed,
            Event::LevelChanged { .. } => Name::LevelChanged,
        }
    }

    /// Hands every attribute to `each`, under its full name.
    pub fn attributes(&self, each: &mut dyn FnMut(&'static str, Value<'_>)) {
        use Value::{Count, Measure, Text};
        match *self {
            Event::CallEnded { attempts, outcome, took } => {
                each("halfopen.call.attempts", Count(u64::from(attempts)));
                each("halfopen.outcome", Text(outcome));
                each("halfopen.duration", Measure(took.as_secs_f64()));
            }
            Event::AttemptEnded { attempt, outcome, took } => {
                each("halfopen.retry.attempt", Count(u64::from(attempt)));
                each("halfopen.outcome", Text(outcome));
                each("halfopen.duration", Measure(took.as_secs_f64()));
            }
            Event::RetryMade { attempt, cause, delay } => {
                each("halfopen.retry.attempt", Count(u64::from(attempt)));
                each("halfopen.retry.cause", Text(cause));
                each("halfopen.retry.delay", Measure(delay.as_secs_f64()));
            }
            Event::RetryDenied { attempt, cause, reason } => {
                each("halfopen.retry.attempt", Count(u64::from(attempt)));
                each("halfopen.retry.cause", Text(cause));
                each("halfopen.reason", Text(reason.as_str()));
            }
            Event::BreakerChanged { from, to, failures, slow, calls } => {
                each("halfopen.breaker.state.from", Text(from));
                each("halfopen.breaker.state", Text(to));
                each("halfopen.breaker.failure_ratio", Measure(failures));
                each("halfopen.breaker.slow_ratio", Measure(slow));
                each("halfopen.breaker.calls", Count(u64::from(calls)));
            }
            Event::BulkheadQueued { waited } => {
                each("halfopen.bulkhead.wait", Measure(waited.as_secs_f64()));
            }
            Event::Refused { reason } => each("halfopen.reason", Text(reason.as_str())),
            Event::LimitChanged { limit } => each("halfopen.limit", Count(u64::from(limit))),
            Event::TimedOut { kind, after } => {
                each("halfopen.timeout.kind", Text(kind.as_str()));
                each("halfopen.timeout.after", Measure(after.as_secs_f64()));
            }
            Event::HedgeSent { delay } => {
                each("halfopen.hedge.delay", Measure(delay.as_secs_f64()));
            }
            Event::HedgeWon => {}
            Event::HedgeDenied { reason } => each("halfopen.reason", Text(reason.as_str())),
            Event::OutlierEjected { endpoint, cause, pause } => {
                each("halfopen.endpoint", Text(endpoint));
                each("halfopen.reason", Text(cause));
                each("halfopen.outlier.pause", Measure(pause.as_secs_f64()));
            }
            Event::OutlierReadmitted { endpoint } => each("halfopen.endpoint", Text(endpoint)),
            Event::OutlierKept { endpoint, cause } => {
                each("halfopen.endpoint", Text(endpoint));
                each("halfopen.reason", Text(cause));
            }
            Event::FallbackUsed { part, kind, cause } => {
                each("halfopen.part", Text(part));
                each("halfopen.fallback.kind", Text(kind));
                each("halfopen.reason", Text(cause));
            }
            Event::LevelChanged { from, to, cause } => {
                each("halfopen.level.from", Text(from));
                each("halfopen.level", Text(to));
                each("halfopen.reason", Text(cause));
            }
        }
    }
}

fn refused_by(reason: RefusalReason) -> Name {
    match reason {
        RefusalReason::DeadlineSpent => Name::DeadlineRefused,
        RefusalReason::BreakerOpen | RefusalReason::BreakerProbing | RefusalReason::SlowStart => {
            Name::BreakerRejected
        }
        RefusalReason::QueueFull | RefusalReason::QueueTime => Name::BulkheadRejected,
        RefusalReason::Overloaded => Name::LimitRejected,
    }
}
