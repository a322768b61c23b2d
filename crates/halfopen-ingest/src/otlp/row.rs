//! What rows of all signals need: texts that may be broken, times that may not fit, ids that may
//! have the wrong length.

use std::borrow::Cow;

use halfopen_model::ValueType;

use super::any_value::{base64_text, key_value};
use super::keys::{Keys, Owner};
use crate::columns::{Entries, RowAttributes, Texts, Words, raw_key};
use crate::ids::FoundIds;
use crate::wire::WireError;

/// Attributes, events, links or buckets of one item. Real items have tens; one with more than
/// this is rejected, because every part costs more memory than it has bytes.
pub(crate) const PARTS_MAX: usize = 131_072;

/// Why an item did not become a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ItemError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the trace id has {0} bytes instead of 16")]
    TraceIdLength(usize),
    #[error("the trace id is zero")]
    TraceIdZero,
    #[error("the span id has {0} bytes instead of 8")]
    SpanIdLength(usize),
    #[error("the span id is zero")]
    SpanIdZero,
    #[error("it has more than {PARTS_MAX} attributes, events, links or buckets")]
    Parts,
}

/// A text for people, and whether it differs from what was sent.
pub(crate) fn shown(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (String::from_utf8_lossy(bytes), true),
    }
}

/// Sets a word; the original of one that is not UTF-8 goes to the attributes.
#[inline]
pub(crate) fn set_word(
    words: &mut Words,
    row: usize,
    bytes: &[u8],
    attributes: &mut RowAttributes,
    column: &str,
) {
    if !words.set(row, bytes) {
        words.set(row, String::from_utf8_lossy(bytes).as_bytes());
        attributes.note(column, ValueType::BrokenText, &base64_text(bytes));
    }
}

/// The same for a column of text.
pub(crate) fn set_text(
    texts: &mut Texts,
    row: usize,
    bytes: &[u8],
    attributes: &mut RowAttributes,
    column: &str,
) {
    let (text, is_broken) = shown(bytes);
    texts.set(row, &text);
    if is_broken {
        attributes.note(column, ValueType::BrokenText, &base64_text(bytes));
    }
}

/// A time in 64 signed bits. One beyond the year 2262 is moved there and its original noted.
#[inline]
pub(crate) fn time_of(nanos: u64, attributes: &mut RowAttributes, column: &str) -> i64 {
    i64::try_from(nanos).unwrap_or_else(|_| {
        attributes.note(column, ValueType::Int, &nanos.to_string());
        i64::MAX
    })
}

/// The same for parts of a row, which have attributes of their own.
pub(crate) fn time_of_part(nanos: u64, entries: &mut Entries, column: &str) -> i64 {
    i64::try_from(nanos).unwrap_or_else(|_| {
        entries.push_stored(&raw_key(column), ValueType::Int, &nanos.to_string());
        i64::MAX
    })
}

/// An id of `N` bytes; `None` when it is empty or zero, an error when it has another length.
#[inline]
pub(crate) fn id_of<const N: usize>(bytes: &[u8]) -> Result<Option<[u8; N]>, usize> {
    match <[u8; N]>::try_from(bytes) {
        Ok(id) if id == [0; N] => Ok(None),
        Ok(id) => Ok(Some(id)),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(bytes.len()),
    }
}

/// An optional id of a row; one of another length goes to the attributes.
#[inline]
pub(crate) fn optional_id<const N: usize>(
    bytes: &[u8],
    attributes: &mut RowAttributes,
    column: &str,
) -> Option<[u8; N]> {
    id_of(bytes).unwrap_or_else(|_| {
        attributes.note(column, ValueType::Bytes, &base64_text(bytes));
        None
    })
}

/// The same for parts of a row.
pub(crate) fn part_id<const N: usize>(
    bytes: &[u8],
    entries: &mut Entries,
    column: &str,
) -> Option<[u8; N]> {
    id_of(bytes).unwrap_or_else(|_| {
        entries.push_stored(&raw_key(column), ValueType::Bytes, &base64_text(bytes));
        None
    })
}

/// The text of a part of a row; the original of one that is not UTF-8 goes to its attributes.
pub(crate) fn part_text<'a>(bytes: &'a [u8], entries: &mut Entries, column: &str) -> Cow<'a, str> {
    let (text, is_broken) = shown(bytes);
    if is_broken {
        entries.push_stored(&raw_key(column), ValueType::BrokenText, &base64_text(bytes));
    }
    text
}

/// What the attributes of events, links and exemplars are read with.
pub(crate) struct PartReader<'b> {
    pub(crate) keys: &'b mut Keys,
    pub(crate) found: &'b mut FoundIds,
    pub(crate) depth_max: usize,
}

impl PartReader<'_> {
    /// Adds an attribute of a part of a row: its key has no prefix.
    pub(crate) fn add(&mut self, entries: &mut Entries, message: &[u8]) -> Result<(), WireError> {
        let (key, value) = key_value(message)?;
        let info = self.keys.info(Owner::Part, key);
        if let Some(name) = &info.id {
            self.found.add_value(name, value);
        }
        entries.push(&info.prefixed, value, self.depth_max)
    }
}

/// Adds what the JSON reader could not put into a fixed column.
pub(crate) fn add_note(
    attributes: &mut RowAttributes,
    message: &[u8],
    depth_max: usize,
) -> Result<(), WireError> {
    let (key, value) = key_value(message)?;
    attributes.map.entries.push(&shown(key).0, value, depth_max)
}
