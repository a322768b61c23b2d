//! Why do these requests fail?
//!
//! The order of the answer: which requests ([`scope`](crate::scope)), since when
//! ([`onset`](crate::onset)), where ([`origin`](crate::origin)), under which condition
//! ([`difference`](crate::difference)), after which change ([`changes`](crate::changes)), and how
//! much weight that bears ([`strength`](crate::strength)).

mod words;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use halfopen_model::answer::{
    BaselineKind, Cause, Gap, Onset, Scope, Share, Strength, Verdict, WhyAnswer,
};
use halfopen_model::{TimeRange, UnixNanos};

use crate::anchor::Requests;
use crate::bits::Bits;
use crate::causes::Workshop;
use crate::changes::{self, Change};
use crate::cohorts::Cohorts;
use crate::difference::Comparison;
use crate::difference::items::Items;
use crate::gaps;
use crate::intern::NONE;
use crate::onset::{self, Course};
use crate::origin;
use crate::scope;
use crate::spans::Spans;
use crate::tree::Forest;

/// With fewer failing requests than this nothing is said about them together.
const FAILING_MIN: usize = 5;

/// With fewer healthy requests than this there is nothing to compare with.
const HEALTHY_MIN: usize = 5;

/// A value must be carried by this share of the failing requests to be looked at...
const SUPPORT_SHARE_MIN: f64 = 0.02;

/// ...and by so many of them.
const SUPPORT_MIN: u32 = 3;

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct WhyQuestion {
    /// Which requests; what is left open is chosen: the requests that fail most.
    pub scope: Scope,
    /// The time to look at.
    pub window: TimeRange,
    /// Compare with this time in place of healthy requests of the window.
    pub baseline: Option<TimeRange>,
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
    /// Pieces of telemetry in the window that could not be read.
    pub rejects: u64,
    /// The bound that was reached when spans were read, where one was.
    pub truncated: Option<usize>,
}

/// Explains why requests fail.
pub fn why(question: &WhyQuestion, evidence: &WhyEvidence) -> WhyAnswer {
    let mut spans = Spans::load(&evidence.spans, &evidence.baseline_spans);
    let forest = Forest::grow(&spans);
    let service = question.scope.service.as_deref();
    // A service that sent nothing has no code: no span is its.
    let wanted = service.map(|service| spans.words.find(service).unwrap_or(NONE - 1));
    let requests = Requests::find(&spans, &forest, wanted, question.window, question.baseline);
    let window_ns = question.window.length_ns();
    let chosen = scope::choose(&spans, &requests, &question.scope, window_ns);
    let mut answer = WhyAnswer {
        scope: chosen.scope,
        window: question.window,
        baseline: BaselineKind::HealthyPeers,
        verdict: Verdict::NotEnoughEvidence,
        failing: Share::default(),
        before: None,
        onset: None,
        causes: Vec::new(),
        ruled_out: Vec::new(),
        gaps: gaps::of_evidence(question, evidence, &spans, &forest, &requests, &chosen.members),
        spans: spans.len() as u64,
        also_failing: chosen.also_failing,
        next: Vec::new(),
    };
    let sides = Sides::of(question, &requests, &chosen.members, window_ns);
    sides.fill(&mut answer, &requests, &chosen.members);
    answer.verdict = verdict_before(&mut answer, &sides, service, &chosen.members);
    if answer.verdict == Verdict::Unexplained {
        let changes = changes::collect(&spans, &forest, &evidence.changes);
        explain(&mut answer, &mut spans, &forest, &requests, &sides, &changes);
        let likely = |cause: &Cause| cause.strength >= Strength::Likely;
        if answer.causes.iter().any(likely) {
            answer.verdict = Verdict::Explained;
        }
    }
    answer.next = words::next(&answer);
    answer
}

/// What can be said before looking for causes: `Unexplained` when there is enough to look.
fn verdict_before(
    answer: &mut WhyAnswer,
    sides: &Sides,
    service: Option<&str>,
    members: &[u32],
) -> Verdict {
    if members.is_empty() {
        let what = service.map_or("request".to_owned(), |name| format!("request of {name}"));
        answer.gaps.push(Gap::Other(format!("no {what} in this window")));
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

/// Requests on both sides, and the course of failing.
struct Sides {
    /// Requests of the window, by time.
    window: Vec<u32>,
    failing: Vec<u32>,
    healthy: Vec<u32>,
    course: Course,
    onset: Option<Onset>,
    /// First moment after the failing stretch.
    until: i64,
    /// From here on requests count: the onset, or the begin of the window.
    from: i64,
    baseline: Option<TimeRange>,
}

impl Sides {
    fn of(question: &WhyQuestion, requests: &Requests, members: &[u32], window_ns: i64) -> Sides {
        let request = |number: &u32| &requests.all[*number as usize];
        let (baseline, window): (Vec<u32>, Vec<u32>) =
            members.iter().copied().partition(|number| request(number).baseline);
        let outcomes: Vec<(i64, bool)> =
            window.iter().map(|number| (request(number).start, request(number).failed)).collect();
        let course = onset::course(&outcomes, window_ns);
        let (onset, range) = match &course {
            Course::Rose { rise, end } => {
                let (at, within_ns) = onset::moment(&outcomes, rise);
                let until = end.map(|end| UnixNanos(outcomes[end].0));
                let onset = Onset { at: UnixNanos(at), within_ns, until };
                (Some(onset), rise.first..end.unwrap_or(window.len()))
            }
            Course::Steady | Course::Spike { .. } => (None, 0..window.len()),
        };
        let failing = window[range].iter().copied().filter(|n| request(n).failed).collect();
        let (peers, used) =
            if baseline.is_empty() { (&window, None) } else { (&baseline, question.baseline) };
        let healthy = peers.iter().copied().filter(|number| !request(number).failed).collect();
        let until = onset.and_then(|onset| onset.until).unwrap_or(question.window.to).0;
        let from = onset.map_or(question.window.from, |onset| onset.at).0;
        Sides { failing, healthy, course, onset, until, from, baseline: used, window }
    }

    /// The numbers of the answer that need no cause.
    fn fill(&self, answer: &mut WhyAnswer, requests: &Requests, members: &[u32]) {
        let share = |keep: &dyn Fn(i64) -> bool| {
            let mut share = Share::default();
            for request in self.window.iter().map(|number| &requests.all[*number as usize]) {
                if keep(request.start) {
                    share.total += f64::from(request.weight);
                    share.count += f64::from(request.weight) * f64::from(u8::from(request.failed));
                }
            }
            share
        };
        answer.failing = share(&|start| start >= self.from && start < self.until);
        answer.onset = self.onset;
        if let Some(range) = self.baseline {
            answer.baseline = BaselineKind::Window(range);
            answer.before = Some(before(requests, members));
        } else if self.onset.is_some() {
            answer.before = Some(share(&|start| start < self.from));
        } else if !self.failing.is_empty() {
            answer.gaps.push(Gap::NoBaseline);
        }
        if let Course::Spike { first, end } = self.course {
            answer.ruled_out.push(words::spike(requests, &self.window, first, end));
        }
    }
}

/// The failing share of the baseline window.
fn before(requests: &Requests, members: &[u32]) -> Share {
    let mut share = Share::default();
    for request in members.iter().map(|number| &requests.all[*number as usize]) {
        if request.baseline {
            share.total += f64::from(request.weight);
            share.count += f64::from(request.weight) * f64::from(u8::from(request.failed));
        }
    }
    share
}

/// Looks for causes and puts them into the answer.
fn explain(
    answer: &mut WhyAnswer,
    spans: &mut Spans<'_>,
    forest: &Forest,
    requests: &Requests,
    sides: &Sides,
    changes: &[Change],
) {
    let mut cohorts = Cohorts::new(spans, forest, requests, &sides.failing, &sides.healthy);
    let swallowed = origin::swallowed(spans, &cohorts);
    let mut slot = std::mem::take(&mut cohorts.slot);
    let origins: Vec<origin::Origin> = sides
        .failing
        .iter()
        .map(|number| requests.all[*number as usize].row as usize)
        .map(|row| origin::find(spans, forest, &swallowed, row, &mut slot))
        .collect();
    cohorts.slot = slot;
    let share = (sides.failing.len() as f64 * SUPPORT_SHARE_MIN).ceil() as u32;
    let items = Items::mine(spans, forest, &cohorts, share.max(SUPPORT_MIN));
    let names = |item: usize| {
        let key = items.list[item].key;
        (spans.words.text(key[1]), spans.words.text(key[2]))
    };
    let known = |item: usize| items.known_when_healthy(spans, &cohorts, item);
    let comparison =
        Comparison { items: &items, cohorts: &cohorts, names: &names, known_when_healthy: &known };
    let since = sides.onset.map(|onset| healthy_since(requests, &cohorts, onset.at));
    let (name, calls) = Workshop::codes(spans);
    let workshop = Workshop {
        spans,
        requests,
        cohorts: &cohorts,
        items: &items,
        origins: &origins,
        since: since.as_ref(),
        comparison: &comparison,
        name,
        calls,
    };
    let (drafts, coincidences) = workshop.drafts();
    let teller = words::Teller { workshop: &workshop, forest, sides, window: answer.window };
    let (mut ruled_out, mut told, mut named) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for draft in &drafts {
        let judged = teller.changes(draft, changes);
        named.extend(judged.named);
        let cause = teller.cause(draft, &drafts, judged.after);
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
