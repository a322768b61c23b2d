//! The tables of correlation ids and of what could not be read.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::datatypes::{DataType, TimestampNanosecondType, UInt64Type};
use halfopen_model::schema::Form;
use halfopen_model::{Batch, Fingerprint, Table};

use super::rows::{Named, record_batch, take_all};
use super::{Column, Fixed, Numbers, Texts, Words};

/// One correlation id that was seen.
#[derive(Clone, Copy)]
pub(crate) struct IdRow<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
    pub(crate) table: Table,
    pub(crate) time: i64,
    pub(crate) service: Option<&'a str>,
}

/// Correlation ids under construction.
pub(crate) struct IdsTable {
    fingerprints: Vec<Fingerprint>,
    id: Texts,
    name: Words,
    trace_id: Fixed<16>,
    span_id: Fixed<8>,
    table: Words,
    time: Numbers<TimestampNanosecondType>,
    service: Words,
}

impl IdsTable {
    pub(crate) fn new() -> IdsTable {
        IdsTable {
            fingerprints: Vec::new(),
            id: Texts::default(),
            name: Words::default(),
            trace_id: Fixed::default(),
            span_id: Fixed::default(),
            table: Words::default(),
            time: Numbers::new(Form::Time.data_type()),
            service: Words::default(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.fingerprints.len()
    }

    pub(crate) fn push(&mut self, new: &IdRow<'_>, fingerprint: Fingerprint) {
        let row = self.count();
        self.id.set(row, new.id);
        self.name.set(row, new.name.as_bytes());
        self.trace_id.set_some(row, new.trace_id);
        self.span_id.set_some(row, new.span_id);
        self.table.set(row, new.table.name().as_bytes());
        self.time.set(row, new.time);
        if let Some(service) = new.service {
            self.service.set(row, service.as_bytes());
        }
        self.fingerprints.push(fingerprint);
    }

    pub(crate) fn finish(&mut self) -> Option<Batch> {
        let columns: Vec<Named<'_>> = vec![
            ("id", &mut self.id),
            ("name", &mut self.name),
            ("trace_id", &mut self.trace_id),
            ("span_id", &mut self.span_id),
            ("table", &mut self.table),
            ("time", &mut self.time),
            ("service", &mut self.service),
        ];
        batch(Table::Ids, mem::take(&mut self.fingerprints), columns, None)
    }
}

/// One thing that could not be read.
pub(crate) struct RejectRow<'a> {
    pub(crate) time: i64,
    pub(crate) format: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) items: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) raw: &'a [u8],
}

/// Rejects under construction.
pub(crate) struct RejectsTable {
    fingerprints: Vec<Fingerprint>,
    time: Numbers<TimestampNanosecondType>,
    format: Words,
    sender: Texts,
    reason: Texts,
    items: Numbers<UInt64Type>,
    raw_bytes: Numbers<UInt64Type>,
    raw: Vec<Vec<u8>>,
    raw_bytes_held: usize,
}

impl RejectsTable {
    pub(crate) fn new() -> RejectsTable {
        RejectsTable {
            fingerprints: Vec::new(),
            time: Numbers::new(Form::Time.data_type()),
            format: Words::default(),
            sender: Texts::default(),
            reason: Texts::default(),
            items: Numbers::new(DataType::UInt64),
            raw_bytes: Numbers::new(DataType::UInt64),
            raw: Vec::new(),
            raw_bytes_held: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.fingerprints.len()
    }

    /// Memory held by values of varying size.
    pub(crate) fn bytes(&self) -> usize {
        self.raw_bytes_held + self.reason.bytes()
    }

    pub(crate) fn push(&mut self, new: &RejectRow<'_>, fingerprint: Fingerprint) {
        let row = self.count();
        self.time.set(row, new.time);
        self.format.set(row, new.format.as_bytes());
        if !new.sender.is_empty() {
            self.sender.set(row, new.sender);
        }
        self.reason.set(row, new.reason);
        self.items.set(row, new.items);
        self.raw_bytes.set(row, new.raw_bytes);
        self.raw.push(new.raw.to_vec());
        self.raw_bytes_held += new.raw.len();
        self.fingerprints.push(fingerprint);
    }

    pub(crate) fn finish(&mut self) -> Option<Batch> {
        self.raw_bytes_held = 0;
        let raw: BinaryArray = BinaryArray::from_iter_values(mem::take(&mut self.raw));
        let columns: Vec<Named<'_>> = vec![
            ("time", &mut self.time),
            ("format", &mut self.format),
            ("sender", &mut self.sender),
            ("reason", &mut self.reason),
            ("items", &mut self.items),
            ("raw_bytes", &mut self.raw_bytes),
        ];
        let raw: (String, ArrayRef) = ("raw".to_owned(), Arc::new(raw));
        batch(Table::Rejects, mem::take(&mut self.fingerprints), columns, Some(raw))
    }
}

fn batch(
    table: Table,
    fingerprints: Vec<Fingerprint>,
    columns: Vec<Named<'_>>,
    more: Option<(String, ArrayRef)>,
) -> Option<Batch> {
    let rows = fingerprints.len();
    if rows == 0 {
        return None;
    }
    let mut arrays = take_all(columns, rows);
    arrays.extend(more);
    Some(Batch { table, rows: record_batch(arrays, rows), fingerprints })
}
