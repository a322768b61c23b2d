//! Log records.

use halfopen_model::{Table, ValueType};

use super::NOTE_FIELD;
use super::any_value::{AnyValue, key_value};
use super::keys::Owner;
use super::row::{ItemError, PARTS_MAX, add_note, optional_id, set_word, time_of};
use super::walk::{Scratch, Walk};
use crate::builder::Tables;
use crate::columns::LogsTable;
use crate::ids::Carrier;
use crate::wire::Reader;

/// The single fields of a log record.
struct Record<'a> {
    time: u64,
    observed: u64,
    severity_number: u64,
    severity_text: &'a [u8],
    body: AnyValue<'a>,
    dropped: u64,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

/// Which trace and span a record belongs to, and when it was written.
struct Placed {
    trace_id: Option<[u8; 16]>,
    span_id: Option<[u8; 8]>,
    time: i64,
}

impl<'a> Record<'a> {
    fn read(
        message: &'a [u8],
        has_notes: bool,
        scratch: &mut Scratch<'a>,
    ) -> Result<Record<'a>, ItemError> {
        let mut record = Record {
            time: 0,
            observed: 0,
            severity_number: 0,
            severity_text: &[],
            body: AnyValue::Empty,
            dropped: 0,
            flags: 0,
            trace_id: &[],
            span_id: &[],
            event_name: &[],
        };
        let mut reader = Reader::new(message);
        scratch.clear();
        while let Some((field, value)) = reader.next()? {
            match field {
                1 => record.time = value.fixed64(field)?,
                2 => record.severity_number = value.varint(field)?,
                3 => record.severity_text = value.bytes(field)?,
                5 => record.body = AnyValue::read(value.bytes(field)?)?,
                6 => scratch.attributes.push(value.bytes(field)?),
                7 => record.dropped = value.varint(field)?,
                8 => record.flags = value.fixed32(field)?,
                9 => record.trace_id = value.bytes(field)?,
                10 => record.span_id = value.bytes(field)?,
                11 => record.observed = value.fixed64(field)?,
                12 => record.event_name = value.bytes(field)?,
                NOTE_FIELD if has_notes => scratch.notes.push(value.bytes(field)?),
                _ => {}
            }
        }
        if scratch.attributes.len() > PARTS_MAX {
            return Err(ItemError::Parts);
        }
        Ok(record)
    }

    /// Fills the fixed columns of the row at hand, but for the body. A record without any time
    /// is placed at its arrival.
    fn set_columns(&self, table: &mut LogsTable, arrival: i64) -> Placed {
        let LogsTable { rows, .. } = table;
        let row = rows.count();
        let attributes = &mut rows.attributes;
        let time = match (self.time, self.observed) {
            (0, 0) => arrival,
            (0, observed) => i64::try_from(observed).unwrap_or(i64::MAX),
            (time, _) => time_of(time, attributes, "time"),
        };
        table.time.set(row, time);
        if self.observed != 0 {
            let observed = time_of(self.observed, attributes, "observed_time");
            table.observed_time.set(row, observed);
        }
        let trace_id = optional_id(self.trace_id, attributes, "trace_id");
        let span_id = optional_id(self.span_id, attributes, "span_id");
        table.trace_id.set_some(row, trace_id);
        table.span_id.set_some(row, span_id);
        match u32::try_from(self.severity_number) {
            Ok(0) => {}
            Ok(number) => table.severity_number.set(row, number),
            Err(_) => {
                let number = (self.severity_number as i64).to_string();
                attributes.note("severity_number", ValueType::Int, &number);
            }
        }
        if !self.severity_text.is_empty() {
            let text = self.severity_text;
            set_word(&mut table.severity_text, row, text, attributes, "severity_text");
        }
        if !self.event_name.is_empty() {
            set_word(&mut table.event_name, row, self.event_name, attributes, "event_name");
        }
        if self.flags != 0 {
            table.flags.set(row, self.flags);
        }
        if self.dropped != 0 {
            let dropped = u32::try_from(self.dropped).unwrap_or(u32::MAX);
            table.dropped_attributes.set(row, dropped);
        }
        Placed { trace_id, span_id, time }
    }
}

impl<'r> Walk<'_, 'r> {
    /// Makes a row of a log record.
    pub(super) fn record(&mut self, context: u32, message: &'r [u8]) -> Result<(), ItemError> {
        let record = Record::read(message, self.request.has_notes(), &mut self.scratch)?;
        let fingerprint = self.request.row_fingerprint();
        let arrival = self.request.arrival.at.0;
        let depth_max = self.tables.settings.depth_max;
        let Tables { logs: table, contexts, keys, found, ids, seen_ids, .. } = &mut *self.tables;
        let row = table.rows.count();
        let common = contexts.get(context);
        found.clear();
        table.rows.begin(common);
        let placed = record.set_columns(table, arrival);
        for note in &self.scratch.notes {
            add_note(&mut table.rows.attributes, note, depth_max)?;
        }
        for attribute in &self.scratch.attributes {
            let (key, value) = key_value(attribute)?;
            let info = keys.info(Owner::Log, key);
            table.rows.attributes.add(row, info, value, depth_max)?;
            if let Some(name) = &info.id {
                found.add_value(name, value);
            }
        }
        if record.body != AnyValue::Empty {
            let write = |out: &mut Vec<u8>| record.body.write(out, depth_max);
            let body_type = table.body.set_with(row, write)?;
            if body_type != ValueType::Text {
                table.body_type.set(row, u32::from(body_type.tag()));
            }
            keys.names().scan(table.body.last(), found);
        }
        common.ids.iter().for_each(|(name, rank, value)| found.add_named(name, *rank, value));
        if let Some(request_id) = found.request_id() {
            table.request_id.set(row, request_id);
        }
        let carrier = Carrier {
            table: Table::Logs,
            trace_id: placed.trace_id,
            span_id: placed.span_id,
            time: placed.time,
            service: common.service.as_deref(),
        };
        found.write(&carrier, ids, seen_ids);
        table.rows.end(context, fingerprint);
        Ok(())
    }
}
