//! Slow requests in the place of failing ones: the same engine says where time is lost and under
//! which condition.
//!
//! Each call (service, name of the span, route) has a usual duration and a limit, which its spans
//! of the baseline draw. Without a baseline they are drawn by the quietest part of the window, so
//! that they hold too where most requests are slow by now. A span beyond its limit stands for a
//! failing one.
//!
//! Time is lost in a callee where calls to it took at least half of what their caller lost;
//! else it is the caller's own.

use halfopen_model::answer::{Slow, SlowRule};
use halfopen_model::request::{self, USUAL_MIN, Usual};
use halfopen_model::time::show_duration;

use crate::anchor::Requests;
use crate::intern::{FoldMap, NONE};
use crate::spans::{Spans, UNENDED};

/// The window is looked at in so many parts of equal numbers of spans...
const PARTS: usize = 8;

/// ...of which so many, those with the smallest medians, are the quietest part.
const QUIET_PARTS: usize = 2;

/// Service, name, route.
type Call = [u32; 3];

/// A call that was slow at least once, for a query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SlowCall {
    pub(crate) service: String,
    pub(crate) name: String,
    /// Empty where there is none.
    pub(crate) route: String,
    pub(crate) limit_ns: i64,
}

/// How long each call takes, and from when on it is slow.
pub(crate) struct Limits {
    by_call: FoldMap<Call, Usual>,
    pub(crate) rule: SlowRule,
}

fn call(spans: &Spans<'_>, row: usize) -> Call {
    [spans.service[row], spans.name[row], spans.route[row]]
}

impl Limits {
    /// Draws the limits, and takes spans and requests that are beyond them for failing ones, and
    /// only these.
    pub(crate) fn apply(rule: SlowRule, spans: &mut Spans<'_>, requests: &mut Requests) -> Limits {
        let mut by_call = FoldMap::default();
        for (call, rows) in drawn_by(spans) {
            by_call.extend(request::usual(&durations(spans, &rows)).map(|usual| (call, usual)));
        }
        if let SlowRule::Beyond(limit_ns) = rule {
            for request in &requests.all {
                let known = by_call.entry(call(spans, request.row as usize));
                known.or_insert(Usual { median_ns: 0, limit_ns }).limit_ns = limit_ns;
            }
        }
        let limits = Limits { by_call, rule };
        spans.lost = (0..spans.len()).map(|row| limits.lost(spans, row)).collect();
        for row in 0..spans.len() {
            spans.failed[row] = limits.is_slow(spans, row);
        }
        for request in &mut requests.all {
            request.failed = spans.failed[request.row as usize];
        }
        limits
    }

    pub(crate) fn of(&self, spans: &Spans<'_>, row: usize) -> Option<Usual> {
        self.by_call.get(&call(spans, row)).copied()
    }

    fn is_slow(&self, spans: &Spans<'_>, row: usize) -> bool {
        let duration = spans.duration[row];
        duration == UNENDED || self.of(spans, row).is_some_and(|usual| duration > usual.limit_ns)
    }

    /// Time beyond the usual; what never ended lost more than anything that did.
    fn lost(&self, spans: &Spans<'_>, row: usize) -> i64 {
        if spans.duration[row] == UNENDED {
            return i64::MAX;
        }
        let usual = self.of(spans, row).map_or(spans.duration[row], |usual| usual.median_ns);
        spans.duration[row].saturating_sub(usual).max(0)
    }

    /// What the answer says of the rule: the limit of the call that most of its requests are.
    pub(crate) fn told(&self, spans: &Spans<'_>, rows: impl Iterator<Item = usize>) -> Slow {
        let mut counts: FoldMap<Call, u32> = FoldMap::default();
        rows.for_each(|row| *counts.entry(call(spans, row)).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(call, count)| (*count, *call));
        let usual = most.and_then(|(call, _)| self.by_call.get(&call));
        let given = match self.rule {
            SlowRule::Beyond(limit_ns) => Some(limit_ns),
            SlowRule::Unusual => None,
        };
        Slow {
            rule: self.rule,
            limit_ns: given.or(usual.map(|usual| usual.limit_ns)),
            usual_ns: usual.map(|usual| usual.median_ns).filter(|median| *median > 0),
        }
    }

    /// The calls that were slow, as a query needs them.
    pub(crate) fn calls(&self, spans: &Spans<'_>) -> Vec<SlowCall> {
        let is_slow = |row: &usize| spans.failed[*row] && spans.duration[*row] != UNENDED;
        let mut calls: Vec<Call> =
            (0..spans.len()).filter(is_slow).map(|row| call(spans, row)).collect();
        calls.sort_unstable();
        calls.dedup();
        let text = |code: u32| spans.words.text(code).to_owned();
        let told = |key: Call| SlowCall {
            service: text(key[0]),
            name: text(key[1]),
            route: text(key[2]),
            limit_ns: self.by_call[&key].limit_ns,
        };
        calls.into_iter().map(told).collect()
    }
}

/// `takes 2.1 s, usually 12 ms`.
pub(crate) fn reason(duration_ns: Option<i64>, usual: Option<Usual>) -> String {
    let Some(duration_ns) = duration_ns else { return "never ends".to_owned() };
    let usually = usual.filter(|usual| usual.median_ns > 0);
    let usually = usually.map(|usual| format!(", usually {}", show_duration(usual.median_ns)));
    format!("takes {}{}", show_duration(duration_ns), usually.unwrap_or_default())
}

/// The rows of each call that say what is usual: those of the baseline where there is one.
fn drawn_by(spans: &Spans<'_>) -> FoldMap<Call, Vec<u32>> {
    let has_baseline = spans.baseline_from < spans.len();
    let from = if has_baseline { spans.baseline_from } else { 0 };
    let mut rows: FoldMap<Call, Vec<u32>> = FoldMap::default();
    for row in from..spans.len() {
        if spans.duration[row] >= 0 && spans.service[row] != NONE {
            rows.entry(call(spans, row)).or_default().push(row as u32);
        }
    }
    if !has_baseline {
        rows.values_mut().for_each(|rows| keep_quietest(spans, rows));
    }
    rows
}

/// Keeps the rows of the parts of the window in which they took the least time.
fn keep_quietest(spans: &Spans<'_>, rows: &mut Vec<u32>) {
    if rows.len() < USUAL_MIN * PARTS / QUIET_PARTS {
        return;
    }
    rows.sort_by_key(|row| (spans.start[*row as usize], *row));
    let mut parts: Vec<(i64, Vec<u32>)> = (0..PARTS)
        .map(|part| rows[rows.len() * part / PARTS..rows.len() * (part + 1) / PARTS].to_vec())
        .map(|part| (median(&durations(spans, &part)), part))
        .collect();
    parts.sort_by_key(|(median, _)| *median);
    *rows = parts.into_iter().take(QUIET_PARTS).flat_map(|(_, part)| part).collect();
}

fn durations(spans: &Spans<'_>, rows: &[u32]) -> Vec<i64> {
    let mut times: Vec<i64> = rows.iter().map(|row| spans.duration[*row as usize]).collect();
    times.sort_unstable();
    times
}

/// The middle of sorted times.
fn median(times: &[i64]) -> i64 {
    times.get(times.len() / 2).copied().unwrap_or(0)
}
