//! Picks rows out of many batches into new ones, in any order.
//!
//! Batches are sparse: each has the columns that it needs. Dictionary codes are local to a batch,
//! so words are merged into one dictionary per column first and codes are mapped while picking.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, RecordBatch,
    StringArray, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use halfopen_model::{Table, schema};

/// A row: the number of its batch and its place therein.
pub(crate) type Pick = (usize, usize);

/// Many batches of one table, ready to pick rows from.
pub(crate) struct Sources {
    schema: SchemaRef,
    columns: Vec<Source>,
}

enum Source {
    /// One dictionary for all batches; per batch its codes and what each code became.
    Words { values: ArrayRef, batches: Vec<Option<Codes>> },
    /// Ids of a fixed size.
    Fixed { size: i32, batches: Vec<Option<FixedSizeBinaryArray>> },
    /// Anything else; a batch without the column has one null, and `absent` says so.
    Other { arrays: Vec<ArrayRef>, absent: Vec<bool> },
}

struct Codes {
    keys: Int32Array,
    became: Vec<i32>,
}

impl Sources {
    /// Makes `batches` of `table` ready. Columns that none of them has are left out.
    pub(crate) fn new(table: Table, batches: &[&RecordBatch]) -> Result<Sources, ArrowError> {
        let whole = schema::schema(table);
        let present = |name: &str| batches.iter().any(|b| b.column_by_name(name).is_some());
        let fields: Vec<_> =
            whole.fields().iter().filter(|field| present(field.name())).cloned().collect();
        let columns = fields
            .iter()
            .map(|field| {
                let parts: Vec<_> =
                    batches.iter().map(|batch| batch.column_by_name(field.name())).collect();
                source(field.data_type(), &parts)
            })
            .collect::<Result<_, _>>()?;
        Ok(Sources { schema: Arc::new(Schema::new(fields)), columns })
    }

    /// The columns that picked rows have.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows at `picks`, in that order.
    pub(crate) fn pick(&self, picks: &[Pick]) -> Result<RecordBatch, ArrowError> {
        let columns = self
            .columns
            .iter()
            .map(|column| match column {
                Source::Words { values, batches } => pick_words(values, batches, picks),
                Source::Fixed { size, batches } => pick_fixed(*size, batches, picks),
                Source::Other { arrays, absent } => pick_other(arrays, absent, picks),
            })
            .collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn source(data_type: &DataType, parts: &[Option<&ArrayRef>]) -> Result<Source, ArrowError> {
    match data_type {
        DataType::Dictionary(_, _) => merge_words(parts),
        DataType::FixedSizeBinary(size) => {
            let batches = parts
                .iter()
                .map(|part| part.and_then(|array| array.as_fixed_size_binary_opt()).cloned());
            Ok(Source::Fixed { size: *size, batches: batches.collect() })
        }
        _ => {
            let null = || new_null_array(data_type, 1);
            let arrays = parts.iter().map(|part| part.map_or_else(null, Arc::clone)).collect();
            Ok(Source::Other { arrays, absent: parts.iter().map(Option::is_none).collect() })
        }
    }
}

fn merge_words(parts: &[Option<&ArrayRef>]) -> Result<Source, ArrowError> {
    let mut codes: HashMap<&str, i32> = HashMap::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut batches = Vec::with_capacity(parts.len());
    for part in parts {
        let words = part.and_then(|array| array.as_dictionary_opt::<Int32Type>());
        let Some(words) = words else {
            batches.push(None);
            continue;
        };
        let values = words.values().as_string_opt::<i32>().ok_or_else(|| {
            ArrowError::SchemaError("a word column does not hold text".to_owned())
        })?;
        let became = values.iter().map(|text| {
            *codes.entry(text.unwrap_or_default()).or_insert_with_key(|text| {
                texts.push(text);
                texts.len() as i32 - 1
            })
        });
        let became = became.collect();
        batches.push(Some(Codes { keys: words.keys().clone(), became }));
    }
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    Ok(Source::Words { values, batches })
}

fn pick_words(
    values: &ArrayRef,
    batches: &[Option<Codes>],
    picks: &[Pick],
) -> Result<ArrayRef, ArrowError> {
    let keys: Int32Array = picks
        .iter()
        .map(|(batch, row)| {
            let codes = batches[*batch].as_ref()?;
            codes.keys.is_valid(*row).then(|| codes.became[codes.keys.value(*row) as usize])
        })
        .collect();
    let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values))?;
    Ok(Arc::new(array))
}

/// The ids at `picks`.
pub(crate) fn pick_fixed(
    size: i32,
    batches: &[Option<FixedSizeBinaryArray>],
    picks: &[Pick],
) -> Result<ArrayRef, ArrowError> {
    let width = size as usize;
    let mut bytes = Vec::with_capacity(picks.len() * width);
    let mut valid = Vec::with_capacity(picks.len());
    for (batch, row) in picks {
        match &batches[*batch] {
            Some(array) if array.is_valid(*row) => {
                bytes.extend_from_slice(array.value(*row));
                valid.push(true);
            }
            _ => {
                bytes.resize(bytes.len() + width, 0);
                valid.push(false);
            }
        }
    }
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    let array = FixedSizeBinaryArray::try_new(size, Buffer::from_vec(bytes), nulls)?;
    Ok(Arc::new(array))
}

fn pick_other(
    arrays: &[ArrayRef],
    absent: &[bool],
    picks: &[Pick],
) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    if !absent.contains(&true) {
        return interleave(&arrays, picks);
    }
    let picks: Vec<Pick> = picks
        .iter()
        .map(|(batch, row)| if absent[*batch] { (*batch, 0) } else { (*batch, *row) })
        .collect();
    interleave(&arrays, &picks)
}

/// All rows of `batches`, one after the other, in one batch.
pub(crate) fn merge(table: Table, batches: &[&RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let picks: Vec<Pick> = batches
        .iter()
        .enumerate()
        .flat_map(|(number, batch)| (0..batch.num_rows()).map(move |row| (number, row)))
        .collect();
    Sources::new(table, batches)?.pick(&picks)
}

#[cfg(test)]
mod tests;
