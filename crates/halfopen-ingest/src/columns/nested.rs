//! Columns of lists: numbers, and the events, links, quantiles and exemplars of a row.

use std::mem;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, PrimitiveArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Fields, Float64Type, Int64Type, TimestampNanosecondType,
    UInt32Type,
};
use halfopen_model::schema::{Form, event_fields, exemplar_fields, link_fields, quantile_fields};

use super::numbers::Validity;
use super::{Column, Fixed, Maps, Numbers, TextBuffer, Texts};

/// Where the list of each row ends; rows without a list are null.
struct ListEnds {
    ends: Vec<i32>,
    validity: Validity,
}

impl Default for ListEnds {
    fn default() -> Self {
        ListEnds { ends: vec![0], validity: Validity::default() }
    }
}

impl ListEnds {
    fn pad(&mut self, rows: usize) {
        while self.validity.rows() < rows {
            self.ends.push(self.ends[self.ends.len() - 1]);
            self.validity.push(false);
        }
    }

    fn close(&mut self, row: usize, items: usize) {
        self.pad(row);
        self.ends.push(items as i32);
        self.validity.push(true);
    }

    /// Forgets rows; gives the number of items that stay.
    fn truncate(&mut self, rows: usize) -> usize {
        self.ends.truncate(rows + 1);
        self.validity.truncate(rows);
        self.ends[self.ends.len() - 1] as usize
    }

    fn is_empty(&self) -> bool {
        self.validity.rows() == 0
    }

    fn take(&mut self, rows: usize) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        self.pad(rows);
        let ends = mem::replace(&mut self.ends, vec![0]);
        (OffsetBuffer::new(ends.into()), self.validity.take())
    }

    /// The list column over `items`.
    fn take_list(&mut self, rows: usize, items: ArrayRef) -> ArrayRef {
        let field = Field::new("item", items.data_type().clone(), true);
        let (ends, nulls) = self.take(rows);
        Arc::new(ListArray::new(Arc::new(field), ends, items, nulls))
    }
}

/// Lists of numbers.
pub(crate) struct Lists<T: ArrowPrimitiveType> {
    lists: ListEnds,
    values: Vec<T::Native>,
}

impl<T: ArrowPrimitiveType> Default for Lists<T> {
    fn default() -> Self {
        Lists { lists: ListEnds::default(), values: Vec::new() }
    }
}

impl<T: ArrowPrimitiveType> Lists<T> {
    pub(crate) fn set(&mut self, row: usize, values: &[T::Native]) {
        self.values.extend_from_slice(values);
        self.lists.close(row, self.values.len());
    }
}

impl<T: ArrowPrimitiveType> Column for Lists<T> {
    fn truncate(&mut self, rows: usize) {
        let values = self.lists.truncate(rows);
        self.values.truncate(values);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.lists.is_empty() {
            return None;
        }
        let values = PrimitiveArray::<T>::new(mem::take(&mut self.values).into(), None);
        Some(self.lists.take_list(rows, Arc::new(values)))
    }

    fn bytes(&self) -> usize {
        self.values.len() * size_of::<T::Native>()
    }
}

fn times() -> Numbers<TimestampNanosecondType> {
    Numbers::new(Form::Time.data_type())
}

fn smalls() -> Numbers<UInt32Type> {
    Numbers::new(DataType::UInt32)
}

/// Takes the columns of a struct; a column in which no item has a value is filled with nulls.
fn take_struct(fields: Fields, columns: &mut [&mut dyn Column], items: usize) -> ArrayRef {
    let arrays = fields.iter().zip(columns).map(|(field, column)| {
        column.take(items).unwrap_or_else(|| arrow::array::new_null_array(field.data_type(), items))
    });
    let arrays = arrays.collect();
    Arc::new(StructArray::new(fields, arrays, None))
}

/// Texts of which every item has one.
#[derive(Default)]
struct ItemTexts(TextBuffer);

impl Column for ItemTexts {
    fn truncate(&mut self, items: usize) {
        self.0.truncate(items);
    }

    fn take(&mut self, _items: usize) -> Option<ArrayRef> {
        Some(Arc::new(self.0.take(None)))
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Events of spans. The attributes of an event are added to `attributes` before the event.
pub(crate) struct Events {
    lists: ListEnds,
    items: usize,
    times: Numbers<TimestampNanosecondType>,
    names: ItemTexts,
    pub(crate) attributes: Maps,
    dropped: Numbers<UInt32Type>,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            lists: ListEnds::default(),
            items: 0,
            times: times(),
            names: ItemTexts::default(),
            attributes: Maps::default(),
            dropped: smalls(),
        }
    }
}

impl Events {
    pub(crate) fn push(&mut self, time: i64, name: &str, dropped: u32) {
        self.times.set(self.items, time);
        self.names.0.push(name.as_bytes());
        self.attributes.close();
        self.dropped.set(self.items, dropped);
        self.items += 1;
    }

    pub(crate) fn close(&mut self, row: usize) {
        self.lists.close(row, self.items);
    }

    fn columns(&mut self) -> [&mut dyn Column; 4] {
        [&mut self.times, &mut self.names, &mut self.attributes, &mut self.dropped]
    }
}

impl Column for Events {
    fn truncate(&mut self, rows: usize) {
        self.items = self.lists.truncate(rows);
        let items = self.items;
        self.columns().into_iter().for_each(|column| column.truncate(items));
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.lists.is_empty() {
            return None;
        }
        let items = mem::take(&mut self.items);
        let events = take_struct(event_fields(), &mut self.columns(), items);
        Some(self.lists.take_list(rows, events))
    }

    fn bytes(&self) -> usize {
        self.items * 20 + self.names.bytes() + self.attributes.bytes()
    }
}

/// Links of spans. The attributes of a link are added to `attributes` before the link.
pub(crate) struct Links {
    lists: ListEnds,
    items: usize,
    trace_ids: Fixed<16>,
    span_ids: Fixed<8>,
    trace_states: Texts,
    flags: Numbers<UInt32Type>,
    pub(crate) attributes: Maps,
    dropped: Numbers<UInt32Type>,
}

impl Default for Links {
    fn default() -> Self {
        Links {
            lists: ListEnds::default(),
            items: 0,
            trace_ids: Fixed::default(),
            span_ids: Fixed::default(),
            trace_states: Texts::default(),
            flags: smalls(),
            attributes: Maps::default(),
            dropped: smalls(),
        }
    }
}

impl Links {
    pub(crate) fn push(
        &mut self,
        (trace_id, span_id): ([u8; 16], [u8; 8]),
        trace_state: &str,
        (flags, dropped): (u32, u32),
    ) {
        let item = self.items;
        self.trace_ids.set(item, trace_id);
        self.span_ids.set(item, span_id);
        if !trace_state.is_empty() {
            self.trace_states.set(item, trace_state);
        }
        self.flags.set(item, flags);
        self.attributes.close();
        self.dropped.set(item, dropped);
        self.items += 1;
    }

    pub(crate) fn close(&mut self, row: usize) {
        self.lists.close(row, self.items);
    }

    fn columns(&mut self) -> [&mut dyn Column; 6] {
        [
            &mut self.trace_ids,
            &mut self.span_ids,
            &mut self.trace_states,
            &mut self.flags,
            &mut self.attributes,
            &mut self.dropped,
        ]
    }
}

impl Column for Links {
    fn truncate(&mut self, rows: usize) {
        self.items = self.lists.truncate(rows);
        let items = self.items;
        self.columns().into_iter().for_each(|column| column.truncate(items));
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.lists.is_empty() {
            return None;
        }
        let items = mem::take(&mut self.items);
        let links = take_struct(link_fields(), &mut self.columns(), items);
        Some(self.lists.take_list(rows, links))
    }

    fn bytes(&self) -> usize {
        self.items * 40 + self.trace_states.bytes() + self.attributes.bytes()
    }
}

/// Quantiles of summaries.
pub(crate) struct Quantiles {
    lists: ListEnds,
    quantiles: Numbers<Float64Type>,
    values: Numbers<Float64Type>,
    items: usize,
}

impl Default for Quantiles {
    fn default() -> Self {
        Quantiles {
            lists: ListEnds::default(),
            quantiles: Numbers::new(DataType::Float64),
            values: Numbers::new(DataType::Float64),
            items: 0,
        }
    }
}

impl Quantiles {
    pub(crate) fn push(&mut self, quantile: f64, value: f64) {
        self.quantiles.set(self.items, quantile);
        self.values.set(self.items, value);
        self.items += 1;
    }

    pub(crate) fn close(&mut self, row: usize) {
        self.lists.close(row, self.items);
    }
}

impl Column for Quantiles {
    fn truncate(&mut self, rows: usize) {
        self.items = self.lists.truncate(rows);
        self.quantiles.truncate(self.items);
        self.values.truncate(self.items);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.lists.is_empty() {
            return None;
        }
        let items = mem::take(&mut self.items);
        let columns: &mut [&mut dyn Column] = &mut [&mut self.quantiles, &mut self.values];
        let quantiles = take_struct(quantile_fields(), columns, items);
        Some(self.lists.take_list(rows, quantiles))
    }

    fn bytes(&self) -> usize {
        self.items * 16
    }
}

/// An exemplar without its attributes.
#[derive(Default)]
pub(crate) struct ExemplarRow {
    pub(crate) time: i64,
    pub(crate) value_int: Option<i64>,
    pub(crate) value_double: Option<f64>,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
}

/// Exemplars of points. The attributes of one are added to `attributes` before it.
pub(crate) struct Exemplars {
    lists: ListEnds,
    items: usize,
    times: Numbers<TimestampNanosecondType>,
    ints: Numbers<Int64Type>,
    doubles: Numbers<Float64Type>,
    trace_ids: Fixed<16>,
    span_ids: Fixed<8>,
    pub(crate) attributes: Maps,
}

impl Default for Exemplars {
    fn default() -> Self {
        Exemplars {
            lists: ListEnds::default(),
            items: 0,
            times: times(),
            ints: Numbers::new(DataType::Int64),
            doubles: Numbers::new(DataType::Float64),
            trace_ids: Fixed::default(),
            span_ids: Fixed::default(),
            attributes: Maps::default(),
        }
    }
}

impl Exemplars {
    pub(crate) fn push(&mut self, row: &ExemplarRow) {
        let item = self.items;
        self.times.set(item, row.time);
        if let Some(value) = row.value_int {
            self.ints.set(item, value);
        }
        if let Some(value) = row.value_double {
            self.doubles.set(item, value);
        }
        self.trace_ids.set_some(item, row.trace_id);
        self.span_ids.set_some(item, row.span_id);
        self.attributes.close();
        self.items += 1;
    }

    pub(crate) fn close(&mut self, row: usize) {
        self.lists.close(row, self.items);
    }

    fn columns(&mut self) -> [&mut dyn Column; 6] {
        [
            &mut self.times,
            &mut self.ints,
            &mut self.doubles,
            &mut self.trace_ids,
            &mut self.span_ids,
            &mut self.attributes,
        ]
    }
}

impl Column for Exemplars {
    fn truncate(&mut self, rows: usize) {
        self.items = self.lists.truncate(rows);
        let items = self.items;
        self.columns().into_iter().for_each(|column| column.truncate(items));
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.lists.is_empty() {
            return None;
        }
        let items = mem::take(&mut self.items);
        let exemplars = take_struct(exemplar_fields(), &mut self.columns(), items);
        Some(self.lists.take_list(rows, exemplars))
    }

    fn bytes(&self) -> usize {
        self.items * 48 + self.attributes.bytes()
    }
}
