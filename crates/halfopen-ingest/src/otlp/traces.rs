//! Spans.

use halfopen_model::{Table, ValueType};
use xxhash_rust::xxh3::xxh3_128;

use super::NOTE_FIELD;
use super::any_value::key_value;
use super::keys::Owner;
use super::row::{
    ItemError, PARTS_MAX, PartReader, add_note, id_of, optional_id, part_id, part_text, set_text,
    set_word, time_of, time_of_part,
};
use super::walk::{Scratch, Walk};
use crate::builder::Tables;
use crate::columns::{Events, Links, SpansTable};
use crate::ids::Carrier;
use crate::weight;
use crate::wire::{Reader, WireError};

/// The single fields of a span.
#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a [u8],
    parent_span_id: &'a [u8],
    flags: u32,
    name: &'a [u8],
    kind: u64,
    start: u64,
    end: u64,
    dropped: [u64; 3],
    status_message: &'a [u8],
    status_code: u64,
}

impl<'a> Span<'a> {
    /// Reads the single fields; the repeated ones go to `scratch`.
    fn read(
        message: &'a [u8],
        has_notes: bool,
        scratch: &mut Scratch<'a>,
    ) -> Result<Span<'a>, ItemError> {
        let mut span = Span::default();
        let mut reader = Reader::new(message);
        scratch.clear();
        while let Some((field, value)) = reader.next()? {
            match field {
                1 => span.trace_id = value.bytes(field)?,
                2 => span.span_id = value.bytes(field)?,
                3 => span.trace_state = value.bytes(field)?,
                4 => span.parent_span_id = value.bytes(field)?,
                5 => span.name = value.bytes(field)?,
                6 => span.kind = value.varint(field)?,
                7 => span.start = value.fixed64(field)?,
                8 => span.end = value.fixed64(field)?,
                9 => scratch.attributes.push(value.bytes(field)?),
                10 => span.dropped[0] = value.varint(field)?,
                11 => scratch.events.push(value.bytes(field)?),
                12 => span.dropped[1] = value.varint(field)?,
                13 => scratch.links.push(value.bytes(field)?),
                14 => span.dropped[2] = value.varint(field)?,
                15 => span.read_status(value.bytes(field)?)?,
                16 => span.flags = value.fixed32(field)?,
                NOTE_FIELD if has_notes => scratch.notes.push(value.bytes(field)?),
                _ => {}
            }
        }
        if scratch.attributes.len() + scratch.events.len() + scratch.links.len() > PARTS_MAX {
            return Err(ItemError::Parts);
        }
        Ok(span)
    }

    fn read_status(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            match field {
                2 => self.status_message = value.bytes(field)?,
                3 => self.status_code = value.varint(field)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Trace and span id, without which a span cannot be placed.
    fn ids(&self) -> Result<([u8; 16], [u8; 8]), ItemError> {
        let trace_id = id_of(self.trace_id).map_err(ItemError::TraceIdLength)?;
        let span_id = id_of(self.span_id).map_err(ItemError::SpanIdLength)?;
        let trace_id = trace_id.ok_or(match self.trace_id.len() {
            0 => ItemError::TraceIdLength(0),
            _ => ItemError::TraceIdZero,
        })?;
        let span_id = span_id.ok_or(match self.span_id.len() {
            0 => ItemError::SpanIdLength(0),
            _ => ItemError::SpanIdZero,
        })?;
        Ok((trace_id, span_id))
    }

    /// Fills the fixed columns of the row at hand.
    fn set_columns(&self, table: &mut SpansTable, ids: ([u8; 16], [u8; 8]), start_time: i64) {
        let SpansTable { rows, .. } = table;
        let row = rows.count();
        let attributes = &mut rows.attributes;
        table.trace_id.set(row, ids.0);
        table.span_id.set(row, ids.1);
        let parent = optional_id(self.parent_span_id, attributes, "parent_span_id");
        table.parent_span_id.set_some(row, parent);
        table.start_time.set(row, start_time);
        if self.end != 0 {
            time_of(self.end, attributes, "end_time");
            let duration = i128::from(self.end) - i128::from(self.start);
            let bounded = duration.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            table.duration_ns.set(row, bounded as i64);
        }
        set_word(&mut table.name, row, self.name, attributes, "name");
        if !table.kind.set(row, self.kind) {
            table.kind.set(row, 0);
            attributes.note("kind", ValueType::Int, &(self.kind as i64).to_string());
        }
        if !table.status.set(row, self.status_code) {
            table.status.set(row, 0);
            attributes.note("status", ValueType::Int, &(self.status_code as i64).to_string());
        }
        if !self.status_message.is_empty() {
            let texts = &mut table.status_message;
            set_text(texts, row, self.status_message, attributes, "status_message");
        }
        if !self.trace_state.is_empty() {
            set_word(&mut table.trace_state, row, self.trace_state, attributes, "trace_state");
        }
        if self.flags != 0 {
            table.flags.set(row, self.flags);
        }
        let columns =
            [&mut table.dropped_attributes, &mut table.dropped_events, &mut table.dropped_links];
        for (column, dropped) in columns.into_iter().zip(self.dropped) {
            if dropped != 0 {
                column.set(row, u32::try_from(dropped).unwrap_or(u32::MAX));
            }
        }
    }
}

impl<'r> Walk<'_, 'r> {
    /// Makes a row of a span.
    pub(super) fn span(&mut self, context: u32, message: &'r [u8]) -> Result<(), ItemError> {
        let span = Span::read(message, self.request.has_notes(), &mut self.scratch)?;
        let ids = span.ids()?;
        let depth_max = self.tables.settings.depth_max;
        let Tables { spans: table, contexts, keys, found, ids: id_rows, seen_ids, .. } =
            &mut *self.tables;
        let row = table.rows.count();
        let common = contexts.get(context);
        found.clear();
        table.rows.begin(common);
        let start_time = time_of(span.start, &mut table.rows.attributes, "start_time");
        span.set_columns(table, ids, start_time);
        for note in &self.scratch.notes {
            add_note(&mut table.rows.attributes, note, depth_max)?;
        }
        let mut weight = weight::from_trace_state(span.trace_state);
        for attribute in &self.scratch.attributes {
            let (key, value) = key_value(attribute)?;
            let info = keys.info(Owner::Span, key);
            table.rows.attributes.add(row, info, value, depth_max)?;
            if let Some(name) = &info.id {
                found.add_value(name, value);
            }
            if let Some(kind) = info.weight {
                weight = weight.or(kind.weight(value));
            }
        }
        let mut parts = PartReader { keys, found: &mut *found, depth_max };
        read_events(&self.scratch.events, &mut table.events, row, &mut parts)?;
        read_links(&self.scratch.links, &mut table.links, row, &mut parts)?;
        if let Some(weight) = weight.filter(|weight| *weight != 1.0) {
            table.weight.set(row, weight);
        }
        common.ids.iter().for_each(|(name, rank, value)| found.add_named(name, *rank, value));
        if let Some(request_id) = found.request_id() {
            table.request_id.set(row, request_id);
        }
        let carrier = Carrier {
            table: Table::Spans,
            trace_id: Some(ids.0),
            span_id: Some(ids.1),
            time: start_time,
            service: common.service.as_deref(),
        };
        found.write(&carrier, id_rows, seen_ids);
        table.rows.end(context, fingerprint(common.hash, message));
        Ok(())
    }
}

/// Identical spans of identical resources and scopes are identical rows, however they were
/// batched.
fn fingerprint(context: u128, message: &[u8]) -> u128 {
    let mut hashes = [0; 32];
    hashes[..16].copy_from_slice(&context.to_le_bytes());
    hashes[16..].copy_from_slice(&xxh3_128(message).to_le_bytes());
    xxh3_128(&hashes)
}

fn read_events(
    messages: &[&[u8]],
    events: &mut Events,
    row: usize,
    parts: &mut PartReader<'_>,
) -> Result<(), WireError> {
    for message in messages {
        let (mut time, mut name, mut dropped): (u64, &[u8], u64) = (0, &[], 0);
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            let entries = &mut events.attributes.entries;
            match field {
                1 => time = value.fixed64(field)?,
                2 => name = value.bytes(field)?,
                3 => parts.add(entries, value.bytes(field)?)?,
                4 => dropped = value.varint(field)?,
                _ => {}
            }
        }
        let entries = &mut events.attributes.entries;
        let time = time_of_part(time, entries, "time");
        let name = part_text(name, entries, "name");
        events.push(time, &name, u32::try_from(dropped).unwrap_or(u32::MAX));
    }
    if !messages.is_empty() {
        events.close(row);
    }
    Ok(())
}

fn read_links(
    messages: &[&[u8]],
    links: &mut Links,
    row: usize,
    parts: &mut PartReader<'_>,
) -> Result<(), WireError> {
    for message in messages {
        let (mut trace_id, mut span_id, mut trace_state): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut dropped, mut flags) = (0, 0);
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            let entries = &mut links.attributes.entries;
            match field {
                1 => trace_id = value.bytes(field)?,
                2 => span_id = value.bytes(field)?,
                3 => trace_state = value.bytes(field)?,
                4 => parts.add(entries, value.bytes(field)?)?,
                5 => dropped = value.varint(field)?,
                6 => flags = value.fixed32(field)?,
                _ => {}
            }
        }
        let entries = &mut links.attributes.entries;
        let trace_id = part_id(trace_id, entries, "trace_id").unwrap_or_default();
        let span_id = part_id(span_id, entries, "span_id").unwrap_or_default();
        let trace_state = part_text(trace_state, entries, "trace_state");
        let dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        if trace_id != [0; 16] {
            parts.found.add_link(trace_id);
        }
        links.push((trace_id, span_id), &trace_state, (flags, dropped));
    }
    if !messages.is_empty() {
        links.close(row);
    }
    Ok(())
}
