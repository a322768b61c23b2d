//! Which layer belongs outside of which, and why.

use std::fmt;

/// A layer, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Piece {
    /// The deadline of the whole call.
    Deadline,
    /// Retries.
    Retry,
    /// Hedging.
    Hedge,
    /// The bulkhead.
    Bulkhead,
    /// The adaptive limit.
    Limit,
    /// The breaker.
    Breaker,
    /// The bound of one attempt.
    Timeout,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Piece::Deadline => "deadline",
            Piece::Retry => "retry",
            Piece::Hedge => "hedge",
            Piece::Bulkhead => "bulkhead",
            Piece::Limit => "limit",
            Piece::Breaker => "breaker",
            Piece::Timeout => "timeout",
        })
    }
}

/// Two layers the wrong way round.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{inner}\" must not be outside of \"{outer}\": {reason}")]
pub struct OrderError {
    /// What belongs outside.
    pub outer: Piece,
    /// What belongs inside.
    pub inner: Piece,
    /// What would happen.
    pub reason: &'static str,
}

/// Outer, inner, and what the other way round would do.
const RULES: [(Piece, Piece, &str); 9] = [
    (Piece::Deadline, Piece::Retry, "each attempt would get the whole deadline anew"),
    (Piece::Retry, Piece::Breaker, "the breaker would see one result for all attempts together"),
    (Piece::Retry, Piece::Bulkhead, "a call would hold its place while it pauses between attempts"),
    (Piece::Retry, Piece::Limit, "the limit would take pauses between attempts for slow work"),
    (Piece::Retry, Piece::Timeout, "one bound would hold for all attempts and pauses together"),
    (Piece::Retry, Piece::Hedge, "each hedge would be retried by itself"),
    (Piece::Hedge, Piece::Breaker, "the breaker would not see the slow request that lost"),
    (Piece::Bulkhead, Piece::Timeout, "time in the queue would be counted against the peer"),
    (Piece::Breaker, Piece::Timeout, "the breaker would never see an attempt that timed out"),
];

/// Checks an order, outermost first, of layers put together by hand.
pub fn check_order(pieces: &[Piece]) -> Result<(), OrderError> {
    let place = |piece: Piece| pieces.iter().position(|other| *other == piece);
    for (outer, inner, reason) in RULES {
        if let (Some(outside), Some(inside)) = (place(outer), place(inner))
            && inside < outside
        {
            return Err(OrderError { outer, inner, reason });
        }
    }
    Ok(())
}
