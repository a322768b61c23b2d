//! Which calls each operation makes.
//!
//! Rule: the share of an operation's spans with a certain child changed. Confuser: more or fewer
//! requests of that kind, which changes both numbers alike; and an operation that is called more
//! often in one request, because a request counts once.

use super::Places;
use super::kinship::Kinship;
use super::presence::Presence;
use crate::intern::NONE;
use crate::spans::Spans;
use crate::tree::Forest;

/// Counts all pairs of parent and child; places and items are numbers of (service, name).
pub(super) fn count(
    spans: &Spans<'_>,
    forest: &Forest,
    kin: &Kinship,
    places: &mut Places,
) -> Presence {
    let (mut presence, mut items) = (Presence::default(), Vec::new());
    for row in (0..spans.len()).filter(|row| spans.trace[*row] != NONE) {
        if forest.is_repetition(row) || spans.service[row] == NONE {
            continue;
        }
        let (place, unit) = (places.code([spans.service[row], spans.name[row]]), spans.trace[row]);
        presence.chance(place, unit);
        items.clear();
        let children = kin.children(row).iter().map(|child| *child as usize);
        items.extend(children.map(|child| places.code([spans.service[child], spans.name[child]])));
        items.sort_unstable();
        items.dedup();
        items.iter().for_each(|item| presence.seen(place, *item, unit));
    }
    presence.settle();
    presence
}
