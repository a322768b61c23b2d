//! The way back from promoted columns to the map, so that nobody notices where an attribute is.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, Schema};
use arrow::error::ArrowError;
use halfopen_model::ValueType;
use halfopen_model::attribute::show_double;
use halfopen_model::batch::{map_entries, text_at};
use halfopen_model::schema::ATTRIBUTES;

use super::promote::{Entries, ORDER, PROMOTED};

/// The promoted columns of a file, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Joint {
    keys: Vec<String>,
}

impl Joint {
    /// Of the file with this schema.
    pub(crate) fn of(file: &Schema) -> Joint {
        let promoted = file.fields().iter().filter(|f| f.metadata().contains_key(PROMOTED));
        Joint { keys: promoted.map(|field| field.name().clone()).collect() }
    }

    /// Whether the file has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The columns that are read for the map, beside the map.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        let order = (!self.is_empty()).then_some(ORDER);
        self.keys.iter().map(String::as_str).chain(order)
    }

    /// Puts promoted values back into the map of `rows`.
    pub(crate) fn join(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Some((place, _)) = rows.schema_ref().column_with_name(ATTRIBUTES) else {
            return Ok(rows.clone());
        };
        if self.is_empty() {
            return Ok(rows.clone());
        }
        let column = |name: &str| {
            rows.column_by_name(name).cloned().ok_or_else(|| {
                ArrowError::SchemaError(format!("the promoted column \"{name}\" was not read"))
            })
        };
        let promoted = self.keys.iter().map(|key| column(key)).collect::<Result<Vec<_>, _>>()?;
        let map = self.map(rows.column(place), &column(ORDER)?, &promoted)?;
        let mut columns = rows.columns().to_vec();
        columns[place] = map;
        RecordBatch::try_new(rows.schema(), columns)
    }

    /// The whole map, of what is left of it, the order, and the promoted columns.
    pub(crate) fn map(
        &self,
        rest: &ArrayRef,
        order: &ArrayRef,
        promoted: &[ArrayRef],
    ) -> Result<ArrayRef, ArrowError> {
        let wrong = || ArrowError::SchemaError("attributes are no map".to_owned());
        let rest = rest.as_map_opt().ok_or_else(wrong)?;
        let orders = Orders::new(order);
        // Promoted values in the order of their columns; the rest comes behind in any case.
        let usual: Vec<Option<usize>> = (0..promoted.len()).map(Some).collect();
        let mut entries = Entries::default();
        let mut left: Vec<(&str, u8, &str)> = Vec::new();
        for row in 0..rest.len() {
            left.clear();
            rest_of(rest, row, &mut left);
            let mut left = left.iter();
            for token in orders.of(row).unwrap_or(&usual) {
                let found = match token {
                    Some(place) => promoted
                        .get(*place)
                        .and_then(|column| value_at(column, row))
                        .map(|(tag, text)| (self.keys[*place].as_str(), tag, text)),
                    None => left.next().map(|(key, tag, text)| (*key, *tag, Cow::Borrowed(*text))),
                };
                if let Some((key, tag, text)) = found {
                    entries.push(key, tag, text);
                }
            }
            left.for_each(|(key, tag, text)| entries.push(key, *tag, Cow::Borrowed(text)));
            entries.end_row();
        }
        entries.finish()
    }
}

fn rest_of<'a>(map: &'a MapArray, row: usize, left: &mut Vec<(&'a str, u8, &'a str)>) {
    if map.is_valid(row) {
        map_entries(map, row, &mut |key, tag, text| left.push((key, tag, text)));
    }
}

/// Type tag and text of a promoted value.
fn value_at(column: &ArrayRef, row: usize) -> Option<(u8, Cow<'_, str>)> {
    if column.is_null(row) {
        return None;
    }
    let (value_type, text) = match column.data_type() {
        DataType::Int64 => {
            let value = column.as_primitive_opt::<Int64Type>()?.value(row);
            (ValueType::Int, Cow::Owned(value.to_string()))
        }
        DataType::Float64 => {
            let value = column.as_primitive_opt::<Float64Type>()?.value(row);
            (ValueType::Double, Cow::Owned(show_double(value)))
        }
        DataType::Boolean => {
            let value = column.as_boolean_opt()?.value(row);
            (ValueType::Bool, Cow::Borrowed(if value { "true" } else { "false" }))
        }
        _ => (ValueType::Text, Cow::Borrowed(text_at(column.as_ref(), row)?)),
    };
    Some((value_type.tag(), text))
}

/// The text of a promoted value, as `attr` gives it.
pub(crate) fn text_of(column: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    value_at(column, row).map(|(_, text)| text)
}

/// The words of the column [`ORDER`], read once for each word.
struct Orders<'a> {
    column: &'a ArrayRef,
    words: Vec<Vec<Option<usize>>>,
}

impl<'a> Orders<'a> {
    fn new(column: &'a ArrayRef) -> Orders<'a> {
        let words = column.as_dictionary_opt::<Int32Type>().map(|words| words.values());
        let words = words.and_then(|values| values.as_string_opt::<i32>());
        let read = |word: &str| word.split(' ').map(|token| token.parse().ok()).collect();
        let words = words.iter().flat_map(|words| words.iter());
        Orders { column, words: words.map(|word| read(word.unwrap_or_default())).collect() }
    }

    fn of(&self, row: usize) -> Option<&[Option<usize>]> {
        let words = self.column.as_dictionary_opt::<Int32Type>()?;
        Some(self.words.get(words.key(row)?)?)
    }
}
