//! Which time of the window is explained: the step that stands out most from the time before it,
//! and what follows it. And how far the time before stands out by itself, which is the scale.

use std::collections::BTreeMap;

use super::combos::{self, fits};
use super::rank::Ranked;
use super::table::Table;
use super::{EDGE_NS, MetricQuestion};

/// Steps before one that it is compared with, when no baseline is given.
const BEFORE_STEPS: usize = 10;
/// With fewer steps the time before has no spread to speak of.
const HISTORY_STEPS_MIN: usize = 3;
/// Steps of a baseline whose spread is looked at.
const HISTORY_STEPS_MAX: usize = 20;
/// A step belongs to the stretch while the cause lies this many spreads above what was before.
const STRETCH_SPREADS_MIN: f64 = 3.0;

/// What is compared.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Periods {
    /// Steps that are explained.
    pub(super) now: Vec<i64>,
    /// Steps that they are compared with.
    pub(super) before: Vec<i64>,
    /// Spread of the time before by itself, in spreads of Poisson's distribution; at least 1.
    /// `None` where it is too short.
    pub(super) scale: Option<f64>,
}

/// Which attributes are looked at and how deep.
#[derive(Clone, Copy)]
pub(super) struct Depth<'a> {
    pub(super) attributes: &'a [usize],
    pub(super) order_max: usize,
}

/// Chooses; `None` where nothing was counted.
pub(super) fn choose(
    question: &MetricQuestion,
    table: &Table,
    depth: Depth<'_>,
) -> Option<Periods> {
    let steps = table.steps();
    let all_rows = vec![true; table.rows];
    let judge = |now: &[i64], before: &[i64]| {
        let rows = combos::rows(table, now, before, &all_rows);
        Ranked::new(table, &rows, depth.attributes, depth.order_max)
    };
    let end = steps_in(question.window.length_ns(), table.step_ns);
    let edge = steps_in(EDGE_NS, table.step_ns);
    let mut best: Option<(bool, f64, i64)> = None;
    for step in steps.iter().copied().filter(|step| (-edge..end + edge).contains(step)) {
        let before = before(question, table, &steps, step);
        // Without a time before, everything stands out.
        let has_history = before.len() >= HISTORY_STEPS_MIN;
        let spreads = judge(&[step], &before).best_spreads();
        let is_better = |(had_history, most, _): (bool, f64, i64)| {
            has_history.cmp(&had_history).then(spreads.total_cmp(&most)).is_gt()
        };
        if best.is_none_or(is_better) {
            best = Some((has_history, spreads, step));
        }
    }
    let (_, _, first) = best?;
    let before = before(question, table, &steps, first);
    let mut now = vec![first];
    let judged = judge(&now, &before);
    if let Some(cause) = judged.order.first() {
        let parts = judged.combos[*cause].parts;
        for step in steps.iter().copied().filter(|step| *step > first && *step < end) {
            if stands_out(table, &parts, step, &before) < STRETCH_SPREADS_MIN {
                break;
            }
            now.push(step);
        }
    }
    let scale = scale(&before, &judge);
    Some(Periods { now, before, scale })
}

/// How many steps hold a length of time.
fn steps_in(length_ns: i64, step_ns: i64) -> i64 {
    length_ns.saturating_add(step_ns - 1).div_euclid(step_ns)
}

/// Steps to compare with: of the baseline, or the last ones.
fn before(question: &MetricQuestion, table: &Table, steps: &[i64], step: i64) -> Vec<i64> {
    match question.baseline {
        Some(range) => {
            let (first, end) = (table.step_of(range.from), table.step_of(range.to.shifted(-1)));
            steps.iter().copied().filter(|at| (first..=end).contains(at) && *at != step).collect()
        }
        None => {
            let earlier: Vec<i64> = steps.iter().copied().filter(|at| *at < step).collect();
            let skipped = earlier.len().saturating_sub(BEFORE_STEPS);
            earlier[skipped..].to_vec()
        }
    }
}

/// How far a combination lies above what it was before in one step.
fn stands_out(table: &Table, parts: &combos::Parts, step: i64, before: &[i64]) -> f64 {
    let (now, before) = (table.sums(&[step]), table.sums(before));
    let mut sums = combos::Sums::default();
    for row in (0..table.rows).filter(|row| fits(table, *row, parts)) {
        sums.add(&combos::Sums {
            failed: now[row].0,
            all: now[row].1,
            failed_before: before[row].0,
            all_before: before[row].1,
        });
    }
    let expected = sums.failed_before / (sums.all_before + 1.0) * sums.all;
    (sums.failed - expected) / (expected + 1.0).sqrt()
}

/// How far steps of the time before stand out from each other: the root of the mean square of
/// what each of them shows at most. It covers that the best of many combinations is taken, and
/// that real counts spread wider than chance alone.
fn scale(before: &[i64], judge: &dyn Fn(&[i64], &[i64]) -> Ranked) -> Option<f64> {
    if before.len() < HISTORY_STEPS_MIN {
        return None;
    }
    let skipped = before.len().saturating_sub(HISTORY_STEPS_MAX);
    let looked_at: BTreeMap<i64, f64> = before[skipped..]
        .iter()
        .map(|step| {
            let others: Vec<i64> = before.iter().copied().filter(|other| other != step).collect();
            (*step, judge(&[*step], &others).best_spreads())
        })
        .collect();
    let squares: f64 = looked_at.values().map(|spreads| spreads * spreads).sum();
    Some((squares / looked_at.len() as f64).sqrt().max(1.0))
}
