//! Windows in which nothing happened, cut from the baselines of a set at random. Whatever `why`
//! says is sure of in them is a false alarm.

use halfopen_model::TimeRange;
use halfopen_model::time::SECOND_NS;

use super::chance::Chance;
use super::evidence::Stored;
use super::labels::{Case, Kind, Question, Set, When, shifted};

const MINUTE_NS: i64 = 60 * SECOND_NS;
/// Minutes before a window of counts that it is compared with.
const BEFORE_MINUTES: i64 = 3;
/// As long as the windows that are asked about around an alert.
const NODE_WINDOW_NS: i64 = 20 * MINUTE_NS;
/// Nothing of an incident is to be seen so long before its alert.
const CALM_BEFORE_ALERT_NS: i64 = 30 * MINUTE_NS;
const CALM_WINDOW_NS: i64 = 15 * MINUTE_NS;
/// Shorter windows of a demo hold too few requests to ask about.
const RUN_WINDOW_NS: i64 = 4 * SECOND_NS;

/// How many of `all` windows each of `stores` gets.
pub(super) fn share(all: usize, stores: usize) -> impl Fn(usize) -> usize {
    let stores = stores.max(1);
    move |number| all / stores + usize::from(number < all % stores)
}

/// A window and the true causes of the incident that follows it in the same series.
pub(super) struct Window {
    pub(super) question: Question,
    pub(super) truth: Vec<String>,
}

/// So many quiet windows of one store.
///
/// # Errors
/// Never today; the set may lack what a window is cut from, then there are none.
pub(super) fn windows(
    set: &Set,
    evidence: usize,
    stored: &Stored,
    count: usize,
    seed: u64,
) -> Result<Vec<Window>, String> {
    let cases: Vec<&Case> = set.cases.iter().filter(|case| case.evidence == evidence).collect();
    let mut chance = Chance::new(seed, evidence as u64);
    let mut windows = Vec::new();
    for _ in 0..count {
        let case = cases[chance.below(cases.len() as u64) as usize];
        let question = match set.kind {
            Kind::Service => of_minute(case, stored, &mut chance)?,
            Kind::Attributes => of_counts(set, case, stored, &mut chance),
            Kind::Node => of_nodes(case, stored, &mut chance)?,
            Kind::Commit => of_alert(case, stored, &mut chance),
            Kind::Change => of_run(case, stored, &mut chance),
        };
        let truth = match set.kind {
            Kind::Attributes => case.truth.clone(),
            Kind::Service | Kind::Node | Kind::Commit | Kind::Change => Vec::new(),
        };
        windows.extend(question.map(|question| Window { question, truth }));
    }
    Ok(windows)
}

/// One side of the minute without a fault against the other one.
fn of_minute(
    case: &Case,
    stored: &Stored,
    chance: &mut Chance,
) -> Result<Option<Question>, String> {
    let Some(When::At(whole)) = case.question.placed(stored)?.baseline else { return Ok(None) };
    let cut = whole.length_ns() / 100 * (40 + chance.below(21) as i64);
    let cut = whole.from.shifted(cut);
    let (first, last) =
        (TimeRange { from: whole.from, to: cut }, TimeRange { from: cut, to: whole.to });
    let (window, baseline) = if chance.below(2) == 0 { (first, last) } else { (last, first) };
    Ok(Some(Question {
        window: When::At(window),
        baseline: Some(When::At(baseline)),
        ..case.question.clone()
    }))
}

/// One to three minutes before the failing one, where no case of the set has its own.
fn of_counts(set: &Set, case: &Case, stored: &Stored, chance: &mut Chance) -> Option<Question> {
    let failing = case.question.window.range();
    let whole = stored.times_of("")?;
    let first = whole.from.shifted(BEFORE_MINUTES * MINUTE_NS);
    let minutes = failing.from.shifted(-MINUTE_NS).since(first) / MINUTE_NS;
    let from = first.shifted(chance.below(u64::try_from(minutes).ok()?) as i64 * MINUTE_NS);
    let length = 1 + chance.below(3) as i64;
    let to = from.shifted(length * MINUTE_NS).min(failing.from.shifted(-MINUTE_NS));
    let window = TimeRange { from, to };
    let near = TimeRange { from: from.shifted(-MINUTE_NS), to: to.shifted(MINUTE_NS) };
    let is_calm = set.cases.iter().all(|case| !case.question.window.range().overlaps(&near));
    let is_cut = window.length_ns() > 0 && is_calm;
    is_cut.then(|| Question { window: When::At(window), ..case.question.clone() })
}

/// A window of the days without a fault against the days before it.
fn of_nodes(case: &Case, stored: &Stored, chance: &mut Chance) -> Result<Option<Question>, String> {
    let Some(When::At(whole)) = case.question.placed(stored)?.baseline else { return Ok(None) };
    let half = whole.length_ns() / 2;
    let room = (half - NODE_WINDOW_NS).max(1) as u64;
    let from = whole.from.shifted(half + chance.below(room) as i64);
    let window = TimeRange { from, to: from.shifted(NODE_WINDOW_NS) };
    let baseline = TimeRange { from: whole.from, to: from };
    Ok(Some(Question {
        window: When::At(window),
        baseline: Some(When::At(baseline)),
        ..case.question.clone()
    }))
}

/// A time well before the alert.
fn of_alert(case: &Case, stored: &Stored, chance: &mut Chance) -> Option<Question> {
    let alert = case.question.window.range();
    let whole = stored.times_of("")?;
    let room = alert.from.since(whole.from) - CALM_BEFORE_ALERT_NS - CALM_WINDOW_NS;
    let back = chance.below(u64::try_from(room.max(0)).ok()?) as i64;
    let window = TimeRange { from: whole.from, to: whole.from.shifted(CALM_WINDOW_NS) };
    let window = shifted(window, back);
    Some(Question { window: When::At(window), ..case.question.clone() })
}

/// Some seconds of a run before anything goes wrong.
fn of_run(case: &Case, stored: &Stored, chance: &mut Chance) -> Option<Question> {
    let whole = stored.times_of("")?;
    let fault = case.question.naming.as_ref()?.began;
    let room = u64::try_from(fault.since(whole.from) - RUN_WINDOW_NS).ok()?;
    let from = whole.from.shifted(chance.below(room / 2) as i64);
    let longer = fault.since(from) - RUN_WINDOW_NS;
    let length = RUN_WINDOW_NS + chance.below(u64::try_from(longer).ok()?) as i64;
    let window = TimeRange { from, to: from.shifted(length) };
    Some(Question { window: When::At(window), ..case.question.clone() })
}
