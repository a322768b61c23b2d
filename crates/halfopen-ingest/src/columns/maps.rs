//! The map column of attributes: keys in order, repetitions kept, values typed.

use std::mem;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MapArray, StructArray, UInt8Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Field;
use halfopen_model::ValueType;
use halfopen_model::schema::{entry_fields, value_fields};

use super::{Column, TextBuffer};
use crate::otlp::AnyValue;
use crate::wire::WireError;

/// Keys with their values.
#[derive(Default)]
pub(crate) struct Entries {
    keys: TextBuffer,
    tags: Vec<u8>,
    texts: TextBuffer,
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    /// Adds a key and a value that stands on the wire.
    ///
    /// # Errors
    /// When the value is broken inside; nothing is added then.
    #[inline]
    pub(crate) fn push(
        &mut self,
        key: &str,
        value: AnyValue<'_>,
        depth_max: usize,
    ) -> Result<(), WireError> {
        match value.write(self.texts.open(), depth_max) {
            Ok(value_type) => {
                self.texts.close();
                self.tags.push(value_type.tag());
                self.keys.push(key.as_bytes());
                Ok(())
            }
            Err(error) => {
                self.texts.truncate(self.texts.len());
                Err(error)
            }
        }
    }

    /// Adds a key and a value in its stored form.
    pub(crate) fn push_stored(&mut self, key: &str, value_type: ValueType, text: &str) {
        self.keys.push(key.as_bytes());
        self.tags.push(value_type.tag());
        self.texts.push(text.as_bytes());
    }

    #[inline]
    pub(crate) fn extend(&mut self, other: &Entries) {
        if other.len() > 0 {
            self.keys.extend(&other.keys);
            self.tags.extend_from_slice(&other.tags);
            self.texts.extend(&other.texts);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes() + self.tags.len() + self.texts.bytes()
    }

    fn truncate(&mut self, entries: usize) {
        self.keys.truncate(entries);
        self.tags.truncate(entries);
        self.texts.truncate(entries);
    }

    fn take(&mut self) -> StructArray {
        let tags = UInt8Array::new(ScalarBuffer::from(mem::take(&mut self.tags)), None);
        let texts = self.texts.take(None);
        let values = StructArray::new(value_fields(), vec![Arc::new(tags), Arc::new(texts)], None);
        let keys = self.keys.take(None);
        StructArray::new(entry_fields(), vec![Arc::new(keys), Arc::new(values)], None)
    }
}

/// One set of attributes per row.
pub(crate) struct Maps {
    /// The entries of all rows; those of the row at hand are added here.
    pub(crate) entries: Entries,
    ends: Vec<i32>,
}

impl Default for Maps {
    fn default() -> Self {
        Maps { entries: Entries::default(), ends: vec![0] }
    }
}

impl Maps {
    /// Ends the row at hand.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.ends.push(self.entries.len() as i32);
    }

    /// The array of all closed rows, also when no row has an entry: the column is required.
    pub(crate) fn take_all(&mut self) -> MapArray {
        self.truncate(self.ends.len() - 1);
        let entries = self.entries.take();
        let ends = mem::replace(&mut self.ends, vec![0]);
        let field = Field::new("entries", entries.data_type().clone(), false);
        MapArray::new(Arc::new(field), OffsetBuffer::new(ends.into()), entries, None, false)
    }
}

impl Column for Maps {
    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.entries.truncate(self.ends[self.ends.len() - 1] as usize);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        debug_assert_eq!(self.ends.len(), rows + 1, "every row is closed");
        Some(Arc::new(self.take_all()))
    }

    fn bytes(&self) -> usize {
        self.entries.bytes()
    }
}
