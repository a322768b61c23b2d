//! What the store says about itself: on opening, sealing, closing, and for metrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use halfopen_model::Table;

use crate::segment::Segment;
use crate::segment::write::WrittenSegment;

/// What was found when the folder was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Segments that are served.
    pub segments: u64,
    /// Their rows.
    pub segment_rows: u64,
    /// Their size on disk.
    pub segment_bytes: u64,
    /// Rows that came back from the WAL.
    pub replayed_rows: u64,
    /// Frames of the WAL that were read.
    pub replayed_frames: u64,
    /// Bytes of the WAL that were read.
    pub replayed_bytes: u64,
    /// Bytes behind the last whole frame, which nobody had been told were kept.
    pub torn_bytes: u64,
    /// Frames of the WAL that were damaged and set aside.
    pub damaged_frames: u64,
    /// Segments that are damaged or missing; their rows are not served.
    pub damaged_segments: u64,
    /// Files without an owner that were removed: leftovers of an interrupted seal, whose rows
    /// came back from the WAL.
    pub orphans: u64,
    /// How long it took.
    pub took: Duration,
    /// Everything unusual, one sentence each.
    pub notes: Vec<String>,
}

impl fmt::Display for OpenReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} rows in {} segments, {} rows back from the log",
            self.segment_rows, self.segments, self.replayed_rows
        )?;
        self.notes.iter().try_for_each(|note| write!(formatter, "; {note}"))
    }
}

/// What a seal did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Rows that are now in segments.
    pub rows: u64,
    /// Segments that were written.
    pub segments: u64,
    /// Their size on disk.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// What merging segments did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Segments that were merged.
    pub inputs: u64,
    /// Their rows.
    pub input_rows: u64,
    /// Their size on disk.
    pub input_bytes: u64,
    /// Segments that took their place.
    pub outputs: u64,
    /// Their rows.
    pub rows: u64,
    /// Their size on disk.
    pub bytes: u64,
    /// Identical rows that were left out.
    pub collapsed: u64,
    /// How long it took.
    pub took: Duration,
}

impl CompactReport {
    pub(crate) fn add(
        &mut self,
        inputs: &[Arc<Segment>],
        outputs: &[&WrittenSegment],
        collapsed: u64,
    ) {
        self.inputs += inputs.len() as u64;
        self.input_rows += inputs.iter().map(|segment| segment.info.rows).sum::<u64>();
        self.input_bytes += inputs.iter().map(|segment| segment.info.bytes).sum::<u64>();
        self.outputs += outputs.len() as u64;
        self.rows += outputs.iter().map(|written| written.rows).sum::<u64>();
        self.bytes += outputs.iter().map(|written| written.bytes).sum::<u64>();
        self.collapsed += collapsed;
    }
}

/// Rows that were written to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What could not be looked at, in words.
    pub unread: Vec<String>,
}

/// What closing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// What was sealed.
    pub sealed: SealReport,
    /// Hot rows that were not sealed in time. They are in the WAL and come back at the next start.
    pub rows_in_wal: u64,
    /// Everything unusual, one sentence each.
    pub notes: Vec<String>,
}

/// Numbers of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// The table.
    pub table: Table,
    /// Rows in memory only (and in the WAL).
    pub hot_rows: u64,
    /// Rows in segments.
    pub sealed_rows: u64,
    /// Segments.
    pub segments: u64,
    /// Size of the segments on disk.
    pub segment_bytes: u64,
    /// Rows taken since the start.
    pub written_rows: u64,
}

/// Numbers of the store. Counts are since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Per table, all nine.
    pub tables: Vec<TableStats>,
    /// Memory held by hot rows, by writes that wait and by sealing.
    pub hot_bytes: u64,
    /// The bound of it.
    pub hot_bytes_max: u64,
    /// Part of `hot_bytes` that waits for the WAL.
    pub queue_bytes: u64,
    /// Batches in memory; many small ones are merged now and then.
    pub hot_batches: u64,
    /// Memory held by fingerprints of recent rows, which has a bound of its own.
    pub seen_bytes: u64,
    /// Size of the WAL on disk.
    pub wal_bytes: u64,
    /// The bound of it.
    pub wal_bytes_max: u64,
    /// Files of the WAL.
    pub wal_files: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Rows that had been there already, identical.
    pub collapsed_rows: u64,
    /// Times the disk was asked to make the WAL durable; one serves all writes that wait.
    pub wal_syncs: u64,
    /// Time spent on that, in nanoseconds.
    pub wal_sync_ns: u64,
    /// Times that failed: the disk was full or broken. Nothing was acknowledged.
    pub wal_failures: u64,
    /// Writes refused because memory was full.
    pub refused_memory: u64,
    /// Writes refused because the WAL was full.
    pub refused_wal: u64,
    /// Writes refused because the disk did not take them.
    pub refused_disk: u64,
    /// Writes refused because their rows do not fit the schema.
    pub refused_invalid: u64,
    /// Seals that were committed.
    pub seals: u64,
    /// Seals that failed and will be tried again.
    pub seal_failures: u64,
    /// Segments that are set aside as damaged or missing.
    pub damaged_segments: u64,
    /// Rows in them.
    pub damaged_rows: u64,
    /// Frames of the WAL that were set aside as damaged.
    pub damaged_frames: u64,
    /// Whether the catalogue answered when it was asked last.
    pub catalogue_up: bool,
    /// How often the connection to it was lost.
    pub catalogue_losses: u64,
    /// Merges of segments that were committed.
    pub compactions: u64,
    /// Merges that failed and will be tried again.
    pub compaction_failures: u64,
    /// Rows that were read for them: by `sealed` rows, how often a row is written again.
    pub compacted_rows: u64,
    /// Bytes that they wrote.
    pub compacted_bytes: u64,
    /// Identical rows that they left out.
    pub compaction_collapsed: u64,
    /// Segments that went because their retention was over.
    pub expired_segments: u64,
    /// Rows in them.
    pub expired_rows: u64,
    /// Their size on disk.
    pub expired_bytes: u64,
    /// Bytes that all segments together may take.
    pub retention_bytes_max: u64,
    /// Files of segments that are not served any more and wait to be deleted.
    pub leaving_files: u64,
    /// Their size on disk.
    pub leaving_bytes: u64,
    /// SQL queries that were answered.
    pub queries: u64,
    /// SQL queries that were refused, stopped or failed.
    pub queries_failed: u64,
    /// Reads through the port.
    pub reads: u64,
    /// Lookups by an id: reads and queries.
    pub lookups: u64,
    /// Segments whose filters they asked.
    pub lookup_segments: u64,
    /// Segments that they had to open, because the filter did not exclude the id.
    pub lookup_opened: u64,
    /// Memory of the filters that are kept.
    pub filter_bytes: u64,
    /// The bound of it; filters beyond it are read for each lookup.
    pub filter_bytes_max: u64,
    /// The number of the newest snapshot; it grows with every seal.
    pub snapshot: u64,
}
