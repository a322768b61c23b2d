//! A set of hashes in nine bits each that never forgets one and takes one in 256 others for its
//! own: a binary fuse filter with fingerprints of eight bits (Graf and Lemire, "Binary Fuse
//! Filters: Fast and Smaller Than Xor Filters", 2022).

/// Seeds that are tried. Each fails for fewer than one set in a hundred.
const SEEDS_MAX: u64 = 64;
const SEGMENT_LENGTH_MAX: u32 = 262_144;
/// Places of each hash.
const ARITY: u32 = 3;

/// How a filter is laid out; its fingerprints lie elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) seed: u64,
    /// A power of two.
    pub(super) segment_length: u32,
    /// Where first places end.
    pub(super) first_places: u32,
}

impl Shape {
    fn of(hashes: usize, seed: u64) -> Shape {
        let size = hashes.max(2) as f64;
        let exponent = (size.ln() / 3.33_f64.ln() + 2.25).floor() as u32;
        let segment_length = (1_u32 << exponent.min(30)).min(SEGMENT_LENGTH_MAX);
        let factor = (0.875 + 0.25 * 1e6_f64.ln() / size.ln()).max(1.125);
        let capacity = (size * factor).round() as u32;
        let segments = capacity.div_ceil(segment_length).saturating_sub(ARITY - 1).max(1);
        Shape { seed, segment_length, first_places: segments * segment_length }
    }

    /// Bytes of its fingerprints.
    pub(super) fn bytes(&self) -> usize {
        (self.first_places + (ARITY - 1) * self.segment_length) as usize
    }

    /// Whether it could have been made by [`build`].
    pub(super) fn is_sound(&self) -> bool {
        self.segment_length.is_power_of_two()
            && self.segment_length <= SEGMENT_LENGTH_MAX
            && self.first_places >= self.segment_length
            && self.first_places <= u32::MAX - ARITY * SEGMENT_LENGTH_MAX
    }

    fn places(&self, mixed: u64) -> [usize; ARITY as usize] {
        let mask = self.segment_length - 1;
        let first = ((u128::from(mixed) * u128::from(self.first_places)) >> 64) as u32;
        let second = (first + self.segment_length) ^ ((mixed >> 18) as u32 & mask);
        let third = (first + 2 * self.segment_length) ^ (mixed as u32 & mask);
        [first as usize, second as usize, third as usize]
    }

    /// Whether the set that `prints` stand for may hold `hash`.
    pub(super) fn may_hold(&self, prints: &[u8], hash: u64) -> bool {
        let mixed = mix(hash, self.seed);
        let found = self.places(mixed).map(|place| prints.get(place).copied());
        match found {
            [Some(one), Some(two), Some(three)] => one ^ two ^ three == print(mixed),
            _ => true,
        }
    }
}

/// The finaliser of MurmurHash3.
fn mix(hash: u64, seed: u64) -> u64 {
    let mut mixed = hash.wrapping_add(seed);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

fn print(mixed: u64) -> u8 {
    (mixed ^ (mixed >> 32)) as u8
}

/// Makes a filter of hashes that are all different; `None` when no seed will do, which happens to
/// equal hashes only.
pub(super) fn build(hashes: &[u64]) -> Option<(Shape, Vec<u8>)> {
    (1..=SEEDS_MAX).find_map(|number| {
        let shape = Shape::of(hashes.len(), number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let order = peel(&shape, hashes)?;
        Some((shape, assign(&shape, &order)))
    })
}

/// Hashes in an order in which each has a place that none behind it has, and the number of it.
struct Order {
    mixed: Vec<u64>,
    numbers: Vec<u8>,
}

/// What lies at each place: the exclusive or of the hashes, and in one word how many there are
/// and the exclusive or of their place numbers.
struct Heaps {
    mixed: Vec<u64>,
    tally: Vec<u32>,
}

/// One hash in a tally; the bits below are for place numbers.
const ONE: u32 = 4;

impl Heaps {
    fn is_single(&self, place: usize) -> bool {
        self.tally[place] / ONE == 1
    }
}

fn peel(shape: &Shape, hashes: &[u64]) -> Option<Order> {
    let bytes = shape.bytes();
    let mut heaps = Heaps { mixed: vec![0; bytes], tally: vec![0; bytes] };
    for hash in hashes {
        let mixed = mix(*hash, shape.seed);
        for (number, place) in shape.places(mixed).into_iter().enumerate() {
            heaps.mixed[place] ^= mixed;
            heaps.tally[place] = (heaps.tally[place] + ONE) ^ number as u32;
        }
    }
    let all = 0..bytes as u32;
    let mut alone: Vec<u32> = all.filter(|place| heaps.is_single(*place as usize)).collect();
    let count = hashes.len();
    let mut order = Order { mixed: Vec::with_capacity(count), numbers: Vec::with_capacity(count) };
    while let Some(place) = alone.pop() {
        if !heaps.is_single(place as usize) {
            continue;
        }
        let mixed = heaps.mixed[place as usize];
        order.mixed.push(mixed);
        order.numbers.push((heaps.tally[place as usize] % ONE) as u8);
        for (number, place) in shape.places(mixed).into_iter().enumerate() {
            heaps.mixed[place] ^= mixed;
            heaps.tally[place] = (heaps.tally[place] - ONE) ^ number as u32;
            if heaps.is_single(place) {
                alone.push(place as u32);
            }
        }
    }
    (order.mixed.len() == count).then_some(order)
}

fn assign(shape: &Shape, order: &Order) -> Vec<u8> {
    let mut prints = vec![0; shape.bytes()];
    for (mixed, number) in order.mixed.iter().zip(&order.numbers).rev() {
        let places = shape.places(*mixed);
        let own = places[usize::from(*number)];
        let all = places.iter().fold(0, |all, place| all ^ prints[*place]);
        prints[own] ^= all ^ print(*mixed);
    }
    prints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(count: u64, from: u64) -> Vec<u64> {
        (0..count).map(|number| mix(number, from << 32)).collect()
    }

    #[test]
    fn it_holds_all_of_its_own_and_few_others() {
        for count in [0, 1, 2, 3, 5, 10, 100, 1_000, 50_000, 400_000] {
            let own = hashes(count, 1);
            let (shape, prints) = build(&own).expect("different hashes");
            assert!(shape.is_sound() && prints.len() == shape.bytes());
            assert!(own.iter().all(|hash| shape.may_hold(&prints, *hash)), "{count}");
            let others = hashes(100_000, 2);
            let wrong = others.iter().filter(|hash| shape.may_hold(&prints, **hash)).count();
            assert!(wrong < 600, "{wrong} of 100,000 with {count}");
            if count >= 50_000 {
                let bits = prints.len() as f64 * 8.0 / count as f64;
                assert!(bits < 9.9, "{bits} bits of each of {count}");
            }
        }
    }

    #[test]
    fn equal_hashes_make_no_filter_and_do_not_hang() {
        assert_eq!(build(&[7, 7, 7]), None);
    }

    #[test]
    fn fingerprints_that_are_cut_off_exclude_nothing() {
        let (shape, prints) = build(&hashes(1_000, 1)).expect("different hashes");
        let others = hashes(1_000, 2);
        assert!(others.iter().all(|hash| shape.may_hold(&prints[..1], *hash)));
    }
}
