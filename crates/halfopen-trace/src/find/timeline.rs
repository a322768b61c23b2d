//! What happened to an id, as one timeline over services and kinds of rows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::RecordBatch;
use halfopen_model::answer::{FindAnswer, Gap, Matched, TimelineEntry, TraceAnswer, TraceEvent};
use halfopen_model::batch::Cells;
use halfopen_model::{SpanId, Table, TraceId, UnixNanos};

use super::choice::Carried;
use super::link::Senders;
use super::{Choice, FIND_CHANGES_BEFORE_NS, FIND_ENTRIES_MAX, Question};
use crate::trace;
use halfopen_model::shell::quoted;

/// The rows of what was chosen.
#[derive(Clone, Default, Debug)]
pub struct FindEvidence {
    /// All spans of the chosen traces.
    pub spans: Vec<RecordBatch>,
    /// All log records of the chosen traces, and those that carry an id without a trace.
    pub logs: Vec<RecordBatch>,
    /// Changes in the time of the rows and shortly before; of any service.
    pub changes: Vec<RecordBatch>,
    /// What was cut or could not be read.
    pub gaps: Vec<Gap>,
}

/// Builds the answer.
pub fn assemble(question: &Question, choice: Choice, evidence: FindEvidence) -> FindAnswer {
    let carried = Index::new(&choice.carried);
    let mut gaps = choice.gaps;
    let mut timeline = Vec::new();
    let by_trace = rows_by_trace(&evidence.spans, &choice.traces);
    let logs_by_trace = rows_by_trace(&evidence.logs, &choice.traces);
    let mut incomplete = BTreeMap::new();
    let none: Vec<RecordBatch> = Vec::new();
    let assembled = |trace_id: &TraceId| {
        let spans = by_trace.get(trace_id).unwrap_or(&none);
        let logs = logs_by_trace.get(trace_id).unwrap_or(&none);
        trace::assemble(*trace_id, spans, logs)
    };
    let answers: Vec<TraceAnswer> = choice.traces.iter().filter_map(assembled).collect();
    let senders = Senders::new(&answers);
    for answer in &answers {
        for gap in &answer.gaps {
            let (_, times) = incomplete.entry(gap.to_string()).or_insert((gap.clone(), 0));
            *times += 1;
        }
        entries_of_trace(answer, &carried, &senders, &mut timeline);
    }
    gaps.extend(gaps_over_traces(incomplete, choice.traces.len()));
    timeline.extend(records_without_trace(&evidence.logs, &carried));
    timeline.extend(carried_alone(&choice.carried, &timeline));
    let services: BTreeSet<String> = timeline.iter().map(|entry| entry.service.clone()).collect();
    timeline.extend(changes(&evidence.changes, &services, &timeline));
    timeline.sort_by_key(|entry| entry.time);
    if timeline.len() > FIND_ENTRIES_MAX {
        gaps.push(Gap::Other(format!(
            "{} entries, the first {FIND_ENTRIES_MAX} are shown",
            timeline.len()
        )));
        timeline.truncate(FIND_ENTRIES_MAX);
    }
    gaps.extend(evidence.gaps);
    let next = next_commands(choice.matched, &choice.ids, &choice.traces, &timeline);
    FindAnswer {
        id: question.text.clone(),
        matched: choice.matched,
        ids: choice.ids,
        traces: choice.traces,
        timeline,
        gaps,
        next,
    }
}

/// A gap that one trace has is told as it is; one that several have is told once.
fn gaps_over_traces(found: BTreeMap<String, (Gap, usize)>, traces: usize) -> Vec<Gap> {
    let told = |(text, (gap, times)): (String, (Gap, usize))| match times {
        _ if traces == 1 => gap,
        1 => Gap::Other(format!("in one of {traces} traces, {text}")),
        _ => Gap::Other(format!("in {times} of {traces} traces, {text}")),
    };
    found.into_iter().map(told).collect()
}

/// Which ids a row carries.
struct Index<'a> {
    by_span: HashMap<(Option<TraceId>, SpanId), BTreeSet<&'a str>>,
    by_time: HashMap<(Option<TraceId>, UnixNanos), BTreeSet<&'a str>>,
    ids: HashSet<&'a str>,
}

impl<'a> Index<'a> {
    fn new(rows: &'a [Carried]) -> Index<'a> {
        let mut index =
            Index { by_span: HashMap::new(), by_time: HashMap::new(), ids: HashSet::new() };
        for row in rows {
            index.ids.insert(&row.id);
            match (row.table, row.span_id) {
                (Some(Table::Spans), Some(span_id)) => {
                    index.by_span.entry((row.trace_id, span_id)).or_default().insert(&row.id)
                }
                _ => index.by_time.entry((row.trace_id, row.time)).or_default().insert(&row.id),
            };
        }
        index
    }

    fn of_span(&self, trace_id: TraceId, span_id: SpanId) -> Vec<String> {
        owned(self.by_span.get(&(Some(trace_id), span_id)))
    }

    fn of_record(&self, trace_id: Option<TraceId>, time: UnixNanos) -> Vec<String> {
        owned(self.by_time.get(&(trace_id, time)))
    }
}

fn owned(ids: Option<&BTreeSet<&str>>) -> Vec<String> {
    ids.into_iter().flatten().map(|id| (*id).to_owned()).collect()
}

/// The rows of each trace. Batches hold rows of many traces in any order; `assemble` of a trace
/// passes over foreign rows, so a batch is given to every trace that it holds a row of.
fn rows_by_trace(
    batches: &[RecordBatch],
    wanted: &[TraceId],
) -> HashMap<TraceId, Vec<RecordBatch>> {
    let wanted: HashSet<TraceId> = wanted.iter().copied().collect();
    let mut found: HashMap<TraceId, Vec<RecordBatch>> = HashMap::new();
    for batch in batches {
        let cells = Cells::new(batch);
        let all = (0..cells.len()).filter_map(|row| cells.trace_id("trace_id", row));
        let here: BTreeSet<TraceId> = all.filter(|id| wanted.contains(id)).collect();
        for trace_id in here {
            found.entry(trace_id).or_default().push(batch.clone());
        }
    }
    found
}

fn entries_of_trace(
    answer: &TraceAnswer,
    carried: &Index<'_>,
    senders: &Senders<'_>,
    timeline: &mut Vec<TimelineEntry>,
) {
    let trace_id = Some(answer.trace_id);
    for span in &answer.spans {
        timeline.push(TimelineEntry {
            time: span.start,
            table: Table::Spans,
            service: span.service.clone(),
            depth: span.depth,
            text: span_text(span),
            duration_ns: span.duration_ns,
            failed: span.failed,
            trace_id,
            span_id: Some(span.span_id),
            ids: carried.of_span(answer.trace_id, span.span_id),
            sent: senders.sent(answer.trace_id, span),
        });
        for event in span.events.iter().filter(|event| event.table == Table::Logs) {
            let depth = span.depth + 1;
            let mut entry = entry_of_record(event, depth, trace_id, carried);
            entry.span_id = Some(span.span_id);
            timeline.push(entry);
        }
    }
    for event in &answer.unplaced {
        timeline.push(entry_of_record(event, 0, trace_id, carried));
    }
}

fn span_text(span: &halfopen_model::answer::TraceSpan) -> String {
    match &span.status_message {
        Some(message) if span.failed && !message.is_empty() => format!("{}: {message}", span.name),
        _ => span.name.clone(),
    }
}

fn entry_of_record(
    event: &TraceEvent,
    depth: usize,
    trace_id: Option<TraceId>,
    carried: &Index<'_>,
) -> TimelineEntry {
    TimelineEntry {
        time: event.time,
        table: event.table,
        service: event.service.clone(),
        depth,
        text: format!("{} {}", event.label, event.text),
        duration_ns: None,
        failed: event.failed,
        trace_id,
        span_id: None,
        ids: carried.of_record(trace_id, event.time),
        sent: None,
    }
}

/// Log records that carry one of the ids, and no trace.
fn records_without_trace(batches: &[RecordBatch], carried: &Index<'_>) -> Vec<TimelineEntry> {
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for batch in batches {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let has_trace = cells.trace_id("trace_id", row).is_some_and(|id| !id.is_zero());
            let Some(id) = cells.text("request_id", row) else { continue };
            if has_trace || !carried.ids.contains(id) {
                continue;
            }
            let Some(event) = trace::record(&cells, row) else { continue };
            if !seen.insert((event.time, event.service.clone(), event.text.clone())) {
                continue;
            }
            let mut entry = entry_of_record(&event, 0, None, carried);
            if entry.ids.is_empty() {
                entry.ids.push(id.to_owned());
            }
            entries.push(entry);
        }
    }
    entries
}

/// Rows that carry an id and that nothing of the timeline shows yet.
fn carried_alone(rows: &[Carried], shown: &[TimelineEntry]) -> Vec<TimelineEntry> {
    let shown: HashSet<(&str, UnixNanos)> = shown
        .iter()
        .flat_map(|entry| entry.ids.iter().map(|id| (id.as_str(), entry.time)))
        .collect();
    let traces_are_shown = |row: &&Carried| row.trace_id.is_some();
    let alone = rows.iter().filter(|row| !traces_are_shown(row));
    let alone = alone.filter(|row| !shown.contains(&(row.id.as_str(), row.time)));
    let entry = |row: &Carried| TimelineEntry {
        time: row.time,
        table: row.table.unwrap_or(Table::Ids),
        service: row.service.clone(),
        depth: 0,
        text: format!("{} = {}", row.name, row.id),
        duration_ns: None,
        failed: false,
        trace_id: None,
        span_id: row.span_id,
        ids: vec![row.id.clone()],
        sent: None,
    };
    alone.map(entry).collect()
}

/// Changes of the involved services, from shortly before the first entry to the last.
fn changes(
    batches: &[RecordBatch],
    services: &BTreeSet<String>,
    timeline: &[TimelineEntry],
) -> Vec<TimelineEntry> {
    let times = || timeline.iter().map(|entry| entry.time);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Vec::new() };
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for batch in batches {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let Some(time) = cells.time("time", row) else { continue };
            let service = cells.text("service", row).unwrap_or_default();
            let involved = service.is_empty() || services.contains(service);
            let near = first.shifted(-FIND_CHANGES_BEFORE_NS) <= time && time <= last;
            let id = cells.text("change_id", row).unwrap_or_default();
            if !involved || !near || !seen.insert(id) {
                continue;
            }
            let kind = cells.text("kind", row).unwrap_or_default();
            entries.push(TimelineEntry {
                time,
                table: Table::Changes,
                service: service.to_owned(),
                depth: 0,
                text: format!("{kind}: {}", cells.text("title", row).unwrap_or_default()),
                duration_ns: cells.time("end_time", row).map(|end| end.since(time)),
                failed: false,
                trace_id: None,
                span_id: None,
                ids: Vec::new(),
                sent: None,
            });
        }
    }
    entries
}

fn next_commands(
    matched: Matched,
    ids: &[halfopen_model::answer::Candidate],
    traces: &[TraceId],
    timeline: &[TimelineEntry],
) -> Vec<String> {
    if matched == Matched::Ambiguous {
        let first = ids.iter().find(|candidate| candidate.depth == 0);
        return first.map(|one| format!("halfopen find {}", quoted(&one.id))).into_iter().collect();
    }
    let failing = timeline.iter().find(|entry| entry.failed).and_then(|entry| entry.trace_id);
    let trace_id = failing.or(traces.first().copied());
    trace_id.map(|trace_id| format!("halfopen trace {trace_id}")).into_iter().collect()
}
