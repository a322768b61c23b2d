//! Collects the ids of a segment while its rows are written, row group by row group.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use halfopen_model::Table;

use super::file::{Entry, encode};
use super::fuse;
use super::key::{Bound, Kind, WHOLE_LEFT_OUT, bound};

/// A length of beginnings is not filed when a shorter one has this part of its different values.
const TELLING: f64 = 0.9;

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
    /// For each length of beginnings that is filed, the shortest first.
    beginnings: Vec<Vec<u64>>,
    /// Bytes of the shortest value.
    shortest: usize,
    bounds: Option<(Bound, Bound)>,
    /// The value before: equal ones mostly lie together.
    last: Vec<u8>,
}

impl IndexBuilder {
    /// For a segment of `table` with row groups of `group_rows` rows.
    pub(crate) fn new(table: Table, group_rows: usize) -> IndexBuilder {
        let collector = |kind: Kind| Collector {
            kind,
            hashes: Vec::new(),
            // Nobody asks for ids by the beginning of a trace.
            beginnings: match (kind, table) {
                (Kind::Trace, Table::Ids) => Vec::new(),
                _ => vec![Vec::new(); kind.prefixes().len()],
            },
            shortest: usize::MAX,
            bounds: None,
            last: Vec::new(),
        };
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
        self.shortest = self.shortest.min(value.len());
        for (filed, length) in self.beginnings.iter_mut().zip(self.kind.prefixes()) {
            let Some(beginning) = value.get(..*length) else { break };
            if is_first || self.last.get(..*length) != Some(beginning) {
                filed.push(self.kind.hash_prefix(beginning));
            }
        }
        self.last.clear();
        self.last.extend_from_slice(value);
    }

    fn finish(&mut self, group: u32) -> (Entry, Vec<u8>) {
        let (hashes, left_out) = self.keys();
        let built = if hashes.is_empty() { None } else { fuse::build(&hashes) };
        let (shape, prints) = built.unzip();
        let (first, last) = self.bounds.take().unwrap_or_default();
        let (kind, keys) = (self.kind, hashes.len() as u32);
        self.last.clear();
        let entry = Entry { kind, group, keys, left_out, first, last, shape, at: 0, sum: 0 };
        (entry, prints.unwrap_or_default())
    }

    /// What is filed, and what is left out of it: lengths of beginnings whose next shorter one
    /// tells nearly as many values apart, and whole ids that their beginnings tell apart. Of random
    /// ids ten digits do what all 36 would.
    fn keys(&mut self) -> (Vec<u64>, u8) {
        let distinct = |hashes: &mut Vec<u64>| {
            let mut hashes = std::mem::take(hashes);
            hashes.sort_unstable();
            hashes.dedup();
            hashes
        };
        let tells = |few: usize, many: usize| few as f64 >= many as f64 * TELLING;
        let mut whole = distinct(&mut self.hashes);
        let mut left_out = match self.beginnings.is_empty() {
            true => (1 << self.kind.prefixes().len()) - 1,
            false => 0,
        };
        let mut filed = Vec::new();
        let mut shorter = 0;
        for (place, beginnings) in self.beginnings.iter_mut().enumerate() {
            let mut beginnings = distinct(beginnings);
            let is_kept = self.kind.prefix_kept() == Some(place);
            if place > 0 && !is_kept && tells(shorter, beginnings.len()) {
                left_out |= 1 << place;
                continue;
            }
            shorter = beginnings.len();
            let all_have_it = self.shortest > self.kind.prefixes()[place];
            if is_kept && all_have_it && tells(shorter, whole.len()) {
                left_out |= WHOLE_LEFT_OUT;
                whole.clear();
            }
            filed.append(&mut beginnings);
        }
        self.shortest = usize::MAX;
        filed.append(&mut whole);
        filed.sort_unstable();
        filed.dedup();
        (filed, left_out)
    }
}
