//! Numbers for metrics, gathered from where they arise.

use std::sync::atomic::{AtomicU64, Ordering};

use halfopen_model::Table;

use crate::index::FILTER_BYTES_MAX;
use crate::report::{StoreStats, TableStats};
use crate::shared::{Shared, State};
use crate::{remove, retain};

/// Rows that are in no segment.
pub(crate) fn hot_rows(shared: &Shared) -> u64 {
    let state = shared.state();
    Table::ALL.into_iter().map(|table| hot_rows_of(&state, table)).sum()
}

fn hot_rows_of(state: &State, table: Table) -> u64 {
    let sealing = state.sealing.as_ref().map_or(0, |generation| generation.rows(table));
    (state.active.rows(table) + sealing) as u64
}

/// All numbers.
pub(crate) fn stats(shared: &Shared) -> StoreStats {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &shared.counters;
    let (wal_files, wal_bytes) = shared.wal_files.size();
    let (leaving_files, leaving_bytes) = remove::waiting(shared);
    let state = shared.state();
    let lost = || state.lost.iter().flat_map(|list| list.iter());
    let table = |table: Table| {
        let segments = &state.segments[table as usize];
        TableStats {
            table,
            hot_rows: hot_rows_of(&state, table),
            sealed_rows: segments.iter().map(|segment| segment.info.rows).sum(),
            segments: segments.len() as u64,
            segment_bytes: segments.iter().map(|segment| segment.info.bytes).sum(),
            written_rows: read(&counters.written_rows[table as usize]),
        }
    };
    let generations = state.sealing.iter().map(|g| g.as_ref()).chain([&state.active]);
    StoreStats {
        tables: Table::ALL.into_iter().map(table).collect(),
        hot_bytes: shared.held_bytes() as u64,
        hot_bytes_max: shared.config.hot_bytes_max as u64,
        queue_bytes: shared.intake.bytes() as u64,
        hot_batches: generations.map(|g| g.tables.iter().map(Vec::len).sum::<usize>() as u64).sum(),
        seen_bytes: shared.intake.seen_bytes() as u64,
        wal_bytes,
        wal_bytes_max: shared.config.wal_bytes_max,
        wal_files,
        writes: read(&counters.writes),
        collapsed_rows: read(&counters.collapsed_rows),
        wal_syncs: read(&counters.wal_syncs),
        wal_sync_ns: read(&counters.wal_sync_ns),
        wal_failures: read(&counters.wal_failures),
        refused_memory: read(&counters.refused_memory),
        refused_wal: read(&counters.refused_wal),
        refused_disk: read(&counters.refused_disk),
        refused_invalid: read(&counters.refused_invalid),
        seals: read(&counters.seals),
        seal_failures: read(&counters.seal_failures),
        damaged_segments: lost().count() as u64,
        damaged_rows: lost().map(|lost| lost.info.rows).sum(),
        damaged_frames: read(&counters.damaged_frames),
        catalogue_up: shared.catalogue_reach.is_up(),
        catalogue_losses: shared.catalogue_reach.losses(),
        compactions: read(&counters.compactions),
        compaction_failures: read(&counters.compaction_failures),
        compacted_rows: read(&counters.compacted_rows),
        compacted_bytes: read(&counters.compacted_bytes),
        compaction_collapsed: read(&counters.compaction_collapsed),
        expired_segments: read(&counters.expired_segments),
        expired_rows: read(&counters.expired_rows),
        expired_bytes: read(&counters.expired_bytes),
        retention_bytes_max: retain::bytes_max(shared),
        leaving_files,
        leaving_bytes,
        queries: read(&counters.queries),
        queries_failed: read(&counters.queries_failed),
        reads: read(&counters.reads),
        lookups: read(&counters.lookups),
        lookup_segments: read(&counters.lookup_segments),
        lookup_opened: read(&counters.lookup_opened),
        filter_bytes: shared.filter_bytes.load(Ordering::Relaxed) as u64,
        filter_bytes_max: FILTER_BYTES_MAX as u64,
        snapshot: state.snapshot,
    }
}
