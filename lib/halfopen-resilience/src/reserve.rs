//! What of the remaining time is kept for the way back.

use std::time::Duration;

/// Time that a call may not use, so that its answer, or its failure, still reaches the asker.
#[derive(Clone, Debug, PartialEq)]
pub struct Reserve {
    /// Share of what remains.
    pub share: f64,
    /// Never less than this.
    pub least: Duration,
}

impl Default for Reserve {
    /// A twentieth, at least two milliseconds. Where answers are slow to assemble, keep more: a
    /// fifth is a common rule.
    fn default() -> Reserve {
        Reserve { share: 0.05, least: Duration::from_millis(2) }
    }
}

impl Reserve {
    /// What of `remaining` may be used.
    #[inline]
    pub fn of(&self, remaining: Duration) -> Duration {
        // 64 bits of nanoseconds are five hundred years, and far quicker than 128.
        let share_ns = remaining.as_nanos() as u64 as f64 * self.share.clamp(0.0, 1.0);
        let kept = Duration::from_nanos(share_ns as u64).max(self.least);
        remaining.saturating_sub(kept)
    }
}
