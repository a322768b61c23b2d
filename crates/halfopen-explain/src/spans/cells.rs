//! Columns and maps of batches, read without building values.

use arrow::array::{Array, ArrayRef, AsArray, MapArray};
use arrow::datatypes::{DataType, Int32Type, UInt8Type};
use halfopen_model::batch::text_at;

use crate::codes::{Codes, UNSEEN};
use crate::intern::{NONE, Words};

/// What `judge` says of the text of each row, asked once for each value of a dictionary that
/// rows have: batches of one row group share a dictionary, which is larger than a batch.
pub(crate) fn by_text<T: Copy>(
    column: Option<&ArrayRef>,
    len: usize,
    otherwise: T,
    mut judge: impl FnMut(&str) -> T,
) -> impl Iterator<Item = T> {
    let mut judged = vec![otherwise; len];
    let words = column.and_then(|column| column.as_dictionary_opt::<Int32Type>());
    match (column, words) {
        (Some(column), None) if column.data_type() == &DataType::Utf8 => {
            for (row, judged) in judged.iter_mut().enumerate() {
                *judged = text_at(column.as_ref(), row).map_or(otherwise, &mut judge);
            }
        }
        (_, Some(words)) if words.null_count() < words.len() => {
            let values = words.values();
            let mut known: Vec<Option<T>> = vec![None; values.len()];
            for (row, judged) in judged.iter_mut().enumerate() {
                let Some(key) = words.key(row) else { continue };
                let value = || text_at(values.as_ref(), key).map_or(otherwise, &mut judge);
                *judged = *known[key].get_or_insert_with(value);
            }
        }
        _ => {}
    }
    judged.into_iter()
}

/// Gives `take` each row that has a text, and the code of it. What a dictionary led to is in
/// `codes` for the batches that share it.
pub(super) fn each_word(
    column: &ArrayRef,
    words: &mut Words,
    codes: &mut Codes,
    mut take: impl FnMut(usize, u32),
) {
    let Some((keys, values)) = column
        .as_dictionary_opt::<Int32Type>()
        .and_then(|column| Some((column.keys(), column.values().as_string_opt::<i32>()?)))
    else {
        let all = words_of(Some(column), column.len(), words).enumerate();
        return all.filter(|(_, code)| *code != NONE).for_each(|(row, code)| take(row, code));
    };
    let cells = codes.of(values);
    let mut look = |row: usize, key: i32| {
        let cell = &mut cells[key as usize];
        if *cell == UNSEEN {
            let text = values.is_valid(key as usize).then(|| values.value(key as usize));
            *cell = text.map_or(NONE, |text| words.code(text));
        }
        if *cell != NONE {
            take(row, *cell);
        }
    };
    let numbers = keys.values();
    match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => numbers.iter().enumerate().for_each(|(row, key)| look(row, *key)),
        Some(nulls) => nulls.valid_indices().for_each(|row| look(row, numbers[row])),
    }
}

/// The interned text of each row, [`NONE`] for null.
pub(crate) fn words_of(
    column: Option<&ArrayRef>,
    len: usize,
    words: &mut Words,
) -> impl Iterator<Item = u32> {
    by_text(column, len, NONE, |text| words.code(text))
}

/// The entries of an attribute map, read without building values.
pub(crate) struct MapEntries<'a> {
    offsets: &'a [i32],
    keys: &'a arrow::array::StringArray,
    tags: &'a arrow::array::UInt8Array,
    texts: &'a arrow::array::StringArray,
}

impl<'a> MapEntries<'a> {
    pub(crate) fn new(map: &'a MapArray) -> Option<MapEntries<'a>> {
        let values = map.values().as_struct_opt()?;
        Some(MapEntries {
            offsets: map.value_offsets(),
            keys: map.keys().as_string_opt::<i32>()?,
            tags: values.columns().first()?.as_primitive_opt::<UInt8Type>()?,
            texts: values.columns().get(1)?.as_string_opt::<i32>()?,
        })
    }

    pub(crate) fn of(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    pub(crate) fn key(&self, entry: usize) -> &'a str {
        self.keys.value(entry)
    }

    /// Type tag and text.
    pub(crate) fn value(&self, entry: usize) -> (u8, &'a str) {
        (self.tags.value(entry), self.texts.value(entry))
    }
}

/// Rows of one sender carry the same keys in the same order: what was found for the key at this
/// place of the row before is found again by one comparison.
pub(crate) struct KeyCache<'a, T> {
    last: Vec<(&'a str, T)>,
}

impl<'a, T: Copy> KeyCache<'a, T> {
    pub(crate) fn new() -> KeyCache<'a, T> {
        KeyCache { last: Vec::new() }
    }

    pub(crate) fn get(&mut self, ordinal: usize, key: &'a str, find: impl FnOnce(&str) -> T) -> T {
        match self.last.get_mut(ordinal) {
            Some((last, found)) if *last == key => *found,
            Some(cached) => {
                *cached = (key, find(key));
                cached.1
            }
            None => {
                let found = find(key);
                self.last.push((key, found));
                found
            }
        }
    }
}
