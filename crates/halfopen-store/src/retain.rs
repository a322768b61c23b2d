//! Lets segments go by their age, and the oldest ones where all of them are too large.
//!
//! Whole segments go: a table keeps its rows for the days that were set, and up to an hour or,
//! where hours are sparse, a day longer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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

/// Between two looks the clock and the time that passed may differ by so much.
const DRIFT_NS_MAX: u128 = 60 * SECOND_NS as u128;
/// After a clock has jumped it must go evenly for so long before anything goes by its age: a clock
/// that was set wrong by an hour is mostly set right within one.
const SETTLE: Duration = Duration::from_secs(3_600);

/// Whether the clock can be believed when it says that rows are old.
#[derive(Debug, Default)]
pub(crate) struct Steadiness {
    last: Option<(UnixNanos, Instant)>,
    jumped: Option<Instant>,
}

impl Steadiness {
    /// Looks at the clock; `at` is the time of the machine that never jumps.
    pub(crate) fn look(&mut self, now: UnixNanos, at: Instant) -> bool {
        if let Some((last, last_at)) = self.last.replace((now, at)) {
            let passed_ns = at.saturating_duration_since(last_at).as_nanos() as i128;
            let moved_ns = i128::from(now.0) - i128::from(last.0);
            if (moved_ns - passed_ns).unsigned_abs() > DRIFT_NS_MAX {
                tracing::warn!(%last, %now, "the clock has jumped: nothing goes by its age now");
                self.jumped = Some(at);
            }
        }
        self.jumped.is_none_or(|jumped| at.saturating_duration_since(jumped) >= SETTLE)
    }
}

/// Lets go what is over, by its age only where the clock is believed.
///
/// # Errors
/// When the catalogue cannot be changed; everything stays.
pub(crate) async fn run(shared: &Arc<Shared>, believed: bool) -> Result<(), StoreError> {
    // A merge under way needs its inputs.
    let Ok(_one_at_a_time) = shared.compacting.try_lock() else { return Ok(()) };
    let now = shared.clock.now();
    let by_age = if believed { too_old(shared, now) } else { Vec::new() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_is_not_believed_until_it_went_evenly_for_an_hour() {
        let (begin, minute) = (Instant::now(), Duration::from_secs(60));
        let mut steadiness = Steadiness::default();
        let mut look = |minutes: u32, clock_minutes: i64| {
            let now = UnixNanos(clock_minutes * 60 * SECOND_NS);
            steadiness.look(now, begin + minutes * minute)
        };
        assert!(look(0, 1_000) && look(10, 1_010));
        assert!(!look(11, 1_071), "an hour forwards");
        assert!(!look(40, 1_100));
        assert!(!look(41, 1_041), "and back");
        assert!(!look(100, 1_100) && look(101, 1_101));
        assert!(look(102, 1_103), "a minute is drift");
    }
}
