//! The table of spans.

use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt32Type};
use halfopen_model::known::Scope;
use halfopen_model::schema::Form;
use halfopen_model::{Batch, Table};

use super::rows::Named;
use super::{Column, Context, Enumerated, Events, Fixed, Links, Numbers, Rows, Texts, Words};

/// Kinds of spans by their number in OTLP.
pub(crate) const KINDS: &[&str] =
    &["unspecified", "internal", "server", "client", "producer", "consumer"];
/// Status codes by their number in OTLP.
pub(crate) const STATUSES: &[&str] = &["unset", "ok", "error"];

/// Spans under construction.
pub(crate) struct SpansTable {
    pub(crate) rows: Rows,
    pub(crate) trace_id: Fixed<16>,
    pub(crate) span_id: Fixed<8>,
    pub(crate) parent_span_id: Fixed<8>,
    pub(crate) request_id: Texts,
    pub(crate) start_time: Numbers<TimestampNanosecondType>,
    pub(crate) duration_ns: Numbers<Int64Type>,
    pub(crate) name: Words,
    pub(crate) kind: Enumerated,
    pub(crate) status: Enumerated,
    pub(crate) status_message: Texts,
    pub(crate) trace_state: Words,
    pub(crate) flags: Numbers<UInt32Type>,
    pub(crate) weight: Numbers<Float64Type>,
    pub(crate) dropped_attributes: Numbers<UInt32Type>,
    pub(crate) dropped_events: Numbers<UInt32Type>,
    pub(crate) dropped_links: Numbers<UInt32Type>,
    pub(crate) events: Events,
    pub(crate) links: Links,
}

impl SpansTable {
    pub(crate) fn new() -> SpansTable {
        SpansTable {
            rows: Rows::new(Table::Spans, Scope::Span),
            trace_id: Fixed::default(),
            span_id: Fixed::default(),
            parent_span_id: Fixed::default(),
            request_id: Texts::default(),
            start_time: Numbers::new(Form::Time.data_type()),
            duration_ns: Numbers::new(DataType::Int64),
            name: Words::default(),
            kind: Enumerated::new(KINDS),
            status: Enumerated::new(STATUSES),
            status_message: Texts::default(),
            trace_state: Words::default(),
            flags: Numbers::new(DataType::UInt32),
            weight: Numbers::new(DataType::Float64),
            dropped_attributes: Numbers::new(DataType::UInt32),
            dropped_events: Numbers::new(DataType::UInt32),
            dropped_links: Numbers::new(DataType::UInt32),
            events: Events::default(),
            links: Links::default(),
        }
    }

    fn split(&mut self) -> (&mut Rows, Vec<Named<'_>>) {
        let columns: Vec<Named<'_>> = vec![
            ("trace_id", &mut self.trace_id),
            ("span_id", &mut self.span_id),
            ("parent_span_id", &mut self.parent_span_id),
            ("request_id", &mut self.request_id),
            ("start_time", &mut self.start_time),
            ("duration_ns", &mut self.duration_ns),
            ("name", &mut self.name),
            ("kind", &mut self.kind),
            ("status", &mut self.status),
            ("status_message", &mut self.status_message),
            ("trace_state", &mut self.trace_state),
            ("flags", &mut self.flags),
            ("weight", &mut self.weight),
            ("dropped_attributes", &mut self.dropped_attributes),
            ("dropped_events", &mut self.dropped_events),
            ("dropped_links", &mut self.dropped_links),
            ("events", &mut self.events),
            ("links", &mut self.links),
        ];
        (&mut self.rows, columns)
    }

    /// Takes back the row at hand.
    pub(crate) fn undo(&mut self) {
        let (rows, columns) = self.split();
        rows.undo(columns);
    }

    /// Memory held by values of varying size.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.events.bytes() + self.links.bytes()
    }

    /// The batch of all rows.
    pub(crate) fn finish(&mut self, contexts: &[Context]) -> Option<Batch> {
        let (rows, columns) = self.split();
        rows.finish(contexts, columns)
    }
}
