//! Columns of text.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::Column;
use super::numbers::Validity;

/// Texts behind each other, with the places where they end.
pub(crate) struct TextBuffer {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Default for TextBuffer {
    fn default() -> Self {
        TextBuffer { ends: vec![0], bytes: Vec::new() }
    }
}

impl TextBuffer {
    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<i32>()
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.ends[index] as usize..self.ends[index + 1] as usize]
    }

    /// Adds a text. The bytes must be UTF-8.
    #[inline]
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.close();
    }

    /// Where the next text is written to; [`TextBuffer::close`] ends it.
    pub(crate) fn open(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the text that was written to [`TextBuffer::open`].
    #[inline]
    pub(crate) fn close(&mut self) {
        // Body and builder are bounded far below the 2 GiB that a column can count.
        debug_assert!(i32::try_from(self.bytes.len()).is_ok());
        self.ends.push(self.bytes.len() as i32);
    }

    /// Adds all texts of another buffer.
    pub(crate) fn extend(&mut self, other: &TextBuffer) {
        let base = self.bytes.len() as i32;
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends[1..].iter().map(|end| base + end));
    }

    pub(crate) fn truncate(&mut self, texts: usize) {
        if texts < self.len() {
            self.ends.truncate(texts + 1);
        }
        self.bytes.truncate(self.ends[self.len()] as usize);
    }

    pub(crate) fn take(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let taken = mem::take(self);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(taken.ends));
        StringArray::new(offsets, Buffer::from_vec(taken.bytes), nulls)
    }
}

/// Texts that are mostly different in each row.
#[derive(Default)]
pub(crate) struct Texts {
    texts: TextBuffer,
    validity: Validity,
}

impl Texts {
    pub(crate) fn set(&mut self, row: usize, text: &str) {
        self.pad(row);
        self.texts.push(text.as_bytes());
        self.validity.push(true);
    }

    /// Sets the row to what `write` writes, which must be UTF-8.
    pub(crate) fn set_with<R>(&mut self, row: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.pad(row);
        let result = write(self.texts.open());
        self.texts.close();
        self.validity.push(true);
        result
    }

    /// The text that was set last.
    pub(crate) fn last(&self) -> &[u8] {
        match self.texts.len() {
            0 => &[],
            texts => self.texts.get(texts - 1),
        }
    }

    fn pad(&mut self, rows: usize) {
        while self.validity.rows() < rows {
            self.texts.close();
            self.validity.push(false);
        }
    }
}

impl Column for Texts {
    fn truncate(&mut self, rows: usize) {
        self.texts.truncate(rows);
        self.validity.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.validity.rows() == 0 {
            return None;
        }
        self.pad(rows);
        let nulls = self.validity.take();
        Some(Arc::new(self.texts.take(nulls)))
    }

    fn bytes(&self) -> usize {
        self.texts.bytes()
    }
}
