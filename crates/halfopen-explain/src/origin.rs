//! Where a failure began: the failing span none of whose children fails.
//!
//! **Invariant:** a walk down goes to a child only, and never to more spans than the trace has.

use std::collections::BTreeMap;

use crate::cohorts::Cohorts;
use crate::intern::{FoldMap, NONE};
use crate::reason;
use crate::spans::{Kind, Spans, UNENDED};
use crate::tree::Forest;

/// A place in which requests fail: service, peer, name of the span.
pub(crate) type Site = [u32; 3];

/// Where one request failed.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) row: u32,
    pub(crate) site: Site,
    /// Services from there up to the span that stands for the request, the peer included.
    pub(crate) path: Vec<u32>,
    /// The failing calls to other services on the way there, from the top, without `site`; with it
    /// where its caller was kept waiting.
    pub(crate) calls: Vec<Site>,
    /// Whether the time of the caller ran out there, before its callee ended.
    pub(crate) ran_out: bool,
    /// Where it waited then, if the callee is known: the deepest span that was under way, and had
    /// been for most of that time.
    pub(crate) held: Option<u32>,
}

/// Failed spans in requests that did not fail: by service and name, in how many requests.
pub(crate) type Swallowed = FoldMap<[u32; 2], u32>;

/// Counts failures that did no harm.
pub(crate) fn swallowed(spans: &Spans<'_>, cohorts: &Cohorts) -> Swallowed {
    let mut counts: FoldMap<[u32; 2], (u32, u32)> = FoldMap::default();
    for row in (0..spans.len()).filter(|row| spans.failed[*row]) {
        let slot = cohorts.slot[row];
        if slot == NONE || cohorts.is_failing(slot) {
            continue;
        }
        let seen = counts.entry([spans.service[row], spans.name[row]]).or_insert((0, NONE));
        if seen.1 != slot {
            *seen = (seen.0 + 1, slot);
        }
    }
    counts.into_iter().map(|(key, (count, _))| (key, count)).collect()
}

/// The spans of one trace, from parent to child.
struct Children {
    pairs: Vec<(u32, u32)>,
}

impl Children {
    fn of(forest: &Forest, trace: usize) -> Children {
        let rows = forest.rows(trace).iter().filter(|row| !forest.is_repetition(**row as usize));
        let linked = rows.filter(|row| forest.parent[**row as usize] != NONE);
        let mut pairs: Vec<_> = linked.map(|row| (forest.parent[*row as usize], *row)).collect();
        pairs.sort_unstable();
        Children { pairs }
    }

    fn get(&self, row: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let row = row as u32;
        let from = self.pairs.partition_point(|(parent, _)| *parent < row);
        let to = self.pairs.partition_point(|(parent, _)| *parent <= row);
        self.pairs[from..to].iter().map(|(_, child)| *child as usize)
    }

    /// All rows below a row.
    fn below(&self, row: usize) -> Vec<usize> {
        let mut found: Vec<usize> = self.get(row).collect();
        let mut next = 0;
        while next < found.len() {
            let at = found[next];
            found.extend(self.get(at));
            next += 1;
        }
        found
    }
}

/// Finds where the request that `anchor` stands for failed, and takes spans that began after the
/// failure out of the comparison: what happened later cannot be its reason.
pub(crate) fn find(
    spans: &Spans<'_>,
    forest: &Forest,
    swallowed: &Swallowed,
    anchor: usize,
    slot: &mut [u32],
) -> Origin {
    let children = Children::of(forest, spans.trace[anchor] as usize);
    let (mut at, mut steps) = (anchor, vec![anchor]);
    let deeper = |at| {
        let failing = failing_child(spans, &children, swallowed, at);
        failing.or_else(|| held(spans, &children, at, true))
    };
    while let Some(child) = deeper(at) {
        steps.push(child);
        at = child;
    }
    for step in steps.iter().skip(1) {
        leave_out_later(spans, forest, &children, *step, slot);
    }
    let (peer, held) = (peer(spans, &children, at), held(spans, &children, at, false));
    let site = [spans.service[at], peer, spans.name[at]];
    let mut way: Vec<usize> = forest.up(at).take_while(|row| *row != anchor).collect();
    way.push(anchor);
    way.reverse();
    let calls = way.windows(2).filter_map(|pair| {
        let (row, callee) = (pair[0], spans.service[pair[1]]);
        let is_call = spans.failed[row] && callee != spans.service[row] && callee != NONE;
        is_call.then(|| [spans.service[row], callee, spans.name[row]])
    });
    let calls = calls.chain(held.map(|_| site)).collect();
    let mut path: Vec<u32> =
        forest.up(at).take_while(|row| *row != anchor).map(|row| spans.service[row]).collect();
    path.extend([spans.service[anchor], peer]);
    path.retain(|service| *service != NONE);
    path.sort_unstable();
    path.dedup();
    let ran_out = ran_out(spans, &children, at);
    Origin { row: at as u32, site, path, calls, ran_out, held: held.map(|row| row as u32) }
}

/// The failing span below `row` that made it fail: reached directly or through inner spans of
/// the same service that were not marked. Failures that healthy requests survive come last,
/// earlier ones before later ones.
fn failing_child(
    spans: &Spans<'_>,
    children: &Children,
    swallowed: &Swallowed,
    row: usize,
) -> Option<usize> {
    let (mut open, mut failing) = (vec![row], Vec::new());
    while let Some(at) = open.pop() {
        for child in children.get(at) {
            if spans.failed[child] && !gave_up(spans, row, child) {
                failing.push(child);
            } else if spans.kind[child] == Kind::Inner
                && !spans.failed[child]
                && spans.service[child] == spans.service[row]
            {
                open.push(child);
            }
        }
    }
    if !spans.lost.is_empty() {
        return slowest(spans, &failing, row);
    }
    let harmless = |row: usize| {
        swallowed.get(&[spans.service[row], spans.name[row]]).copied().unwrap_or(0) > 0
    };
    failing.into_iter().min_by_key(|child| (harmless(*child), spans.end(*child), *child))
}

/// The slowest of the calls that lost most time together, where that is at least half of what
/// their caller lost.
fn slowest(spans: &Spans<'_>, slow: &[usize], caller: usize) -> Option<usize> {
    let call = |row: usize| [spans.service[row], spans.name[row]];
    let together = |of: usize| {
        let alike = slow.iter().filter(|row| call(**row) == call(of));
        alike.fold(0_i64, |sum, row| sum.saturating_add(spans.lost[*row]))
    };
    let best = slow
        .iter()
        .copied()
        .max_by_key(|row| (together(*row), spans.lost[*row], std::cmp::Reverse(*row)))?;
    (together(best) >= spans.lost[caller] / 2).then_some(best)
}

/// Whether a caller stopped waiting before its callee ended: then the callee's own failure came
/// too late to matter. Durations are compared, since clocks of two hosts differ.
fn gave_up(spans: &Spans<'_>, caller: usize, callee: usize) -> bool {
    spans.lost.is_empty()
        && spans.kind[caller] == Kind::Exit
        && spans.service[caller] != spans.service[callee]
        && spans.duration[caller] != UNENDED
        && (spans.duration[callee] == UNENDED || spans.duration[callee] > spans.duration[caller])
}

/// Whether a span is a call that says that its time ran out, of which no callee ended before. A
/// callee that still works has sent no span.
fn ran_out(spans: &Spans<'_>, children: &Children, row: usize) -> bool {
    let is_call = spans.kind[row] == Kind::Exit && spans.failed[row] && spans.lost.is_empty();
    let mut callees = children.get(row).filter(|child| spans.service[*child] != spans.service[row]);
    is_call
        && callees.all(|callee| gave_up(spans, row, callee))
        && reason::speaks_of_time(spans, row)
}

/// Where a caller was kept waiting until its time ran out: the deepest span that was under way
/// then, and had been for most of that time; `failing` wants the first one that failed itself.
/// Timeouts that are not in order end from the outside in, so the first to end is not the place
/// in which time is lost.
fn held(spans: &Spans<'_>, children: &Children, caller: usize, failing: bool) -> Option<usize> {
    let callee = children.get(caller).find(|callee| gave_up(spans, caller, *callee))?;
    if !ran_out(spans, children, caller) {
        return None;
    }
    let waited = spans.duration[caller];
    let (mut at, mut elapsed) = (callee, waited);
    while let Some(child) = under_way(spans, children, at, elapsed, waited / 2) {
        (at, elapsed) = child;
        if failing && spans.failed[at] {
            return Some(at);
        }
    }
    (!failing).then_some(at)
}

/// The child of a span that was under way longest, and at least for so long, when `elapsed` had
/// passed since the span began; and for how long. A callee begins with the call, as clocks of two
/// hosts differ.
fn under_way(
    spans: &Spans<'_>,
    children: &Children,
    row: usize,
    elapsed: i64,
    at_least: i64,
) -> Option<(usize, i64)> {
    let since = |child: usize| {
        let here = spans.service[child] == spans.service[row];
        elapsed - if here { spans.start[child] - spans.start[row] } else { 0 }
    };
    let lasts = |child: usize, since: i64| {
        spans.duration[child] == UNENDED || spans.duration[child] > since
    };
    let candidates = children.get(row).map(|child| (child, since(child)));
    candidates
        .filter(|(child, since)| *since >= at_least && lasts(*child, *since))
        .max_by_key(|(child, since)| (*since, std::cmp::Reverse(*child)))
}

/// The service that the span called: the one that took the call, or the name that it gave it.
fn peer(spans: &Spans<'_>, children: &Children, row: usize) -> u32 {
    let other = |child: &usize| spans.service[*child] != spans.service[row];
    let callee = children.get(row).find(other).map_or(NONE, |child| spans.service[child]);
    match (callee, spans.kind[row]) {
        (NONE, Kind::Exit) if spans.peer[row] != spans.service[row] => spans.peer[row],
        (callee, _) => callee,
    }
}

/// Takes siblings out that began after `failed` had ended, with all below them. Only siblings of
/// one service are judged: clocks of two hosts differ. Another attempt of the same call stays.
fn leave_out_later(
    spans: &Spans<'_>,
    forest: &Forest,
    children: &Children,
    failed: usize,
    slot: &mut [u32],
) {
    let end = spans.end(failed);
    let parent = forest.parent[failed];
    if parent == NONE || spans.duration[failed] == UNENDED {
        return;
    }
    for sibling in children.get(parent as usize) {
        if sibling != failed
            && spans.service[sibling] == spans.service[failed]
            && spans.name[sibling] != spans.name[failed]
            && spans.start[sibling] >= end
        {
            slot[sibling] = NONE;
            children.below(sibling).into_iter().for_each(|row| slot[row] = NONE);
        }
    }
}

/// Failing requests that fail in one place: in one call, or in several to one service that kept
/// its callers waiting until their time ran out.
pub(crate) struct Family {
    /// The calls, those in which most fail first.
    pub(crate) sites: Vec<Site>,
    /// The requests, by slot.
    pub(crate) slots: Vec<usize>,
}

/// Groups failing requests by the place in which they failed, the largest group first.
pub(crate) fn families(spans: &Spans<'_>, origins: &[Origin]) -> Vec<Family> {
    let mut families: Vec<(Option<u32>, Family)> = Vec::new();
    for (site, slots) in by_site(spans, origins) {
        let ran_out = slots.iter().filter(|slot| origins[**slot].ran_out).count();
        let keeper = (site[1] != NONE && ran_out * 2 > slots.len()).then_some(site[1]);
        let known = families.iter_mut().find(|(known, _)| keeper.is_some() && *known == keeper);
        match known {
            Some((_, family)) => {
                family.sites.push(site);
                family.slots.extend(slots);
            }
            None => families.push((keeper, Family { sites: vec![site], slots })),
        }
    }
    let mut families: Vec<Family> = families.into_iter().map(|(_, family)| family).collect();
    families.sort_by_key(|family| std::cmp::Reverse(family.slots.len()));
    families
}

/// Groups slots of failing requests by the place in which they failed, the largest group first.
fn by_site(spans: &Spans<'_>, origins: &[Origin]) -> Vec<(Site, Vec<usize>)> {
    let mut groups: BTreeMap<Site, Vec<usize>> = BTreeMap::new();
    for (slot, origin) in origins.iter().enumerate() {
        groups.entry(origin.site).or_default().push(slot);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_cached_key(|(site, slots)| {
        let texts = site.map(|code| spans.words.text(code).to_owned());
        (std::cmp::Reverse(slots.len()), texts)
    });
    groups
}
