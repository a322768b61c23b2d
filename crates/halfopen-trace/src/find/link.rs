//! Links between traces: a consumer's span is linked to the span that sent what it took, so a
//! piece of work that goes through a queue is several traces.
//!
//! Links are followed upstream from the chosen traces, and downstream from them, but never back:
//! what else a consumer took in the same batch has nothing to do with the question.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use halfopen_model::answer::{Sent, TraceAnswer, TraceSpan};
use halfopen_model::batch::Cells;
use halfopen_model::names::SPAN_LINK;
use halfopen_model::{SpanId, TraceId};

use crate::trace;

/// Traces in a row that links are followed over, in each direction.
pub const LINK_HOPS_MAX: usize = 4;

/// The traces that these spans are linked to, each once, with how many spans are.
pub fn linked_to(spans: &[RecordBatch], of: &[TraceId]) -> Vec<TraceId> {
    let mut found = BTreeMap::new();
    for batch in spans {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let own = cells.trace_id("trace_id", row);
            if own.is_none_or(|own| !of.contains(&own)) {
                continue;
            }
            for (trace_id, _) in trace::links(batch, row) {
                if Some(trace_id) != own && !trace_id.is_zero() {
                    *found.entry(trace_id).or_insert(0_usize) += 1;
                }
            }
        }
    }
    found.into_keys().collect()
}

/// The traces whose spans are linked to the traces that rows of `ids` stand for.
pub fn linked_from(ids: &[RecordBatch]) -> Vec<TraceId> {
    let mut found = Vec::new();
    for batch in ids {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let trace_id = cells.trace_id("trace_id", row).filter(|id| !id.is_zero());
            if let Some(trace_id) = trace_id
                && cells.text("name", row) == Some(SPAN_LINK)
                && !found.contains(&trace_id)
            {
                found.push(trace_id);
            }
        }
    }
    found
}

/// What is known about a span that may have sent something.
struct Sender<'a> {
    service: &'a str,
    kind: &'a str,
    /// `None` when it never ended.
    end: Option<i64>,
}

/// The spans of several traces, by id.
pub(super) struct Senders<'a> {
    by_id: HashMap<(TraceId, SpanId), Sender<'a>>,
}

impl<'a> Senders<'a> {
    pub(super) fn new(traces: &'a [TraceAnswer]) -> Senders<'a> {
        let mut by_id = HashMap::new();
        for answer in traces {
            for span in &answer.spans {
                let end = span.duration_ns.map(|length| span.start.0.saturating_add(length));
                let sender = Sender { service: &span.service, kind: &span.kind, end };
                by_id.entry((answer.trace_id, span.span_id)).or_insert(sender);
            }
        }
        Senders { by_id }
    }

    /// What a span took from another one.
    pub(super) fn sent(&self, trace_id: TraceId, span: &TraceSpan) -> Option<Sent> {
        let parent = span.parent_span_id.map(|parent| (trace_id, parent));
        let from_producer = |id: &(TraceId, SpanId)| {
            self.by_id.get(id).is_some_and(|sender| sender.kind == "producer")
        };
        let parent = parent.filter(|id| span.kind == "consumer" && from_producer(id));
        let known = span.links.iter().copied().chain(parent);
        let mut senders: Vec<_> = known.filter_map(|id| Some((id, self.by_id.get(&id)?))).collect();
        // What waited longest; a sending that never ended says nothing about that.
        senders.sort_by_key(|(id, sender)| (sender.end.unwrap_or(i64::MAX), *id));
        senders.dedup_by_key(|(id, _)| *id);
        let ((trace_id, span_id), sender) = senders.first()?;
        Some(Sent {
            trace_id: *trace_id,
            span_id: *span_id,
            service: sender.service.to_owned(),
            count: senders.len(),
            waited_ns: sender.end.map(|end| span.start.0.saturating_sub(end)),
        })
    }
}
