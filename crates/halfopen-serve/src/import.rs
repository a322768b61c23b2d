//! Imports: groups of evidence become rows, and rows that the store has already are left out, at
//! any distance (ADR 6).
//!
//! The rows of the store are the truth: before a row is written, those of the same time are read
//! and compared by what they say. Each stretch of time is read once in a session; what the session
//! writes itself it remembers.
//!
//! **Invariant:** memory is bounded by [`KNOWN_ROWS_MAX`]; beyond it stretches are read again.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use halfopen_ingest::import::Group;
use halfopen_ingest::{EvidenceBuilder, IngestSettings};
use halfopen_model::batch::Cells;
use halfopen_model::identity::marks;
use halfopen_model::port::{ReadError, Refusal, Written};
use halfopen_model::{Batch, ReadEvidence, Table, TimeRange, UnixNanos, WriteEvidence};

mod carriers;
mod known;

use carriers::Carriers;
pub use known::KNOWN_ROWS_MAX;
use known::Known;

/// How long a store that is full is asked again: it makes room by sealing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Reasons of one group that are told apart; the others are counted together.
const REASONS_MAX: usize = 64;

/// What became of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Rows of each table that had some.
    pub tables: BTreeMap<Table, Counts>,
    /// What could not be read, by reason.
    pub rejected: Vec<Rejected>,
    /// Rows that could not be compared, in words.
    pub notes: Vec<String>,
}

/// Rows of one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rows that are new.
    pub kept: u64,
    /// Rows that were there already.
    pub collapsed: u64,
    /// First and last time of the rows, kept or not; `None` without rows.
    pub times: Option<(UnixNanos, UnixNanos)>,
}

impl Counts {
    /// Adds other rows of the same table.
    pub fn add(&mut self, other: &Counts) {
        self.kept += other.kept;
        self.collapsed += other.collapsed;
        self.times = match (self.times, other.times) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
    }
}

/// What could not be read for one reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// The reason, as the first of them has it.
    pub reason: String,
    /// How many times.
    pub count: u64,
    /// Where the first of them stands.
    pub example: String,
}

impl Taken {
    /// Adds what became of another group.
    pub fn add(&mut self, other: &Taken) {
        for (table, counts) in &other.tables {
            self.tables.entry(*table).or_default().add(counts);
        }
        other.rejected.iter().for_each(|new| add_rejected(&mut self.rejected, new));
        for note in &other.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
    }
}

/// Adds what could not be read to what was counted before. Reasons are the same when only their
/// numbers differ.
pub fn add_rejected(all: &mut Vec<Rejected>, new: &Rejected) {
    let same =
        |known: &&mut Rejected| without_numbers(&known.reason) == without_numbers(&new.reason);
    if let Some(known) = all.iter_mut().find(same) {
        known.count += new.count;
    } else if all.len() < REASONS_MAX {
        all.push(new.clone());
    } else if let Some(last) = all.last_mut() {
        last.reason = "other reasons".to_owned();
        last.count += new.count;
    }
}

fn without_numbers(reason: &str) -> String {
    let parts = reason.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("#")
}

/// Why a group was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Rows that are there could not be read.
    #[error("rows that are there already could not be compared")]
    Read(#[from] ReadError),
    /// The store did not take the rows.
    #[error("the store did not take the rows")]
    Write(#[from] Refusal),
    /// Rows could not be put together.
    #[error("rows could not be put together")]
    Rows(#[from] ArrowError),
}

/// One import on its way.
pub struct ImportSession<S> {
    evidence: S,
    builder: EvidenceBuilder,
    known: Known,
}

impl<S: ReadEvidence + WriteEvidence> ImportSession<S> {
    /// A session that knows nothing yet.
    pub fn new(evidence: S, settings: IngestSettings) -> ImportSession<S> {
        ImportSession { evidence, builder: EvidenceBuilder::new(settings), known: Known::default() }
    }

    /// Writes the rows of a group that are not there yet; they are durable when this returns.
    /// Things without a time of their own are placed at `at`.
    ///
    /// # Errors
    /// When the store cannot be read or does not take the rows. Nothing of the group is written
    /// then, and the session is of no further use.
    pub async fn take(
        &mut self,
        group: &Group,
        source: &str,
        at: UnixNanos,
    ) -> Result<Taken, ImportError> {
        self.builder.import(group, source, at);
        let batches = self.builder.finish();
        let mut taken = Taken::default();
        let (mut kept, mut ids, mut carriers) = (Vec::new(), None, Carriers::default());
        for batch in batches {
            if batch.table == Table::Rejects {
                count_rejects(&batch, &mut taken.rejected);
            }
            if batch.table == Table::Ids {
                ids = Some(batch);
                continue;
            }
            kept.push(self.only_new(batch, &mut carriers, &mut taken).await?);
        }
        if let Some(ids) = ids {
            let counts = Counts { times: times(&ids), ..Counts::default() };
            let mask: Vec<bool> = carriers.of_kept_rows(&ids.rows);
            let gone = mask.iter().filter(|keep| !**keep).count() as u64;
            taken.tables.insert(Table::Ids, Counts { collapsed: gone, ..counts });
            kept.push(filtered(ids, &mask)?);
        }
        let rows: u64 = kept.iter().map(|batch| batch.rows.num_rows() as u64).sum();
        let written = if rows > 0 { self.write(&kept).await? } else { Written::default() };
        for batch in &kept {
            let counts = taken.tables.entry(batch.table).or_default();
            counts.kept += batch.rows.num_rows() as u64;
        }
        // Ids of one request are found in many of its rows, and kept once.
        if let Some(ids) = taken.tables.get_mut(&Table::Ids) {
            let collapsed = written.collapsed.min(ids.kept);
            ids.kept -= collapsed;
            ids.collapsed += collapsed;
        }
        Ok(taken)
    }

    /// The rows that are not there yet, with marks as their fingerprints.
    async fn only_new(
        &mut self,
        batch: Batch,
        carriers: &mut Carriers,
        taken: &mut Taken,
    ) -> Result<Batch, ImportError> {
        let marks = marks(batch.table, &batch.rows);
        self.known.load(&self.evidence, &batch, &mut taken.notes).await?;
        let mut fingerprints = Vec::with_capacity(marks.len());
        let mask: Vec<bool> = marks
            .iter()
            .map(|mark| {
                let new = self.known.take(batch.table, *mark);
                fingerprints.push(new.unwrap_or(*mark));
                new.is_some()
            })
            .collect();
        carriers.note(batch.table, &batch.rows, &mask);
        let counts = Counts {
            kept: 0,
            collapsed: mask.iter().filter(|keep| !**keep).count() as u64,
            times: times(&batch),
        };
        taken.tables.entry(batch.table).or_default().add(&counts);
        Ok(filtered(Batch { fingerprints, ..batch }, &mask)?)
    }

    async fn write(&self, batches: &[Batch]) -> Result<Written, Refusal> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let refusal = match self.evidence.write(batches.to_vec()).await {
                Err(refusal @ Refusal::Later { .. }) => refusal,
                other => return other,
            };
            let pause = crate::intake::retry_after(&refusal).unwrap_or_default();
            let pause = pause.clamp(PAUSE_MIN, PAUSE_MAX);
            if tokio::time::Instant::now() + pause > until {
                return Err(refusal);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The rows that `mask` keeps.
fn filtered(batch: Batch, mask: &[bool]) -> Result<Batch, ArrowError> {
    if !mask.contains(&false) {
        return Ok(batch);
    }
    let rows = filter_record_batch(&batch.rows, &BooleanArray::from(mask.to_vec()))?;
    let kept = batch.fingerprints.iter().zip(mask).filter(|(_, keep)| **keep);
    Ok(Batch { fingerprints: kept.map(|(mark, _)| *mark).collect(), rows, ..batch })
}

/// First and last time of a batch.
fn times(batch: &Batch) -> Option<(UnixNanos, UnixNanos)> {
    let cells = Cells::new(&batch.rows);
    let times = (0..cells.len()).filter_map(|row| cells.time(batch.table.time_column(), row));
    times.fold(None, |range, time| match range {
        None => Some((time, time)),
        Some((first, last)) => Some((time.min(first), time.max(last))),
    })
}

fn count_rejects(batch: &Batch, all: &mut Vec<Rejected>) {
    let cells = Cells::new(&batch.rows);
    for row in 0..cells.len() {
        let sender = cells.text("sender", row).unwrap_or_default();
        let example = sender.strip_prefix(halfopen_ingest::import::SENDER_PREFIX);
        let new = Rejected {
            reason: cells.text("reason", row).unwrap_or_default().to_owned(),
            count: cells.count("items", row).unwrap_or_default().max(1),
            example: example.unwrap_or(sender).to_owned(),
        };
        add_rejected(all, &new);
    }
}

/// From the first to behind the last time of `times`.
fn range_of(times: (UnixNanos, UnixNanos)) -> TimeRange {
    TimeRange { from: times.0, to: times.1.shifted(1) }
}

#[cfg(test)]
mod tests;
