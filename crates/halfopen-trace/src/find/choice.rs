//! Which ids and which traces a text stands for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::RecordBatch;
use halfopen_model::answer::{Candidate, Gap, Matched};
use halfopen_model::batch::Cells;
use halfopen_model::names::SPAN_LINK;
use halfopen_model::{SpanId, Table, TimeRange, TraceId, UnixNanos};

use super::question::{ancestors, is_child};
use super::{FIND_ID_ROWS_MAX, FIND_IDS_MAX, FIND_TRACES_MAX, Question};

/// What the first lookups found.
#[derive(Clone, Default, Debug)]
pub struct IdRows {
    /// Rows of `ids` that are the text or begin with it; the same row may come twice.
    pub ids: Vec<RecordBatch>,
    /// Whether there are more of them.
    pub ids_truncated: bool,
    /// Rows of `spans` and `logs` whose trace id is the text or begins with it; with `trace_id`
    /// and the column of time.
    pub of_traces: Vec<(Table, RecordBatch)>,
    /// Rows of `spans` and `logs` that carry the text as their span id.
    pub of_span: Vec<(Table, RecordBatch)>,
}

/// What a text stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// How it was found.
    pub matched: Matched,
    /// The ids: itself and its children as a tree, or the candidates of a beginning.
    pub ids: Vec<Candidate>,
    /// The traces to show, the earliest first.
    pub traces: Vec<TraceId>,
    /// The time in which the rows of these ids and traces lie.
    pub range: TimeRange,
    /// Which row carries which of the ids.
    pub carried: Vec<Carried>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// A row that carries one of the ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// The id.
    pub id: String,
    /// The name it was found under.
    pub name: String,
    /// The table that holds the row.
    pub table: Option<Table>,
    /// Time of the row.
    pub time: UnixNanos,
    /// Its trace.
    pub trace_id: Option<TraceId>,
    /// Its span.
    pub span_id: Option<SpanId>,
    /// The service that sent it.
    pub service: String,
}

impl Choice {
    /// Adds traces that are linked to those chosen; which of them were new.
    pub fn join(&mut self, linked: Vec<TraceId>) -> Vec<TraceId> {
        let mut new: Vec<TraceId> = Vec::new();
        for trace_id in linked {
            if !self.traces.contains(&trace_id) && !new.contains(&trace_id) {
                new.push(trace_id);
            }
        }
        let room = FIND_TRACES_MAX.saturating_sub(self.traces.len());
        if new.len() > room {
            let all = self.traces.len() + new.len();
            let text = format!("{all} traces are linked, {FIND_TRACES_MAX} are shown");
            self.gaps.push(Gap::Other(text));
            new.truncate(room);
        }
        self.traces.extend(&new);
        new
    }
}

/// A trace and the time of its known rows.
type Traces = BTreeMap<TraceId, TimeRange>;

/// Decides what the text of the question stands for.
pub fn choose(question: &Question, found: &IdRows) -> Choice {
    let mut gaps = Vec::new();
    if found.ids_truncated {
        gaps.push(Gap::Truncated { table: Table::Ids, rows_max: FIND_ID_ROWS_MAX });
    }
    let hex_traces = traces_of(&found.of_traces);
    // A trace that is there is not its links: those are followed later.
    let is_link = |row: &Carried| {
        let linked = || row.id.parse().is_ok_and(|trace_id| hex_traces.contains_key(&trace_id));
        row.name == SPAN_LINK && linked()
    };
    let mut rows = carried(&found.ids);
    rows.retain(|row| !is_link(row));
    let span_traces = traces_of(&found.of_span);
    let exact = rows.iter().any(|row| row.id == question.text);
    let kin = |row: &Carried| row.id == question.text || is_child(&row.id, &question.text);

    let whole_trace = question.trace.is_some() && !hex_traces.is_empty();
    if whole_trace || !span_traces.is_empty() || rows.iter().any(kin) {
        let mut traces = if whole_trace { hex_traces } else { Traces::new() };
        let matched = if whole_trace {
            Matched::Trace
        } else if !span_traces.is_empty() {
            Matched::Span
        } else if exact {
            Matched::Exact
        } else {
            Matched::Children
        };
        merge(&mut traces, span_traces);
        let rows = rows.into_iter().filter(kin).collect();
        return chosen(matched, rows, traces, gaps);
    }
    by_beginning(question, rows, hex_traces, gaps)
}

/// The text is neither an id nor a parent of one: it may be the beginning of one.
fn by_beginning(
    question: &Question,
    rows: Vec<Carried>,
    traces: Traces,
    mut gaps: Vec<Gap>,
) -> Choice {
    if !question.may_be_prefix() {
        return chosen(Matched::Nothing, Vec::new(), Traces::new(), gaps);
    }
    // The value of a `trace_id` attribute is the trace itself, not one more thing that fits.
    let is_trace = |row: &Carried| {
        row.id.parse().is_ok_and(|trace_id: TraceId| traces.contains_key(&trace_id))
    };
    let distinct: BTreeSet<&str> =
        rows.iter().filter(|row| !is_trace(row)).map(|row| row.id.as_str()).collect();
    let top = distinct.iter().min_by_key(|id| id.len()).copied();
    let one_family =
        top.is_none_or(|top| distinct.iter().all(|id| *id == top || is_child(id, top)));
    let fits = usize::from(top.is_some()) + traces.len();
    if fits == 0 {
        return chosen(Matched::Nothing, Vec::new(), Traces::new(), gaps);
    }
    if one_family && fits == 1 {
        return chosen(Matched::Prefix, rows, traces, gaps);
    }
    let mut ids = candidates(&rows);
    let of_trace = |(trace_id, range): (&TraceId, &TimeRange)| Candidate {
        id: trace_id.to_string(),
        name: "trace".into(),
        parent: None,
        depth: 0,
        rows: None,
        first: range.from,
        last: range.to,
        services: Vec::new(),
        traces: vec![*trace_id],
    };
    ids.extend(traces.iter().map(of_trace));
    bound_ids(&mut ids, &mut gaps);
    let range = TimeRange { from: UnixNanos(0), to: UnixNanos(0) };
    let matched = Matched::Ambiguous;
    Choice { matched, ids, traces: Vec::new(), range, carried: Vec::new(), gaps }
}

fn chosen(matched: Matched, rows: Vec<Carried>, mut traces: Traces, mut gaps: Vec<Gap>) -> Choice {
    for row in &rows {
        if let Some(trace_id) = row.trace_id {
            merge(&mut traces, Traces::from([(trace_id, moment(row.time))]));
        }
    }
    let times = rows.iter().map(|row| moment(row.time)).chain(traces.values().copied());
    let range = times.reduce(wider).unwrap_or(moment(UnixNanos(0)));
    let mut ids = candidates(&rows);
    bound_ids(&mut ids, &mut gaps);
    let mut by_time: Vec<(TimeRange, TraceId)> =
        traces.into_iter().map(|(trace_id, range)| (range, trace_id)).collect();
    by_time.sort_by_key(|(range, trace_id)| (range.from, *trace_id));
    let older = by_time.len().saturating_sub(FIND_TRACES_MAX);
    if older > 0 {
        let all = by_time.len();
        by_time.drain(..older);
        let text = format!("{all} traces carry this id, the latest {FIND_TRACES_MAX} are shown");
        gaps.push(Gap::Other(text));
    }
    let traces = by_time.into_iter().map(|(_, trace_id)| trace_id).collect();
    Choice { matched, ids, traces, range, carried: rows, gaps }
}

fn bound_ids(ids: &mut Vec<Candidate>, gaps: &mut Vec<Gap>) {
    if ids.len() > FIND_IDS_MAX {
        gaps.push(Gap::Other(format!("{} ids fit, {FIND_IDS_MAX} are listed", ids.len())));
        ids.truncate(FIND_IDS_MAX);
    }
}

/// The range that holds one moment only.
fn moment(time: UnixNanos) -> TimeRange {
    TimeRange { from: time, to: time.shifted(1) }
}

fn wider(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange { from: a.from.min(b.from), to: a.to.max(b.to) }
}

fn merge(traces: &mut Traces, others: Traces) {
    for (trace_id, range) in others {
        let known = traces.entry(trace_id).or_insert(range);
        *known = wider(*known, range);
    }
}

fn traces_of(batches: &[(Table, RecordBatch)]) -> Traces {
    let mut traces = Traces::new();
    for (table, batch) in batches {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let time = cells.time(table.time_column(), row);
            if let (Some(trace_id), Some(time)) = (cells.trace_id("trace_id", row), time)
                && !trace_id.is_zero()
            {
                merge(&mut traces, Traces::from([(trace_id, moment(time))]));
            }
        }
    }
    traces
}

/// The rows, each once.
fn carried(batches: &[RecordBatch]) -> Vec<Carried> {
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for batch in batches {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let (Some(id), Some(time)) = (cells.text("id", row), cells.time("time", row)) else {
                continue;
            };
            let carried = Carried {
                id: id.to_owned(),
                name: cells.text("name", row).unwrap_or_default().to_owned(),
                table: cells.text("table", row).and_then(|name| name.parse().ok()),
                time,
                trace_id: cells.trace_id("trace_id", row).filter(|id| !id.is_zero()),
                span_id: cells.span_id("span_id", row).filter(|id| !id.is_zero()),
                service: cells.text("service", row).unwrap_or_default().to_owned(),
            };
            let key = (
                carried.id.clone(),
                carried.name.clone(),
                carried.table,
                carried.time,
                carried.trace_id,
                carried.span_id,
            );
            if seen.insert(key) {
                rows.push(carried);
            }
        }
    }
    rows
}

/// The ids of the rows as a tree: parents before children, siblings by first time.
fn candidates(rows: &[Carried]) -> Vec<Candidate> {
    let mut by_id: BTreeMap<&str, Candidate> = BTreeMap::new();
    for row in rows {
        let candidate = by_id.entry(&row.id).or_insert_with(|| Candidate {
            id: row.id.clone(),
            name: row.name.clone(),
            parent: None,
            depth: 0,
            rows: Some(0),
            first: row.time,
            last: row.time,
            services: Vec::new(),
            traces: Vec::new(),
        });
        candidate.rows = candidate.rows.map(|rows| rows + 1);
        candidate.first = candidate.first.min(row.time);
        candidate.last = candidate.last.max(row.time);
        if !row.service.is_empty() && !candidate.services.contains(&row.service) {
            candidate.services.push(row.service.clone());
        }
        if let Some(trace_id) = row.trace_id
            && candidate.traces.len() <= FIND_TRACES_MAX
            && !candidate.traces.contains(&trace_id)
        {
            candidate.traces.push(trace_id);
        }
    }
    as_tree(by_id)
}

fn as_tree(mut by_id: BTreeMap<&str, Candidate>) -> Vec<Candidate> {
    let ids: Vec<&str> = by_id.keys().copied().collect();
    let mut children: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for id in ids {
        let parent = ancestors(id).find(|ancestor| by_id.contains_key(ancestor));
        children.entry(parent).or_default().push(id);
    }
    let latest_first = |ids: &mut Vec<&str>, by_id: &BTreeMap<&str, Candidate>| {
        ids.sort_by_key(|id| std::cmp::Reverse((by_id[id].first, *id)));
    };
    let mut tops = children.remove(&None).unwrap_or_default();
    latest_first(&mut tops, &by_id);
    let mut stack: Vec<(&str, Option<&str>, usize)> =
        tops.into_iter().map(|id| (id, None, 0)).collect();
    let mut tree = Vec::with_capacity(by_id.len());
    while let Some((id, parent, depth)) = stack.pop() {
        let mut below = children.remove(&Some(id)).unwrap_or_default();
        latest_first(&mut below, &by_id);
        stack.extend(below.into_iter().map(|child| (child, Some(id), depth + 1)));
        if let Some(candidate) = by_id.get_mut(id) {
            candidate.parent = parent.map(str::to_owned);
            candidate.depth = depth;
            tree.push(candidate.clone());
        }
    }
    tree
}
