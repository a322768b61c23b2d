//! Merges small segments into large ones while rows arrive and queries run.
//!
//! **Invariant:** the order is names reserved in the catalogue, merged segments durable, their
//! folder durable, one transaction of the catalogue that lets the old ones go and takes the new
//! ones in, the lists in memory, and only later the old files. A crash between any two of them
//! loses nothing and shows nothing twice.
//!
//! **Invariant:** a reader that began before goes on with the files that it began with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use halfopen_model::Table;
use halfopen_model::time::SECOND_NS;

use crate::background::{self, Haste};
use crate::catalogue::{Exchange, Reserved};
use crate::counters::count;
use crate::crash::CrashPoint;
use crate::error::StoreError;
use crate::exchange::{self, Made};
use crate::folder::sync_folder;
use crate::merges;
use crate::remove;
use crate::report::CompactReport;
use crate::retain::{self, Steadiness};
use crate::segment::open::OpenSegment;
use crate::segment::{Damage, Segment, SegmentInfo};
use crate::shared::Shared;

mod collapse;
pub(crate) mod input;
mod merge;
mod pick;
pub(crate) mod plan;

use merge::{Ended, Merge, Merged, Target};
use plan::{Aim, Job};

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(5);
/// After a merge that failed, the next attempt waits: the disk is full, or broken.
const RETRY: Duration = Duration::from_secs(60);

/// Merges, lets go by age and size, and deletes when it is due, for as long as the task lives.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    let mut steadiness = Steadiness::default();
    loop {
        tick.tick().await;
        look_after_catalogue(&shared).await;
        let delay = Duration::from_secs(shared.config.query_seconds_max);
        remove::delete(&shared, delay).await;
        let believed = steadiness.look(shared.clock.now(), Instant::now());
        if Instant::now() < not_before {
            continue;
        }
        let mut done = retain::run(&shared, believed).await;
        if shared.config.compact && done.is_ok() {
            done = compact(&shared, false).await.map(|_| ());
        }
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "segments were not merged");
            not_before = Instant::now() + RETRY;
        }
    }
}

/// Whether the catalogue is in reach shows soon, also when nothing else asks.
async fn look_after_catalogue(shared: &Shared) {
    // Whoever is at it will see for itself.
    if let Ok(mut keeping) = shared.keeping.try_lock()
        && let Some(catalogue) = &mut keeping.catalogue
    {
        catalogue.look_after().await;
    }
}

/// Merges what is due, or all that can be merged.
///
/// # Errors
/// When merged segments cannot be written or committed; the old ones stay.
pub(crate) async fn compact(shared: &Arc<Shared>, all: bool) -> Result<CompactReport, StoreError> {
    let _one_at_a_time = shared.compacting.lock().await;
    let begin = Instant::now();
    let mut report = CompactReport::default();
    for table in Table::ALL {
        while let Some((job, inputs)) = next(shared, table, all) {
            if shared.stopping.load(Ordering::Relaxed) {
                return Ok(report);
            }
            let done = run_job(shared, table, &job, inputs, &mut report).await;
            if done.is_err() {
                count(&shared.counters.compaction_failures);
            }
            done?;
        }
    }
    report.took = begin.elapsed();
    Ok(report)
}

fn aim(shared: &Shared, all: bool) -> Aim {
    let seconds = i64::try_from(shared.config.compact_after_s).unwrap_or(i64::MAX);
    Aim {
        rows_max: shared.config.compact_rows as u64,
        bytes_max: shared.config.compact_bytes,
        after_ns: seconds.saturating_mul(SECOND_NS),
        now: shared.clock.now(),
        all,
    }
}

fn next(shared: &Shared, table: Table, all: bool) -> Option<(Job, Vec<Arc<Segment>>)> {
    let segments = Arc::clone(&shared.state().segments[table as usize]);
    let job = plan::next(segments.iter().map(|segment| &segment.info), &aim(shared, all))?;
    let inputs = segments.iter().filter(|segment| job.inputs.contains(&segment.info.id));
    let inputs = inputs.cloned().collect();
    Some((job, inputs))
}

/// What a merge came to, when it did not fail.
enum Outcome {
    Merged(Vec<Merged>, u64),
    /// An input is damaged: it is set aside, and the merge is planned again.
    Damaged(Arc<Segment>, Damage),
    Stopped,
}

async fn run_job(
    shared: &Arc<Shared>,
    table: Table,
    job: &Job,
    inputs: Vec<Arc<Segment>>,
    report: &mut CompactReport,
) -> Result<(), StoreError> {
    let begin = Instant::now();
    let aim = aim(shared, false);
    let slice = job.slice;
    let (opening, segments) = (Arc::clone(shared), inputs.clone());
    let planned = background::run("halfopen-compact", Haste::Idle, move || {
        let open = open_all(&opening, &segments)?;
        let slices = match slice {
            Some(slice) => Ok([(slice, rows_of(&segments))].into()),
            None => merge::slices(table, &open, &aim),
        };
        slices.map_err(|error| blame(&segments, error.to_string()))
    });
    let planned = planned.await.ok_or(StoreError::Gone { thread: "compactor" })?;
    let slices = match planned {
        Ok(slices) => slices,
        Err((Some(segment), damage)) => {
            shared.set_aside(&segment, &damage).await;
            return Ok(());
        }
        Err((None, damage)) => return Err(failed(table, damage)),
    };
    let targets = reserve(shared, table, &slices, &inputs).await?;
    let reserved: Vec<(i64, String)> =
        targets.iter().flat_map(|target| target.places.iter().cloned()).collect();
    shared.crash.at(CrashPoint::CompactReserved);
    let (working, segments) = (Arc::clone(shared), inputs.clone());
    let merged = background::run("halfopen-compact", Haste::Idle, move || {
        merge_all(&working, table, &segments, &targets)
    });
    let merged = merged.await.ok_or(StoreError::Gone { thread: "compactor" });
    match merged.and_then(|merged| merged) {
        Ok(Outcome::Merged(merged, collapsed)) => {
            shared.crash.at(CrashPoint::CompactWritten);
            report.add(&inputs, &merged.iter().map(|m| &m.written).collect::<Vec<_>>(), collapsed);
            commit(shared, table, &inputs, merged, collapsed, &reserved).await?;
            let ms = begin.elapsed().as_millis() as u64;
            tracing::info!(%table, inputs = inputs.len(), collapsed, ms, "segments were merged");
            Ok(())
        }
        Ok(Outcome::Damaged(segment, damage)) => {
            give_up(shared, &reserved).await;
            shared.set_aside(&segment, &damage).await;
            Ok(())
        }
        Ok(Outcome::Stopped) => {
            give_up(shared, &reserved).await;
            Ok(())
        }
        Err(error) => {
            give_up(shared, &reserved).await;
            Err(error)
        }
    }
}

fn rows_of(segments: &[Arc<Segment>]) -> u64 {
    segments.iter().map(|segment| segment.info.rows).sum()
}

fn level_above(segments: &[Arc<Segment>]) -> u32 {
    let levels = segments.iter().map(|segment| segment.info.level);
    levels.max().unwrap_or_default().saturating_add(1)
}

type Blame = (Option<Arc<Segment>>, Damage);

fn open_all(shared: &Shared, segments: &[Arc<Segment>]) -> Result<Vec<OpenSegment>, Blame> {
    let open = |segment: &Arc<Segment>| {
        let opened = shared.open_segments.get(segment);
        opened.map_err(|damage| (Some(Arc::clone(segment)), damage))
    };
    segments.iter().map(open).collect()
}

/// The input that is at fault, if any is.
fn blame(segments: &[Arc<Segment>], reason: String) -> Blame {
    let damaged = segments.iter().find_map(|segment| Some((segment, segment.damage()?.clone())));
    match damaged {
        Some((segment, damage)) => (Some(Arc::clone(segment)), damage),
        None => (None, Damage { reason, lasting: false }),
    }
}

fn failed(table: Table, damage: Damage) -> StoreError {
    StoreError::Segment { table, source: Box::new(damage) }
}

/// Names for the merged segments, in the catalogue before any of them is on disk: after a crash
/// it is known which files are leftovers.
async fn reserve(
    shared: &Shared,
    table: Table,
    slices: &std::collections::BTreeMap<plan::Slice, u64>,
    inputs: &[Arc<Segment>],
) -> Result<Vec<Target>, StoreError> {
    let aim = aim(shared, false);
    let (rows_all, bytes_all) =
        (rows_of(inputs), inputs.iter().map(|segment| segment.info.bytes).sum::<u64>());
    let mut keeping = shared.keeping.lock().await;
    let mut id = keeping.next_segment_id;
    let targets: Vec<Target> = slices
        .iter()
        .map(|(slice, rows)| {
            let bytes = u128::from(bytes_all) * u128::from(*rows) / u128::from(rows_all.max(1));
            let by_bytes = (bytes as u64).div_ceil(aim.bytes_max);
            let pieces = rows.div_ceil(aim.rows_max).max(by_bytes).max(1);
            let places = (0..pieces).map(|_| {
                id += 1;
                (id - 1, file_name(shared, table, *slice, id - 1))
            });
            Target { slice: *slice, rows: *rows, places: places.collect() }
        })
        .collect();
    keeping.next_segment_id = id;
    let reserved: Vec<Reserved> = targets
        .iter()
        .flat_map(|target| target.places.iter())
        .map(|(id, file)| Reserved { id: *id, table, file: file.clone() })
        .collect();
    let Some(catalogue) = &mut keeping.catalogue else {
        return Err(StoreError::NotWritable("closed"));
    };
    catalogue.reserve(&reserved, &shared.config.node).await?;
    Ok(targets)
}

/// The slice of time, and an id that no other file has.
fn file_name(shared: &Shared, table: Table, slice: plan::Slice, id: i64) -> String {
    format!("segments/{table}/{table}-{}-{id:010}-{}.parquet", slice.name(), shared.config.node)
}

fn merge_all(
    shared: &Arc<Shared>,
    table: Table,
    segments: &[Arc<Segment>],
    targets: &[Target],
) -> Result<Outcome, StoreError> {
    let trouble = |(segment, damage): Blame| match segment {
        Some(segment) => Ok(Outcome::Damaged(segment, damage)),
        None => Err(failed(table, damage)),
    };
    let open = match open_all(shared, segments) {
        Ok(open) => open,
        Err(blamed) => return trouble(blamed),
    };
    let mut collapsed = 0;
    let merge = Merge {
        table,
        node: &shared.config.node,
        now: shared.clock.now(),
        level: level_above(segments),
        inputs: &open,
        crash: shared.crash,
        stop: &shared.stopping,
    };
    let folder = |file: &str| shared.folder.path(file);
    match merge::merge(&merge, targets, &folder, &mut collapsed) {
        Ok(merged) => {
            sync_folder(&shared.folder.segments(table))?;
            Ok(Outcome::Merged(merged, collapsed))
        }
        Err(Ended::Stopped) => Ok(Outcome::Stopped),
        Err(Ended::Failed(error)) => {
            // The disk may refuse what is written as well as what is read.
            match blame(segments, error.to_string()) {
                (None, _) => Err(StoreError::Segment { table, source: Box::new(error) }),
                blamed => trouble(blamed),
            }
        }
    }
}

/// Takes the names back; nothing of the merge is kept.
async fn give_up(shared: &Shared, reserved: &[(i64, String)]) {
    for (_, file) in reserved {
        let _ = std::fs::remove_file(shared.folder.path(file));
    }
    let ids: Vec<i64> = reserved.iter().map(|(id, _)| *id).collect();
    let mut keeping = shared.keeping.lock().await;
    if let Some(catalogue) = &mut keeping.catalogue
        && let Err(error) = catalogue.forget(&ids).await
    {
        // The next start removes them.
        tracing::warn!(error = &error as &dyn std::error::Error, "reserved names stay");
    }
}

async fn commit(
    shared: &Shared,
    table: Table,
    inputs: &[Arc<Segment>],
    merged: Vec<Merged>,
    collapsed: u64,
    reserved: &[(i64, String)],
) -> Result<(), StoreError> {
    let now = shared.clock.now();
    let level = level_above(inputs);
    let come: Vec<SegmentInfo> = merged
        .into_iter()
        .map(|merged| {
            SegmentInfo::of(merged.id, table, merged.file, merged.written, now).at_level(level)
        })
        .collect();
    if let Some(first) = come.first() {
        let gone = inputs.iter().map(|segment| segment.info.file.clone()).collect();
        let come = come.iter().map(|info| info.file.clone()).collect();
        merges::write(&shared.folder, first.id, gone, come)?;
    }
    let gone: Vec<i64> = inputs.iter().map(|segment| segment.info.id).collect();
    let keeping = shared.keeping.lock().await;
    let (snapshot, all_served) = {
        let state = shared.state();
        let served = |id: &i64| state.segments[table as usize].iter().any(|s| s.info.id == *id);
        (state.snapshot + 1, gone.iter().all(served))
    };
    if !all_served {
        // An input was set aside meanwhile: what is left is planned again.
        drop(keeping);
        give_up(shared, reserved).await;
        return Ok(());
    }
    let exchange = Exchange {
        gone: &gone,
        come: &come,
        unused: reserved.iter().map(|(id, _)| *id).collect(),
        node: &shared.config.node,
        now,
        snapshot,
        cuts: &[],
    };
    let (made, _keeping) = exchange::make(shared, keeping, &exchange).await?;
    if let Made::No(error) = made {
        drop(_keeping);
        give_up(shared, reserved).await;
        return Err(error);
    }
    shared.crash.at(CrashPoint::CompactCommitted);
    let counters = &shared.counters;
    counters.compaction_collapsed.fetch_add(collapsed, Ordering::Relaxed);
    counters.compacted_rows.fetch_add(rows_of(inputs), Ordering::Relaxed);
    serve(shared, table, &gone, come, snapshot);
    remove::later(shared, inputs);
    Ok(())
}

/// Queries that begin now see the merged segments.
fn serve(shared: &Shared, table: Table, gone: &[i64], come: Vec<SegmentInfo>, snapshot: u64) {
    count(&shared.counters.compactions);
    let bytes: u64 = come.iter().map(|info| info.bytes).sum();
    shared.counters.compacted_bytes.fetch_add(bytes, Ordering::Relaxed);
    let come = come.into_iter().map(|info| {
        let path = shared.folder.path(&info.file);
        Arc::new(Segment::new(info, path))
    });
    let come: Vec<_> = come.collect();
    shared.change(|state| {
        let list = Arc::make_mut(&mut state.segments[table as usize]);
        list.retain(|segment| !gone.contains(&segment.info.id));
        list.extend(come);
        state.snapshot = state.snapshot.max(snapshot);
    });
}
