//! Which segments are merged next.
//!
//! Fresh segments, as sealing wrote them, are merged first and taken apart by hour. What comes of
//! it is merged within its hour, or within its day where hours are sparse, whenever segments have
//! come together that are worth it: a segment is written again only together with others that
//! make up half of its size at least. So a row is written a number of times that grows with the
//! logarithm of the rows of its hour, and a late row never makes a large segment be written again.

use std::collections::BTreeMap;

use halfopen_model::UnixNanos;
use halfopen_model::time::SECOND_NS;

use crate::segment::SegmentInfo;

/// Segments that one merge reads side by side; each holds some 3 MB while it is read.
pub(crate) const INPUTS_MAX: usize = 8;
/// So many fresh segments, or segments of an hour that is not over, are worth merging.
const TOGETHER_MIN: usize = 8;
/// When an hour is over and its late rows have come.
const HOUR_OVER_NS: i64 = 15 * 60 * SECOND_NS;
/// When a day is over and its hours are merged further where they are sparse.
const DAY_OVER_NS: i64 = 6 * HOUR_NS;
/// With fewer rows than a part of this size of a full segment, an hour is sparse.
const SPARSE_PART: u64 = 24;

pub(crate) const HOUR_NS: i64 = 3_600 * SECOND_NS;
const DAY_NS: i64 = 24 * HOUR_NS;

/// The size of merged segments, and when fresh ones are merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) rows_max: u64,
    pub(crate) bytes_max: u64,
    /// Fresh segments older than this are merged, however few.
    pub(crate) after_ns: i64,
    pub(crate) now: UnixNanos,
    /// Whether to merge whatever can be merged, whatever its age.
    pub(crate) all: bool,
}

/// A slice of time whose rows are merged with each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Slice {
    /// An hour, counted from the epoch.
    Hour(i64),
    /// A day.
    Day(i64),
}

impl Slice {
    fn end(self) -> UnixNanos {
        UnixNanos(match self {
            Slice::Hour(hour) => (hour + 1).saturating_mul(HOUR_NS),
            Slice::Day(day) => (day + 1).saturating_mul(DAY_NS),
        })
    }

    /// Whether a time lies inside.
    pub(crate) fn holds(self, time: UnixNanos) -> bool {
        let hour = hour_of(time);
        match self {
            Slice::Hour(own) => own == hour,
            Slice::Day(day) => day == hour.div_euclid(24),
        }
    }

    /// As file names have it.
    pub(crate) fn name(self) -> String {
        let (letter, begin) = match self {
            Slice::Hour(hour) => ('h', hour.saturating_mul(HOUR_NS)),
            Slice::Day(day) => ('d', day.saturating_mul(DAY_NS)),
        };
        // 2026-11-20T14:00:00Z
        let text = UnixNanos(begin).to_string();
        let digits = text.chars().filter(char::is_ascii_digit);
        let kept = if letter == 'h' { 10 } else { 8 };
        std::iter::once(letter).chain(digits.take(kept)).collect()
    }
}

/// The hour of a time.
pub(crate) fn hour_of(time: UnixNanos) -> i64 {
    time.0.div_euclid(HOUR_NS)
}

impl Aim {
    fn is_full(&self, segment: &SegmentInfo) -> bool {
        segment.rows >= self.rows_max / 2 || segment.bytes >= self.bytes_max / 2
    }

    /// Where `rows` rows of an hour belong.
    pub(crate) fn slice(&self, hour: i64, rows: u64) -> Slice {
        let day = hour.div_euclid(24);
        let over = Slice::Day(day).end().shifted(DAY_OVER_NS) <= self.now;
        match over && rows < self.rows_max / SPARSE_PART {
            true => Slice::Day(day),
            false => Slice::Hour(hour),
        }
    }

    fn slice_of(&self, segment: &SegmentInfo) -> Slice {
        let first = hour_of(segment.range.from);
        match first == hour_of(segment.range.to.shifted(-1)) {
            true => self.slice(first, segment.rows),
            false => Slice::Day(first.div_euclid(24)),
        }
    }
}

/// What is merged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// Ids of segments, in the order of their rows' arrival.
    pub(crate) inputs: Vec<i64>,
    /// Where the rows belong; `None` where they are to be taken apart.
    pub(crate) slice: Option<Slice>,
}

/// The next merge among the segments of a table; `None` when nothing is due.
pub(crate) fn next<'a>(
    segments: impl Iterator<Item = &'a SegmentInfo> + Clone,
    aim: &Aim,
) -> Option<Job> {
    fresh(segments.clone().filter(|segment| segment.level == 0), aim)
        .or_else(|| merged(segments.filter(|segment| segment.level > 0), aim))
}

fn fresh<'a>(segments: impl Iterator<Item = &'a SegmentInfo>, aim: &Aim) -> Option<Job> {
    let mut fresh: Vec<_> = segments.collect();
    fresh.sort_by_key(|segment| segment.id);
    let rows: u64 = fresh.iter().map(|segment| segment.rows).sum();
    let old = |segment: &&SegmentInfo| segment.sealed_at.shifted(aim.after_ns) <= aim.now;
    let due = fresh.len() >= TOGETHER_MIN
        || rows >= aim.rows_max
        || fresh.iter().any(old)
        || (aim.all && !fresh.is_empty());
    due.then(|| {
        let mut rows = 0;
        let inputs = fresh.iter().take(INPUTS_MAX).take_while(|segment| {
            rows += segment.rows;
            rows == segment.rows || rows <= 2 * aim.rows_max
        });
        Job { inputs: inputs.map(|segment| segment.id).collect(), slice: None }
    })
}

fn merged<'a>(segments: impl Iterator<Item = &'a SegmentInfo>, aim: &Aim) -> Option<Job> {
    let mut slices: BTreeMap<Slice, Vec<&SegmentInfo>> = BTreeMap::new();
    for segment in segments.filter(|segment| !aim.is_full(segment)) {
        slices.entry(aim.slice_of(segment)).or_default().push(segment);
    }
    slices.into_iter().find_map(|(slice, segments)| {
        let over = slice.end().shifted(HOUR_OVER_NS) <= aim.now;
        let inputs = worth_merging(segments, aim, if over { 2 } else { TOGETHER_MIN })?;
        Some(Job { inputs, slice: Some(slice) })
    })
}

/// The smallest ones, and larger ones as long as they are no more than twice as large as all
/// smaller ones together.
fn worth_merging(
    mut segments: Vec<&SegmentInfo>,
    aim: &Aim,
    together_min: usize,
) -> Option<Vec<i64>> {
    segments.sort_by_key(|segment| (segment.rows, segment.id));
    let mut rows = 0;
    let taken = segments.iter().take(INPUTS_MAX).take_while(|segment| {
        let take = aim.all || rows == 0 || segment.rows <= 2 * rows;
        rows += segment.rows;
        take
    });
    let mut inputs: Vec<i64> = taken.map(|segment| segment.id).collect();
    inputs.sort_unstable();
    let together_min = if aim.all { 2 } else { together_min };
    (inputs.len() >= together_min).then_some(inputs)
}

#[cfg(test)]
mod tests;
