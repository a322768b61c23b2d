//! Settings that contradict each other are refused with the reason, before the first call.

use super::{ClientSettings, OrderError};
use crate::breaker::BreakerSettings;
use crate::bulkhead::BulkheadSettings;
use crate::timeout::AttemptTimeout;
use std::time::Duration;

/// A stack that would not do what its author thinks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// Layers the wrong way round.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// One bound of time must be shorter than another.
    #[error(
        "stack for \"{peer}\": {shorter} ({} ms) must be shorter than {longer} ({} ms): {reason}",
        shorter_is.as_millis(),
        longer_is.as_millis()
    )]
    Times {
        /// Whose stack.
        peer: String,
        /// What must be shorter.
        shorter: &'static str,
        /// And is this long.
        shorter_is: Duration,
        /// Than what.
        longer: &'static str,
        /// Which is this long.
        longer_is: Duration,
        /// What would happen.
        reason: &'static str,
    },
    /// A setting that cannot work.
    #[error("stack for \"{peer}\": {setting} {problem}")]
    Setting {
        /// Whose stack.
        peer: String,
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

pub(super) fn client(peer: &str, settings: &ClientSettings) -> Result<(), StackError> {
    times(peer, settings)?;
    let setting = |setting, problem, holds: bool| {
        let peer = peer.to_owned();
        if holds { Ok(()) } else { Err(StackError::Setting { peer, setting, problem }) }
    };
    let retry = &settings.retry;
    setting(
        "retry.attempts_max",
        "must be at least 1: the first try counts",
        retry.attempts_max > 0,
    )?;
    if let AttemptTimeout::Adaptive(adaptive) = &settings.timeout {
        let quantile = adaptive.quantile;
        setting(
            "timeout.quantile",
            "must lie between 0 and 1: it is a share of attempts",
            (0.0..1.0).contains(&quantile) && quantile > 0.0,
        )?;
        setting(
            "timeout.margin",
            "below 1 would cut off the quantile itself",
            adaptive.margin >= 1.0,
        )?;
    }
    if let Some(breaker) = &settings.breaker {
        check_breaker(peer, breaker)?;
    }
    if let Some(bulkhead) = &settings.bulkhead {
        check_bulkhead(peer, bulkhead)?;
    }
    if let Some(limit) = &settings.limit {
        setting("limit.least", "must not be above limit.most", limit.least <= limit.most)?;
    }
    Ok(())
}

/// Connection timeout < attempt timeout < deadline, and what else must fit in between.
fn times(peer: &str, settings: &ClientSettings) -> Result<(), StackError> {
    let attempt = settings.timeout.longest();
    let shorter = |what: (&'static str, Duration), than: (&'static str, Duration), reason| {
        let ((shorter, shorter_is), (longer, longer_is)) = (what, than);
        if shorter_is < longer_is {
            return Ok(());
        }
        let peer = peer.to_owned();
        Err(StackError::Times { peer, shorter, shorter_is, longer, longer_is, reason })
    };
    let attempts = ("the timeout of an attempt", attempt);
    let deadline = ("the deadline", settings.deadline);
    let nothing = ("nothing", Duration::ZERO);
    shorter(nothing, attempts, "an attempt needs time")?;
    shorter(attempts, deadline, "no attempt could ever end before the call does")?;
    if let Some(connect) = settings.connect_timeout {
        let connect = ("the connection timeout", connect);
        shorter(connect, attempts, "a peer that is gone would look like one that is slow")?;
    }
    if let Some(slow) = settings.breaker.as_ref().and_then(|breaker| breaker.slow) {
        let slow = ("breaker.slow", slow);
        shorter(slow, attempts, "no call could ever be slow, all would time out before")?;
    }
    if let Some(bulkhead) = &settings.bulkhead {
        let queue = ("bulkhead.queue_time", bulkhead.queue_time);
        shorter(queue, deadline, "a call could spend its whole deadline in the queue")?;
    }
    if let Some(hedge) = &settings.hedge {
        let delay = ("hedge.delay", hedge.delay);
        shorter(delay, attempts, "no second request could ever be sent")?;
    }
    if settings.retry.attempts_max > 1 {
        let pause = ("retry.backoff.first", settings.retry.backoff.first);
        shorter(pause, deadline, "the first pause could outlast the call")?;
    }
    if let AttemptTimeout::Adaptive(adaptive) = &settings.timeout {
        let floor = ("timeout.floor", adaptive.floor);
        shorter(floor, ("timeout.ceiling", adaptive.ceiling), "there would be nothing to learn")?;
    }
    Ok(())
}

fn check_breaker(peer: &str, breaker: &BreakerSettings) -> Result<(), StackError> {
    let rules = [
        ("breaker.window", "must not be empty", !breaker.window.is_zero()),
        (
            "breaker.calls_min",
            "must be at least 1: a ratio of no calls says nothing",
            breaker.calls_min > 0,
        ),
        (
            "breaker.failure_ratio",
            "must lie above 0: the breaker would open without a failure",
            breaker.failure_ratio > 0.0,
        ),
        (
            "breaker.slow_ratio",
            "must lie above 0: the breaker would open without a slow call",
            breaker.slow_ratio > 0.0,
        ),
        ("breaker.probes", "must lie between 1 and 255", (1..=255).contains(&breaker.probes)),
        ("breaker.pause", "must not be empty", !breaker.pause.is_zero()),
        (
            "breaker.ramp_from",
            "must lie above 0 and not above breaker.ramp_to",
            breaker.ramp_from > 0.0 && breaker.ramp_from <= breaker.ramp_to,
        ),
        (
            "breaker.jitter",
            "must lie above 0: a fleet without jitter comes back at one moment",
            breaker.jitter > 0.0,
        ),
    ];
    first_broken(peer, &rules)
}

fn check_bulkhead(peer: &str, bulkhead: &BulkheadSettings) -> Result<(), StackError> {
    let holds = bulkhead.calls_max > 0;
    first_broken(peer, &[("bulkhead.calls_max", "must be at least 1: nothing could pass", holds)])
}

pub(super) fn server(
    name: &str,
    longest: Duration,
    bulkhead: Option<&BulkheadSettings>,
) -> Result<(), StackError> {
    first_broken(
        name,
        &[("longest", "must not be empty: nothing could be done", !longest.is_zero())],
    )?;
    bulkhead.map_or(Ok(()), |bulkhead| check_bulkhead(name, bulkhead))
}

fn first_broken(
    peer: &str,
    rules: &[(&'static str, &'static str, bool)],
) -> Result<(), StackError> {
    match rules.iter().find(|(_, _, holds)| !holds) {
        Some((setting, problem, _)) => {
            Err(StackError::Setting { peer: peer.to_owned(), setting, problem })
        }
        None => Ok(()),
    }
}
