//! The store and its two ports.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use halfopen_model::port::{ReadError, Refusal, Rows, Scan, Written};
use halfopen_model::{Batch, Clock, ReadEvidence, WriteEvidence};

use crate::config::{QueryLimits, StoreConfig};
use crate::error::{QueryError, StoreError};
use crate::report::{CloseReport, OpenReport, SealReport, StoreStats};

/// The store. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
    clock: Arc<dyn Clock>,
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
        let inner = Arc::new(Inner { config, clock });
        Ok((Store { inner }, OpenReport::default()))
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
        Store::open(config, clock).await
    }

    /// Answers a query in SQL.
    ///
    /// # Errors
    /// When the text is no query, would write, or reaches a bound of memory or time.
    pub async fn query(&self, _sql: &str, _limits: QueryLimits) -> Result<QueryAnswer, QueryError> {
        Err(QueryError::Failed { reason: "not there yet".to_owned() })
    }

    /// Moves all hot rows into segments now.
    ///
    /// # Errors
    /// When they cannot be written; they stay hot and in the WAL.
    pub async fn seal(&self) -> Result<SealReport, StoreError> {
        let _ = self.inner.clock.now();
        Ok(SealReport::default())
    }

    /// Refuses further writes, seals, and says what it did. What is not sealed within `deadline`
    /// stays in the WAL.
    pub async fn close(&self, _deadline: Duration) -> CloseReport {
        CloseReport::default()
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            hot_bytes_max: self.inner.config.hot_bytes_max as u64,
            ..StoreStats::default()
        }
    }
}

impl WriteEvidence for Store {
    async fn write(&self, _batches: Vec<Batch>) -> Result<Written, Refusal> {
        Err(Refusal::Closed)
    }
}

impl ReadEvidence for Store {
    async fn read(&self, scan: Scan) -> Result<Rows, ReadError> {
        Err(ReadError::Failed { table: scan.table, reason: "not there yet".to_owned() })
    }
}
