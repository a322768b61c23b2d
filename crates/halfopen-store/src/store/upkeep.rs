//! What keeps the folder in order beside the daily work: merging, letting go, deleting.

use std::sync::Arc;
use std::time::Duration;

use halfopen_model::Clock;

use super::Store;
use crate::config::StoreConfig;
use crate::crash::CrashPoint;
use crate::error::StoreError;
use crate::report::{CompactReport, OpenReport};
use crate::{compact, remove, retain};

impl Store {
    /// As [`Store::open`], for tests: the process ends at the given moment.
    ///
    /// # Errors
    /// As [`Store::open`].
    #[doc(hidden)]
    pub async fn open_and_crash(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        at: CrashPoint,
    ) -> Result<(Store, OpenReport), StoreError> {
        Store::open_to_crash(config, clock, Some(at)).await
    }

    /// Merges all segments that can be merged, whatever their age.
    ///
    /// # Errors
    /// When merged segments cannot be written or committed; the old ones stay.
    pub async fn compact(&self) -> Result<CompactReport, StoreError> {
        self.writable()?;
        compact::compact(&self.inner.shared, true).await
    }

    /// Merges what is due by number and age, as happens in the background every few seconds.
    ///
    /// # Errors
    /// When merged segments cannot be written or committed; the old ones stay.
    pub async fn compact_due(&self) -> Result<CompactReport, StoreError> {
        self.writable()?;
        compact::compact(&self.inner.shared, false).await
    }

    /// Lets segments go whose retention is over. The clock is believed; in the background it is
    /// not for an hour after it has jumped.
    ///
    /// # Errors
    /// When the catalogue cannot be changed; everything stays.
    pub async fn retain(&self) -> Result<(), StoreError> {
        self.writable()?;
        retain::run(&self.inner.shared, true).await
    }

    /// Deletes files of segments that are served no more, that left at least `after` ago and that
    /// nobody reads; how many.
    pub async fn delete_unserved(&self, after: Duration) -> u64 {
        remove::delete(&self.inner.shared, after).await
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.inner.shared.read_only {
            true => Err(StoreError::NotWritable("open for reading only")),
            false => Ok(()),
        }
    }
}
