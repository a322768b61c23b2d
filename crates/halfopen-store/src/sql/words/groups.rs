//! The groups that columns of words make: each word gets a number, each row of numbers a group.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;
use datafusion::common::{Result, exec_err};

/// Columns whose numbers make one key.
pub(super) const COLUMNS_MAX: usize = 4;

/// The number of a missing word.
const NULL: u32 = u32::MAX;
/// A word of a dictionary whose number was not looked up yet.
const UNKNOWN: u32 = u32::MAX - 1;
/// A number without a group.
const NO_GROUP: usize = usize::MAX;

/// The numbers of a row.
type Key = [u32; COLUMNS_MAX];

/// Groups by the words of their columns.
pub(super) struct WordGroups {
    columns: Vec<Words>,
    /// The key of each group.
    keys: Vec<Key>,
    /// With one column: the group of each number, and of no word.
    by_number: (Vec<usize>, usize),
    /// With several columns: the group of each key.
    by_key: HashMap<Key, usize>,
}

/// The words of one column.
#[derive(Default)]
struct Words {
    numbers: HashMap<Arc<str>, u32>,
    words: Vec<Arc<str>>,
    text_bytes: usize,
    /// The dictionary of the batch before, and the numbers of its words.
    dictionary: Option<(ArrayRef, Vec<u32>)>,
}

impl WordGroups {
    pub(super) fn new(columns: usize) -> WordGroups {
        WordGroups {
            columns: (0..columns).map(|_| Words::default()).collect(),
            keys: Vec::new(),
            by_number: (Vec::new(), NO_GROUP),
            by_key: HashMap::new(),
        }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let entry = size_of::<Key>() + size_of::<usize>();
        let words: usize = self.columns.iter().map(Words::bytes).sum();
        let by_number = self.by_number.0.capacity() * size_of::<usize>();
        let keys = self.keys.capacity() * size_of::<Key>() + self.by_key.capacity() * entry;
        words + by_number + keys
    }

    /// Puts the group of each row into `places`.
    pub(super) fn find(&mut self, columns: &[ArrayRef], places: &mut Vec<usize>) -> Result<()> {
        places.clear();
        match (columns, self.columns.as_mut_slice()) {
            ([column], [words]) => {
                let column = codes(column)?;
                let (keys, of_number) = (&mut self.keys, &mut self.by_number);
                words.each(column, |number| places.push(of_one(keys, of_number, number)))
            }
            (columns, words) => {
                let rows = columns.first().map_or(0, |column| column.len());
                let mut keys: Vec<Key> = vec![[NULL; COLUMNS_MAX]; rows];
                for (place, (column, words)) in columns.iter().zip(words).enumerate() {
                    let mut row = 0;
                    words.each(codes(column)?, |number| {
                        keys[row][place] = number;
                        row += 1;
                    })?;
                }
                self.of_several(&keys, places);
                Ok(())
            }
        }
    }

    fn of_several(&mut self, keys: &[Key], places: &mut Vec<usize>) {
        // Neighbours are often of one group.
        let mut last: Option<(Key, usize)> = None;
        for key in keys {
            let group = match last {
                Some((before, group)) if before == *key => group,
                _ => *self.by_key.entry(*key).or_insert_with(|| {
                    self.keys.push(*key);
                    self.keys.len() - 1
                }),
            };
            last = Some((*key, group));
            places.push(group);
        }
    }

    /// The words of all groups, one array for each column; there are none afterwards.
    pub(super) fn take(&mut self) -> Vec<ArrayRef> {
        let keys = std::mem::take(&mut self.keys);
        self.by_number = (Vec::new(), NO_GROUP);
        self.by_key = HashMap::new();
        let columns = self.columns.iter_mut().enumerate();
        let arrays = columns.map(|(place, words)| {
            let Words { words, .. } = std::mem::take(words);
            let texts: StringArray = words.iter().map(|word| Some(&**word)).collect();
            let codes: Int32Array =
                keys.iter().map(|key| (key[place] != NULL).then_some(key[place] as i32)).collect();
            Arc::new(DictionaryArray::new(codes, Arc::new(texts))) as ArrayRef
        });
        arrays.collect()
    }
}

fn codes(column: &ArrayRef) -> Result<&DictionaryArray<Int32Type>> {
    match column.as_dictionary_opt::<Int32Type>() {
        Some(codes) => Ok(codes),
        None => exec_err!("{} in place of words", column.data_type()),
    }
}

/// The group of a number, where it is all of the key.
#[inline]
fn of_one(keys: &mut Vec<Key>, of_number: &mut (Vec<usize>, usize), number: u32) -> usize {
    let (groups, of_null) = of_number;
    let group = match number {
        NULL => of_null,
        number => {
            let number = number as usize;
            if number >= groups.len() {
                groups.resize(number + 1, NO_GROUP);
            }
            &mut groups[number]
        }
    };
    if *group == NO_GROUP {
        *group = keys.len();
        let mut key = [NULL; COLUMNS_MAX];
        key[0] = number;
        keys.push(key);
    }
    *group
}

impl Words {
    /// Gives the number of the word of each row to `take`.
    fn each(
        &mut self,
        column: &DictionaryArray<Int32Type>,
        mut take: impl FnMut(u32),
    ) -> Result<()> {
        let values = column.values();
        let Some(texts) = values.as_string_opt::<i32>() else {
            return exec_err!("words of {}", values.data_type());
        };
        let known = self.dictionary.take().filter(|(before, _)| Arc::ptr_eq(before, values));
        let mut numbers = match known {
            Some((_, numbers)) => numbers,
            None => vec![UNKNOWN; texts.len()],
        };
        let nulls = column.keys().nulls();
        for (row, code) in column.keys().values().iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                take(NULL);
                continue;
            }
            let code = *code as usize;
            if numbers[code] == UNKNOWN {
                numbers[code] = self.number(texts, code);
            }
            take(numbers[code]);
        }
        self.dictionary = Some((Arc::clone(values), numbers));
        Ok(())
    }

    #[cold]
    fn number(&mut self, texts: &StringArray, code: usize) -> u32 {
        if texts.is_null(code) {
            return NULL;
        }
        let text = texts.value(code);
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (word, number): (Arc<str>, u32) = (text.into(), self.words.len() as u32);
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        self.text_bytes += text.len();
        number
    }

    fn bytes(&self) -> usize {
        let entry = size_of::<Arc<str>>() + size_of::<u32>();
        let numbers = self.dictionary.as_ref().map_or(0, |(_, numbers)| numbers.capacity());
        self.text_bytes
            + self.words.capacity() * size_of::<Arc<str>>()
            + self.numbers.capacity() * entry
            + numbers * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests;
