//! Columns of text from a small set: each text is stored once, rows hold its number.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::{Column, TextBuffer};

/// What stands in a row without a value.
const NULL: i32 = -1;

/// Texts, each once, with their numbers.
#[derive(Default)]
pub(crate) struct Dictionary {
    numbers: HashTable<u32>,
    hashes: Vec<u64>,
    texts: TextBuffer,
}

impl Dictionary {
    /// The number of a text; `None` when the bytes are not UTF-8, which only a text that was
    /// never seen has to be asked.
    #[inline]
    pub(crate) fn number(&mut self, text: &[u8]) -> Option<u32> {
        let hash = xxh3_64(text);
        let texts = &self.texts;
        let same = |number: &u32| texts.get(*number as usize) == text;
        if let Some(number) = self.numbers.find(hash, same) {
            return Some(*number);
        }
        self.insert(hash, text)
    }

    #[cold]
    fn insert(&mut self, hash: u64, text: &[u8]) -> Option<u32> {
        str::from_utf8(text).ok()?;
        let number = self.hashes.len() as u32;
        self.hashes.push(hash);
        self.texts.push(text);
        let hashes = &self.hashes;
        self.numbers.insert_unique(hash, number, |known| hashes[*known as usize]);
        Some(number)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes() + self.hashes.len() * size_of::<u64>() * 2
    }

    pub(crate) fn take(&mut self) -> StringArray {
        self.numbers = HashTable::new();
        self.hashes = Vec::new();
        self.texts.take(None)
    }
}

/// A dictionary column.
#[derive(Default)]
pub(crate) struct Words {
    keys: Vec<i32>,
    dictionary: Dictionary,
}

impl Words {
    /// Whether this row was set.
    #[inline]
    pub(crate) fn has(&self, row: usize) -> bool {
        self.keys.len() > row
    }

    /// Sets the row; false, and the row is not set, when the bytes are not UTF-8.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, text: &[u8]) -> bool {
        let Some(number) = self.number(text) else { return false };
        self.set_number(row, number);
        true
    }

    /// Sets the row to the text with this number, which [`Words::number`] gave.
    #[inline]
    pub(crate) fn set_number(&mut self, row: usize, number: u32) {
        while self.keys.len() < row {
            self.keys.push(NULL);
        }
        self.keys.push(number as i32);
    }

    /// The number of a text; `None` when it is not UTF-8. Neighbouring rows often have the same
    /// text: comparing is cheaper than hashing.
    #[inline]
    pub(crate) fn number(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(last) = self.keys.last()
            && *last >= 0
            && self.dictionary.texts.get(*last as usize) == text
        {
            return Some(*last as u32);
        }
        self.dictionary.number(text)
    }
}

impl Column for Words {
    fn truncate(&mut self, rows: usize) {
        self.keys.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        let mut keys = mem::take(&mut self.keys);
        let texts = self.dictionary.take();
        if keys.is_empty() {
            return None;
        }
        keys.resize(rows, NULL);
        Some(dictionary_array(keys, texts))
    }

    fn bytes(&self) -> usize {
        self.dictionary.bytes()
    }
}

/// A dictionary column whose words are known beforehand.
pub(crate) struct Enumerated {
    words: &'static [&'static str],
    keys: Vec<i32>,
}

impl Enumerated {
    pub(crate) fn new(words: &'static [&'static str]) -> Self {
        Enumerated { words, keys: Vec::new() }
    }

    /// Sets the row to the word with this index; false, and the row is not set, when there is
    /// none.
    pub(crate) fn set(&mut self, row: usize, index: u64) -> bool {
        let is_known = index < self.words.len() as u64;
        if is_known {
            self.keys.resize(row, NULL);
            self.keys.push(index as i32);
        }
        is_known
    }
}

impl Column for Enumerated {
    fn truncate(&mut self, rows: usize) {
        self.keys.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        let mut keys = mem::take(&mut self.keys);
        if keys.is_empty() {
            return None;
        }
        keys.resize(rows, NULL);
        Some(dictionary_array(keys, StringArray::from(self.words.to_vec())))
    }
}

/// Puts keys (`-1` for null) and texts together.
pub(crate) fn dictionary_array(mut keys: Vec<i32>, texts: StringArray) -> ArrayRef {
    let nulls = keys.contains(&NULL).then(|| {
        let valid: Vec<bool> = keys.iter().map(|key| *key != NULL).collect();
        keys.iter_mut().for_each(|key| *key = (*key).max(0));
        NullBuffer::from(valid)
    });
    let keys = Int32Array::new(keys.into(), nulls);
    Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(texts)))
}
