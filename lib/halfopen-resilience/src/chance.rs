//! Chance that is given, never taken: jitter, probing and new ids draw from here.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Step between two states of the generator (SplitMix64: the golden ratio in 64 bits).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A source of chance without a lock. Clones share one sequence; the same seed yields the same
/// sequence, so that a test of a storm can be run again.
///
/// Not for secrets.
#[derive(Clone, Debug)]
pub struct Chance(Arc<AtomicU64>);

impl Chance {
    /// The sequence that belongs to `seed`.
    pub fn seeded(seed: u64) -> Chance {
        Chance(Arc::new(AtomicU64::new(seed)))
    }

    /// A sequence of this process's own, so that a fleet does not jitter in step.
    pub fn of_this_process() -> Chance {
        Chance::seeded(RandomState::new().build_hasher().finish())
    }

    /// The next 64 bits.
    pub fn bits(&self) -> u64 {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number from zero up to, not including, one.
    pub fn unit(&self) -> f64 {
        // 53 bits are what an f64 can hold.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence() {
        let (one, other) = (Chance::seeded(7), Chance::seeded(7));
        let draw = |chance: &Chance| (0..5).map(|_| chance.bits()).collect::<Vec<_>>();
        assert_eq!(draw(&one), draw(&other));
        assert_ne!(draw(&Chance::seeded(8)), draw(&Chance::seeded(7)));
    }

    #[test]
    fn units_are_spread_over_the_whole_range() {
        let chance = Chance::seeded(1);
        let mut tenths = [0u32; 10];
        for _ in 0..10_000 {
            tenths[(chance.unit() * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (800..1200).contains(count)), "{tenths:?}");
    }
}
