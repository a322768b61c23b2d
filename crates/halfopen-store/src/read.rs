//! The read port: hot rows and segments side by side, each segment in a thread of its own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt, stream};
use halfopen_model::batch::conform;
use halfopen_model::memory::projected;
use halfopen_model::port::{ReadError, Rows, Scan};

use crate::counters::count;
use crate::hot::{HotBatch, memory_bytes_beside};
use crate::index::{self, Candidate, Probe};
use crate::matcher::Matcher;
use crate::segment::scan::{Wanted, scan};
use crate::segment::{Damage, Segment};
use crate::shared::{Shared, View};

/// Segments that one read looks into at the same time.
const SEGMENTS_AT_ONCE: usize = 4;

/// Rows of a hot batch that are looked at and copied at once.
const HOT_ROWS: usize = 65_536;

/// One read on its way.
struct Reading {
    shared: Arc<Shared>,
    scan: Scan,
    matcher: Matcher,
    wanted: SchemaRef,
    deadline: Instant,
    rows: AtomicUsize,
    bytes: AtomicUsize,
    /// Allocations that are counted in `bytes`; all of them live as long as the read.
    known: Mutex<HashSet<usize>>,
    full: AtomicBool,
}

/// Why a part of a read came to nothing.
enum Trouble {
    Damaged(Arc<Segment>, Damage),
    Error(ReadError),
}

/// Reads what `scan` wants. Segments that turn out damaged are set aside, and the read begins
/// again without them.
pub(crate) async fn read(shared: &Arc<Shared>, scan: Scan) -> Result<Rows, ReadError> {
    count(&shared.counters.reads);
    let wanted = projected(&scan)?;
    if let Some(column) = Matcher::new(&scan).key_column() {
        let test = Scan { columns: Some(vec![column.to_owned()]), ..scan.clone() };
        projected(&test)?;
    }
    loop {
        let view = shared.view();
        let reading = Arc::new(Reading {
            shared: Arc::clone(shared),
            matcher: Matcher::new(&scan),
            scan: scan.clone(),
            wanted: Arc::clone(&wanted),
            deadline: Instant::now() + Duration::from_secs(shared.config.query_seconds_max),
            rows: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            known: Mutex::default(),
            full: AtomicBool::new(false),
        });
        match reading.run(&view).await {
            Ok(rows) => return Ok(rows),
            Err(Trouble::Error(error)) => return Err(error),
            Err(Trouble::Damaged(segment, damage)) => shared.set_aside(&segment, &damage).await,
        }
    }
}

impl Reading {
    async fn run(self: &Arc<Reading>, view: &View) -> Result<Rows, Trouble> {
        let table = self.scan.table as usize;
        let mut batches = self.hot(view.hot[table].clone()).await?;
        let may_match = |segment: &&Arc<Segment>| {
            self.matcher.may_match(&segment.info.range, segment.info.traces)
        };
        let segments: Vec<_> = view.segments[table].iter().filter(may_match).cloned().collect();
        let probe = Probe::of_match(self.scan.table, &self.scan.matching);
        let candidates = index::keep(&self.shared, segments, probe).await;
        let found: Vec<Vec<RecordBatch>> = stream::iter(candidates)
            .map(|candidate| self.segment(candidate))
            .buffer_unordered(SEGMENTS_AT_ONCE)
            .try_collect()
            .await?;
        batches.extend(found.into_iter().flatten());
        let lost = view.lost[table].iter();
        let unread = lost
            .filter(|lost| self.matcher.may_match(&lost.info.range, lost.info.traces))
            .map(|lost| lost.words())
            .collect();
        let mut unread: Vec<String> = unread;
        let expired = view.cuts[table].filter(|cut| self.scan.range.overlaps(&cut.range));
        unread.extend(expired.map(|cut| cut.words(self.scan.table)));
        let truncated = cut(&mut batches, self.scan.rows_max);
        Ok(Rows { batches, truncated, unread })
    }

    fn failed(&self, error: &dyn std::error::Error) -> Trouble {
        let reason = error.to_string();
        Trouble::Error(ReadError::Failed { table: self.scan.table, reason })
    }

    /// Takes note of rows that were found; whether to look for more.
    fn take(&self, rows: &RecordBatch) -> Result<bool, Trouble> {
        let found = self.rows.fetch_add(rows.num_rows(), Ordering::Relaxed) + rows.num_rows();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = memory_bytes_beside(rows, &mut known);
        drop(known);
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let bytes_max = self.shared.config.query_memory_bytes_max;
        if bytes > bytes_max {
            return Err(Trouble::Error(ReadError::Bound {
                reason: format!("it needs more than {bytes_max} bytes of memory"),
                hint: "narrow the time range, or ask for fewer columns or rows".to_owned(),
            }));
        }
        // One row more than wanted shows that there are more.
        if found > self.scan.rows_max {
            self.full.store(true, Ordering::Relaxed);
        }
        self.go_on()
    }

    fn go_on(&self) -> Result<bool, Trouble> {
        if Instant::now() > self.deadline {
            let seconds = self.shared.config.query_seconds_max;
            return Err(Trouble::Error(ReadError::Bound {
                reason: format!("it took longer than {seconds} s"),
                hint: "narrow the time range, or raise query_seconds_max".to_owned(),
            }));
        }
        Ok(!self.full.load(Ordering::Relaxed))
    }

    async fn hot(
        self: &Arc<Reading>,
        hot: Vec<Arc<HotBatch>>,
    ) -> Result<Vec<RecordBatch>, Trouble> {
        let reading = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || reading.hot_now(&hot));
        found.await.map_err(|error| self.failed(&error))?
    }

    fn hot_now(&self, hot: &[Arc<HotBatch>]) -> Result<Vec<RecordBatch>, Trouble> {
        let mut found = Vec::new();
        for batch in hot.iter().filter(|batch| self.scan.range.overlaps(&batch.range)) {
            for begin in (0..batch.rows.num_rows()).step_by(HOT_ROWS) {
                let rows = (batch.rows.num_rows() - begin).min(HOT_ROWS);
                let rows = batch.rows.slice(begin, rows);
                let kept = self.hot_rows(&rows).map_err(|error| self.failed(&error))?;
                let more = if kept.num_rows() > 0 { self.take(&kept)? } else { self.go_on()? };
                found.push(kept);
                if !more {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn hot_rows(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mask = self.matcher.mask(rows);
        let columns = self.wanted.fields().iter();
        let present: Vec<usize> = columns
            .filter_map(|field| rows.schema_ref().column_with_name(field.name()))
            .map(|(place, _)| place)
            .collect();
        let kept = filter_record_batch(&rows.project(&present)?, &mask)?;
        conform(&kept, &self.wanted)
    }

    async fn segment(
        self: &Arc<Reading>,
        candidate: Candidate,
    ) -> Result<Vec<RecordBatch>, Trouble> {
        let reading = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || reading.segment_now(candidate));
        found.await.map_err(|error| self.failed(&error))?
    }

    fn segment_now(&self, candidate: Candidate) -> Result<Vec<RecordBatch>, Trouble> {
        let Candidate { segment, groups } = candidate;
        let groups = groups.map(|groups| groups.some);
        let mut found = Vec::new();
        if !self.go_on()? {
            return Ok(found);
        }
        let damaged = |damage: &Damage| Trouble::Damaged(Arc::clone(&segment), damage.clone());
        let open = self.shared.open_segments.get(&segment).map_err(|damage| damaged(&damage))?;
        let mut trouble = None;
        let mut take = |rows: RecordBatch| match self.take(&rows) {
            Ok(more) => {
                found.push(rows);
                more
            }
            Err(error) => {
                trouble = Some(error);
                false
            }
        };
        let wanted = Wanted { matcher: &self.matcher, schema: &self.wanted, groups };
        let scanned = scan(&open, wanted, &mut take);
        match (trouble, scanned, segment.damage()) {
            (Some(trouble), _, _) => Err(trouble),
            (None, Ok(()), _) => Ok(found),
            (None, Err(_), Some(damage)) => Err(damaged(damage)),
            (None, Err(error), None) => Err(self.failed(&error)),
        }
    }
}

/// Keeps `rows_max` rows, and no empty batches; whether there were more.
pub(crate) fn cut(batches: &mut Vec<RecordBatch>, rows_max: usize) -> bool {
    let mut room = rows_max;
    let mut truncated = false;
    batches.retain_mut(|batch| {
        if batch.num_rows() > room {
            truncated = true;
            *batch = batch.slice(0, room);
        }
        room -= batch.num_rows();
        batch.num_rows() > 0
    });
    truncated
}
