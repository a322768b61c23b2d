//! In which service requests begin to fail.
//!
//! Rule: of the requests that a service takes part in, the share rose in which it holds a failing
//! span none of whose children fails. Confuser: a caller that only passes the failure on. A call
//! that fails without an answer counts for the service that was called when that sends no spans.

use super::Places;
use super::kinship::Kinship;
use super::presence::Presence;
use crate::intern::NONE;
use crate::spans::{Kind, Spans};
use crate::tree::Forest;

/// Counts all services; places are numbers of (service, nothing), items are numbers of what
/// failed: (service of the span, name).
pub(super) fn count(
    spans: &Spans<'_>,
    forest: &Forest,
    kin: &Kinship,
    places: &mut Places,
) -> Presence {
    let (mut presence, mut here, mut failed) = (Presence::default(), Vec::new(), Vec::new());
    for trace in 0..forest.traces() {
        let unit = trace as u32;
        here.clear();
        failed.clear();
        for row in forest.rows(trace).iter().map(|row| *row as usize) {
            if forest.is_repetition(row) {
                continue;
            }
            let silent = spans.kind[row] == Kind::Exit
                && kin.children(row).is_empty()
                && spans.peer[row] != NONE;
            let service = if silent { spans.peer[row] } else { spans.service[row] };
            if service == NONE {
                continue;
            }
            let place = places.code([service, NONE]);
            here.push(place);
            let passed_on = kin.children(row).iter().any(|child| spans.failed[*child as usize]);
            if spans.failed[row] && !passed_on {
                failed.push(place);
            }
        }
        for places in [&mut here, &mut failed] {
            places.sort_unstable();
            places.dedup();
        }
        here.iter().for_each(|place| presence.chance(*place, unit));
        failed.iter().for_each(|place| presence.seen(*place, *place, unit));
    }
    presence.settle();
    presence
}
