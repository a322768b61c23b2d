//! Moves hot rows into segments in the background, and tidies up small batches meanwhile.
//!
//! **Invariant:** the order is segment files durable, their folders durable, one transaction of
//! the catalogue, rows change place in memory, WAL cut. A crash between any two of them loses
//! nothing and shows nothing twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use halfopen_model::time::SECOND_NS;
use halfopen_model::{Table, UnixNanos};

use crate::background::{self, Haste};
use crate::counters::count;
use crate::crash::CrashPoint;
use crate::error::StoreError;
use crate::folder::sync_folder;
use crate::hot::{self, Generation};
use crate::recent;
use crate::report::SealReport;
use crate::seen::mark;
use crate::segment::write::{Origin, WRITE_BYTES, write_segment};
use crate::segment::{Segment, SegmentInfo};
use crate::shared::{Keeping, Shared};

/// How often age is looked at and small batches are merged.
const TICK: Duration = Duration::from_secs(1);
/// Rows that took longer to gather leave time to seal them, which takes a fraction of a second:
/// the next ones need no room soon.
const UNHURRIED: Duration = Duration::from_secs(2);
/// After a seal that failed, the next attempt waits: the disk is full, or broken.
const RETRY: Duration = Duration::from_secs(5);

/// Seals when it is due, for as long as the task lives.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.seal_wanted.notified() => {}
        }
        tidy(&shared).await;
        if !is_due(&shared) || Instant::now() < not_before {
            continue;
        }
        if let Err(error) = seal(&shared).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "rows were not sealed");
            not_before = Instant::now() + RETRY;
        }
    }
}

fn is_due(shared: &Shared) -> bool {
    let state = shared.state();
    let age = Duration::from_secs(shared.config.seal_after_s);
    let old = state.active.born.is_some_and(|born| born.elapsed() >= age);
    old || state.sealing.is_some() || shared.is_full(&state)
}

/// Merges small batches that lie side by side.
async fn tidy(shared: &Arc<Shared>) {
    let _keeping = shared.keeping.lock().await;
    let runs: Vec<_> = {
        let active = &shared.state().active;
        let runs = active.small_runs().into_iter();
        runs.map(|(table, range)| {
            (table, range.clone(), active.tables[table as usize][range].to_vec())
        })
        .collect()
    };
    if runs.is_empty() {
        return;
    }
    let shared = Arc::clone(shared);
    let merging = move || {
        // From behind, so that the places of the others stay what they are.
        for (table, range, batches) in runs.into_iter().rev() {
            match hot::merge(table, &batches) {
                Ok(merged) => {
                    shared.change(|state| state.active.replace(table, range, merged));
                }
                Err(error) => tracing::warn!(error = %error, "small batches were not merged"),
            }
        }
    };
    background::run("halfopen-tidy", Haste::Idle, merging).await;
}

/// Seals all rows that are hot now.
///
/// # Errors
/// When they cannot be written or committed; they stay hot and in the WAL.
pub(crate) async fn seal(shared: &Arc<Shared>) -> Result<SealReport, StoreError> {
    let begin = Instant::now();
    let mut keeping = shared.keeping.lock().await;
    let mut report = SealReport::default();
    // A generation whose seal failed before goes first.
    let leftover = shared.state().sealing.is_some();
    for _ in 0..=usize::from(leftover) {
        let Some(generation) = next_generation(shared) else { break };
        let sealed = seal_generation(shared, &mut keeping, &generation).await;
        shared.sealing_bytes.store(0, Ordering::Release);
        match sealed {
            Ok(segments) => {
                count(&shared.counters.seals);
                report.rows += segments.iter().map(|segment| segment.rows).sum::<u64>();
                report.bytes += segments.iter().map(|segment| segment.bytes).sum::<u64>();
                report.segments += segments.len() as u64;
            }
            Err(error) => {
                count(&shared.counters.seal_failures);
                return Err(error);
            }
        }
    }
    report.took = begin.elapsed();
    Ok(report)
}

fn next_generation(shared: &Shared) -> Option<Arc<Generation>> {
    shared.change(|state| {
        if state.sealing.is_none() && !state.active.is_empty() {
            shared.wal_files.turn();
            state.sealing = Some(Arc::new(std::mem::take(&mut state.active)));
        }
        state.sealing.clone()
    })
}

async fn seal_generation(
    shared: &Arc<Shared>,
    keeping: &mut Keeping,
    generation: &Arc<Generation>,
) -> Result<Vec<SegmentInfo>, StoreError> {
    let sequence = generation.last_sequence;
    let snapshot = shared.state().snapshot + 1;
    let segments = match keeping.pending.take() {
        Some(pending) => pending,
        None => write_all(shared, generation, keeping.next_segment_id).await?,
    };
    if let Some(last) = segments.last() {
        keeping.next_segment_id = keeping.next_segment_id.max(last.id + 1);
    }
    shared.crash.at(CrashPoint::SealWritten);
    let Some(catalogue) = &mut keeping.catalogue else {
        return Err(StoreError::NotWritable("closed"));
    };
    let committed = catalogue.commit(&segments, &shared.config.node, sequence, snapshot).await;
    if let Err(error) = committed {
        // The answer may have been lost behind the commit: only the catalogue itself knows.
        let sealed = catalogue.wal_sealed().await;
        if !sealed.is_ok_and(|sealed| sealed >= sequence) {
            keeping.pending = Some(segments);
            return Err(error);
        }
    }
    shared.crash.at(CrashPoint::SealCommitted);
    let served = segments.iter().map(|info| {
        let path = shared.folder.path(&info.file);
        Arc::new(Segment::new(info.clone(), path))
    });
    let served: Vec<_> = served.collect();
    shared.change(|state| {
        state.sealing = None;
        state.snapshot = state.snapshot.max(snapshot);
        state.sealed = sequence;
        for segment in served {
            let list = &mut state.segments[segment.info.table as usize];
            Arc::make_mut(list).push(segment);
        }
    });
    if let Err(error) = shared.wal_files.cut(sequence, false) {
        tracing::warn!(error = &error as &dyn std::error::Error, "write-ahead log was not cut");
    }
    shared.crash.at(CrashPoint::SealCut);
    recent::prune(&shared.folder.path("seen"), remembered_since(shared));
    Ok(segments)
}

/// From when on sealed rows are known when they come again.
pub(crate) fn remembered_since(shared: &Shared) -> UnixNanos {
    let seconds = i64::try_from(shared.config.resend_s).unwrap_or(i64::MAX);
    shared.clock.now().shifted(-seconds.saturating_mul(SECOND_NS))
}

async fn write_all(
    shared: &Arc<Shared>,
    generation: &Arc<Generation>,
    first_id: i64,
) -> Result<Vec<SegmentInfo>, StoreError> {
    let (shared, generation) = (Arc::clone(shared), Arc::clone(generation));
    let filled_slowly = generation.born.is_some_and(|born| born.elapsed() >= UNHURRIED);
    let haste = if filled_slowly { Haste::Idle } else { Haste::Pressing };
    let writing = move || {
        let written = write_tables(&shared, &generation, first_id);
        if written.is_err() {
            for table in Table::ALL {
                let path = shared.folder.path(&file_name(&shared, table, &generation));
                let _ = std::fs::remove_file(path);
            }
        }
        written
    };
    let written = background::run("halfopen-seal", haste, writing).await;
    written.unwrap_or(Err(StoreError::Gone { thread: "sealer" }))
}

fn file_name(shared: &Shared, table: Table, generation: &Generation) -> String {
    let sequence = generation.last_sequence;
    format!("segments/{table}/{table}-{sequence:020}-{}.parquet", shared.config.node)
}

fn write_tables(
    shared: &Shared,
    generation: &Generation,
    first_id: i64,
) -> Result<Vec<SegmentInfo>, StoreError> {
    let sealed_at = shared.clock.now();
    let mut segments = Vec::new();
    for table in Table::ALL {
        let batches = &generation.tables[table as usize];
        if batches.is_empty() {
            continue;
        }
        shared.sealing_bytes.store(WRITE_BYTES, Ordering::Release);
        let file = file_name(shared, table, generation);
        let origin = Origin { table, node: &shared.config.node, sealed_at, level: 0 };
        let written = write_segment(origin, batches, &shared.folder.path(&file))
            .map_err(|source| StoreError::Segment { table, source: Box::new(source) })?;
        sync_folder(&shared.folder.segments(table))?;
        let id = first_id + segments.len() as i64;
        segments.push(SegmentInfo::of(id, table, file, written, sealed_at));
    }
    let folder = shared.folder.path("seen");
    recent::write(&folder, generation.last_sequence, sealed_at, marks(generation))
        .map_err(StoreError::file("write fingerprints in", folder))?;
    Ok(segments)
}

fn marks(generation: &Generation) -> impl Iterator<Item = u128> {
    Table::ALL.into_iter().flat_map(|table| {
        let batches = &generation.tables[table as usize];
        batches
            .iter()
            .flat_map(move |batch| batch.fingerprints.iter().map(move |f| mark(table, *f)))
    })
}
