//! The store: opening, closing, and its two ports.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use halfopen_model::port::{ReadError, Refusal, Rows, Scan, Written};
use halfopen_model::{Batch, Clock, ReadEvidence, Table, WriteEvidence};

use crate::config::{QueryLimits, StoreConfig};
use crate::counters::count;
use crate::crash::{Crash, CrashPoint};
use crate::crew::Crew;
use crate::error::{QueryError, StoreError};
use crate::hot::fit;
use crate::intake::{Prepared, invalid};
use crate::report::{CloseReport, OpenReport, SealReport, StoreStats};
use crate::shared::Shared;
use crate::wal::frame::{Frame, Part};
use crate::{compact, open, read, recent, seal, sql, stats, wal};

mod export;
mod upkeep;

/// Writes with no more rows are prepared at once, larger ones in a thread for that. So
/// many rows, one export of a common SDK with its ids, take about as long as the change of threads
/// costs on a busy machine.
const ROWS_AT_ONCE_MAX: usize = 2_048;

/// Threads that bring large writes into their stored form.
const PREPARING_THREADS: usize = 2;

/// What closing says when it ends before the work on the folder does.
const STILL_KEPT: &str =
    "work on the catalogue is still under way; the folder is free when it is done";

/// How long closing waits for work that is nearly done, also beyond the deadline.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// The store. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Ends the threads with the last clone.
struct Inner {
    shared: Arc<Shared>,
    preparing: Crew,
    writer: Mutex<Option<JoinHandle<()>>>,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
    remembered: tokio::sync::watch::Receiver<bool>,
}

/// Rows that a query returned.
#[derive(Clone, Debug)]
pub struct QueryAnswer {
    /// The columns, also when there are no rows.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Whether there are more than `rows_max`.
    pub truncated: bool,
    /// What could not be looked at, in words: a damaged segment, for example.
    pub unread: Vec<String>,
}

impl Store {
    /// Opens a folder for reading and writing, and takes its lock.
    ///
    /// # Errors
    /// When another process holds it, when it was written by a later version, when it cannot be
    /// used. Damage inside is no error: it is set aside and reported.
    pub async fn open(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<(Store, OpenReport), StoreError> {
        Store::open_to_crash(config, clock, None).await
    }

    async fn open_to_crash(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        crash: Option<CrashPoint>,
    ) -> Result<(Store, OpenReport), StoreError> {
        let opened = open::open(config, clock, false, Crash(crash)).await?;
        let shared = Arc::new(opened.shared);
        let writing = Arc::clone(&shared);
        let next_sequence = opened.next_sequence;
        let writer = std::thread::Builder::new()
            .name("halfopen-wal".to_owned())
            .spawn(move || wal::writer::run(&writing, next_sequence))
            .map_err(StoreError::file("start the writer of", shared.folder.path("wal")))?;
        let sealer = tokio::spawn(seal::run(Arc::clone(&shared))).abort_handle();
        let compactor = tokio::spawn(compact::run(Arc::clone(&shared))).abort_handle();
        let remembered = remember(&shared);
        if opened.report.damaged_frames > 0 {
            // What is whole is to be in segments before the damaged log is met again.
            shared.seal_wanted.notify_one();
        }
        let inner = Inner {
            shared,
            preparing: Crew::begin("halfopen-rows", PREPARING_THREADS),
            writer: Mutex::new(Some(writer)),
            tasks: Mutex::new(vec![sealer, compactor]),
            remembered,
        };
        Ok((Store { inner: Arc::new(inner) }, opened.report))
    }

    /// Opens a folder for reading. The lock is taken too, for the WAL of a running server cannot
    /// be read from outside; nothing is written.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no such folder.
    pub async fn open_read_only(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<(Store, OpenReport), StoreError> {
        let opened = open::open(config, clock, true, Crash::default()).await?;
        opened.shared.intake.close();
        let (_, remembered) = tokio::sync::watch::channel(true);
        let inner = Inner {
            shared: Arc::new(opened.shared),
            preparing: Crew::begin("halfopen-rows", 1),
            writer: Mutex::new(None),
            tasks: Mutex::default(),
            remembered,
        };
        Ok((Store { inner: Arc::new(inner) }, opened.report))
    }

    /// Answers a query in SQL.
    ///
    /// # Errors
    /// When the text is no query, would write, or reaches a bound of memory or time.
    pub async fn query(&self, sql: &str, limits: QueryLimits) -> Result<QueryAnswer, QueryError> {
        let shared = &self.inner.shared;
        let answer = sql::query(shared, sql, limits).await;
        count(match &answer {
            Ok(_) => &shared.counters.queries,
            Err(_) => &shared.counters.queries_failed,
        });
        answer
    }

    /// Moves all hot rows into segments now.
    ///
    /// # Errors
    /// When they cannot be written; they stay hot and in the WAL.
    pub async fn seal(&self) -> Result<SealReport, StoreError> {
        if self.inner.shared.read_only {
            return Err(StoreError::NotWritable("open for reading only"));
        }
        // A task of its own: who asked may go away, the seal is finished all the same.
        let shared = Arc::clone(&self.inner.shared);
        let sealed = tokio::spawn(async move { seal::seal(&shared).await });
        sealed.await.map_err(|_| StoreError::Gone { thread: "sealer" })?
    }

    /// Refuses further writes, seals, and says what it did. What is not sealed within `deadline`
    /// stays in the WAL; with a deadline of zero nothing is sealed. Work that is under way is given
    /// until then to end, two seconds at least; a note says when it goes on and keeps the folder.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        let (began, mut report) = (Instant::now(), CloseReport::default());
        let shared = Arc::clone(&self.inner.shared);
        if shared.read_only {
            shared.unlock();
            return report;
        }
        shared.stopping.store(true, Ordering::Relaxed);
        self.inner.stop_writing();
        if !deadline.is_zero() {
            match tokio::time::timeout(deadline, self.seal()).await {
                Ok(Ok(sealed)) => report.sealed = sealed,
                Ok(Err(error)) => report.notes.push(with_causes(&error)),
                Err(_) => report.notes.push(format!("sealing took longer than {deadline:?}")),
            }
        }
        report.rows_in_wal = stats::hot_rows(&shared);
        let left = || CLOSE_GRACE.max(deadline.saturating_sub(began.elapsed()));
        // A merge was told to give up; what it leaves the next start removes.
        let _merge = tokio::time::timeout(left(), shared.compacting.lock()).await;
        // A seal that is still under way keeps the folder until it is done.
        let Ok(mut keeping) = tokio::time::timeout(left(), shared.keeping.lock()).await else {
            report.notes.push(STILL_KEPT.to_owned());
            return report;
        };
        if report.rows_in_wal == 0 {
            let sealed = shared.state().sealed;
            if let Err(error) = shared.wal_files.cut(sealed, true) {
                report.notes.push(with_causes(&error));
            }
        }
        if let Some(catalogue) = keeping.catalogue.take()
            && let Err(error) = catalogue.close().await
        {
            report.notes.push(with_causes(&error));
        }
        self.inner.stop_tasks();
        shared.unlock();
        report
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> StoreStats {
        stats::stats(&self.inner.shared)
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Loads fingerprints of the run before, beside the start. Writes wait for it.
fn remember(shared: &Arc<Shared>) -> tokio::sync::watch::Receiver<bool> {
    let (done, remembered) = tokio::sync::watch::channel(false);
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let since = seal::remembered_since(&shared);
        let marks = recent::load(&shared.folder.path("seen"), since);
        shared.intake.remember(marks.into_iter());
        let _ = done.send(true);
    });
    remembered
}

impl Inner {
    /// No more writes; returns when those that wait are durable.
    fn stop_writing(&self) {
        self.shared.intake.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }

    /// No more sealing and merging; a merge under way gives up soon.
    fn stop_tasks(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop_tasks();
        self.stop_writing();
    }
}

/// Brings a write into its stored form. Nothing is left of it when there are no rows.
fn prepare(batches: Vec<Batch>) -> Result<Option<Prepared>, Refusal> {
    let mut parts = Vec::with_capacity(batches.len());
    for batch in batches {
        let Batch { table, rows, fingerprints } = batch;
        if !fingerprints.is_empty() && fingerprints.len() != rows.num_rows() {
            return Err(Refusal::Never { reason: mismatch(table, &rows, fingerprints.len()) });
        }
        let rows = fit(table, &rows).map_err(|error| invalid(&error))?;
        if rows.num_rows() > 0 {
            parts.push(Part { table, rows, fingerprints });
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let frame = Frame::encode(&parts).map_err(|error| invalid(&error))?;
    Ok(Some(Prepared { parts, frame }))
}

fn mismatch(table: Table, rows: &RecordBatch, fingerprints: usize) -> String {
    format!("{} rows of {table} came with {fingerprints} fingerprints", rows.num_rows())
}

impl WriteEvidence for Store {
    async fn write(&self, batches: Vec<Batch>) -> Result<Written, Refusal> {
        let shared = &self.inner.shared;
        // A full store says so before any work is done for it.
        shared.room(0, 0)?;
        let rows: usize = batches.iter().map(|batch| batch.rows.num_rows()).sum();
        let prepared = if rows <= ROWS_AT_ONCE_MAX {
            prepare(batches)
        } else {
            let prepared = self.inner.preparing.run(move || prepare(batches)).await;
            prepared.unwrap_or(Err(Refusal::Closed))
        };
        let prepared = prepared.inspect_err(|_| count(&shared.counters.refused_invalid))?;
        let Some(prepared) = prepared else { return Ok(Written::default()) };
        // Fails only when the loading thread is gone; then there is nothing to wait for.
        let _ = self.inner.remembered.clone().wait_for(|done| *done).await;
        let acknowledged =
            shared.intake.submit(prepared, |bytes, frame| shared.room(bytes, frame))?;
        acknowledged.await.unwrap_or(Err(Refusal::Closed))
    }
}

impl ReadEvidence for Store {
    async fn read(&self, scan: Scan) -> Result<Rows, ReadError> {
        read::read(&self.inner.shared, scan).await
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let snapshot = self.inner.shared.counters.seals.load(Ordering::Relaxed);
        formatter.debug_struct("Store").field("seals", &snapshot).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> halfopen_model::UnixNanos {
            halfopen_model::UnixNanos(1)
        }
    }

    #[tokio::test]
    async fn closing_says_that_work_still_keeps_the_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let open = || Store::open(StoreConfig::in_folder(place.path()), Arc::new(Fixed));
        let (store, _) = open().await.expect("opens");
        let shared = Arc::clone(&store.inner.shared);
        let work = shared.keeping.lock().await;
        assert_eq!(store.close(Duration::ZERO).await.notes, [STILL_KEPT]);
        assert!(matches!(open().await, Err(StoreError::Locked { .. })));

        drop(work);
        assert!(store.close(Duration::ZERO).await.notes.is_empty());
        assert!(open().await.is_ok());
    }
}
