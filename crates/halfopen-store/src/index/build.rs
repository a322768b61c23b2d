//! Collects the ids of a segment while its rows are written, row group by row group.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use halfopen_model::Table;

use super::file::{Entry, encode};
use super::fuse;
use super::key::{Bound, Kind, bound};

/// Makes the filters of one segment. Rows come in the order of the segment.
pub(crate) struct IndexBuilder {
    group_rows: usize,
    /// Rows of the group that is being filled.
    rows: usize,
    group: u32,
    collectors: Vec<Collector>,
    finished: Vec<(Entry, Vec<u8>)>,
}

/// The keys of one kind in one row group.
struct Collector {
    kind: Kind,
    hashes: Vec<u64>,
    bounds: Option<(Bound, Bound)>,
    /// The value before: equal ones mostly lie together.
    last: Vec<u8>,
}

impl IndexBuilder {
    /// For a segment of `table` with row groups of `group_rows` rows.
    pub(crate) fn new(table: Table, group_rows: usize) -> IndexBuilder {
        let collector =
            |kind| Collector { kind, hashes: Vec::new(), bounds: None, last: Vec::new() };
        IndexBuilder {
            group_rows,
            rows: 0,
            group: 0,
            collectors: Kind::of_table(table).map(collector).collect(),
            finished: Vec::new(),
        }
    }

    /// Takes the next rows.
    pub(crate) fn add(&mut self, rows: &RecordBatch) {
        let mut begin = 0;
        while begin < rows.num_rows() {
            let end = rows.num_rows().min(begin + self.group_rows - self.rows);
            for collector in &mut self.collectors {
                if let Some(column) = rows.column_by_name(collector.kind.column()) {
                    collector.add_all(column, begin, end);
                }
            }
            self.rows += end - begin;
            begin = end;
            if self.rows == self.group_rows {
                self.finish_group();
            }
        }
    }

    /// Rows that follow are in the next row group.
    pub(super) fn finish_group(&mut self) {
        for collector in &mut self.collectors {
            self.finished.push(collector.finish(self.group));
        }
        self.group += 1;
        self.rows = 0;
    }

    /// The content of the side file of the segment that `identity` tells from all others.
    pub(crate) fn finish(&mut self, identity: u64) -> Vec<u8> {
        if self.rows > 0 {
            self.finish_group();
        }
        self.finished.sort_by_key(|(entry, _)| (entry.kind, entry.group));
        encode(identity, self.group, &std::mem::take(&mut self.finished))
    }
}

impl Collector {
    fn add_all(&mut self, column: &ArrayRef, begin: usize, end: usize) {
        let valid = (begin..end).filter(|row| column.is_valid(*row));
        if let Some(ids) = column.as_fixed_size_binary_opt() {
            valid.for_each(|row| self.add(ids.value(row)));
        } else if let Some(texts) = column.as_string_opt::<i32>() {
            valid.for_each(|row| self.add(texts.value(row).as_bytes()));
        } else if let Some(words) = column.as_dictionary_opt::<Int32Type>() {
            let Some(texts) = words.values().as_string_opt::<i32>() else { return };
            for code in valid.filter_map(|row| words.key(row)) {
                self.add(texts.value(code).as_bytes());
            }
        }
    }

    fn add(&mut self, value: &[u8]) {
        if self.bounds.is_some() && self.last == value {
            return;
        }
        let at = bound(value, 0);
        let (first, last) = self.bounds.unwrap_or((at, at));
        let is_first = self.bounds.is_none();
        self.bounds = Some((first.min(at), last.max(at)));
        self.hashes.push(self.kind.hash(value));
        for length in self.kind.prefixes().iter().copied().filter(|l| *l <= value.len()) {
            let is_new = is_first || self.last.get(..length) != Some(&value[..length]);
            if is_new {
                self.hashes.push(self.kind.hash_prefix(&value[..length]));
            }
        }
        self.last.clear();
        self.last.extend_from_slice(value);
    }

    fn finish(&mut self, group: u32) -> (Entry, Vec<u8>) {
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.sort_unstable();
        hashes.dedup();
        let built = if hashes.is_empty() { None } else { fuse::build(&hashes) };
        let (shape, prints) = built.unzip();
        let (first, last) = self.bounds.take().unwrap_or_default();
        let (kind, keys) = (self.kind, hashes.len() as u32);
        self.last.clear();
        (Entry { kind, group, keys, first, last, shape, at: 0, sum: 0 }, prints.unwrap_or_default())
    }
}
