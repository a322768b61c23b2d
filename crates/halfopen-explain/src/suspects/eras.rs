//! The two times that are compared, and what is counted once in them.
//!
//! Spans of one trace hang together: twenty calls of one request are one observation and not
//! twenty. Everything here is therefore counted by *units*: a trace, or, for logs that name no
//! trace, some seconds of a service.

use halfopen_model::TimeRange;
use halfopen_model::time::SECOND_NS;

use crate::intern::NONE;
use crate::spans::{Spans, UNENDED};
use crate::tree::Forest;

/// Logs that name no trace are counted by so much time.
pub(crate) const SLICE_NS: i64 = 10 * SECOND_NS;

/// Which of the two times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Era {
    Now,
    Before,
}

/// The two times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Eras {
    pub(crate) now: TimeRange,
    pub(crate) before: TimeRange,
}

impl Eras {
    /// The era of a moment. Where the two overlap it is now: the begin of a fault may have been
    /// given too late, and then the end of the time before is part of it.
    pub(crate) fn of(&self, at: i64) -> Option<Era> {
        let at = halfopen_model::UnixNanos(at);
        if self.now.contains(at) {
            Some(Era::Now)
        } else if self.before.contains(at) {
            Some(Era::Before)
        } else {
            None
        }
    }
}

/// Everything that is counted once.
pub(crate) struct Units {
    /// When each began. The traces first, by their number.
    begin: Vec<i64>,
    /// How long the longest root of each trace took; 0 where that is not known.
    took: Vec<i64>,
    traces: usize,
    first_slice: i64,
}

impl Units {
    pub(crate) fn of(spans: &Spans<'_>, forest: &Forest, eras: &Eras) -> Units {
        let traces = forest.traces();
        let (mut begin, mut took) = (vec![i64::MAX; traces], vec![0; traces]);
        for trace in 0..traces {
            for row in forest.rows(trace).iter().map(|row| *row as usize) {
                if forest.is_repetition(row) {
                    continue;
                }
                begin[trace] = begin[trace].min(spans.start[row]);
                if forest.parent[row] == NONE && spans.duration[row] != UNENDED {
                    took[trace] = took[trace].max(spans.duration[row]);
                }
            }
        }
        let first = eras.now.from.0.min(eras.before.from.0);
        Units { begin, took, traces, first_slice: first.div_euclid(SLICE_NS) }
    }

    /// The unit of a moment that belongs to no trace; `None` far outside of what is looked at.
    pub(crate) fn slice(&self, at: i64) -> Option<u32> {
        let slice = at.div_euclid(SLICE_NS).checked_sub(self.first_slice)?;
        let slice = u32::try_from(slice).ok()?;
        slice.checked_add(self.traces as u32).filter(|unit| *unit != NONE)
    }

    pub(crate) fn begin(&self, unit: u32) -> i64 {
        match self.begin.get(unit as usize) {
            Some(begin) => *begin,
            None => {
                let slice = i64::from(unit) - self.traces as i64;
                self.first_slice.saturating_add(slice).saturating_mul(SLICE_NS)
            }
        }
    }

    /// How long the request of a unit took, where it is a trace.
    pub(crate) fn took(&self, unit: u32) -> i64 {
        self.took.get(unit as usize).copied().unwrap_or(0)
    }

    /// The trace of a unit that is one.
    pub(crate) fn trace(&self, unit: u32) -> Option<usize> {
        ((unit as usize) < self.traces).then_some(unit as usize)
    }
}
