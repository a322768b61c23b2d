//! Pauses between attempts.

use crate::Chance;
use std::time::Duration;

/// Exponential pauses with full jitter: each is drawn from zero to a bound that doubles. A fleet
/// that failed at one moment thus does not come back at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// Bound of the first pause.
    pub first: Duration,
    /// No bound is larger.
    pub most: Duration,
    /// Share of the bound that every pause has at least: 0 is full jitter, 1 none.
    pub fixed_share: f64,
}

impl Default for Backoff {
    fn default() -> Backoff {
        let (first, most) = (Duration::from_millis(50), Duration::from_secs(5));
        Backoff { first, most, fixed_share: 0.0 }
    }
}

impl Backoff {
    /// The pause after attempt number `attempt`.
    pub fn pause(&self, attempt: u32, chance: &Chance) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        let bound = self.first.saturating_mul(1 << doublings).min(self.most);
        let fixed = self.fixed_share.clamp(0.0, 1.0);
        bound.mul_f64(fixed + (1.0 - fixed) * chance.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_are_spread_below_it() {
        let backoff = Backoff::default();
        let chance = Chance::seeded(1);
        for (attempt, bound_ms) in [(1, 50), (2, 100), (4, 400), (9, 5_000), (4_000, 5_000)] {
            let pauses: Vec<_> = (0..200).map(|_| backoff.pause(attempt, &chance)).collect();
            let bound = Duration::from_millis(bound_ms);
            assert!(pauses.iter().all(|pause| *pause <= bound), "{attempt}");
            assert!(pauses.iter().any(|pause| *pause > bound.mul_f64(0.9)), "{attempt}");
            assert!(pauses.iter().any(|pause| *pause < bound.mul_f64(0.1)), "{attempt}");
        }
    }
}
