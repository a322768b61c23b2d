//! What all parts of the store share, and the one place where rows change from hot to sealed.
//!
//! **Invariant:** a view holds each acknowledged row exactly once. Rows leave memory and their
//! segments appear under one lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use halfopen_model::port::Refusal;
use halfopen_model::{Clock, Table};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::catalogue::{Catalogue, Reach};
use crate::config::StoreConfig;
use crate::counters::{Counters, count};
use crate::crash::Crash;
use crate::folder::{Folder, FolderLock};
use crate::hot::{Generation, HotBatch};
use crate::intake::Intake;
use crate::remove::Leaving;
use crate::retain::Cut;
use crate::segment::open::OpenSegments;
use crate::segment::write::WRITE_BYTES;
use crate::segment::{Damage, Segment, SegmentInfo};
use crate::wal::file::WalFiles;

/// When a sender should try again after memory was full: a seal takes about a second.
const MEMORY_RETRY: Duration = Duration::from_secs(1);
/// When a sender should try again after the WAL was full.
const WAL_RETRY: Duration = Duration::from_secs(2);

/// A list for each table.
pub(crate) type PerTable<T> = [T; Table::ALL.len()];

/// Everything shared.
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folder: Folder,
    /// Whether nothing may be written.
    pub(crate) read_only: bool,
    pub(crate) intake: Intake,
    pub(crate) wal_files: WalFiles,
    pub(crate) counters: Counters,
    pub(crate) open_segments: OpenSegments,
    /// Held while segments are merged or let go.
    pub(crate) compacting: AsyncMutex<()>,
    /// Set when the process wants to end: a merge under way gives up.
    pub(crate) stopping: AtomicBool,
    /// Segments that are not served any more and whose files are still there.
    pub(crate) leaving: Mutex<Vec<Leaving>>,
    pub(crate) crash: Crash,
    /// Memory of the filters that are kept.
    pub(crate) filter_bytes: Arc<AtomicUsize>,
    /// Whether missing filters are being made.
    pub(crate) remaking: AtomicBool,
    pub(crate) seal_wanted: Notify,
    pub(crate) keeping: AsyncMutex<Keeping>,
    /// Whether the catalogue is in reach.
    pub(crate) catalogue_reach: Arc<Reach>,
    /// Memory that the seal under way needs beside rows and sorting.
    pub(crate) sealing_bytes: AtomicUsize,
    pub(crate) sql: std::sync::OnceLock<crate::sql::session::Base>,
    state: RwLock<State>,
    hot_bytes: AtomicUsize,
    lock: Mutex<Option<FolderLock>>,
}

/// What only one task at a time may do: seal, set aside, tidy up.
pub(crate) struct Keeping {
    pub(crate) catalogue: Option<Catalogue>,
    /// Segments that are written and may or may not be in the catalogue.
    pub(crate) pending: Option<Vec<SegmentInfo>>,
    pub(crate) next_segment_id: i64,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) active: Generation,
    pub(crate) sealing: Option<Arc<Generation>>,
    pub(crate) segments: PerTable<Arc<Vec<Arc<Segment>>>>,
    pub(crate) lost: PerTable<Arc<Vec<Lost>>>,
    /// What retention let go.
    pub(crate) cuts: PerTable<Option<Cut>>,
    /// The last frame of the WAL that is in segments.
    pub(crate) sealed: u64,
    pub(crate) snapshot: u64,
}

/// A segment that is not served.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) info: SegmentInfo,
    pub(crate) reason: String,
}

/// Everything there is to read, at one moment.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) hot: PerTable<Vec<Arc<HotBatch>>>,
    pub(crate) segments: PerTable<Arc<Vec<Arc<Segment>>>>,
    pub(crate) lost: PerTable<Arc<Vec<Lost>>>,
    pub(crate) cuts: PerTable<Option<Cut>>,
}

impl Lost {
    /// For an answer that lacks its rows.
    pub(crate) fn words(&self) -> String {
        let Lost { info, reason } = self;
        format!(
            "{} rows of {} from {} to {} could not be read: {} is damaged ({reason})",
            info.rows, info.table, info.range.from, info.range.to, info.file
        )
    }
}

/// What `Shared::new` puts together.
pub(crate) struct Parts {
    pub(crate) config: StoreConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folder: Folder,
    pub(crate) lock: FolderLock,
    pub(crate) read_only: bool,
    pub(crate) intake: Intake,
    pub(crate) wal_files: WalFiles,
    pub(crate) crash: Crash,
    pub(crate) keeping: Keeping,
    pub(crate) state: State,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        let hot_bytes = parts.state.active.bytes;
        let catalogue_reach = parts.keeping.catalogue.as_ref().map(Catalogue::reach);
        Shared {
            config: parts.config,
            clock: parts.clock,
            folder: parts.folder,
            read_only: parts.read_only,
            intake: parts.intake,
            wal_files: parts.wal_files,
            counters: Counters::default(),
            open_segments: OpenSegments::default(),
            compacting: AsyncMutex::new(()),
            stopping: AtomicBool::new(false),
            leaving: Mutex::default(),
            crash: parts.crash,
            filter_bytes: Arc::default(),
            remaking: AtomicBool::new(false),
            seal_wanted: Notify::new(),
            keeping: AsyncMutex::new(parts.keeping),
            catalogue_reach: catalogue_reach.unwrap_or_default(),
            sealing_bytes: AtomicUsize::new(0),
            sql: std::sync::OnceLock::new(),
            state: RwLock::new(parts.state),
            hot_bytes: AtomicUsize::new(hot_bytes),
            lock: Mutex::new(Some(parts.lock)),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and keeps the account of its memory.
    pub(crate) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state_mut();
        let result = act(&mut state);
        let sealing = state.sealing.as_ref().map_or(0, |generation| generation.bytes);
        self.hot_bytes.store(state.active.bytes + sealing, Ordering::Release);
        result
    }

    /// Shows durable rows to queries.
    pub(crate) fn publish(
        &self,
        batches: impl Iterator<Item = (Table, HotBatch)>,
        last_sequence: u64,
    ) {
        let full = self.change(|state| {
            for (table, batch) in batches {
                let rows = batch.rows.num_rows() as u64;
                self.counters.written_rows[table as usize].fetch_add(rows, Ordering::Relaxed);
                state.active.push(table, batch);
            }
            state.active.last_sequence = state.active.last_sequence.max(last_sequence);
            self.is_full(state)
        });
        if full {
            self.seal_wanted.notify_one();
        }
    }

    /// Whether a seal is due by rows or bytes.
    pub(crate) fn is_full(&self, state: &State) -> bool {
        let (_, wal_bytes) = self.wal_files.size();
        let active = &state.active;
        // Twice as much must fit: rows go on arriving while a generation is sealed.
        let bytes_max = self.config.seal_bytes.min(self.config.hot_bytes_max / 4);
        active.rows_max() >= self.config.seal_rows
            || active.bytes >= bytes_max
            || (wal_bytes >= self.config.wal_bytes_max / 2 && !active.is_empty())
    }

    /// Memory that counts against the bound.
    pub(crate) fn held_bytes(&self) -> usize {
        self.hot_bytes.load(Ordering::Acquire)
            + self.intake.bytes()
            + self.sealing_bytes.load(Ordering::Acquire)
    }

    /// Whether a write of this size fits within the bounds.
    pub(crate) fn room(&self, bytes: usize, frame_bytes: usize) -> Result<(), Refusal> {
        let bytes_max = self.config.hot_bytes_max;
        if bytes > bytes_max / 2 {
            count(&self.counters.refused_invalid);
            let reason = format!("a write of {bytes} bytes is too large; {} fit", bytes_max / 2);
            return Err(Refusal::Never { reason });
        }
        // Room to seal is kept free at all times: sealing is what makes room.
        let held = self.hot_bytes.load(Ordering::Acquire) + self.intake.bytes() + WRITE_BYTES;
        if held + bytes > bytes_max {
            count(&self.counters.refused_memory);
            self.seal_wanted.notify_one();
            let reason = format!("memory for new rows is full ({held} of {bytes_max} bytes)");
            return Err(Refusal::Later { reason, after: MEMORY_RETRY });
        }
        let (_, wal_bytes) = self.wal_files.size();
        let wal_bytes_max = self.config.wal_bytes_max;
        if wal_bytes + frame_bytes as u64 > wal_bytes_max {
            count(&self.counters.refused_wal);
            self.seal_wanted.notify_one();
            let reason =
                format!("the write-ahead log is full ({wal_bytes} of {wal_bytes_max} bytes)");
            return Err(Refusal::Later { reason, after: WAL_RETRY });
        }
        Ok(())
    }

    /// What there is to read now.
    pub(crate) fn view(&self) -> View {
        let state = self.state();
        let mut view = View {
            segments: state.segments.clone(),
            lost: state.lost.clone(),
            cuts: state.cuts,
            ..View::default()
        };
        for table in Table::ALL {
            let place = table as usize;
            let sealing = state.sealing.iter().flat_map(|g| &g.tables[place]);
            view.hot[place] = sealing.chain(&state.active.tables[place]).cloned().collect();
        }
        view
    }

    /// Takes a damaged segment out of service, so that the rest can be read.
    pub(crate) async fn set_aside(&self, segment: &Arc<Segment>, damage: &Damage) {
        let mut keeping = self.keeping.lock().await;
        let info = segment.info.clone();
        let served =
            self.state().segments[info.table as usize].iter().any(|other| other.info.id == info.id);
        if !served {
            return;
        }
        tracing::error!(file = %info.file, reason = %damage.reason, "segment is damaged");
        if damage.lasting && !self.read_only {
            if let Err(error) = self.folder.set_aside(&segment.path) {
                tracing::warn!(file = %info.file, error = %error, "segment was not moved");
            }
            if let Some(catalogue) = &mut keeping.catalogue
                && let Err(error) = catalogue.set_damaged(info.id, &damage.reason).await
            {
                tracing::warn!(file = %info.file, error = %error, "damage was not noted");
            }
        }
        self.open_segments.forget(info.id);
        let place = info.table as usize;
        self.change(|state| {
            let served = state.segments[place].iter().filter(|other| other.info.id != info.id);
            state.segments[place] = Arc::new(served.cloned().collect());
            let mut lost = state.lost[place].to_vec();
            lost.push(Lost { info, reason: damage.reason.clone() });
            state.lost[place] = Arc::new(lost);
        });
    }

    /// Lets the folder go.
    pub(crate) fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
