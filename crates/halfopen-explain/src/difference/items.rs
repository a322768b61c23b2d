//! What requests have: every value of every attribute of every span, with the set of requests
//! that carry it.
//!
//! Two passes over columns of codes, shared out among threads. The first looks at failing
//! requests only, which are few, and drops what too few of them have; the second counts what is
//! left on both sides (P. Bailis et al., "MacroBase", SIGMOD 2017, section 5). A value counts
//! once for a request, wherever in its trace it stands: sets of requests, not counts of spans.
//!
//! **Invariant:** neither the number of threads nor the order of rows changes anything.

mod first;
mod limits;
mod rows;
mod second;
mod window;

use crate::bits::{Bits, WORD_BITS};
use crate::cohorts::Cohorts;
use crate::intern::Words;
use crate::spans::Spans;
use crate::tree::Forest;
use first::Seen;
use limits::Numbers;
use rows::Rows;
use second::Plan;

/// Service, attribute and value, as codes.
pub(crate) type Key = [u32; 3];

/// The attribute name under which names of spans are compared.
pub(crate) const NAME: &str = "name";

/// The attribute name under which calls from one service to another are compared.
pub(crate) const CALLS: &str = "calls";

/// Sets of requests may take so much memory together: beyond it those values are left out that
/// the fewest failing requests carry, and the answer says so.
const SETS_BYTES_MAX: usize = 1 << 30;

/// One value with the requests that carry it.
pub(crate) struct Item {
    pub(crate) key: Key,
    pub(crate) set: Bits,
    /// Whether only failed spans carry it, among failing requests.
    pub(crate) on_failed_only: bool,
}

/// All values that enough failing requests carry.
pub(crate) struct Items {
    pub(crate) list: Vec<Item>,
    /// How many different values at least two failing requests carry: all that was tried.
    pub(crate) tried: u64,
    /// Values that were left out for want of memory.
    pub(crate) left_out: u64,
}

impl Items {
    /// All values that at least `support_min` failing requests carry.
    pub(crate) fn mine(
        spans: &mut Spans<'_>,
        forest: &Forest,
        cohorts: &Cohorts,
        support_min: u32,
    ) -> Items {
        Items::mine_within(spans, forest, cohorts, support_min, SETS_BYTES_MAX)
    }

    fn mine_within(
        spans: &mut Spans<'_>,
        forest: &Forest,
        cohorts: &Cohorts,
        support_min: u32,
        bytes_max: usize,
    ) -> Items {
        let rows = Rows::new(spans, forest, cohorts);
        let seen = first::visit(&rows);
        let set_bytes = cohorts.slots().div_ceil(WORD_BITS).max(1) * size_of::<u64>();
        let room = Room::of(&seen, support_min, bytes_max / set_bytes);
        let tried = |seen: &Seen| seen.requests.iter().filter(|count| **count >= 2).count() as u64;
        let mut tried = seen.iter().map(tried).sum();
        let planned: Vec<Planned> = seen.into_iter().map(|seen| plan(seen, &room)).collect();
        let (plans, on_failed): (Vec<Plan>, Vec<Vec<bool>>) = planned.into_iter().unzip();
        let sets = second::visit(&rows, &plans);
        let services = rows.services;
        let mut items = Items { list: Vec::new(), tried, left_out: room.left_out };
        for ((plan, sets), on_failed) in plans.iter().zip(sets).zip(on_failed) {
            tried += items.take(plan, sets, &on_failed, &services, cohorts, &mut spans.words);
        }
        items.tried = tried;
        let support = u64::from(support_min);
        items.list.retain(|item| cohorts.failing_in(&item.set) >= support);
        // By name, so that the order in which rows came cannot decide between equals.
        let texts = |item: &Item| item.key.map(|code| spans.words.text(code).to_owned());
        items.list.sort_by_cached_key(texts);
        items
    }

    /// Takes the values of a plan, and ranges of its numbers; how many ranges were tried.
    fn take(
        &mut self,
        plan: &Plan,
        mut sets: Vec<Bits>,
        on_failed_only: &[bool],
        services: &[u32],
        cohorts: &Cohorts,
        words: &mut Words,
    ) -> u64 {
        let attribute = words.code(&plan.attribute);
        let (mut bins, mut tried) = (sets.split_off(plan.items.len()), 0);
        for (([service, value], set), on_failed) in plan.items.iter().zip(sets).zip(on_failed_only)
        {
            let value = words.code(plan.values.text(*value));
            let key = [services[*service as usize], attribute, value];
            self.list.push(Item { key, set, on_failed_only: *on_failed });
        }
        for (service, ranges) in &plan.ranges {
            let later = bins.split_off(ranges.bins());
            for (range, set) in ranges.sets(&bins, cohorts) {
                let key = [services[*service as usize], attribute, words.code(&range.to_string())];
                self.list.push(Item { key, set, on_failed_only: false });
            }
            tried += ranges.tried.len() as u64;
            bins = later;
        }
        tried
    }
}

/// What is looked for, and whether only failed spans carry each of it.
type Planned = (Plan, Vec<bool>);

/// What enough failing requests have of an attribute.
fn plan(seen: Seen, room: &Room) -> Planned {
    let mut values = Words::new();
    let (mut items, mut on_failed_only) = (Vec::new(), Vec::new());
    for (number, [service, value]) in seen.keys.iter().enumerate() {
        if seen.requests[number] >= room.support_min {
            items.push([*service, values.code(seen.values.text(*value))]);
            on_failed_only.push(seen.on_failed_only[number]);
        }
    }
    let numbers = seen.numbers.into_iter().filter(|(_, n)| n.len() >= room.numbers_min);
    let ranges = numbers.map(|(service, numbers)| (service, numbers.ranges()));
    let mut ranges: Vec<_> =
        ranges.filter_map(|(service, ranges)| Some((service, ranges?))).collect();
    ranges.sort_unstable_by_key(|(service, _)| *service);
    let Seen { attribute, outcome, .. } = seen;
    (Plan { attribute, outcome, values, items, ranges }, on_failed_only)
}

/// What there is memory for.
struct Room {
    /// Values that fewer failing requests carry are not looked for.
    support_min: u32,
    /// Where fewer numbers were seen, ranges are not looked for.
    numbers_min: u32,
    /// Values, and numbers with their ranges, that there is no room for.
    left_out: u64,
}

impl Room {
    /// Room for so many sets: a quarter of them for ranges of numbers.
    fn of(seen: &[Seen], support_min: u32, sets_max: usize) -> Room {
        let for_ranges = sets_max / 4;
        let values = seen.iter().flat_map(|seen| seen.requests.iter().copied());
        let (support_min, values) = affordable(values, support_min, sets_max - for_ranges);
        let numbers = seen.iter().flat_map(|seen| seen.numbers.values().map(Numbers::len));
        let (numbers_min, numbers) = affordable(numbers, 1, for_ranges / limits::BINS_MAX);
        Room { support_min, numbers_min, left_out: values + numbers }
    }
}

/// From which count on no more than so many are left, and how many that `count_min` would let
/// through are not.
fn affordable(counts: impl Iterator<Item = u32>, count_min: u32, kept_max: usize) -> (u32, u64) {
    let mut counts: Vec<u32> = counts.filter(|count| *count >= count_min).collect();
    if counts.len() <= kept_max {
        return (count_min, 0);
    }
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts[kept_max].saturating_add(1);
    (least, counts.iter().filter(|count| **count < least).count() as u64)
}

#[cfg(test)]
#[path = "../../tests/unit/difference_items.rs"]
mod tests;
