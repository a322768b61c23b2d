//! Values of a group, for its quantiles: a few exactly, many counted in buckets.
//!
//! A bucket holds the values between two neighbours of a grid with 128 steps in each doubling, as
//! in HdrHistogram and DDSketch with linear interpolation (Masson, Rim, Lee, VLDB 2019). Its
//! middle is at most 1/256 of a value away from it. Counts of two sketches are added: the result
//! does not depend on the order of rows, nor on how they were divided.

/// A group of so many values at most keeps them: its quantiles are exact.
pub(super) const EXACT_VALUES_MAX: usize = 256;

/// Buckets of a doubling, as a power of two.
const STEP_BITS: u32 = 7;
const MANTISSA_BITS: u32 = 52;
const SHIFT: u32 = MANTISSA_BITS - STEP_BITS;
/// Values nearer to zero than 2^-40, some 10^-12, count as zero.
const LEAST_EXPONENT: u64 = 1_023 - 40;
const LEAST_KEY: u64 = LEAST_EXPONENT << STEP_BITS;
/// Counts grow by so many at once.
const GROWTH: usize = 1 << STEP_BITS;

/// The values of one group. What is no number is left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sketch {
    Few(Vec<f64>),
    Many(Box<Counted>),
}

/// Values in buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    least: f64,
    most: f64,
    zeros: u64,
    above: Buckets,
    below: Buckets,
}

/// Counts of neighbouring buckets.
#[derive(Clone, Debug, Default, PartialEq)]
struct Buckets {
    /// The key of the first count.
    first: usize,
    counts: Vec<u64>,
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch::Few(Vec::new())
    }
}

impl Sketch {
    /// Takes a value; how many bytes of memory that took.
    #[inline]
    pub(super) fn add(&mut self, value: f64) -> usize {
        match self {
            Sketch::Many(counted) => counted.add(value, 1),
            Sketch::Few(_) => self.add_to_few(value),
        }
    }

    fn add_to_few(&mut self, value: f64) -> usize {
        let Sketch::Few(values) = self else { return 0 };
        if value.is_nan() {
            return 0;
        }
        if values.len() < EXACT_VALUES_MAX {
            let before = values.capacity();
            values.push(value);
            return (values.capacity() - before) * size_of::<f64>();
        }
        let mut counted = Counted::of(values);
        counted.add(value, 1);
        let bytes = size_of::<Counted>() + counted.bytes();
        *self = Sketch::Many(Box::new(counted));
        bytes
    }

    /// Takes the values of another.
    pub(super) fn merge(&mut self, other: &Sketch) {
        match other {
            Sketch::Few(values) => values.iter().for_each(|value| {
                self.add(*value);
            }),
            Sketch::Many(theirs) => {
                let mut ours = match std::mem::take(self) {
                    Sketch::Few(values) => Box::new(Counted::of(&values)),
                    Sketch::Many(ours) => ours,
                };
                ours.merge(theirs);
                *self = Sketch::Many(ours);
            }
        }
    }

    /// Bytes of memory beside its own size.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Sketch::Few(values) => values.capacity() * size_of::<f64>(),
            Sketch::Many(counted) => size_of::<Counted>() + counted.bytes(),
        }
    }

    /// The value below or at which `share` of the values lie (nearest rank); `None` of none.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = |count: u64| ((share * count as f64).ceil() as u64).clamp(1, count);
        match self {
            Sketch::Few(values) if values.is_empty() => None,
            Sketch::Few(values) => {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                sorted.get(rank(sorted.len() as u64) as usize - 1).copied()
            }
            Sketch::Many(counted) => Some(counted.at(rank(counted.count()))),
        }
    }

    /// Its stored form, behind what is in `to`.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Sketch::Few(values) => {
                to.push(0);
                values.iter().for_each(|value| to.extend(value.to_le_bytes()));
            }
            Sketch::Many(counted) => {
                to.push(1);
                to.extend(counted.least.to_le_bytes());
                to.extend(counted.most.to_le_bytes());
                to.extend(counted.zeros.to_le_bytes());
                for buckets in [&counted.above, &counted.below] {
                    to.extend((buckets.first as u64).to_le_bytes());
                    to.extend((buckets.counts.len() as u64).to_le_bytes());
                    buckets.counts.iter().for_each(|count| to.extend(count.to_le_bytes()));
                }
            }
        }
    }

    /// From its stored form.
    pub(super) fn read(bytes: &[u8]) -> Option<Sketch> {
        let (form, rest) = bytes.split_first()?;
        let mut words = rest.chunks_exact(8).map(|word| word.try_into().unwrap_or_default());
        let sketch = match form {
            0 => Sketch::Few(words.by_ref().map(f64::from_le_bytes).collect()),
            1 => {
                let (least, most) =
                    (f64::from_le_bytes(words.next()?), f64::from_le_bytes(words.next()?));
                let mut words = words.by_ref().map(u64::from_le_bytes);
                let zeros = words.next()?;
                let mut buckets = || {
                    let (first, length) = (words.next()? as usize, words.next()? as usize);
                    let counts: Vec<u64> = words.by_ref().take(length).collect();
                    (counts.len() == length).then_some(Buckets { first, counts })
                };
                let (above, below) = (buckets()?, buckets()?);
                Sketch::Many(Box::new(Counted { least, most, zeros, above, below }))
            }
            _ => return None,
        };
        Some(sketch)
    }
}

impl Counted {
    fn of(values: &[f64]) -> Counted {
        let mut counted =
            Counted { least: f64::INFINITY, most: f64::NEG_INFINITY, ..Counted::default() };
        values.iter().for_each(|value| {
            counted.add(*value, 1);
        });
        counted
    }

    #[inline]
    fn add(&mut self, value: f64, count: u64) -> usize {
        if value.is_nan() {
            return 0;
        }
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        let key = value.abs().to_bits() >> SHIFT;
        if key < LEAST_KEY {
            self.zeros += count;
            return 0;
        }
        let key = (key - LEAST_KEY) as usize;
        match value > 0.0 {
            true => self.above.add(key, count),
            false => self.below.add(key, count),
        }
    }

    fn merge(&mut self, other: &Counted) {
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.zeros += other.zeros;
        self.above.merge(&other.above);
        self.below.merge(&other.below);
    }

    fn count(&self) -> u64 {
        self.below.count() + self.zeros + self.above.count()
    }

    fn bytes(&self) -> usize {
        (self.above.counts.capacity() + self.below.counts.capacity()) * size_of::<u64>()
    }

    /// The value with this rank, of which the least has 1.
    fn at(&self, rank: u64) -> f64 {
        let below = self.below.count();
        let value = if rank <= below {
            // The least values are those farthest from zero.
            -self.below.at(below - rank + 1)
        } else if rank <= below + self.zeros {
            0.0
        } else {
            self.above.at(rank - below - self.zeros)
        };
        value.clamp(self.least, self.most)
    }
}

impl Buckets {
    #[inline]
    fn add(&mut self, key: usize, count: u64) -> usize {
        // Below the first the difference is very large, and there is no such place.
        if let Some(counted) = self.counts.get_mut(key.wrapping_sub(self.first)) {
            *counted += count;
            return 0;
        }
        let before = self.counts.capacity();
        self.make_room(key);
        self.counts[key - self.first] += count;
        (self.counts.capacity() - before) * size_of::<u64>()
    }

    fn make_room(&mut self, key: usize) {
        let first = key - key % GROWTH;
        if self.counts.is_empty() {
            self.first = first;
        }
        if first < self.first {
            let more = self.first - first;
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = first;
        }
        let length = self.counts.len().max(first + GROWTH - self.first);
        self.counts.resize(length, 0);
    }

    fn merge(&mut self, other: &Buckets) {
        for (place, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add(other.first + place, *count);
        }
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The middle of the bucket in which the value of this rank is, of values above zero.
    fn at(&self, rank: u64) -> f64 {
        let mut seen = 0;
        let mut counts = self.counts.iter();
        let place = counts.position(|count| {
            seen += count;
            seen >= rank
        });
        let key = (self.first + place.unwrap_or(self.counts.len())) as u64 + LEAST_KEY;
        let (low, high) = (f64::from_bits(key << SHIFT), f64::from_bits((key + 1) << SHIFT));
        match high.is_finite() {
            true => low + (high - low) / 2.0,
            false => low,
        }
    }
}

#[cfg(test)]
mod tests;
