//! Several causes at once: the best one, or a group of values that explains more together, then
//! what explains what these leave.

use super::combos::{self, fits};
use super::onset::{Depth, Periods};
use super::rank::{EXPLAINS_MIN, Ranked};
use super::table::Table;

/// Causes of one answer.
const CAUSES_MAX: usize = 3;
/// A further cause must lie so many spreads above what was before, by its own count...
const FURTHER_SPREADS_MIN: f64 = 3.0;
/// ...and tell what is left from what is well.
const FURTHER_SCORE_MIN: f64 = 0.1;

/// A cause by its place among all combinations.
pub(super) struct Draft {
    pub(super) place: usize,
}

/// The causes, the best first.
pub(super) fn causes(
    table: &Table,
    periods: &Periods,
    ranked: &Ranked,
    depth: Depth<'_>,
) -> Vec<Draft> {
    let Some(best) = ranked.order.first().filter(|place| ranked.score(**place) > 0.0) else {
        return Vec::new();
    };
    let mut found = ranked.group().unwrap_or_else(|| vec![ranked.at_depth(*best)]);
    let mut kept = vec![true; table.rows];
    let leave_out = |kept: &mut Vec<bool>, place: usize| {
        let parts = ranked.combos[place].parts;
        kept.iter_mut().enumerate().for_each(|(row, kept)| *kept &= !fits(table, row, &parts));
    };
    found.iter().for_each(|place| leave_out(&mut kept, *place));
    while found.len() < CAUSES_MAX {
        let rows = combos::rows(table, &periods.now, &periods.before, &kept);
        let left = Ranked::new(table, &rows, depth.attributes, depth.order_max);
        let Some(place) = left.order.first().map(|place| left.at_depth(*place)) else { break };
        let gain = left.gain(place);
        let failed = left.combos[place].sums.failed;
        let is_enough = gain >= EXPLAINS_MIN * ranked.excess
            && gain >= FURTHER_SPREADS_MIN * (failed + 1.0).sqrt()
            && left.score(place) >= FURTHER_SCORE_MIN;
        let Some(place) = ranked.place(&left.combos[place].parts).filter(|_| is_enough) else {
            break;
        };
        if found.contains(&place) {
            break;
        }
        leave_out(&mut kept, place);
        found.push(place);
    }
    found.into_iter().map(|place| Draft { place }).collect()
}
