//! The events as `tracing` events. Names and fields of `tracing` must be written out, so each
//! event has its line here; a test holds them against [`Event::attributes`].

use super::{Event, Name};
use tracing::{debug, info, warn};

/// What went as it should is `debug`, what somebody may want to know is `info`, what means that
/// users get less than they asked for is `warn`.
pub(super) fn emit(peer: &str, event: &Event<'_>) {
    match event {
        Event::CallEnded { .. }
        | Event::AttemptEnded { .. }
        | Event::LimitChanged { .. }
        | Event::BulkheadQueued { .. } => quiet(peer, event),
        Event::RetryMade { .. } | Event::RetryDenied { .. } => retried(peer, event),
        Event::HedgeSent { .. } | Event::HedgeWon | Event::HedgeDenied { .. } => {
            hedged(peer, event);
        }
        Event::OutlierEjected { .. }
        | Event::OutlierReadmitted { .. }
        | Event::OutlierKept { .. } => ejected(peer, event),
        Event::BreakerChanged { from, to, failures, slow, calls } => warn!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.breaker.name = peer,
                halfopen.breaker.state.from = from,
                halfopen.breaker.state = to,
                halfopen.breaker.failure_ratio = failures,
                halfopen.breaker.slow_ratio = slow,
                halfopen.breaker.calls = calls
            },
            "halfopen.breaker.changed"
        ),
        Event::Refused { reason } => refused(peer, event.name(), reason.as_str()),
        Event::TimedOut { kind, after } => info!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.timeout.kind = kind.as_str(),
                halfopen.timeout.after = after.as_secs_f64()
            },
            "halfopen.timeout"
        ),
        Event::FallbackUsed { part, kind, cause } => info!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.part = part,
                halfopen.fallback.used = true,
                halfopen.fallback.kind = kind,
                halfopen.reason = cause
            },
            "halfopen.fallback.used"
        ),
        Event::LevelChanged { from, to, cause } => warn!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.level.from = from,
                halfopen.level = to,
                halfopen.reason = cause
            },
            "halfopen.level.changed"
        ),
    }
}

fn quiet(peer: &str, event: &Event<'_>) {
    match event {
        Event::LimitChanged { limit } => debug!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.limit = limit },
            "halfopen.limit.changed"
        ),
        Event::BulkheadQueued { waited } => debug!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.bulkhead.name = peer,
                halfopen.bulkhead.wait = waited.as_secs_f64()
            },
            "halfopen.bulkhead.queued"
        ),
        // Spans tell of calls and attempts.
        _ => {}
    }
}

fn retried(peer: &str, event: &Event<'_>) {
    match event {
        Event::RetryMade { attempt, cause, delay } => info!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.retry.attempt = attempt,
                halfopen.retry.cause = cause,
                halfopen.retry.delay = delay.as_secs_f64()
            },
            "halfopen.retry.made"
        ),
        Event::RetryDenied { attempt, cause, reason } => info!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.retry.attempt = attempt,
                halfopen.retry.cause = cause,
                halfopen.reason = reason.as_str()
            },
            "halfopen.retry.denied"
        ),
        _ => {}
    }
}

fn hedged(peer: &str, event: &Event<'_>) {
    match event {
        Event::HedgeSent { delay } => debug!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.hedge.delay = delay.as_secs_f64() },
            "halfopen.hedge.sent"
        ),
        Event::HedgeWon => debug!(target: "halfopen",
            { halfopen.peer = peer },
            "halfopen.hedge.won"
        ),
        Event::HedgeDenied { reason } => debug!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.reason = reason.as_str() },
            "halfopen.hedge.denied"
        ),
        _ => {}
    }
}

fn ejected(peer: &str, event: &Event<'_>) {
    match event {
        Event::OutlierEjected { endpoint, cause, pause } => warn!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.endpoint = endpoint,
                halfopen.reason = cause,
                halfopen.outlier.pause = pause.as_secs_f64()
            },
            "halfopen.outlier.ejected"
        ),
        Event::OutlierReadmitted { endpoint } => info!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.endpoint = endpoint },
            "halfopen.outlier.readmitted"
        ),
        Event::OutlierKept { endpoint, cause } => info!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.endpoint = endpoint, halfopen.reason = cause },
            "halfopen.outlier.kept"
        ),
        _ => {}
    }
}

/// Each kind of refusal under its own name; `halfopen.<kind>.rejected` is true as well, for those
/// who search by attribute.
fn refused(peer: &str, name: Name, reason: &'static str) {
    match name {
        Name::BreakerRejected => info!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.breaker.name = peer,
                halfopen.breaker.rejected = true,
                halfopen.reason = reason
            },
            "halfopen.breaker.rejected"
        ),
        Name::BulkheadRejected => info!(
            target: "halfopen",
            {
                halfopen.peer = peer,
                halfopen.bulkhead.name = peer,
                halfopen.bulkhead.rejected = true,
                halfopen.reason = reason
            },
            "halfopen.bulkhead.rejected"
        ),
        Name::LimitRejected => info!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.reason = reason },
            "halfopen.limit.rejected"
        ),
        _ => info!(
            target: "halfopen",
            { halfopen.peer = peer, halfopen.reason = reason },
            "halfopen.deadline.refused"
        ),
    }
}
