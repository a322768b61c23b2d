//! Chance from a seed: SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, OOPSLA 2014).

/// A stream of numbers; equal seeds give equal streams.
pub(super) struct Chance(u64);

impl Chance {
    /// A stream for a seed and a place, so that places do not depend on each other.
    pub(super) fn new(seed: u64, place: u64) -> Chance {
        Chance(mix(seed ^ mix(place)))
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to below `end`; 0 where there is none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// All numbers from 0 to below `len` in another order (Fisher and Yates).
    pub(super) fn order(&mut self, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..len as u32).collect();
        for at in (1..len).rev() {
            order.swap(at, self.below(at as u64 + 1) as usize);
        }
        order
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A word that stands for another one.
pub(super) fn word(seed: u64, text: &str) -> String {
    let mut hash = mix(seed);
    for byte in text.bytes() {
        hash = mix(hash ^ u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
    format!("w{hash:016x}")
}
