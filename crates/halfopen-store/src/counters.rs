//! Counts since the start, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use halfopen_model::Table;
use halfopen_model::port::Written;

/// Counts. All are sums; readers may see them a moment apart.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) written_rows: [AtomicU64; Table::ALL.len()],
    pub(crate) writes: AtomicU64,
    pub(crate) collapsed_rows: AtomicU64,
    pub(crate) wal_syncs: AtomicU64,
    pub(crate) wal_sync_ns: AtomicU64,
    pub(crate) wal_failures: AtomicU64,
    pub(crate) refused_memory: AtomicU64,
    pub(crate) refused_wal: AtomicU64,
    pub(crate) refused_disk: AtomicU64,
    pub(crate) refused_invalid: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) seal_failures: AtomicU64,
    pub(crate) damaged_frames: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compaction_failures: AtomicU64,
    pub(crate) compaction_collapsed: AtomicU64,
    pub(crate) compacted_rows: AtomicU64,
    pub(crate) compacted_bytes: AtomicU64,
    pub(crate) expired_segments: AtomicU64,
    pub(crate) expired_rows: AtomicU64,
    pub(crate) expired_bytes: AtomicU64,
    pub(crate) queries: AtomicU64,
    pub(crate) queries_failed: AtomicU64,
    pub(crate) reads: AtomicU64,
    /// Lookups by id.
    pub(crate) lookups: AtomicU64,
    /// Segments that they asked filters about, and those that they had to open.
    pub(crate) lookup_segments: AtomicU64,
    pub(crate) lookup_opened: AtomicU64,
}

impl Counters {
    /// A write was acknowledged.
    pub(crate) fn acknowledged(&self, written: &Written) {
        count(&self.writes);
        self.collapsed_rows.fetch_add(written.collapsed, Ordering::Relaxed);
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
