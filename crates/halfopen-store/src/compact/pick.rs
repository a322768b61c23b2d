//! Rows out of batches of one schema, in any order. Other than in `gather`, only those words of a
//! dictionary are looked at that are picked: a merge picks a few rows of large dictionaries.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use arrow::error::ArrowError;

use crate::gather::{Pick, pick_fixed};

/// The code of a word that has not been met.
const UNMET: i32 = -1;

/// The rows at `picks`.
pub(crate) fn pick(
    schema: &SchemaRef,
    slots: &[RecordBatch],
    picks: &[Pick],
) -> Result<RecordBatch, ArrowError> {
    let column = |(place, data_type): (usize, &DataType)| -> Result<ArrayRef, ArrowError> {
        let arrays: Vec<&ArrayRef> = slots.iter().map(|rows| rows.column(place)).collect();
        match data_type {
            DataType::Dictionary(_, _) => words(&arrays, picks),
            DataType::FixedSizeBinary(size) => {
                let arrays = arrays.iter().map(|array| array.as_fixed_size_binary_opt().cloned());
                pick_fixed(*size, &arrays.collect::<Vec<_>>(), picks)
            }
            _ => {
                let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
                interleave(&arrays, picks)
            }
        }
    };
    let types = schema.fields().iter().map(|field| field.data_type()).enumerate();
    let columns = types.map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// The codes of one batch, its words, and what each code became.
struct Words<'a> {
    keys: &'a Int32Array,
    texts: &'a StringArray,
    became: Vec<i32>,
}

fn words(arrays: &[&ArrayRef], picks: &[Pick]) -> Result<ArrayRef, ArrowError> {
    let wrong = || ArrowError::SchemaError("a word column does not hold text".to_owned());
    let mut batches = Vec::with_capacity(arrays.len());
    for array in arrays {
        let words = array.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
        let texts = words.values().as_string_opt::<i32>().ok_or_else(wrong)?;
        let became = vec![UNMET; if words.null_count() < words.len() { texts.len() } else { 0 }];
        batches.push(Words { keys: words.keys(), texts, became });
    }
    let mut codes: HashMap<&str, i32> = HashMap::new();
    let mut met: Vec<&str> = Vec::new();
    let mut keys: Vec<Option<i32>> = Vec::with_capacity(picks.len());
    for (slot, row) in picks {
        let Words { keys: from, texts, became } = &mut batches[*slot];
        if from.is_null(*row) {
            keys.push(None);
            continue;
        }
        let code = from.value(*row) as usize;
        if became[code] == UNMET {
            let text = texts.value(code);
            became[code] = *codes.entry(text).or_insert_with(|| {
                met.push(text);
                met.len() as i32 - 1
            });
        }
        keys.push(Some(became[code]));
    }
    let values: ArrayRef = Arc::new(StringArray::from(met));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), values)?))
}
