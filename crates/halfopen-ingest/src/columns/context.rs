//! What all rows of a resource and scope have in common. Rows hold the number of their context;
//! the columns are made of it when a batch is finished.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::buffer::NullBuffer;
use halfopen_model::ValueType;
use halfopen_model::known::{KnownType, RESOURCE, Scope};

use super::Entries;
use super::attributes::raw_key;
use super::dictionary::{Dictionary, dictionary_array};

/// The value of a well-known attribute of a resource.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum KnownValue {
    /// Text.
    Word(String),
    /// An integer.
    Int(i64),
}

/// What all rows of a resource and scope have in common.
#[derive(Default)]
pub(crate) struct Context {
    /// Hash of the bytes of resource, scope and their schema URLs.
    pub(crate) hash: u128,
    /// Part of the hash of a series; does not depend on the order of attributes.
    pub(crate) series: u64,
    pub(crate) service: Option<String>,
    pub(crate) scope_name: Option<String>,
    pub(crate) scope_version: Option<String>,
    pub(crate) resource_schema_url: Option<String>,
    pub(crate) scope_schema_url: Option<String>,
    /// Values of [`RESOURCE`] by position.
    pub(crate) known: Vec<(usize, KnownValue)>,
    /// All other attributes.
    pub(crate) entries: Entries,
    /// Correlation ids of resource and scope: name, rank as request id, value.
    pub(crate) ids: Vec<(String, Option<usize>, String)>,
    /// What could not be read of resource and scope.
    pub(crate) problems: Vec<String>,
}

impl Context {
    /// Keeps the original of a text that was not UTF-8; gives what can be shown of it.
    pub(crate) fn text(&mut self, column: &str, bytes: &[u8]) -> Option<String> {
        if bytes.is_empty() {
            return None;
        }
        match str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                let original = crate::otlp::base64_text(bytes);
                self.entries.push_stored(&raw_key(column), ValueType::BrokenText, &original);
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let texts = self.known.len() * 32 + self.problems.iter().map(String::len).sum::<usize>();
        size_of::<Context>() + self.entries.bytes() + texts
    }
}

/// A text that all rows of a context have.
type TextOf = fn(&Context) -> Option<&str>;

/// Makes the columns that rows have through their contexts: `rows` holds one number for each row.
pub(crate) fn context_columns(contexts: &[Context], rows: &[u32]) -> Vec<(String, ArrayRef)> {
    let mut is_used = vec![false; contexts.len()];
    rows.iter().for_each(|context| is_used[*context as usize] = true);
    let mut columns = Vec::new();
    let texts: [(&str, TextOf); 5] = [
        ("service", |context| context.service.as_deref()),
        ("scope_name", |context| context.scope_name.as_deref()),
        ("scope_version", |context| context.scope_version.as_deref()),
        ("resource_schema_url", |context| context.resource_schema_url.as_deref()),
        ("scope_schema_url", |context| context.scope_schema_url.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(column) = word_column(contexts, &is_used, rows, text) {
            columns.push((name.to_owned(), column));
        }
    }
    let mut is_present = vec![false; RESOURCE.len()];
    for (context, _) in contexts.iter().zip(&is_used).filter(|(_, is_used)| **is_used) {
        context.known.iter().for_each(|(position, _)| is_present[*position] = true);
    }
    for position in (0..RESOURCE.len()).filter(|position| is_present[*position]) {
        let (key, known_type) = RESOURCE[position];
        let column = match known_type {
            KnownType::Word => {
                word_column(contexts, &is_used, rows, |context| word_at(context, position))
            }
            KnownType::Int => Some(int_column(contexts, rows, position)),
        };
        if let Some(column) = column {
            columns.push((format!("{}{key}", Scope::Resource.prefix()), column));
        }
    }
    columns
}

fn known_at(context: &Context, position: usize) -> Option<&KnownValue> {
    context.known.iter().find(|(known, _)| *known == position).map(|(_, value)| value)
}

fn word_at(context: &Context, position: usize) -> Option<&str> {
    match known_at(context, position)? {
        KnownValue::Word(text) => Some(text),
        KnownValue::Int(_) => None,
    }
}

fn word_column<'a>(
    contexts: &'a [Context],
    is_used: &[bool],
    rows: &[u32],
    text: impl Fn(&'a Context) -> Option<&'a str>,
) -> Option<ArrayRef> {
    let mut dictionary = Dictionary::default();
    let numbers: Vec<i32> = contexts
        .iter()
        .zip(is_used)
        .map(|(context, is_used)| {
            let text = is_used.then(|| text(context)).flatten();
            text.and_then(|text| dictionary.number(text.as_bytes())).map_or(-1, |n| n as i32)
        })
        .collect();
    if numbers.iter().all(|number| *number < 0) {
        return None;
    }
    let keys = rows.iter().map(|context| numbers[*context as usize]).collect();
    Some(dictionary_array(keys, dictionary.take()))
}

fn int_column(contexts: &[Context], rows: &[u32], position: usize) -> ArrayRef {
    let numbers: Vec<Option<i64>> = contexts
        .iter()
        .map(|context| match known_at(context, position) {
            Some(KnownValue::Int(value)) => Some(*value),
            _ => None,
        })
        .collect();
    let of_row = |context: &u32| numbers[*context as usize];
    let values: Vec<i64> = rows.iter().map(|row| of_row(row).unwrap_or_default()).collect();
    let valid: Vec<bool> = rows.iter().map(|row| of_row(row).is_some()).collect();
    let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
    Arc::new(Int64Array::new(values.into(), nulls))
}
