//! Chance that is given, never taken: a small generator whose numbers depend on the seed and on
//! nothing else, so that a printed seed repeats a run for as long as this repository exists.
//!
//! The step is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
//! OOPSLA 2014). A crate's default generator may change with its version; this one may not.

/// A stream of numbers. Streams of different names are independent of each other, so that one
/// more draw in one place changes nothing in another.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    state: u64,
}

/// The odd constant of SplitMix64, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes two numbers into one.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number that depends on every byte of every part.
pub(crate) fn digest(parts: &[&str]) -> u64 {
    let mut value = GOLDEN;
    for part in parts {
        for byte in part.bytes() {
            value = mix(value ^ u64::from(byte)).wrapping_add(GOLDEN);
        }
        value = mix(value ^ 0xff00); // so that ("ab", "c") is not ("a", "bc")
    }
    value
}

impl Chance {
    /// The stream of this name under this seed.
    pub(crate) fn new(seed: u64, stream: &str) -> Chance {
        Chance { state: mix(seed.wrapping_add(GOLDEN)) ^ digest(&[stream]) }
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A whole number below `bound`; 0 when the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The bias is below bound / 2^64: nobody can see it.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A whole number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A number from 0 to 1, 1 not included.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// The waiting time until the next of events that come at random, with this mean.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// One of `choices`, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of `choices`, each as probable as its weight; the weights must not all be 0.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(T, u32)]) -> T {
        let total: u64 = choices.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut drawn = self.below(total);
        for (choice, weight) in choices {
            if drawn < u64::from(*weight) {
                return *choice;
            }
            drawn -= u64::from(*weight);
        }
        choices[0].0
    }

    /// `digits` characters as Kubernetes puts them into the names of pods.
    pub(crate) fn label(&mut self, digits: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..digits).map(|_| char::from(self.pick(ALPHABET))).collect()
    }

    /// `digits` hex digits.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(self.pick(b"0123456789abcdef"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A printed seed must repeat its run in every later version: these numbers may never change.
    #[test]
    fn numbers_of_a_seed_never_change() {
        let mut chance = Chance::new(7, "orders");
        let drawn: Vec<u64> = (0..4).map(|_| chance.below(1_000)).collect();
        expect_test::expect!["[505, 334, 345, 908]"].assert_eq(&format!("{drawn:?}"));
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let (mut orders, mut faults) = (Chance::new(7, "orders"), Chance::new(7, "faults"));
        assert_ne!(orders.next(), faults.next());
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }

    #[test]
    fn draws_stay_in_their_range_and_follow_their_weights() {
        let mut chance = Chance::new(1, "test");
        let mut heavy = 0;
        for _ in 0..10_000 {
            assert!((3..=5).contains(&chance.between(3, 5)));
            assert!((0.0..1.0).contains(&chance.unit()));
            assert!(chance.wait(2.0) >= 0.0);
            heavy += u32::from(chance.weighted(&[(true, 3), (false, 1), (false, 0)]));
        }
        assert!((7_200..7_800).contains(&heavy), "{heavy} of 10000 for a weight of 3 in 4");
    }
}
