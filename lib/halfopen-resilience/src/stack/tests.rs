use super::*;
use crate::protocol::Http;
use crate::timeout::Adaptive;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn stack() -> ClientStack<Http> {
    Stack::client("payments", Http)
}

#[track_caller]
fn check(stack: ClientStack<Http>, expected: &str) {
    let said = stack.build().map_or_else(|error| error.to_string(), |_| "fine".to_owned());
    assert_eq!(said, expected);
}

#[test]
fn what_nobody_changed_fits_together() {
    check(stack(), "fine");
    assert!(Stack::server("orders").build().is_ok());
}

#[test]
fn connection_timeout_below_attempt_below_deadline() {
    check(
        stack().deadline(MS(3_000)),
        "stack for \"payments\": the timeout of an attempt (3000 ms) must be shorter than the \
         deadline (3000 ms): no attempt could ever end before the call does",
    );
    check(
        stack().connect_timeout(MS(5_000)),
        "stack for \"payments\": the connection timeout (5000 ms) must be shorter than the \
         timeout of an attempt (3000 ms): a peer that is gone would look like one that is slow",
    );
}

#[test]
fn a_breaker_that_could_not_see_slow_calls_is_refused() {
    check(
        stack()
            .timeout(AttemptTimeout::Fixed(MS(500)))
            .breaker(BreakerSettings { slow: Some(MS(2_000)), ..BreakerSettings::default() }),
        "stack for \"payments\": breaker.slow (2000 ms) must be shorter than the timeout of an \
         attempt (500 ms): no call could ever be slow, all would time out before",
    );
    let breaker = BreakerSettings { jitter: 0.0, ..BreakerSettings::default() };
    check(
        stack().breaker(breaker),
        "stack for \"payments\": breaker.jitter must lie above 0: a fleet without jitter comes \
         back at one moment",
    );
}

#[test]
fn numbers_that_cannot_work_are_refused() {
    let none = RetrySettings { attempts_max: 0, ..RetrySettings::default() };
    check(
        stack().retry(none),
        "stack for \"payments\": retry.attempts_max must be at least 1: the first try counts",
    );
    let adaptive = Adaptive { quantile: 99.0, ..Adaptive::default() };
    check(
        stack().timeout(AttemptTimeout::Adaptive(adaptive)),
        "stack for \"payments\": timeout.quantile must lie between 0 and 1: it is a share of \
         attempts",
    );
}

#[test]
fn a_wrong_order_is_refused_with_its_reason() {
    check(
        stack().in_order(&[Piece::Deadline, Piece::Breaker, Piece::Retry]),
        "\"breaker\" must not be outside of \"retry\": the breaker would see one result for all \
         attempts together",
    );
    check(
        stack().in_order(&[Piece::Timeout, Piece::Breaker]),
        "\"timeout\" must not be outside of \"breaker\": the breaker would never see an attempt \
         that timed out",
    );
    let right = [
        Piece::Deadline,
        Piece::Retry,
        Piece::Hedge,
        Piece::Bulkhead,
        Piece::Limit,
        Piece::Breaker,
        Piece::Timeout,
    ];
    assert_eq!(check_order(&right), Ok(()));
}
