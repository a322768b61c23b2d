//! Clocks of two services that do not agree: a callee that begins before its caller did, or ends
//! after it though it took no longer.
//!
//! Of one call it is known that the callee ran inside of it, so the callee's clock is ahead by
//! something between `end - end` and `begin - begin`; the middle supposes that the way there took
//! as long as the way back (D. L. Mills, RFC 5905, section 8). Times are never corrected.

use std::collections::BTreeMap;

use halfopen_model::answer::{Gap, Share};

use crate::intern::NONE;
use crate::spans::{Kind, Spans, UNENDED};
use crate::tree::Forest;

/// Less than this is the time between an answer and the end of the span around it.
const SKEW_MIN_NS: i64 = 1_000_000;

/// Fewer calls, or a smaller share of them, are an odd few.
const CALLS_MIN: usize = 5;
const CALLS_SHARE_MIN: f64 = 0.05;

/// So many pairs are named, those with the most such calls.
const PAIRS_MAX: usize = 5;

/// Calls of one service to another.
#[derive(Default)]
struct Pair {
    calls: usize,
    /// Of calls that cannot be as they were told: the middle of what is possible, and half of its
    /// width.
    odd: Vec<(i64, i64)>,
}

/// Pairs of services whose clocks do not agree.
pub(super) fn pairs(spans: &Spans<'_>, forest: &Forest) -> Vec<Gap> {
    let mut pairs: BTreeMap<(u32, u32), Pair> = BTreeMap::new();
    for row in 0..spans.len() {
        let Some((low, high)) = ahead(spans, forest, row) else { continue };
        let caller = spans.service[forest.parent[row] as usize];
        let pair = pairs.entry((caller, spans.service[row])).or_default();
        pair.calls += 1;
        if low > SKEW_MIN_NS || high < -SKEW_MIN_NS {
            pair.odd.push((low / 2 + high / 2, high / 2 - low / 2));
        }
    }
    let is_skewed = |pair: &Pair| {
        pair.odd.len() >= CALLS_MIN && pair.odd.len() as f64 >= CALLS_SHARE_MIN * pair.calls as f64
    };
    let mut skewed: Vec<_> = pairs.into_iter().filter(|(_, pair)| is_skewed(pair)).collect();
    skewed.sort_by_key(|(services, pair)| (std::cmp::Reverse(pair.odd.len()), *services));
    skewed.truncate(PAIRS_MAX);
    let text = |code: u32| spans.words.text(code).to_owned();
    let gap = |((caller, callee), pair): ((u32, u32), Pair)| {
        let calls = Share::new(pair.odd.len() as f64, pair.calls as f64);
        let (ahead_ns, spread_ns) = estimate(pair.odd);
        Gap::ClockOffset { caller: text(caller), callee: text(callee), ahead_ns, spread_ns, calls }
    };
    skewed.into_iter().map(gap).collect()
}

/// By how much the clock of the callee may be ahead, from one call: at least, at most. Nothing
/// where a span is no call that was waited for.
fn ahead(spans: &Spans<'_>, forest: &Forest, row: usize) -> Option<(i64, i64)> {
    let parent = forest.parent[row];
    if parent == NONE {
        return None;
    }
    let caller = parent as usize;
    let ended = |row: usize| spans.duration[row] != UNENDED && spans.duration[row] >= 0;
    let is_call = spans.kind[caller] == Kind::Exit
        && spans.kind[row] == Kind::Entry
        && spans.service[caller] != spans.service[row]
        && spans.service[row] != NONE;
    // A callee that took longer was not waited for.
    if !is_call || !ended(row) || !ended(caller) || spans.duration[row] > spans.duration[caller] {
        return None;
    }
    let low = spans.end(row).saturating_sub(spans.end(caller));
    Some((low, spans.start[row].saturating_sub(spans.start[caller])))
}

/// The median, and how far 90 % of the calls lie from it: no nearer than one call can tell.
fn estimate(mut odd: Vec<(i64, i64)>) -> (i64, i64) {
    odd.sort_unstable();
    let at = |share: f64| odd[((odd.len() - 1) as f64 * share).round() as usize].0;
    let (low, middle, high) = (at(0.05), at(0.5), at(0.95));
    let mut widths: Vec<i64> = odd.iter().map(|(_, half)| *half).collect();
    widths.sort_unstable();
    let spread = middle.saturating_sub(low).max(high.saturating_sub(middle));
    (middle, spread.max(widths[widths.len() / 2]))
}
