//! What was asked for and is not there.

use std::collections::BTreeMap;

use halfopen_model::UnixNanos;
use halfopen_model::answer::Gap;
use halfopen_model::time::{SECOND_NS, show_duration};

use crate::anchor::Requests;
use crate::intern::NONE;
use crate::spans::Spans;
use crate::why::WhyQuestion;

/// Exporters send every few seconds: a silence that is this long is one of the sender, or of a
/// service that nobody calls any more.
const SILENCE_NS: i64 = 5 * 60 * SECOND_NS;

/// So many services are offered where the one that was asked for is not known, the busiest first.
const OFFERED_MAX: usize = 5;

/// Whether requests of the kind that was asked for came.
#[derive(Clone, Copy)]
pub(crate) struct Met {
    pub(crate) in_window: bool,
    pub(crate) in_baseline: bool,
}

/// What the question names and the evidence does not hold.
pub(crate) fn of_question(
    question: &WhyQuestion,
    spans: &Spans<'_>,
    requests: &Requests,
    met: Met,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if !met.in_window {
        gaps.push(nothing(question, spans, requests));
    }
    if let Some(baseline) = question.baseline.filter(|_| met.in_window && !met.in_baseline) {
        gaps.push(Gap::Other(format!(
            "no such request from {} to {}, the baseline: compared with healthy requests of the \
             window in its place",
            baseline.from, baseline.to
        )));
    }
    gaps.extend(silence(question, spans));
    gaps
}

/// Why there is no request: the service is unknown, or it has others.
fn nothing(question: &WhyQuestion, spans: &Spans<'_>, requests: &Requests) -> Gap {
    let scope = &question.scope;
    let others = requests.all.iter().filter(|request| !request.baseline).count();
    let mut sent: BTreeMap<u32, u64> = BTreeMap::new();
    for row in (0..spans.len()).filter(|row| question.window.contains(UnixNanos(spans.start[*row])))
    {
        *sent.entry(spans.service[row]).or_default() += 1;
    }
    let code = scope.service.as_deref().and_then(|name| spans.words.find(name));
    let text = match (&scope.service, &scope.operation) {
        (Some(service), _) if code.is_none_or(|code| !sent.contains_key(&code)) => {
            format!("no span of a service named {service} in this window{}", heard(spans, sent))
        }
        (Some(service), Some(operation)) => format!(
            "no request {operation} to {service} in this window, {others} others: \
             `halfopen why {service}` is about them"
        ),
        (Some(service), None) => format!("no request of {service} in this window"),
        (None, Some(operation)) => {
            format!("no request {operation} to any service in this window, {others} others")
        }
        (None, None) => "no request in this window".to_owned(),
    };
    Gap::Other(text)
}

/// The services that did send something.
fn heard(spans: &Spans<'_>, sent: BTreeMap<u32, u64>) -> String {
    let mut sent: Vec<(u64, &str)> = sent
        .into_iter()
        .filter(|(code, _)| *code != NONE)
        .map(|(code, spans_sent)| (spans_sent, spans.words.text(code)))
        .collect();
    sent.sort_by_key(|(spans_sent, name)| (std::cmp::Reverse(*spans_sent), *name));
    let names: Vec<&str> = sent.iter().take(OFFERED_MAX).map(|(_, name)| *name).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; heard: {}{}", names.join(", "), more(sent.len())),
    }
}

fn more(services: usize) -> String {
    match services.saturating_sub(OFFERED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Telemetry that stopped before the window did.
fn silence(question: &WhyQuestion, spans: &Spans<'_>) -> Option<Gap> {
    let until = question.window.to.min(question.now);
    let starts = spans.start.iter().copied().filter(|start| {
        let start = UnixNanos(*start);
        question.window.contains(start) && start < until
    });
    let silent_ns = until.since(UnixNanos(starts.max()?));
    (silent_ns > SILENCE_NS).then(|| {
        let silent = show_duration(silent_ns);
        Gap::Other(format!("no span began in the last {silent} up to {until}"))
    })
}
