//! How long each operation works by itself: its duration without the time in which it waits for
//! others.
//!
//! Rule: the own time of an operation lies beyond its limit of before, and what is added is a
//! good part of a request. Confuser: an operation that waits. Children are taken out, as their
//! union, and so are calls to other services that its siblings have under way: a filter that
//! stays open while the call beside it runs does nothing.

use super::kinship::Kinship;
use super::siblings::{Measure, Siblings};
use super::timing::Timing;
use crate::intern::NONE;
use crate::spans::{Spans, UNENDED};
use crate::tree::Forest;

/// Measures all operations; places are numbers of (service, name).
pub(super) fn measure(
    spans: &Spans<'_>,
    forest: &Forest,
    kin: &Kinship,
    places: &mut super::Places,
    siblings: &mut Siblings,
) -> Timing {
    let (mut timing, mut waits) = (Timing::default(), Vec::new());
    for trace in 0..forest.traces() {
        for row in forest.rows(trace).iter().map(|row| *row as usize) {
            let skip = forest.is_repetition(row)
                || kin.calls_out[row]
                || spans.service[row] == NONE
                || spans.duration[row] == UNENDED
                || spans.duration[row] < 0;
            if skip {
                continue;
            }
            waits.clear();
            waits.extend(kin.children(row).iter().copied());
            let parent = forest.parent[row];
            if parent != NONE {
                let beside = kin.children(parent as usize).iter().copied();
                waits.extend(
                    beside.filter(|other| *other as usize != row && kin.calls_out[*other as usize]),
                );
            }
            let place = places.code([spans.service[row], spans.name[row]]);
            let own = own_ns(spans, row, &mut waits);
            timing.take(place, trace as u32, own);
            siblings.take(Measure::Own, row, place, trace as u32, own);
        }
    }
    timing.settle();
    timing
}

/// The duration of a span without the union of others inside of it.
fn own_ns(spans: &Spans<'_>, row: usize, others: &mut [u32]) -> i64 {
    let (begin, end) = (spans.start[row], spans.end(row));
    others.sort_unstable_by_key(|other| spans.start[*other as usize]);
    let (mut own, mut at) = (end.saturating_sub(begin), begin);
    for other in others.iter().map(|other| *other as usize) {
        let from = spans.start[other].max(at);
        let to = spans.end(other).min(end);
        if to > from {
            own -= to - from;
            at = to;
        }
    }
    own
}
