//! How much weight an explanation bears: judged against everything else that was looked at in
//! the same window, never by the size of its effect alone.
//!
//! Values of attributes hang together, so even under "nothing is wrong" their statistics spread
//! wider than theory says. The spread that the window shows by itself is the scale on which an
//! explanation has to stand out (the idea of genomic control: B. Devlin and K. Roeder,
//! Biometrics 55, 1999).

use halfopen_model::answer::{Share, Strength};

use crate::bits::Bits;
use crate::cohorts::Cohorts;
use crate::difference::Explanation;
use crate::difference::items::Items;
use crate::difference::significance::Sides;

/// From this many spreads on an explanation stands out from all that was looked at...
const STRONG_SPREADS_MIN: f64 = 6.0;

/// ...and from this many it is more than one of several.
const LIKELY_SPREADS_MIN: f64 = 4.0;

/// A strong explanation separates so many times better than the next one that says something
/// else...
const STRONG_LEAD_MIN: f64 = 1.3;

/// ...and holds for this share of the failing requests it is about.
const STRONG_COVERAGE_MIN: f64 = 0.5;

/// A call is where requests fail when it has this share of them...
const CALL_SHARE_MIN: f64 = 0.5;

/// ...and without doubt with this share.
const CALL_SHARE_STRONG_MIN: f64 = 0.8;

/// It must fail this many times more often than the next place.
const CALL_LEAD_MIN: f64 = 3.0;

/// A call that fails more rarely, and no more than before, is background: no window is without.
const CALL_RATE_MIN: f64 = 0.01;

/// The median of the absolute value of a normal variable is this part of its spread.
const MEDIAN_TO_SPREAD: f64 = 1.482_6;

/// The spread of the statistics of all values that do not overlap with what is judged; at least
/// one, which theory says.
pub(crate) fn spread(items: &Items, cohorts: &Cohorts, group: &Bits, judged: &Bits) -> f64 {
    let (failing_total, healthy_total) = (group.count(), cohorts.healthy.count());
    let mut roots = Vec::new();
    for item in &items.list {
        let common = item.set.common(judged) as f64;
        let either = (item.set.count() + judged.count()) as f64 - common;
        if common > either / 2.0 {
            continue;
        }
        let sides = Sides {
            failing: item.set.common(group),
            failing_total,
            healthy: item.set.common(&cohorts.healthy),
            healthy_total,
        };
        let root = sides.g();
        // What failing requests have less of was cut off by the failure: not part of the noise.
        if root > 0.0 {
            roots.push(root.sqrt());
        }
    }
    roots.sort_by(f64::total_cmp);
    roots.get(roots.len() / 2).map_or(1.0, |median| (median * MEDIAN_TO_SPREAD).max(1.0))
}

/// The strength of a condition.
pub(crate) fn of_condition(explanation: &Explanation, next_g: f64, spread: f64) -> Strength {
    let root = explanation.near.g().max(0.0).sqrt();
    let spreads = root / spread;
    let leads = root >= STRONG_LEAD_MIN * next_g.max(0.0).sqrt();
    let covers = explanation.near.shares().0 >= STRONG_COVERAGE_MIN;
    if explanation.follows {
        Strength::Weak
    } else if spreads >= STRONG_SPREADS_MIN && leads && covers {
        Strength::Strong
    } else if spreads >= LIKELY_SPREADS_MIN {
        Strength::Likely
    } else {
        Strength::Weak
    }
}

/// A call, judged as the place in which requests fail.
pub(crate) struct CallFacts {
    /// Failing requests that fail there, of all failing ones.
    pub(crate) failing: Share,
    /// Failing requests that fail at the next place.
    pub(crate) next: f64,
    /// Of the requests that made this call, those that failed there.
    pub(crate) rate: Share,
    /// Whether the failing rate rose inside the window.
    pub(crate) rose: bool,
    /// Whether it is a call below the span that stands for the request: else it says nothing
    /// that was not asked.
    pub(crate) below: bool,
}

/// The strength of a call without any condition.
pub(crate) fn of_call(call: &CallFacts) -> Strength {
    let leads = call.failing.count >= CALL_LEAD_MIN * call.next;
    let stands_out = call.rose || call.rate.interval().0 >= CALL_RATE_MIN;
    let share = call.failing.ratio();
    if !call.below || !stands_out || share < CALL_SHARE_MIN || !leads {
        Strength::Weak
    } else if share >= CALL_SHARE_STRONG_MIN {
        Strength::Strong
    } else {
        Strength::Likely
    }
}
