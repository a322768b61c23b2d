//! Lets segments go by their age, and the oldest ones where all of them are too large.
//!
//! Whole segments go: a table keeps its rows for the days that were set, and up to an hour or,
//! where hours are sparse, a day longer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use halfopen_model::time::SECOND_NS;
use halfopen_model::{Table, TimeRange, UnixNanos};

use crate::catalogue::Exchange;
use crate::config::StoreConfig;
use crate::crash::CrashPoint;
use crate::error::StoreError;
use crate::exchange::{self, Made};
use crate::remove;
use crate::segment::Segment;
use crate::shared::Shared;

const DAY_NS: i64 = 24 * 3_600 * SECOND_NS;
/// Where no size is set, segments may take this part of the disk that they are on.
const DISK_PART: u64 = 2;

/// What retention has let go of a table so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// From the first to behind the last time of rows that went.
    pub(crate) range: TimeRange,
    pub(crate) rows: u64,
}

impl Cut {
    /// Together with a further segment.
    fn with(self, segment: &Segment) -> Cut {
        let info = &segment.info;
        Cut {
            range: TimeRange {
                from: self.range.from.min(info.range.from),
                to: self.range.to.max(info.range.to),
            },
            rows: self.rows + info.rows,
        }
    }

    /// For an answer that lacks the rows.
    pub(crate) fn words(&self, table: Table) -> String {
        format!(
            "{} rows of {table} from {} to {} are gone: their retention is over",
            self.rows, self.range.from, self.range.to
        )
    }
}

/// Days that rows of a table are kept; `None` for ever.
pub(crate) fn days(config: &StoreConfig, table: Table) -> Option<u64> {
    let own = config.retention_table_days.iter().find_map(|entry| {
        let (name, days) = entry.split_once('=')?;
        (name.trim() == table.name()).then(|| days.trim().parse().ok()).flatten()
    });
    own.or(Some(config.retention_days)).filter(|days| *days > 0)
}

/// Whether an entry of `retention_table_days` reads.
pub(crate) fn is_entry(entry: &str) -> bool {
    entry.split_once('=').is_some_and(|(name, days)| {
        name.trim().parse::<Table>().is_ok() && days.trim().parse::<u64>().is_ok()
    })
}

/// Bytes that all segments together may take.
pub(crate) fn bytes_max(shared: &Shared) -> u64 {
    if shared.config.retention_bytes_max > 0 {
        return shared.config.retention_bytes_max;
    }
    let disk = rustix::fs::statvfs(shared.folder.path("segments"));
    disk.map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize) / DISK_PART)
}

/// Lets go what is over.
///
/// # Errors
/// When the catalogue cannot be changed; everything stays.
pub(crate) async fn run(shared: &Arc<Shared>) -> Result<(), StoreError> {
    // A merge under way needs its inputs.
    let Ok(_one_at_a_time) = shared.compacting.try_lock() else { return Ok(()) };
    let now = shared.clock.now();
    let by_age = too_old(shared, now);
    let by_size = too_many(shared, bytes_max(shared), &by_age);
    for (gone, reason) in [(by_age, "age"), (by_size, "size")] {
        if !gone.is_empty() {
            let_go(shared, &gone, now, reason).await?;
        }
    }
    Ok(())
}

fn too_old(shared: &Shared, now: UnixNanos) -> Vec<Arc<Segment>> {
    let state = shared.state();
    let mut gone = Vec::new();
    for table in Table::ALL {
        let Some(days) = days(&shared.config, table) else { continue };
        let days = i64::try_from(days).unwrap_or(i64::MAX);
        let since = now.shifted(days.saturating_mul(DAY_NS).saturating_neg());
        let segments = state.segments[table as usize].iter();
        gone.extend(segments.filter(|segment| segment.info.range.to <= since).cloned());
    }
    gone
}

/// The oldest ones beyond `bytes_max`, without those that go anyway.
fn too_many(shared: &Shared, bytes_max: u64, gone: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
    let state = shared.state();
    let going = |segment: &&Arc<Segment>| gone.iter().any(|g| g.info.id == segment.info.id);
    let segments = state.segments.iter().flat_map(|list| list.iter());
    let mut staying: Vec<_> = segments.filter(|segment| !going(segment)).cloned().collect();
    let mut bytes: u64 = staying.iter().map(|segment| segment.info.bytes).sum();
    staying.sort_by_key(|segment| (segment.info.range.to, segment.info.id));
    let over = staying.into_iter().take_while(|segment| {
        let over = bytes > bytes_max;
        bytes -= segment.info.bytes;
        over
    });
    over.collect()
}

async fn let_go(
    shared: &Shared,
    segments: &[Arc<Segment>],
    now: UnixNanos,
    reason: &'static str,
) -> Result<(), StoreError> {
    let keeping = shared.keeping.lock().await;
    let (snapshot, mut cuts) = {
        let state = shared.state();
        (state.snapshot + 1, state.cuts)
    };
    for segment in segments {
        let cut = &mut cuts[segment.info.table as usize];
        let before = cut.unwrap_or(Cut { range: segment.info.range, rows: 0 });
        *cut = Some(before.with(segment));
    }
    let gone: Vec<i64> = segments.iter().map(|segment| segment.info.id).collect();
    let changed: Vec<(Table, Cut)> =
        Table::ALL.into_iter().filter_map(|table| Some((table, cuts[table as usize]?))).collect();
    let exchange = Exchange {
        gone: &gone,
        come: &[],
        unused: Vec::new(),
        node: &shared.config.node,
        now,
        snapshot,
        cuts: &changed,
    };
    let (made, _keeping) = exchange::make(shared, keeping, &exchange).await?;
    if let Made::No(error) = made {
        return Err(error);
    }
    shared.crash.at(CrashPoint::RetentionCommitted);
    shared.change(|state| {
        for list in &mut state.segments {
            if list.iter().any(|segment| gone.contains(&segment.info.id)) {
                Arc::make_mut(list).retain(|segment| !gone.contains(&segment.info.id));
            }
        }
        state.snapshot = state.snapshot.max(snapshot);
        state.cuts = cuts;
    });
    remove::later(shared, segments);
    let rows: u64 = segments.iter().map(|segment| segment.info.rows).sum();
    let bytes: u64 = segments.iter().map(|segment| segment.info.bytes).sum();
    let counters = &shared.counters;
    counters.expired_segments.fetch_add(segments.len() as u64, Ordering::Relaxed);
    counters.expired_rows.fetch_add(rows, Ordering::Relaxed);
    counters.expired_bytes.fetch_add(bytes, Ordering::Relaxed);
    tracing::info!(reason, segments = segments.len(), rows, bytes, "retention is over");
    Ok(())
}
