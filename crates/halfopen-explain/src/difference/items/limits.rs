//! Numbers as categories: above a limit, below one, or between two.
//!
//! Limits are fixed ranks of the values of failing requests. How many healthy values lie between
//! two such ranks is then known by chance alone, whatever the values are (J. W. Tukey, Annals of
//! Mathematical Statistics 18, 1947: statistically equivalent blocks), so the tests that judge
//! any other value hold here too; all ranges that were tried count in the correction.

use std::collections::BTreeSet;

use crate::bits::Bits;
use crate::carriers::Limit;
use crate::cohorts::Cohorts;
use crate::difference::significance::Sides;

/// Numbers with more different values than this among failing requests are compared by ranges
/// too.
const CATEGORIES_MAX: usize = 2;

/// Ranks of the failing requests that are limits, from the first to the last value.
const RANKS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Bins that the limits make, at the most.
pub(super) const BINS_MAX: usize = RANKS.len() + 1;

/// Ranges that are tried, by the places of their limits in [`RANKS`]: at least, less than, and
/// those between two limits that hold at least half of the failing requests.
const RANGES: [(Option<usize>, Option<usize>); 13] = [
    (Some(0), None),
    (Some(1), None),
    (Some(2), None),
    (Some(3), None),
    (None, Some(4)),
    (None, Some(3)),
    (None, Some(2)),
    (None, Some(1)),
    (Some(0), Some(4)),
    (Some(0), Some(3)),
    (Some(1), Some(4)),
    (Some(1), Some(3)),
    (Some(0), Some(2)),
];

/// Numbers of failing requests, of one attribute in one service.
#[derive(Default)]
pub(super) struct Numbers {
    values: Vec<f64>,
    distinct: BTreeSet<u64>,
}

impl Numbers {
    pub(super) fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.values.push(value);
        if self.distinct.len() <= CATEGORIES_MAX {
            self.distinct.insert(value.to_bits());
        }
    }

    /// How many numbers.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.values.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn absorb(&mut self, other: Numbers) {
        other.values.into_iter().for_each(|value| self.add(value));
    }

    /// The ranges to try; `None` for what is better compared value by value.
    pub(super) fn ranges(mut self) -> Option<Ranges> {
        if self.distinct.len() <= CATEGORIES_MAX {
            return None;
        }
        self.values.sort_by(f64::total_cmp);
        let last = (self.values.len() - 1) as f64;
        let limit = |rank: usize| self.values[(last * RANKS[rank]).round() as usize];
        let mut limits: Vec<f64> = (0..RANKS.len()).map(limit).collect();
        let mut tried: Vec<Limit> = Vec::new();
        for (lower, upper) in RANGES {
            let range = Limit::new(lower.map(limit), upper.map(limit));
            if !range.is_empty() && !tried.contains(&range) {
                tried.push(range);
            }
        }
        limits.dedup();
        Some(Ranges { limits, tried })
    }
}

/// Ranges of one attribute in one service.
pub(super) struct Ranges {
    /// In order, each once. A number lies in one of the bins before, between and after them.
    limits: Vec<f64>,
    pub(super) tried: Vec<Limit>,
}

impl Ranges {
    pub(super) fn bins(&self) -> usize {
        self.limits.len() + 1
    }

    /// The bin of a number.
    pub(super) fn bin(&self, value: f64) -> Option<usize> {
        let below = || self.limits.partition_point(|limit| *limit <= value);
        (!value.is_nan()).then(below)
    }

    /// Each range with the requests that have a number in it, given those that have one in each
    /// bin. A range between two limits is left out where one of its limits says as much.
    pub(super) fn sets(&self, bins: &[Bits], cohorts: &Cohorts) -> Vec<(Limit, Bits)> {
        let of = |range: &Limit| {
            let mut set = Bits::new(cohorts.slots());
            let within = |bin: &usize| {
                // Any number of the bin: its lower limit, or what lies below the first one.
                let begin = bin.checked_sub(1).map_or(f64::NEG_INFINITY, |at| self.limits[at]);
                range.holds(begin)
            };
            (0..self.bins()).filter(within).for_each(|bin| set.add(&bins[bin]));
            set
        };
        let g = |set: &Bits| {
            let (failing, healthy) = (&cohorts.failing, &cohorts.healthy);
            let sides = Sides {
                failing: set.common(failing),
                failing_total: failing.count(),
                healthy: set.common(healthy),
                healthy_total: healthy.count(),
            };
            sides.g()
        };
        let mut made: Vec<(Limit, Bits, f64)> = Vec::new();
        for range in &self.tried {
            let set = of(range);
            let own = g(&set);
            let says_as_much =
                |other: &(Limit, Bits, f64)| other.0.is_end_of(range) && other.2 >= own;
            if !range.is_between() || !made.iter().any(says_as_much) {
                made.push((*range, set, own));
            }
        }
        made.into_iter().map(|(range, set, _)| (range, set)).collect()
    }
}
