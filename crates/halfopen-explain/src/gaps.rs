//! What the evidence does not show.

mod asked;
mod dropped;
mod skew;

use std::collections::{BTreeMap, BTreeSet};

use halfopen_model::Table;
use halfopen_model::answer::{Gap, Share};
use halfopen_model::time::SECOND_NS;

use crate::anchor::Requests;
use crate::intern::NONE;
use crate::spans::{Kind, Spans, UNENDED};
use crate::tree::Forest;
use crate::why::{WhyEvidence, WhyQuestion};

pub(crate) use asked::{Met, of_question};
pub use dropped::LOSS_METRICS;

/// Late spans are waited for so long: exporters send every 5 s by default, queues and retries
/// add to it.
pub(crate) const SETTLE_NS: i64 = 30 * SECOND_NS;

/// So many silent services are named, the most called ones.
const SILENT_MAX: usize = 5;

/// When this many requests fail and none is healthy, perhaps only failing ones were kept.
const ALL_FAILING_MIN: usize = 20;

/// Services that are called and send no spans, each with the services that call it.
fn silent(spans: &Spans<'_>, forest: &Forest) -> Vec<Gap> {
    let runs = spans.service.chunk_by(|a, b| a == b);
    let heard: BTreeSet<u32> = runs.map(|run| run[0]).collect();
    let mut answered = vec![false; spans.len()];
    for parent in forest.parent.iter().filter(|parent| **parent != NONE) {
        answered[*parent as usize] = true;
    }
    let mut callers: BTreeMap<u32, (BTreeSet<u32>, u64)> = BTreeMap::new();
    for (row, answered) in answered.into_iter().enumerate() {
        let peer = spans.peer[row];
        let silent = spans.kind[row] == Kind::Exit && !answered && !spans.backing[row];
        if silent && peer != NONE && !heard.contains(&peer) && is_name(spans.words.text(peer)) {
            let entry = callers.entry(peer).or_default();
            entry.0.insert(spans.service[row]);
            entry.1 += 1;
        }
    }
    let mut found: Vec<_> = callers.into_iter().collect();
    found.sort_by_key(|(peer, (_, calls))| (std::cmp::Reverse(*calls), *peer));
    let gap = |(peer, (callers, _)): (u32, (BTreeSet<u32>, u64))| Gap::SilentService {
        service: spans.words.text(peer).to_owned(),
        callers: callers.len(),
    };
    found.into_iter().take(SILENT_MAX).map(gap).collect()
}

/// Whether a peer has a name and not only an address.
fn is_name(peer: &str) -> bool {
    peer.parse::<std::net::IpAddr>().is_err() && peer != "localhost" && !peer.is_empty()
}

/// What is wrong with the shape of traces.
pub(crate) fn shape(spans: &Spans<'_>, forest: &Forest) -> Vec<Gap> {
    let traces = forest.shape.len() as f64;
    let sum = |count: fn(&crate::tree::Shape) -> u32| -> u64 {
        forest.shape.iter().map(|shape| u64::from(count(shape))).sum()
    };
    let incomplete = forest.shape.iter().filter(|shape| shape.orphans > 0).count();
    let without_trace = spans.trace.iter().filter(|trace| **trace == NONE).count();
    let tail: BTreeSet<u32> =
        spans.tail_sampled.iter().map(|row| spans.trace[*row as usize]).collect();
    let mut gaps = Vec::new();
    let mut push = |wanted: bool, gap: Gap| {
        if wanted {
            gaps.push(gap);
        }
    };
    push(incomplete > 0, Gap::IncompleteTraces(Share::new(incomplete as f64, traces)));
    let repeated = sum(|shape| shape.repeated);
    push(repeated > 0, Gap::RepeatedSpanIds(repeated));
    let circle = sum(|shape| shape.circle);
    push(circle > 0, Gap::ParentCycle(circle));
    let negative = sum(|shape| shape.negative);
    push(negative > 0, Gap::NegativeDurations(negative));
    push(!tail.is_empty(), Gap::TailSampled(Share::new(tail.len() as f64, traces)));
    let those = if without_trace == 1 {
        "1 span carries".into()
    } else {
        format!("{without_trace} spans carry")
    };
    push(without_trace > 0, Gap::Other(format!("{those} no trace id")));
    gaps
}

/// Everything that could not be known from the evidence as it came.
pub(crate) fn of_evidence(
    question: &WhyQuestion,
    evidence: &WhyEvidence,
    spans: &Spans<'_>,
    forest: &Forest,
    requests: &Requests,
    members: &[u32],
) -> Vec<Gap> {
    let mut gaps = silent(spans, forest);
    gaps.extend(shape(spans, forest));
    gaps.extend(skew::pairs(spans, forest));
    let all = || members.iter().map(|number| &requests.all[*number as usize]);
    let unended = all().filter(|r| spans.duration[r.row as usize] == UNENDED).count();
    if unended > 0 {
        gaps.push(Gap::Unended(unended as u64));
    }
    let window = || all().filter(|request| !request.baseline);
    let failing = window().filter(|request| request.failed).count();
    if failing >= ALL_FAILING_MIN && failing == window().count() {
        let text = "every request fails; if only failing traces are kept, shares say nothing";
        gaps.push(Gap::Other(text.to_owned()));
    }
    if question.now.since(question.window.to) < SETTLE_NS {
        gaps.push(Gap::NotSettled { settle_ns: SETTLE_NS });
    }
    if let Some(rows_max) = evidence.truncated {
        gaps.push(Gap::Truncated { table: Table::Spans, rows_max });
    }
    if evidence.rejects > 0 {
        gaps.push(Gap::Rejects(evidence.rejects));
    }
    gaps.extend(dropped::in_spans(spans));
    gaps.extend(dropped::in_metrics(&evidence.metrics));
    gaps
}
