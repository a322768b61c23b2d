//! One trace laid out as a tree: parents before children, siblings by time, with everything that
//! is odd about it said and nothing corrected.
//!
//! **Invariant:** every span that came is shown exactly once, whatever its parents claim.
//!
//! **Invariant:** no recursion; a chain of 50,000 spans is as good as a bush of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::RecordBatch;
use halfopen_model::answer::{Gap, SpanFault, TraceAnswer, TraceEvent, TraceSpan};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{SpanId, Table, TimeRange, TraceId, UnixNanos};

use halfopen_model::shell::quoted;

mod read;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use read::{links, record};
use tree::Place;

/// More spans of one trace than anybody can look at, and what a page can be asked to hold.
pub const TRACE_SPANS_MAX: usize = 50_000;
/// More log records of one trace than anybody can look at.
pub const TRACE_LOGS_MAX: usize = 50_000;
/// Clocks with a resolution of one millisecond are common; a child that begins earlier than its
/// parent by no more than that is no finding.
const ROUNDING_NS: i64 = 1_000_000;
/// How far around a trace the offered `why` looks.
const WHY_AROUND_NS: i64 = 15 * 60 * SECOND_NS;

/// Lays out the trace `trace_id`; `None` when neither a span nor a log record of it is given.
/// Rows of other traces are passed over, identical rows shown once.
pub fn assemble(
    trace_id: TraceId,
    spans: &[RecordBatch],
    logs: &[RecordBatch],
) -> Option<TraceAnswer> {
    assemble_rows(trace_id, read::spans(trace_id, spans), logs)
}

/// Lays out each of these traces; those without a span are left out.
pub fn assemble_all(trace_ids: &HashSet<TraceId>, spans: &[RecordBatch]) -> Vec<TraceAnswer> {
    let by_trace = read::by_trace(spans, |trace_id| trace_ids.contains(&trace_id));
    let laid_out = |(trace_id, rows)| assemble_rows(trace_id, rows, &[]);
    by_trace.into_iter().filter_map(laid_out).collect()
}

fn assemble_rows(
    trace_id: TraceId,
    mut rows: Vec<read::SpanRow>,
    logs: &[RecordBatch],
) -> Option<TraceAnswer> {
    let mut truncated = Vec::new();
    if rows.len() > TRACE_SPANS_MAX {
        rows.truncate(TRACE_SPANS_MAX);
        truncated.push(Gap::Truncated { table: Table::Spans, rows_max: TRACE_SPANS_MAX });
    }
    let mut records = read::logs(trace_id, logs);
    if records.len() > TRACE_LOGS_MAX {
        records.truncate(TRACE_LOGS_MAX);
        truncated.push(Gap::Truncated { table: Table::Logs, rows_max: TRACE_LOGS_MAX });
    }
    if rows.is_empty() && records.is_empty() {
        return None;
    }
    let dropped = rows.iter().filter(|row| row.dropped).count() as u64;
    let request_id = rows.iter().find_map(|row| row.request_id.clone());
    let mut spans: Vec<TraceSpan> = rows.into_iter().map(|row| row.span).collect();
    mark_repeated_ids(&mut spans);
    let (mut spans, parents) = lay_out(spans);
    mark_times(&mut spans, &parents);
    fill_self_times(&mut spans, &parents);
    let unplaced = place_records(&mut spans, records);

    let mut gaps = truncated;
    gaps.extend(gaps_of(&spans, &parents, dropped));
    let failed_first = failed_first(&spans, &parents);
    let range = extent(&spans, &unplaced);
    let next = next_commands(&spans, failed_first, request_id.as_deref(), range);
    Some(TraceAnswer {
        trace_id,
        start: range.from,
        duration_ns: range.length_ns(),
        services: services(&spans, &unplaced),
        roots: roots(&spans),
        failed_first,
        spans,
        unplaced,
        gaps,
        next,
    })
}

fn mark_repeated_ids(spans: &mut [TraceSpan]) {
    let mut seen: HashMap<SpanId, usize> = HashMap::new();
    for span in spans.iter() {
        *seen.entry(span.span_id).or_default() += 1;
    }
    for span in spans.iter_mut() {
        if seen[&span.span_id] > 1 {
            span.faults.push(SpanFault::RepeatedId);
        }
    }
}

/// Spans in the order in which they are shown, and for each the index of its parent.
fn lay_out(spans: Vec<TraceSpan>) -> (Vec<TraceSpan>, Vec<Option<usize>>) {
    let places = tree::places(&spans);
    let order = tree::order(&spans, &places);
    let mut position = vec![0; spans.len()];
    for (at, (index, _)) in order.iter().enumerate() {
        position[*index] = at;
    }
    let mut slots: Vec<Option<TraceSpan>> = spans.into_iter().map(Some).collect();
    let mut shown = Vec::with_capacity(order.len());
    let mut parents = Vec::with_capacity(order.len());
    for (index, depth) in order {
        let Some(mut span) = slots[index].take() else { continue };
        span.depth = depth;
        parents.push(match places[index] {
            Place::Child(parent) => Some(position[parent]),
            Place::Root => None,
            Place::Orphan => {
                span.faults.push(SpanFault::Orphan);
                None
            }
            Place::Cycle => {
                span.faults.push(SpanFault::Cycle);
                None
            }
        });
        shown.push(span);
    }
    (shown, parents)
}

fn mark_times(spans: &mut [TraceSpan], parents: &[Option<usize>]) {
    for index in 0..spans.len() {
        let early = parents[index].is_some_and(|parent| early_by(spans, index, parent).is_some());
        let span = &mut spans[index];
        match span.duration_ns {
            None => span.faults.push(SpanFault::Unended),
            Some(duration_ns) if duration_ns < 0 => span.faults.push(SpanFault::NegativeDuration),
            Some(_) => {}
        }
        if early {
            span.faults.push(SpanFault::BeforeParent);
        }
    }
}

/// By how much a span begins before its parent, when that is more than rounding.
fn early_by(spans: &[TraceSpan], child: usize, parent: usize) -> Option<i64> {
    let early_ns = spans[parent].start.since(spans[child].start);
    (early_ns > ROUNDING_NS).then_some(early_ns)
}

fn end(span: &TraceSpan) -> Option<UnixNanos> {
    span.duration_ns.map(|duration_ns| span.start.shifted(duration_ns.max(0)))
}

/// Self time: the duration minus the union of the children. A child without an end is taken to
/// last as long as its parent; what a child does outside of its parent does not count.
fn fill_self_times(spans: &mut [TraceSpan], parents: &[Option<usize>]) {
    let mut covered: Vec<Vec<(UnixNanos, UnixNanos)>> = vec![Vec::new(); spans.len()];
    for (index, parent) in parents.iter().enumerate() {
        let Some(parent) = *parent else { continue };
        let Some(parent_end) = end(&spans[parent]) else { continue };
        let from = spans[index].start.max(spans[parent].start);
        let to = end(&spans[index]).unwrap_or(parent_end).min(parent_end);
        if from < to {
            covered[parent].push((from, to));
        }
    }
    for (span, intervals) in spans.iter_mut().zip(covered) {
        let duration_ns = span.duration_ns.unwrap_or(0).max(0);
        span.self_ns = duration_ns.saturating_sub(union_ns(intervals)).max(0);
    }
}

fn union_ns(mut intervals: Vec<(UnixNanos, UnixNanos)>) -> i64 {
    intervals.sort_unstable();
    let mut total_ns = 0_i64;
    let mut reached = UnixNanos::MIN;
    for (from, to) in intervals {
        let from = from.max(reached);
        if from < to {
            total_ns = total_ns.saturating_add(to.since(from));
            reached = to;
        }
    }
    total_ns
}

/// Gives each record to its span; those that name none of the spans are given back.
fn place_records(spans: &mut [TraceSpan], records: Vec<read::Record>) -> Vec<TraceEvent> {
    let mut by_id: HashMap<SpanId, Vec<usize>> = HashMap::new();
    for (index, span) in spans.iter().enumerate() {
        by_id.entry(span.span_id).or_default().push(index);
    }
    let mut unplaced = Vec::new();
    for record in records {
        let named = record.span_id.and_then(|id| by_id.get(&id));
        let Some(candidates) = named else {
            unplaced.push(record.event);
            continue;
        };
        let same_service = |index: &&usize| spans[**index].service == record.event.service;
        let few = &candidates[..candidates.len().min(tree::CANDIDATES_MAX)];
        let chosen = few.iter().find(same_service).unwrap_or(&few[0]);
        spans[*chosen].events.push(record.event);
    }
    for span in spans.iter_mut() {
        span.events.sort_by_key(|event| event.time);
    }
    unplaced.sort_by_key(|event| event.time);
    unplaced
}

/// The deepest failing span none of whose children fails. A failure that its parent survived
/// (a retried call) yields to one that reaches further up.
fn failed_first(spans: &[TraceSpan], parents: &[Option<usize>]) -> Option<usize> {
    let mut chain_top_depth = vec![usize::MAX; spans.len()];
    let mut child_fails = vec![false; spans.len()];
    for (index, span) in spans.iter().enumerate() {
        if !span.failed {
            continue;
        }
        chain_top_depth[index] = span.depth;
        if let Some(parent) = parents[index].filter(|parent| spans[*parent].failed) {
            child_fails[parent] = true;
            chain_top_depth[index] = chain_top_depth[parent];
        }
    }
    (0..spans.len()).filter(|index| spans[*index].failed && !child_fails[*index]).min_by_key(
        |index| {
            let span = &spans[*index];
            (chain_top_depth[*index], usize::MAX - span.depth, span.start, *index)
        },
    )
}

fn gaps_of(spans: &[TraceSpan], parents: &[Option<usize>], dropped: u64) -> Vec<Gap> {
    let count = |fault| spans.iter().filter(|span| span.faults.contains(&fault)).count() as u64;
    let repeated_ids: HashSet<SpanId> = spans
        .iter()
        .filter(|span| span.faults.contains(&SpanFault::RepeatedId))
        .map(|span| span.span_id)
        .collect();
    let mut gaps = Vec::new();
    if spans.is_empty() {
        gaps.push(Gap::Other("only log records carry this trace, no span of it came".into()));
    } else if roots(spans).is_empty() {
        gaps.push(Gap::Other("the root of the trace did not arrive".into()));
    }
    gaps.extend(some(count(SpanFault::Orphan), Gap::MissingParents));
    gaps.extend(some(count(SpanFault::Cycle), Gap::ParentCycle));
    gaps.extend(some(repeated_ids.len() as u64, Gap::RepeatedSpanIds));
    gaps.extend(some(count(SpanFault::NegativeDuration), Gap::NegativeDurations));
    gaps.extend(some(count(SpanFault::Unended), |count| {
        let those = if count == 1 { "span has" } else { "spans have" };
        Gap::Other(format!("{count} {those} no end"))
    }));
    gaps.extend(some(dropped, Gap::Dropped));
    gaps.extend(clock_skews(spans, parents));
    gaps
}

fn some(count: u64, gap: impl Fn(u64) -> Gap) -> Option<Gap> {
    (count > 0).then(|| gap(count))
}

/// Services whose spans begin before their parent in another service, each with the largest such
/// difference. Nothing is shifted: the reader sees the times as they were sent.
fn clock_skews(spans: &[TraceSpan], parents: &[Option<usize>]) -> Vec<Gap> {
    let mut largest: BTreeMap<&str, i64> = BTreeMap::new();
    for (index, parent) in parents.iter().enumerate() {
        let Some(parent) = *parent else { continue };
        if spans[index].service == spans[parent].service {
            continue;
        }
        if let Some(early_ns) = early_by(spans, index, parent) {
            let skew_ns = largest.entry(&spans[index].service).or_default();
            *skew_ns = (*skew_ns).max(early_ns);
        }
    }
    let gap = |(service, skew_ns): (&str, i64)| Gap::ClockSkew { service: service.into(), skew_ns };
    largest.into_iter().map(gap).collect()
}

/// Spans that name no parent.
fn roots(spans: &[TraceSpan]) -> Vec<usize> {
    let is_root = |index: &usize| spans[*index].parent_span_id.is_none();
    (0..spans.len()).filter(is_root).collect()
}

fn extent(spans: &[TraceSpan], unplaced: &[TraceEvent]) -> TimeRange {
    let begins = spans.iter().map(|span| span.start);
    let from = begins.chain(unplaced.iter().map(|event| event.time)).min().unwrap_or_default();
    let ends = spans.iter().map(|span| end(span).unwrap_or(span.start));
    let to = ends.chain(unplaced.iter().map(|event| event.time)).max().unwrap_or_default();
    TimeRange { from, to }
}

fn services(spans: &[TraceSpan], unplaced: &[TraceEvent]) -> Vec<String> {
    let mut seen = HashSet::new();
    let of_spans = spans.iter().map(|span| &span.service);
    let all = of_spans.chain(unplaced.iter().map(|event| &event.service));
    let new = all.filter(|service| !service.is_empty() && seen.insert(service.as_str()));
    new.cloned().collect()
}

fn next_commands(
    spans: &[TraceSpan],
    failed_first: Option<usize>,
    request_id: Option<&str>,
    range: TimeRange,
) -> Vec<String> {
    let mut next = Vec::new();
    if let (Some(_), Some(top)) = (failed_first, spans.iter().find(|span| span.failed))
        && !top.service.is_empty()
    {
        // Whole seconds: nobody wants to paste nanoseconds.
        let whole =
            |time: UnixNanos| UnixNanos(time.0.div_euclid(SECOND_NS).saturating_mul(SECOND_NS));
        let from = whole(range.from.shifted(-WHY_AROUND_NS));
        let to = whole(range.to.shifted(WHY_AROUND_NS + SECOND_NS));
        next.push(format!("halfopen why {} --from {from} --to {to}", quoted(&top.service)));
    }
    if let Some(request_id) = request_id {
        next.push(format!("halfopen find {}", quoted(request_id)));
    }
    let linked = spans.iter().flat_map(|span| &span.links).map(|(trace_id, _)| *trace_id).next();
    next.extend(linked.map(|trace_id| format!("halfopen trace {trace_id}")));
    next
}
