//! How long calls between two services are under way: the caller's span without the callee's.
//!
//! Rule: the time between lies beyond its limit of before, for an ordered pair of services.
//! Confuser: a slow callee, whose own span is as long; only what is outside of it counts. A call
//! to something that sends no spans is all gap. What runs longer than its caller (a consumer of a
//! queue) has none: nobody waits for it.

use super::Places;
use super::kinship::Kinship;
use super::siblings::{Measure, Siblings};
use super::timing::Timing;
use crate::intern::NONE;
use crate::spans::{Spans, UNENDED};
use crate::tree::Forest;

/// Measures all pairs; places are numbers of (caller, callee).
pub(super) fn measure(
    spans: &Spans<'_>,
    forest: &Forest,
    kin: &Kinship,
    places: &mut Places,
    siblings: &mut Siblings,
) -> Timing {
    let mut timing = Timing::default();
    let timed = |row: usize| spans.duration[row] != UNENDED && spans.duration[row] >= 0;
    for row in (0..spans.len()).filter(|row| kin.calls_out[*row] && timed(*row)) {
        if forest.is_repetition(row) || spans.trace[row] == NONE {
            continue;
        }
        let (caller, unit) = (spans.service[row], spans.trace[row]);
        let mut heard = false;
        for child in kin.children(row).iter().map(|child| *child as usize) {
            let callee = spans.service[child];
            if callee == caller {
                continue;
            }
            heard = true;
            let gap = spans.duration[row].saturating_sub(spans.duration[child]);
            if timed(child) && gap >= 0 && callee != NONE && caller != NONE {
                let place = places.code([caller, callee]);
                timing.take(place, unit, gap);
                siblings.take(Measure::To, child, place, unit, gap);
                siblings.take(Measure::From, row, place, unit, gap);
            }
        }
        let silent = !heard && kin.children(row).is_empty();
        if silent && spans.peer[row] != NONE && spans.peer[row] != caller && caller != NONE {
            let (place, took) = (places.code([caller, spans.peer[row]]), spans.duration[row]);
            timing.take(place, unit, took);
            siblings.take(Measure::From, row, place, unit, took);
        }
    }
    timing.settle();
    timing
}
