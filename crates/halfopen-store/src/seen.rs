//! Which rows were there already: fingerprints of the recent past, in two generations.
//!
//! When the younger generation is full it becomes the older one, and what was the older one is
//! forgotten. So at least one generation of rows is always known, and memory has a bound.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use halfopen_model::{Fingerprint, Table};

/// Fingerprints of one generation: just what a table of 2^20 places takes (17.8 MB).
pub(crate) const SEEN_ROWS_MAX: usize = (1 << 20) / 8 * 7;

/// Fingerprints are hashes already. Their halves are folded all the same, so that a source with
/// poor fingerprints makes its own writes a little slower and not everybody's very slow.
#[derive(Default)]
pub(crate) struct Folded(u64);

/// 2^64 divided by the golden ratio: spreads neighbours over the whole table.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, value: u128) {
        let folded = (value as u64) ^ ((value >> 64) as u64).rotate_left(32);
        let spread = folded.wrapping_mul(SPREAD);
        self.0 = spread ^ (spread >> 32);
    }
}

type Marks = HashSet<Fingerprint, BuildHasherDefault<Folded>>;

/// The recent past.
pub(crate) struct Seen {
    younger: Marks,
    older: Marks,
    rows_max: usize,
}

/// The same content in two tables is two rows.
pub(crate) fn mark(table: Table, fingerprint: Fingerprint) -> Fingerprint {
    fingerprint ^ (u128::from(table as u8) << 120)
}

impl Seen {
    /// Nothing seen yet.
    pub(crate) fn new() -> Seen {
        Seen::bounded(SEEN_ROWS_MAX)
    }

    fn bounded(rows_max: usize) -> Seen {
        Seen { younger: Marks::default(), older: Marks::default(), rows_max }
    }

    /// Takes note of a row; whether it is new.
    pub(crate) fn insert(&mut self, mark: Fingerprint) -> bool {
        if self.older.contains(&mark) || !self.younger.insert(mark) {
            return false;
        }
        if self.younger.len() >= self.rows_max {
            self.older = std::mem::take(&mut self.younger);
        }
        true
    }

    /// Forgets rows that were not kept after all.
    pub(crate) fn take_back(&mut self, marks: impl Iterator<Item = Fingerprint>) {
        for mark in marks {
            if !self.younger.remove(&mark) {
                self.older.remove(&mark);
            }
        }
    }

    /// Adds rows of an earlier run, oldest last: those that fit into one generation.
    pub(crate) fn remember(&mut self, marks: impl Iterator<Item = Fingerprint>) {
        let room = self.rows_max.saturating_sub(self.older.len());
        self.older.extend(marks.take(room));
    }

    /// Memory held, roughly.
    pub(crate) fn bytes(&self) -> usize {
        (self.younger.capacity() + self.older.capacity()) * (size_of::<Fingerprint>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_for_at_least_one_generation_and_memory_stays_bounded() {
        let mut seen = Seen::bounded(10);
        for row in 0..1_000_u128 {
            assert!(seen.insert(row));
            for known in row.saturating_sub(9)..=row {
                assert!(!seen.insert(known), "{known} was forgotten at {row}");
            }
            assert!(seen.younger.len() + seen.older.len() <= 20);
        }
        assert!(seen.insert(3), "the distant past is forgotten");
    }

    #[test]
    fn what_is_taken_back_is_new_again() {
        let mut seen = Seen::bounded(2);
        assert!([1, 2, 3].into_iter().all(|row| seen.insert(row)));
        seen.take_back([1, 3].into_iter());
        assert!(seen.insert(1) && seen.insert(3));
        assert_ne!(mark(Table::Spans, 7), mark(Table::Ids, 7));
    }

    #[test]
    fn rows_of_an_earlier_run_are_known() {
        let mut seen = Seen::bounded(2);
        seen.remember([1, 2, 3].into_iter());
        assert!(!seen.insert(1) && !seen.insert(2) && seen.insert(3));
    }
}
