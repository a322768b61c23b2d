//! Times that are not what they were: how long an operation works by itself, how long a call is
//! under way. Compared is the share of units beyond a limit that the time before draws, and how
//! much of a request's usual duration is added.

use halfopen_model::answer::Share;

use super::eras::{Era, Eras, Units};
use super::presence::{ROOT_G_FULL, ROOT_G_MIN, UNITS_MIN, g};

/// Less than this is noise of schedulers and clocks, whatever it is relative to.
const TINY_NS: i64 = 1_000_000;

/// Beyond the limit lies what is so many times farther from the median than its 90 % point.
const SPREADS_MIN: i64 = 2;

/// What adds less than this share of a request's usual duration explains no slow request...
pub(super) const ADDED_MIN: f64 = 0.1;

/// ...and what doubles the duration is as large as it need be.
const ADDED_FULL: f64 = 1.0;

/// The share of units beyond the limit that is as large as it need be.
pub(super) const SHARE_FULL: f64 = 0.5;

/// One measured time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    place: u32,
    unit: u32,
    nanos: i64,
}

/// Measured times.
#[derive(Default)]
pub(super) struct Timing {
    samples: Vec<Sample>,
}

/// A time that grew.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Slowed {
    pub(super) place: u32,
    /// Units beyond the limit.
    pub(super) now: Share,
    pub(super) before: Share,
    pub(super) limit_ns: i64,
    /// The median before, and now; where that moved little, that of the times beyond the limit.
    pub(super) typical_ns: [i64; 2],
    /// Whether only the lesser part of the times of now is slower.
    pub(super) is_tail: bool,
    /// What is added to a request, as a part of its duration before.
    pub(super) added: f64,
    /// A unit of now with the longest time.
    pub(super) example: u32,
    root_g: f64,
}

impl Slowed {
    /// The limit beyond which its typical time of now lies; `None` where that is the median.
    pub(super) fn beyond_ns(&self) -> Option<i64> {
        self.is_tail.then_some(self.limit_ns)
    }

    /// How far it stands out: certain, large, and in many requests.
    pub(super) fn score(&self) -> f64 {
        let certainty = (self.root_g / ROOT_G_FULL).min(1.0);
        let share = ((self.now.ratio() - self.before.ratio()) / SHARE_FULL).min(1.0);
        certainty * size(self.added) * share
    }
}

/// How large it is what is added: half at the least that counts, full where it doubles the
/// duration, on a log scale between.
pub(super) fn size(added: f64) -> f64 {
    let decades = (ADDED_FULL / ADDED_MIN).log10();
    (0.5 + 0.5 * (added / ADDED_MIN).log10() / decades).clamp(0.0, 1.0)
}

/// What lies beyond the usual, by the median of the usual and its 90 % point.
pub(super) fn limit(median: i64, tail: i64) -> i64 {
    let beyond = SPREADS_MIN.saturating_mul(tail.saturating_sub(median)).max(median).max(TINY_NS);
    median.saturating_add(beyond)
}

impl Timing {
    pub(super) fn take(&mut self, place: u32, unit: u32, nanos: i64) {
        self.samples.push(Sample { place, unit, nanos });
    }

    /// Orders what was measured; to be called before it is compared.
    pub(super) fn settle(&mut self) {
        self.samples.sort_unstable();
    }

    /// Everything that takes longer than before.
    pub(super) fn compare(&self, units: &Units, eras: &Eras) -> Vec<Slowed> {
        let of_places = self.samples.chunk_by(|a, b| a.place == b.place);
        of_places.filter_map(|samples| slowed(samples, units, eras)).collect()
    }

    /// The usual times of a place, whether or not they grew.
    pub(super) fn typical(&self, place: u32, units: &Units, eras: &Eras) -> Option<Slowed> {
        let from = self.samples.partition_point(|sample| sample.place < place);
        let to = self.samples.partition_point(|sample| sample.place <= place);
        let (mut times, mut traces) = ([Vec::new(), Vec::new()], [0_u32; 2]);
        for of_unit in self.samples[from..to].chunk_by(|a, b| a.unit == b.unit) {
            let Some(era) = eras.of(units.begin(of_unit[0].unit)) else { continue };
            traces[era as usize] += 1;
            times[era as usize].extend(of_unit.iter().map(|sample| sample.nanos));
        }
        times.iter_mut().for_each(|times| times.sort_unstable());
        let [now, before] = &times;
        let last = self.samples[from..to].last()?;
        Some(Slowed {
            place,
            now: Share::new(0.0, f64::from(traces[0])),
            before: Share::new(0.0, f64::from(traces[1])),
            limit_ns: i64::MAX,
            typical_ns: [quantile(before, 0.5), quantile(now, 0.5)],
            is_tail: false,
            added: 0.0,
            example: last.unit,
            root_g: 0.0,
        })
    }

    /// Places that have enough units in both times to be compared.
    pub(super) fn compared(&self, units: &Units, eras: &Eras) -> Vec<u32> {
        let enough = |samples: &&[Sample]| {
            let mut counts = [0_usize; 2];
            for of_unit in samples.chunk_by(|a, b| a.unit == b.unit) {
                if let Some(era) = eras.of(units.begin(of_unit[0].unit)) {
                    counts[era as usize] += 1;
                }
            }
            counts.iter().all(|count| *count >= UNITS_MIN)
        };
        let of_places = self.samples.chunk_by(|a, b| a.place == b.place);
        of_places.filter(enough).map(|samples| samples[0].place).collect()
    }
}

fn slowed(samples: &[Sample], units: &Units, eras: &Eras) -> Option<Slowed> {
    let mut times: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
    let mut took = Vec::new();
    for sample in samples {
        let Some(era) = eras.of(units.begin(sample.unit)) else { continue };
        times[era as usize].push(sample.nanos);
        if era == Era::Before {
            took.push(units.took(sample.unit));
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    took.sort_unstable();
    let [now, before] = &times;
    if now.len() < UNITS_MIN || before.len() < UNITS_MIN {
        return None;
    }
    let (median, tail) = (quantile(before, 0.5), quantile(before, 0.9));
    let limit_ns = limit(median, tail);
    let mut shares = [Share::default(); 2];
    for of_unit in samples.chunk_by(|a, b| a.unit == b.unit) {
        let Some(era) = eras.of(units.begin(of_unit[0].unit)) else { continue };
        let above = of_unit.iter().filter(|sample| sample.nanos > limit_ns).count();
        shares[era as usize].count += above as f64 / of_unit.len() as f64;
        shares[era as usize].total += 1.0;
    }
    let [of_now, of_before] = shares;
    let few = of_now.total.min(of_before.total) < UNITS_MIN as f64;
    let root_g = g(of_now, of_before).sqrt();
    if few || of_now.ratio() <= of_before.ratio() || root_g < ROOT_G_MIN {
        return None;
    }
    let usual = quantile(&took, 0.5).max(TINY_NS) as f64;
    let added = (capped_mean(now) - capped_mean(before)) / usual;
    if added < ADDED_MIN {
        return None;
    }
    let is_tail = quantile(now, 0.5) <= limit_ns;
    let slow = if is_tail { &now[now.partition_point(|nanos| *nanos <= limit_ns)..] } else { now };
    let typical_ns = [median, quantile(slow, 0.5)];
    let in_now = |sample: &&Sample| eras.of(units.begin(sample.unit)) == Some(Era::Now);
    let example = samples.iter().filter(in_now).max_by_key(|s| (s.nanos, s.unit))?.unit;
    let (place, now, before) = (samples[0].place, of_now, of_before);
    Some(Slowed { place, now, before, limit_ns, typical_ns, is_tail, added, example, root_g })
}

/// The value of rank `share` of ordered values.
pub(super) fn quantile(ordered: &[i64], share: f64) -> i64 {
    let rank = (ordered.len().saturating_sub(1) as f64 * share).round() as usize;
    ordered.get(rank).copied().unwrap_or(0)
}

/// The mean with the longest twentieth cut off at its begin: one stuck call is no trend.
pub(super) fn capped_mean(ordered: &[i64]) -> f64 {
    let cap = quantile(ordered, 0.95);
    let sum: f64 = ordered.iter().map(|nanos| (*nanos).min(cap) as f64).sum();
    sum / ordered.len().max(1) as f64
}
