//! Segments: sealed rows of one table in a Parquet file that any reader of Parquet opens.

pub(crate) mod check;
pub(crate) mod join;
pub(crate) mod open;
pub(crate) mod order;
pub(crate) mod promote;
pub(crate) mod scan;
pub(crate) mod verify;
pub(crate) mod write;

use std::path::PathBuf;
use std::sync::OnceLock;

use halfopen_model::{Table, TimeRange, TraceId, UnixNanos, schema};

use crate::index::SegmentIndex;
use check::Blocks;
use write::WrittenSegment;

/// What the catalogue knows about a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub(crate) id: i64,
    pub(crate) table: Table,
    /// Its file, from the data folder on.
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// From the first to behind the last time.
    pub(crate) range: TimeRange,
    /// First and last trace id, where a row has one.
    pub(crate) traces: Option<(TraceId, TraceId)>,
    /// Checksums of its blocks, in order.
    pub(crate) sums: Vec<u64>,
    /// The version of the schema it was written with.
    pub(crate) schema_version: u32,
    /// The columns it has; the others are null in every row.
    pub(crate) columns: Vec<String>,
    pub(crate) sealed_at: UnixNanos,
    /// How often its rows were merged at most; 0 as they were sealed.
    pub(crate) level: u32,
}

impl SegmentInfo {
    /// A segment that was just written.
    pub(crate) fn of(
        id: i64,
        table: Table,
        file: String,
        written: WrittenSegment,
        sealed_at: UnixNanos,
    ) -> SegmentInfo {
        SegmentInfo {
            id,
            table,
            file,
            rows: written.rows,
            bytes: written.bytes,
            range: written.range,
            traces: written.traces,
            sums: written.sums,
            schema_version: schema::SCHEMA_VERSION,
            columns: written.columns,
            sealed_at,
            level: 0,
        }
    }

    /// The same, made of segments one level below.
    pub(crate) fn at_level(self, level: u32) -> SegmentInfo {
        SegmentInfo { level, ..self }
    }
}

/// A segment that is served.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) info: SegmentInfo,
    pub(crate) path: PathBuf,
    /// Which blocks have been found whole.
    pub(crate) blocks: Blocks,
    /// Which ids it may hold.
    pub(crate) index: SegmentIndex,
    damage: OnceLock<Damage>,
}

/// What is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Damage {
    pub(crate) reason: String,
    /// Whether the content is wrong, so that the file is of no use; otherwise the disk failed,
    /// and the next start tries again.
    pub(crate) lasting: bool,
}

impl Segment {
    pub(crate) fn new(info: SegmentInfo, path: PathBuf) -> Segment {
        let blocks = Blocks::new(info.sums.clone());
        Segment { info, path, blocks, index: SegmentIndex::default(), damage: OnceLock::new() }
    }

    /// What was found wrong with it, if anything.
    pub(crate) fn damage(&self) -> Option<&Damage> {
        self.damage.get()
    }

    /// Takes note that it is damaged; the first finding stays.
    pub(crate) fn condemn(&self, damage: Damage) {
        let _ = self.damage.set(damage);
    }
}
