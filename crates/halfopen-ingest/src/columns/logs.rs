//! The table of log records.

use arrow::datatypes::{DataType, TimestampNanosecondType, UInt32Type};
use halfopen_model::known::Scope;
use halfopen_model::schema::Form;
use halfopen_model::{Batch, Table};

use super::rows::Named;
use super::{Column, Context, Fixed, Numbers, Rows, Texts, Words};

/// Log records under construction.
pub(crate) struct LogsTable {
    pub(crate) rows: Rows,
    pub(crate) time: Numbers<TimestampNanosecondType>,
    pub(crate) observed_time: Numbers<TimestampNanosecondType>,
    pub(crate) trace_id: Fixed<16>,
    pub(crate) span_id: Fixed<8>,
    pub(crate) request_id: Texts,
    pub(crate) severity_number: Numbers<UInt32Type>,
    pub(crate) severity_text: Words,
    pub(crate) event_name: Words,
    pub(crate) body: Texts,
    pub(crate) body_type: Numbers<UInt32Type>,
    pub(crate) flags: Numbers<UInt32Type>,
    pub(crate) dropped_attributes: Numbers<UInt32Type>,
}

impl LogsTable {
    pub(crate) fn new() -> LogsTable {
        LogsTable {
            rows: Rows::new(Table::Logs, Scope::Log),
            time: Numbers::new(Form::Time.data_type()),
            observed_time: Numbers::new(Form::Time.data_type()),
            trace_id: Fixed::default(),
            span_id: Fixed::default(),
            request_id: Texts::default(),
            severity_number: Numbers::new(DataType::UInt32),
            severity_text: Words::default(),
            event_name: Words::default(),
            body: Texts::default(),
            body_type: Numbers::new(DataType::UInt32),
            flags: Numbers::new(DataType::UInt32),
            dropped_attributes: Numbers::new(DataType::UInt32),
        }
    }

    fn split(&mut self) -> (&mut Rows, Vec<Named<'_>>) {
        let columns: Vec<Named<'_>> = vec![
            ("time", &mut self.time),
            ("observed_time", &mut self.observed_time),
            ("trace_id", &mut self.trace_id),
            ("span_id", &mut self.span_id),
            ("request_id", &mut self.request_id),
            ("severity_number", &mut self.severity_number),
            ("severity_text", &mut self.severity_text),
            ("event_name", &mut self.event_name),
            ("body", &mut self.body),
            ("body_type", &mut self.body_type),
            ("flags", &mut self.flags),
            ("dropped_attributes", &mut self.dropped_attributes),
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
        self.rows.bytes() + self.body.bytes()
    }

    /// The batch of all rows.
    pub(crate) fn finish(&mut self, contexts: &[Context]) -> Option<Batch> {
        let (rows, columns) = self.split();
        rows.finish(contexts, columns)
    }
}
