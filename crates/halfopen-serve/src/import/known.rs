//! Which rows are there: marks of stretches of time, read from the store when they are needed.

use std::collections::HashMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampNanosecondType;
use halfopen_ingest::import::SENDER_PREFIX;
use halfopen_model::identity::marks;
use halfopen_model::port::{Match, ReadError, Scan};
use halfopen_model::{Batch, Fingerprint, ReadEvidence, Table, TimeRange, UnixNanos};
use xxhash_rust::xxh3::xxh3_128;

use super::range_of;

/// Rows whose marks are held: some 300 MB.
pub const KNOWN_ROWS_MAX: usize = 4_000_000;
/// Rows that are read from the store at once.
const READ_ROWS: usize = 20_000;
/// Rows further apart than this are looked up apart from each other.
const GAP_NS: i64 = 60_000_000_000;
/// Stretches that one group is looked up in; beyond it wider gaps are bridged.
const STRETCHES_MAX: usize = 32;

/// How often a row is there, and how often it came in this session.
#[derive(Clone, Copy, Default)]
struct Times {
    there: u32,
    came: u32,
}

/// What is known of one table.
#[derive(Default)]
struct Rows {
    marks: HashMap<Fingerprint, Times>,
    /// Stretches of time whose rows are known, in order, none touching another.
    loaded: Vec<TimeRange>,
}

/// What is known of all tables.
#[derive(Default)]
pub(super) struct Known {
    tables: [Rows; Table::ALL.len()],
}

impl Known {
    fn count(&self) -> usize {
        self.tables.iter().map(|rows| rows.marks.len()).sum()
    }

    /// Sees to it that the rows of the store around those of `batch` are known.
    pub(super) async fn load<S: ReadEvidence>(
        &mut self,
        evidence: &S,
        batch: &Batch,
        notes: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        if self.count() > KNOWN_ROWS_MAX {
            self.tables = Default::default();
        }
        let table = batch.table;
        let (wanted, matching) = match table {
            // Rejects are placed at the time of the import; what tells them apart is what they
            // say, whenever that was.
            Table::Rejects => {
                let column = "sender".to_owned();
                let prefix = SENDER_PREFIX.to_owned();
                (vec![TimeRange::ALL], Match::TextPrefix { column, prefix })
            }
            _ => (stretches(table, &batch.rows), Match::All),
        };
        for range in wanted {
            for missing in without(range, &self.tables[table as usize].loaded) {
                let scan =
                    Scan { matching: matching.clone(), ..Scan::all(table, missing, READ_ROWS) };
                self.read(evidence, scan, notes).await?;
                add(&mut self.tables[table as usize].loaded, missing);
            }
        }
        Ok(())
    }

    /// Reads what `scan` asks for, in halves where it is too much at once.
    async fn read<S: ReadEvidence>(
        &mut self,
        evidence: &S,
        scan: Scan,
        notes: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        let mut waiting = vec![scan];
        while let Some(scan) = waiting.pop() {
            let found = evidence.read(scan.clone()).await?;
            if found.truncated {
                waiting.extend(halves(scan));
                continue;
            }
            for rows in &found.batches {
                for mark in marks(scan.table, rows) {
                    self.tables[scan.table as usize].marks.entry(mark).or_default().there += 1;
                }
            }
            for note in found.unread {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        Ok(())
    }

    /// Takes note of a row that came: its fingerprint when it is new.
    ///
    /// Two log lines, or two rejects, that say the same are two; everything else is the same
    /// thing seen twice.
    pub(super) fn take(&mut self, table: Table, mark: Fingerprint) -> Option<Fingerprint> {
        let times = self.tables[table as usize].marks.entry(mark).or_default();
        times.came += 1;
        if !matches!(table, Table::Logs | Table::Rejects) {
            return (times.there == 0 && times.came == 1).then_some(mark);
        }
        let number = u128::from(times.came);
        let both = [mark.to_le_bytes(), number.to_le_bytes()].concat();
        (times.came > times.there).then(|| xxh3_128(&both))
    }
}

/// Two scans for one that found too many rows; rows of one moment are read at once, however many.
fn halves(scan: Scan) -> Vec<Scan> {
    let (from, to) = (i128::from(scan.range.from.0), i128::from(scan.range.to.0));
    if to - from <= 1 {
        return vec![Scan { rows_max: usize::MAX, ..scan }];
    }
    let middle = UnixNanos(((from + to) / 2) as i64);
    let early = TimeRange { to: middle, ..scan.range };
    let late = TimeRange { from: middle, ..scan.range };
    vec![Scan { range: late, ..scan.clone() }, Scan { range: early, ..scan }]
}

/// Stretches of time in which the rows lie.
fn stretches(table: Table, rows: &RecordBatch) -> Vec<TimeRange> {
    let column = rows.column_by_name(table.time_column());
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let Some(times) = times else { return Vec::new() };
    let mut sorted: Vec<i64> = times.values().to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut gap = GAP_NS;
    loop {
        let found = runs(&sorted, gap);
        if found.len() <= STRETCHES_MAX {
            return found;
        }
        gap = gap.saturating_mul(4);
    }
}

fn runs(sorted: &[i64], gap: i64) -> Vec<TimeRange> {
    let close = |one: &i64, other: &i64| other.saturating_sub(*one) <= gap;
    let parts = sorted.chunk_by(close);
    let range = |part: &[i64]| Some((UnixNanos(*part.first()?), UnixNanos(*part.last()?)));
    parts.filter_map(range).map(range_of).collect()
}

/// The parts of `range` that no stretch of `loaded` covers.
fn without(range: TimeRange, loaded: &[TimeRange]) -> Vec<TimeRange> {
    let mut missing = Vec::new();
    let mut from = range.from;
    for known in loaded.iter().filter(|known| known.overlaps(&range)) {
        if from < known.from {
            missing.push(TimeRange { from, to: known.from });
        }
        from = from.max(known.to);
    }
    if from < range.to {
        missing.push(TimeRange { from, to: range.to });
    }
    missing
}

/// Adds a stretch that none of the others overlaps.
fn add(loaded: &mut Vec<TimeRange>, new: TimeRange) {
    let place = loaded.partition_point(|known| known.from < new.from);
    loaded.insert(place, new);
    let mut joined: Vec<TimeRange> = Vec::with_capacity(loaded.len());
    for range in loaded.drain(..) {
        match joined.last_mut() {
            Some(last) if last.to >= range.from => last.to = last.to.max(range.to),
            _ => joined.push(range),
        }
    }
    *loaded = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange { from: UnixNanos(from), to: UnixNanos(to) }
    }

    #[test]
    fn only_what_is_not_known_is_read() {
        let mut loaded = Vec::new();
        for (from, to) in [(10, 20), (40, 50), (20, 30)] {
            add(&mut loaded, range(from, to));
        }
        assert_eq!(loaded, [range(10, 30), range(40, 50)]);
        let missing = [range(0, 10), range(30, 40), range(50, 60)];
        assert_eq!(without(range(0, 60), &loaded), missing);
        assert_eq!(without(range(12, 28), &loaded), []);
    }

    #[test]
    fn far_rows_are_looked_up_apart_but_never_in_too_many_parts() {
        let minute = 60_000_000_000;
        assert_eq!(runs(&[0, 5, 3 * minute], GAP_NS).len(), 2);
        let times: Vec<i64> = (0..1_000).map(|index| index * 3 * minute).collect();
        let mut gap = GAP_NS;
        while runs(&times, gap).len() > STRETCHES_MAX {
            gap *= 4;
        }
        assert_eq!(runs(&times, gap), [range(0, 999 * 3 * minute + 1)]);
    }
}
