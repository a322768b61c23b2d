//! How many calls of one kind each operation makes.
//!
//! Rule: of the requests in which an operation makes a certain call, a larger share makes it more
//! often than the limit that the time before draws: at least twice as often, and three times more.
//! A query in a loop is one call for each row. Confuser: more requests, and more spans of the
//! operation in one request: counted is what one span of it calls.

use halfopen_model::answer::Share;

use super::Places;
use super::eras::{Era, Eras, Units};
use super::kinship::Kinship;
use super::presence::{ROOT_G_FULL, ROOT_G_MIN, UNITS_MIN, g};
use crate::intern::{FoldMap, NONE};
use crate::spans::Spans;
use crate::tree::Forest;

/// Fewer calls more than this are retries, pages, or another branch.
const MORE_MIN: f64 = 3.0;

/// So many times as often is as much as it need be.
const RATIO_FULL: f64 = 8.0;

/// The share of requests beyond the limit that is as large as it need be.
const SHARE_FULL: f64 = 0.5;

/// Calls of one unit: how many for each span that makes any.
#[derive(Clone, Copy, PartialEq)]
struct Sample {
    /// The number of (operation, call).
    place: u32,
    unit: u32,
    calls: f64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Counts {
    samples: Vec<Sample>,
}

/// A call that is made more often.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Multiplied {
    pub(super) place: u32,
    pub(super) now: Share,
    pub(super) before: Share,
    pub(super) limit: f64,
    /// Usual calls of one span before, and now; where only the lesser part makes more, of those.
    pub(super) typical: [f64; 2],
    pub(super) is_tail: bool,
    /// The unit of now with the most.
    pub(super) example: u32,
    root_g: f64,
}

impl Multiplied {
    /// How far it stands out: certain, many more, and in many requests.
    pub(super) fn score(&self) -> f64 {
        let [before, now] = self.typical;
        let size = ((now / before.max(1.0)).log2() / RATIO_FULL.log2()).clamp(0.0, 1.0);
        let share = ((self.now.ratio() - self.before.ratio()) / SHARE_FULL).min(1.0);
        (self.root_g / ROOT_G_FULL).min(1.0) * size * share
    }

    /// The limit beyond which its typical count lies; `None` where that is the median of all.
    pub(super) fn beyond(&self) -> Option<f64> {
        self.is_tail.then_some(self.limit)
    }
}

/// Counts all calls; places are numbers of (operation, call), each a number of (service, name).
pub(super) fn count(
    spans: &Spans<'_>,
    forest: &Forest,
    kin: &Kinship,
    places: &mut Places,
) -> Counts {
    // For each operation, call and unit: the calls, and the spans that make any.
    let mut sums: FoldMap<(u32, u32), [u32; 2]> = FoldMap::default();
    let mut items = Vec::new();
    for row in (0..spans.len()).filter(|row| spans.trace[*row] != NONE) {
        if forest.is_repetition(row) || spans.service[row] == NONE {
            continue;
        }
        items.clear();
        let children = kin.children(row).iter().map(|child| *child as usize);
        items.extend(children.map(|child| places.code([spans.service[child], spans.name[child]])));
        items.sort_unstable();
        let operation = places.code([spans.service[row], spans.name[row]]);
        for same in items.chunk_by(|a, b| a == b) {
            let place = places.code([operation, same[0]]);
            let sum = sums.entry((place, spans.trace[row])).or_default();
            *sum = [sum[0] + same.len() as u32, sum[1] + 1];
        }
    }
    let sample = |((place, unit), [calls, spans]): ((u32, u32), [u32; 2])| Sample {
        place,
        unit,
        calls: f64::from(calls) / f64::from(spans),
    };
    let mut samples: Vec<Sample> = sums.into_iter().map(sample).collect();
    samples.sort_by_key(|sample| (sample.place, sample.unit));
    Counts { samples }
}

impl Counts {
    /// Every call that is made more often than before.
    pub(super) fn compare(&self, units: &Units, eras: &Eras) -> Vec<Multiplied> {
        let of_places = self.samples.chunk_by(|a, b| a.place == b.place);
        of_places.filter_map(|samples| multiplied(samples, units, eras)).collect()
    }
}

fn multiplied(samples: &[Sample], units: &Units, eras: &Eras) -> Option<Multiplied> {
    let mut counts: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut most: Option<Sample> = None;
    for sample in samples {
        let Some(era) = eras.of(units.begin(sample.unit)) else { continue };
        counts[era as usize].push(sample.calls);
        if era == Era::Now && most.is_none_or(|most| sample.calls > most.calls) {
            most = Some(*sample);
        }
    }
    counts.iter_mut().for_each(|counts| counts.sort_by(f64::total_cmp));
    let [now, before] = &counts;
    if now.len() < UNITS_MIN || before.len() < UNITS_MIN {
        return None;
    }
    let (median, tail) = (rank(before, 0.5), rank(before, 0.9));
    let limit = median + (2.0 * (tail - median)).max(median).max(MORE_MIN) - f64::EPSILON;
    let beyond = |counts: &[f64]| {
        let count = counts.iter().filter(|calls| **calls > limit).count();
        Share::new(count as f64, counts.len() as f64)
    };
    let (of_now, of_before) = (beyond(now), beyond(before));
    let root_g = g(of_now, of_before).sqrt();
    if of_now.ratio() <= of_before.ratio() || root_g < ROOT_G_MIN {
        return None;
    }
    let is_tail = rank(now, 0.5) <= limit;
    let many = if is_tail { &now[now.partition_point(|calls| *calls <= limit)..] } else { now };
    let typical = [median, rank(many, 0.5)];
    let (place, example) = (samples[0].place, most?.unit);
    let (now, before) = (of_now, of_before);
    Some(Multiplied { place, now, before, limit, typical, is_tail, example, root_g })
}

fn rank(ordered: &[f64], share: f64) -> f64 {
    let place = (ordered.len().saturating_sub(1) as f64 * share).round() as usize;
    ordered.get(place).copied().unwrap_or(0.0)
}
