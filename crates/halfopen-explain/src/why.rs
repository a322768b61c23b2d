//! Why do these requests fail?
//!
//! The order of the answer: which requests (`scope`), since when (`onset`), where (`origin`),
//! under which condition (`difference`), after which change (`changes`), and how much weight that
//! bears (`strength`).

mod evidence;
mod novelty;
mod sides;
pub mod stages;
mod versions;
mod words;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use halfopen_model::answer::{
    BaselineKind, Cause, Chain, Gap, KnownChange, Scope, Share, SlowRule, Strength, Suspects,
    Verdict, WhyAnswer,
};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos, known};

use crate::anchor::Requests;
use crate::bits::Bits;
use crate::carriers::{self, Whole};
use crate::causes::{self, Workshop};
use crate::changes::{self, Change};
use crate::cohorts::Cohorts;
use crate::difference::Comparison;
use crate::difference::items::Items;
use crate::gaps;
use crate::intern::NONE;
use crate::origin;
use crate::scope::{self, Chosen};
use crate::slow::Limits;
use crate::spans::Spans;
use crate::sql::Frame;
use crate::suspects::{self, Asked};
use crate::tree::Forest;
use novelty::Earlier;
use sides::Sides;
use versions::Beside;
pub use versions::{SERVED_MIN, ServedBy};

/// With fewer failing requests than this nothing is said about them together.
const FAILING_MIN: usize = 5;

/// With fewer healthy requests than this there is nothing to compare with.
const HEALTHY_MIN: usize = 5;

/// A value must be carried by this share of the failing requests to be looked at...
const SUPPORT_SHARE_MIN: f64 = 0.02;

/// ...and by so many of them.
const SUPPORT_MIN: u32 = 3;

pub use crate::gaps::LOSS_METRICS;

/// A request at the edge of the window has spans outside of it: evidence holds those of so much
/// time before and after.
pub const EDGE_NS: i64 = 60 * SECOND_NS;

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct WhyQuestion {
    /// Which requests; what is left open is chosen: the requests that fail most.
    pub scope: Scope,
    /// The time to look at.
    pub window: TimeRange,
    /// Compare with this time in place of healthy requests of the window.
    pub baseline: Option<TimeRange>,
    /// Ask about slow requests in place of failing ones.
    pub slow: Option<SlowRule>,
    /// Now: a window that ended less than the settle time ago may still miss spans.
    pub now: UnixNanos,
}

/// What the answer may rest on.
#[derive(Clone, Default, Debug)]
pub struct WhyEvidence {
    /// All spans of traces that have a span in the window. Columns may be missing.
    pub spans: Vec<RecordBatch>,
    /// The same for the baseline window; empty when none was asked for.
    pub baseline_spans: Vec<RecordBatch>,
    /// Changes in the window and in the hours before it.
    pub changes: Vec<RecordBatch>,
    /// Points of [`LOSS_METRICS`] in the window and its edges.
    pub metrics: Vec<RecordBatch>,
    /// Log records of the window and of the time it is compared with, for suspects.
    pub logs: Vec<RecordBatch>,
    /// Points of all metrics of the window and of the time before it, for suspects.
    pub points: Vec<RecordBatch>,
    /// Pieces of telemetry in the window that could not be read.
    pub rejects: u64,
    /// The bound that was reached when spans were read, where one was.
    pub truncated: Option<usize>,
}

/// Explains why requests fail.
pub fn why(question: &WhyQuestion, evidence: &WhyEvidence) -> WhyAnswer {
    answer(question, evidence, Read::of(question, evidence), None)
}

/// Explains why requests fail that the new version of a service served, by those that the one
/// before it served in the same window.
///
/// # Errors
/// When one of the two served too few, or the change tells of no version: how many each served.
pub fn why_beside(
    question: &WhyQuestion,
    evidence: &WhyEvidence,
    change: &KnownChange,
) -> Result<WhyAnswer, ServedBy> {
    let mut read = Read::of(question, evidence);
    let beside = Beside::split(&read.spans, &read.forest, &mut read.requests, change)?;
    Ok(answer(question, evidence, read, Some(&beside)))
}

/// The evidence, read.
struct Read<'e> {
    spans: Spans<'e>,
    forest: Forest,
    requests: Requests,
}

impl Read<'_> {
    fn of<'e>(question: &WhyQuestion, evidence: &'e WhyEvidence) -> Read<'e> {
        let spans = Spans::load(&evidence.spans, &evidence.baseline_spans);
        let forest = Forest::grow(&spans);
        let wanted = question.service_code(&spans);
        let requests = Requests::find(&spans, &forest, wanted, question.window, question.baseline);
        Read { spans, forest, requests }
    }
}

fn answer(
    question: &WhyQuestion,
    evidence: &WhyEvidence,
    read: Read<'_>,
    beside: Option<&Beside<'_>>,
) -> WhyAnswer {
    let Read { mut spans, forest, mut requests } = read;
    let limits = question.slow.map(|rule| Limits::apply(rule, &mut spans, &mut requests));
    let window_ns = question.window.length_ns();
    let chosen = scope::choose(&spans, &requests, &question.scope, window_ns);
    let mut answer = blank(question, &chosen);
    answer.spans = spans.len() as u64;
    answer.gaps =
        gaps::of_evidence(question, evidence, &spans, &forest, &requests, &chosen.members);
    answer.slow = limits.as_ref().map(|limits| {
        let rows = chosen.members.iter().map(|number| requests.all[*number as usize].row);
        limits.told(&spans, rows.map(|row| row as usize))
    });
    let compared = beside.map_or(question.baseline, |_| Some(question.window));
    let sides = Sides::of(question.window, compared, &requests, &chosen.members);
    sides.fill(&mut answer, &requests, &chosen.members);
    if let Some(beside) = beside {
        answer.baseline = beside.kind();
    }
    answer.gaps.extend(gaps::of_question(question, &spans, &requests, sides.met()));
    answer.verdict = verdict_before(&mut answer, &sides);
    let frame = Frame {
        baseline: sides.baseline.filter(|_| beside.is_none()),
        served: beside.map(|beside| beside.served.clone()),
        failing: TimeRange { from: UnixNanos(sides.from), to: UnixNanos(sides.until) },
        slow: limits.as_ref().map(|limits| limits.calls(&spans)),
        ..question.frame(&spans, &chosen)
    };
    answer.symptom = evidence::symptom(&answer, &frame);
    if answer.verdict == Verdict::Unexplained {
        let mut changes = changes::collect(&spans, &forest, &evidence.changes, spans.baseline_from);
        changes.retain(|change| beside.is_none_or(|beside| !beside.is_asked(change)));
        let traced = Traced {
            spans: &mut spans,
            forest: &forest,
            requests: &requests,
            limits: limits.as_ref(),
            members: &chosen.members,
            beside,
        };
        explain(&mut answer, traced, &sides, &changes, &frame);
        if let Some(beside) = beside {
            beside.tell(&mut answer);
        }
        let likely = |cause: &Cause| cause.strength >= Strength::Likely;
        if answer.causes.iter().any(likely) {
            answer.verdict = Verdict::Explained;
        }
    }
    // Of two versions the desk asks what stands out against the time before, as of any window.
    if let Some((now, before)) = sides.eras(question).filter(|_| beside.is_none()) {
        let members = question.names_requests().then_some(chosen.members.as_slice());
        let frame = Frame { baseline: question.baseline, ..frame };
        let asked = Asked { now, before, known: true, requests: &requests, members, frame };
        answer.suspects = Some(suspects::find(&mut spans, &forest, &asked, evidence.beside()));
    }
    answer.next = words::next(&answer);
    answer
}

/// An answer that says nothing yet.
fn blank(question: &WhyQuestion, chosen: &Chosen) -> WhyAnswer {
    WhyAnswer {
        scope: chosen.scope.clone(),
        window: question.window,
        baseline: BaselineKind::HealthyPeers,
        verdict: Verdict::NotEnoughEvidence,
        slow: None,
        failing: Share::default(),
        before: None,
        onset: None,
        causes: Vec::new(),
        suspects: None,
        ruled_out: Vec::new(),
        change: None,
        gaps: Vec::new(),
        spans: 0,
        also_failing: chosen.also_failing.clone(),
        next: Vec::new(),
        symptom: None,
        chain: Chain::default(),
    }
}

/// What stands out in the window against the time `before` it, of which `evidence` has the spans
/// as those of the baseline. For an answer that had nothing to compare with.
pub fn suspects(question: &WhyQuestion, evidence: &WhyEvidence, before: TimeRange) -> Suspects {
    let mut spans = Spans::load(&evidence.spans, &evidence.baseline_spans);
    let forest = Forest::grow(&spans);
    let (now, baseline) = (question.window, Some(before));
    let wanted = question.service_code(&spans);
    let requests = Requests::find(&spans, &forest, wanted, now, baseline);
    let chosen = scope::choose(&spans, &requests, &question.scope, now.length_ns());
    let members = question.names_requests().then_some(chosen.members.as_slice());
    let frame = Frame { baseline, ..question.frame(&spans, &chosen) };
    let asked = Asked { now, before, known: false, requests: &requests, members, frame };
    suspects::find(&mut spans, &forest, &asked, evidence.beside())
}

impl WhyQuestion {
    /// Whether it is about some requests and not about all.
    fn names_requests(&self) -> bool {
        self.scope.service.is_some() || self.scope.operation.is_some()
    }

    /// How SQL finds the requests that were chosen, of the whole window.
    fn frame(&self, spans: &Spans<'_>, chosen: &Chosen) -> Frame {
        let asked = self.scope.service.clone();
        Frame {
            window: self.window,
            baseline: self.baseline,
            failing: self.window,
            service: chosen.service.clone().or(asked.clone()),
            any_service: chosen.scope.service.is_none() && asked.is_none(),
            asked,
            operations: chosen.operations.clone(),
            weighted: spans.weighted,
            loose: spans.trace.contains(&NONE),
            slow: None,
            served: None,
        }
    }

    /// The code of the service that is asked about; one that no span has where it is not known.
    fn service_code(&self, spans: &Spans<'_>) -> Option<u32> {
        let service = self.scope.service.as_deref();
        service.map(|service| spans.words.find(service).unwrap_or(NONE - 1))
    }
}

/// Tells of log lines that suspects did not look at.
pub fn unread_statements(suspects: &Suspects) -> Option<Gap> {
    let lines = suspects.unread_lines;
    let text = format!(
        "{lines} log lines were not compared: there are more than {} different statements",
        suspects::STATEMENTS_MAX
    );
    (lines > 0).then_some(Gap::Other(text))
}

/// The time before a window that [`suspects`] compares it with.
pub fn time_before(window: TimeRange) -> TimeRange {
    suspects::time_before(window)
}

impl WhyEvidence {
    fn beside(&self) -> suspects::Beside<'_> {
        suspects::Beside { logs: &self.logs, metrics: &self.points, changes: &self.changes }
    }
}

/// What can be said before looking for causes: `Unexplained` when there is enough to look.
fn verdict_before(answer: &mut WhyAnswer, sides: &Sides) -> Verdict {
    if sides.window.is_empty() {
        return Verdict::NotEnoughEvidence;
    }
    if sides.failing.is_empty() {
        return Verdict::Healthy;
    }
    let few = sides.failing.len() < FAILING_MIN;
    if few || sides.healthy.len() < HEALTHY_MIN {
        let (failing, healthy) = (sides.failing.len() as u64, sides.healthy.len() as u64);
        answer.gaps.push(Gap::FewRequests { failing, healthy });
    }
    if few { Verdict::NotEnoughEvidence } else { Verdict::Unexplained }
}

/// What is known of all traces.
struct Traced<'t, 'a> {
    spans: &'t mut Spans<'a>,
    forest: &'t Forest,
    requests: &'t Requests,
    limits: Option<&'t Limits>,
    /// All requests of the question, also those of the baseline.
    members: &'t [u32],
    beside: Option<&'t Beside<'t>>,
}

/// Looks for causes and puts them into the answer.
fn explain(
    answer: &mut WhyAnswer,
    traced: Traced<'_, '_>,
    sides: &Sides,
    changes: &[Change],
    frame: &Frame,
) {
    let Traced { spans, forest, requests, limits, members, beside } = traced;
    let mut cohorts = Cohorts::new(spans, forest, requests, &sides.failing, &sides.healthy);
    let swallowed = origin::swallowed(spans, &cohorts);
    let mut slot = std::mem::take(&mut cohorts.slot);
    let whole = slot.clone();
    let origins: Vec<origin::Origin> = sides
        .failing
        .iter()
        .map(|number| requests.all[*number as usize].row as usize)
        .map(|row| origin::find(spans, forest, &swallowed, row, &mut slot))
        .collect();
    cohorts.slot = slot;
    let mut items = Items::mine(spans, forest, &cohorts, stages::support_min(sides.failing.len()));
    if let Some(beside) = beside {
        beside.leave_out(spans, &mut items);
    }
    if items.left_out > 0 {
        let text = "values were not compared for want of memory, those of the fewest requests";
        answer.gaps.push(Gap::Other(format!("{} {text}", items.left_out)));
    }
    let names = |item: usize| {
        let key = items.list[item].key;
        (spans.words.text(key[1]), spans.words.text(key[2]))
    };
    let is_known = |item: usize| {
        let key = items.list[item].key;
        let is_attribute = known::Scope::split(spans.words.text(key[1])).is_some();
        !is_attribute || carriers::known_in(spans, &cohorts, &cohorts.healthy, key)
    };
    let visits = causes::visits(spans, &cohorts);
    let comparison = Comparison {
        items: &items,
        cohorts: &cohorts,
        names: &names,
        known_when_healthy: &is_known,
    };
    let since = sides.onset.map(|onset| healthy_since(requests, &cohorts, onset.at));
    let (name, calls) = Workshop::codes(spans);
    let workshop = Workshop {
        spans,
        forest,
        requests,
        cohorts: &cohorts,
        items: &items,
        visits: &visits,
        origins: &origins,
        since: since.as_ref(),
        comparison: &comparison,
        name,
        calls,
    };
    let whole = Whole::new(spans, forest, whole, cohorts.slots());
    let earlier = Earlier::new(spans, forest, requests, members, sides);
    let (workshop, whole, earlier) = (&workshop, &whole, earlier.as_ref());
    let teller = words::Teller { workshop, sides, whole, earlier, frame, limits };
    tell(answer, &teller, changes);
}

/// Puts causes and what was ruled out into the answer.
fn tell(answer: &mut WhyAnswer, teller: &words::Teller<'_, '_>, changes: &[Change]) {
    let (drafts, coincidences) = teller.workshop.drafts();
    let (mut ruled_out, mut told, mut named) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for draft in &drafts {
        let counted = teller.count(draft);
        let judged = teller.changes(draft, &counted, changes);
        named.extend(judged.named);
        let cause = teller.cause(draft, &counted, &drafts, judged.after);
        if cause.strength >= Strength::Likely || draft.explanation.is_some() {
            for line in judged.ruled_out {
                // One reason for each change is enough, that of the strongest cause.
                let name = line.split(": ").next().unwrap_or(&line).to_owned();
                if told.insert(name) {
                    ruled_out.insert(line);
                }
            }
        }
        answer.causes.push(cause);
    }
    ruled_out.extend(words::leave_out_background(&mut answer.causes));
    // What is named for one cause is not ruled out by another.
    ruled_out.retain(|line: &String| !named.iter().any(|name| line.starts_with(name.as_str())));
    answer.causes.sort_by(|a, b| {
        let count = |cause: &Cause| cause.contrast.failing.count;
        b.strength.cmp(&a.strength).then(count(b).total_cmp(&count(a)))
    });
    ruled_out.extend(teller.coincidences(&coincidences, &ruled_out));
    answer.ruled_out.extend(ruled_out.into_iter().take(RULED_OUT_MAX));
}

/// Healthy requests that began at a time or later.
fn healthy_since(requests: &Requests, cohorts: &Cohorts, at: UnixNanos) -> Bits {
    let later = |slot: &usize| requests.all[cohorts.request[*slot] as usize].start >= at.0;
    Bits::of(cohorts.slots(), cohorts.healthy.members().filter(later))
}

/// More lines about what was excluded help nobody.
const RULED_OUT_MAX: usize = 12;
