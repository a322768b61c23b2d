//! How many rows of two sides have each value of each attribute: the difference without
//! requests, for rows that are no part of any.
//!
//! Histograms over the codes of dictionaries: one pass, no sampling, nothing is hashed for a row.

use std::ops::Range;

use arrow::array::{Array, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;

use crate::intern::{NONE, Words};
use crate::threads;

/// Counters of a value that take turns: one that was just written is not read again at once.
const LANES: usize = 4;

/// One value of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tally<'t> {
    /// The column.
    pub attribute: &'t str,
    /// The value.
    pub value: &'t str,
    /// Rows of the chosen side that have it.
    pub chosen: u64,
    /// Other rows that have it.
    pub others: u64,
}

/// Counts of all values of some attributes.
#[derive(Default)]
pub struct Tallies {
    columns: Vec<(String, Column)>,
}

impl Tallies {
    /// How many different values, over all attributes.
    pub fn len(&self) -> usize {
        self.columns.iter().map(|(_, column)| column.counts.len()).sum()
    }

    /// Whether no row has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values: attributes in the order that was asked for, each with its values in the order
    /// in which rows have them first.
    pub fn iter(&self) -> impl Iterator<Item = Tally<'_>> {
        self.columns.iter().flat_map(|(attribute, column)| {
            column.counts.iter().enumerate().map(|(code, [others, chosen])| Tally {
                attribute,
                value: column.values.text(code as u32),
                chosen: *chosen,
                others: *others,
            })
        })
    }
}

/// Counts every value of dictionary columns by the side that each row is on; `side` tells of a
/// batch which rows are on the chosen side, and is asked once for each batch. Columns that are
/// missing, or that hold no words, have no values.
pub fn tally(
    batches: &[RecordBatch],
    attributes: &[&str],
    side: impl Fn(&RecordBatch) -> Vec<bool> + Sync,
) -> Tallies {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let count = threads::threads(rows);
    let chosen = threads::share(count, batches.len(), |batch| chosen(&side(&batches[batch])));
    // What has most values takes longest.
    let values_of = |attribute: &&str| {
        let words = batches.iter().filter_map(|batch| words(batch, attribute));
        words.map(|(_, values)| values.len()).max().unwrap_or_default()
    };
    let mut order: Vec<usize> = (0..attributes.len()).collect();
    order.sort_by_cached_key(|place| std::cmp::Reverse(values_of(&attributes[*place])));
    let counted = threads::share(count, order.len(), |job| {
        let mut column = Column::default();
        for (batch, chosen) in batches.iter().zip(&chosen) {
            column.count(batch, attributes[order[job]], chosen);
        }
        column.finish();
        column
    });
    let mut columns: Vec<(usize, Column)> = order.into_iter().zip(counted).collect();
    columns.sort_unstable_by_key(|(place, _)| *place);
    let named = |(place, column): (usize, Column)| (attributes[place].to_owned(), column);
    Tallies { columns: columns.into_iter().map(named).collect() }
}

/// The numbers of chosen rows.
fn chosen(side: &[bool]) -> Vec<u32> {
    let rows = side.iter().enumerate().filter(|(_, chosen)| **chosen);
    rows.map(|(row, _)| row as u32).collect()
}

fn words<'b>(
    batch: &'b RecordBatch,
    attribute: &str,
) -> Option<(&'b DictionaryArray<Int32Type>, &'b StringArray)> {
    let column = batch.column_by_name(attribute)?.as_dictionary_opt::<Int32Type>()?;
    Some((column, column.values().as_string_opt::<i32>()?))
}

/// Counts of one column.
#[derive(Default)]
struct Column {
    values: Words,
    /// Others and chosen, by value.
    counts: Vec<[u64; 2]>,
    /// The dictionary that is counted by.
    dictionary: Option<StringArray>,
    /// All rows by code, rows that follow each other in different lanes.
    all: Vec<[u32; LANES]>,
    /// Chosen rows by code.
    chosen: Vec<u32>,
}

impl Column {
    fn count(&mut self, batch: &RecordBatch, attribute: &str, chosen: &[u32]) {
        let Some((column, values)) = words(batch, attribute) else { return };
        self.turn_to(values);
        let keys = column.keys().values();
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        match nulls {
            None => self.count_all(keys, 0..keys.len()),
            Some(nulls) => nulls.valid_slices().for_each(|(from, to)| {
                self.count_all(keys, from..to);
            }),
        }
        for row in chosen.iter().map(|row| *row as usize) {
            if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                self.chosen[keys[row] as usize] += 1;
            }
        }
    }

    fn count_all(&mut self, keys: &[i32], rows: Range<usize>) {
        let all = &mut self.all[..];
        let (groups, rest) = keys[rows].as_chunks::<LANES>();
        for group in groups {
            for (lane, key) in group.iter().enumerate() {
                all[*key as usize][lane] += 1;
            }
        }
        rest.iter().for_each(|key| all[*key as usize][0] += 1);
    }

    /// Batches of one row group share a dictionary: its counts are kept by code as long as it
    /// stays the same.
    fn turn_to(&mut self, values: &StringArray) {
        let same = |known: &StringArray| {
            known.len() == values.len()
                && known.value_data().as_ptr() == values.value_data().as_ptr()
                && known.value_offsets().as_ptr() == values.value_offsets().as_ptr()
        };
        if !self.dictionary.as_ref().is_some_and(same) {
            self.finish();
            self.all.clear();
            self.all.resize(values.len(), [0; LANES]);
            self.chosen.clear();
            self.chosen.resize(values.len(), 0);
            self.dictionary = Some(values.clone());
        }
    }

    /// Adds what was counted by code to what is counted by value.
    fn finish(&mut self) {
        let Some(words) = self.dictionary.take() else { return };
        let rows: Vec<u64> =
            self.all.iter().map(|lanes| lanes.iter().map(|lane| u64::from(*lane)).sum()).collect();
        let held = words.iter().zip(&rows).map(|(word, rows)| word.filter(|_| *rows > 0));
        let mut codes = Vec::new();
        self.values.codes(held, &mut codes);
        self.counts.resize(self.values.len(), [0; 2]);
        for (code, (all, chosen)) in codes.iter().zip(rows.iter().zip(&self.chosen)) {
            if *code != NONE {
                let counts = &mut self.counts[*code as usize];
                counts[0] += all - u64::from(*chosen);
                counts[1] += u64::from(*chosen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, DictionaryArray};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Words of rows, each with a place in a made-up order.
    fn column(rows: std::ops::Range<usize>, values: usize) -> ArrayRef {
        let word =
            |row: usize| (!row.is_multiple_of(7)).then(|| format!("v{}", row * row % values));
        let words: Vec<Option<String>> = rows.map(word).collect();
        Arc::new(words.iter().map(|word| word.as_deref()).collect::<DictionaryArray<Int32Type>>())
    }

    #[test]
    fn rows_are_counted_as_one_loop_counts_them() {
        const ROWS: usize = 13 * 9_000;
        let batch = |from: usize| {
            let rows = from..(from + 9_000).min(ROWS);
            let mut columns =
                vec![("place", column(rows.clone(), ROWS)), ("span.a", column(rows.clone(), 40))];
            if from.is_multiple_of(2_000) {
                columns.push(("span.b", column(rows, 3)));
            }
            let whole = RecordBatch::try_from_iter(columns).expect("columns of one length");
            // Slices share their dictionary.
            [whole.slice(0, 4_000), whole.slice(4_000, whole.num_rows() - 4_000)]
        };
        let batches: Vec<RecordBatch> = (0..ROWS).step_by(9_000).flat_map(batch).collect();
        let text = |batch: &RecordBatch, name: &str, row: usize| {
            let column = batch.column_by_name(name)?;
            halfopen_model::batch::text_at(column.as_ref(), row).map(str::to_owned)
        };
        let is_chosen = |batch: &RecordBatch, row: usize| {
            text(batch, "place", row).is_some_and(|place| place.ends_with('4'))
        };
        let side = |batch: &RecordBatch| {
            (0..batch.num_rows()).map(|row| is_chosen(batch, row)).collect::<Vec<_>>()
        };
        let names = ["span.a", "span.b", "span.nowhere"];
        let mut naive: BTreeMap<(&str, String), [u64; 2]> = BTreeMap::new();
        for batch in &batches {
            for (row, name) in (0..batch.num_rows()).flat_map(|row| names.map(|name| (row, name))) {
                if let Some(value) = text(batch, name, row) {
                    let chosen = usize::from(is_chosen(batch, row));
                    naive.entry((name, value)).or_default()[chosen] += 1;
                }
            }
        }
        let tallies = tally(&batches, &names, side);
        let found: BTreeMap<_, _> = tallies
            .iter()
            .map(|t| {
                (
                    (if t.attribute == "span.a" { names[0] } else { names[1] }, t.value.to_owned()),
                    [t.others, t.chosen],
                )
            })
            .collect();
        assert_eq!(found, naive);
        assert!(found.len() > 10 && tally(&[], &names, side).is_empty());
    }
}
