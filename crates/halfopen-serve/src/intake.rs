//! Intake: exports become rows, rows become groups, groups become durable.
//!
//! An export is decoded straight into the group that is forming in one of the lanes, and waits
//! until that group is durable. While a group is being written the next one forms: the slower the
//! disk, the larger the groups. No timer is involved, so a lone sender waits for nothing but the
//! disk.
//!
//! **Invariant:** an export is acknowledged only after every row of it is durable.
//!
//! **Invariant:** rows that wait are bounded by `waiting_bytes_max`; beyond it senders are told to
//! come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use halfopen_ingest::inflate::{Compression, InflateError, inflate};
use halfopen_ingest::{Arrival, Encoding, IngestSettings, Outcome, Signal};
use halfopen_model::port::{Refusal, Written};
use halfopen_model::{Batch, Clock, WriteEvidence};
use halfopen_store::crew::Crew;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::body::Held;
use crate::config::Config;
use crate::meter::Meter;
use crate::otlp::with_causes;
use crate::task;

mod lane;
mod reject;

use lane::{Lane, Waiting};

/// Decoding so many bytes takes some 100 us; more than that leaves the threads that serve
/// connections.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Rows of one export of a common SDK, its ids included: putting them into arrays takes some
/// 100 us, less than a change of threads on a busy machine.
const INLINE_ROWS_MAX: usize = 2_048;

/// Rows take up to so many times the bytes of the body they came in; refusing before decoding
/// counts with it.
const ROWS_PER_BODY_BYTES: usize = 2;

/// Between two tries to write a group: a seal that makes room takes some 100 ms.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// An export as it arrived.
pub(crate) struct Export {
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) compression: Compression,
    pub(crate) body: Held,
    pub(crate) sender: String,
}

/// Why an export was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("rows that wait to become durable fill their bound of {bytes_max} bytes")]
    Full { bytes_max: usize },
    #[error("the server is stopping")]
    Stopping,
    #[error("the export could not be decompressed")]
    Inflate {
        #[source]
        source: InflateError,
        reject: Option<Batch>,
    },
    #[error(transparent)]
    Store(Refusal),
    #[error("the export was lost on its way to the store; send it again")]
    Lost,
}

/// Takes exports and has them written.
pub(crate) struct Intake<W> {
    writer: Arc<W>,
    lanes: Vec<Arc<Lane>>,
    turn: AtomicUsize,
    waiting: Arc<Waiting>,
    decoding: Semaphore,
    crew: Crew,
    stopping: AtomicBool,
    patience: Duration,
    message_bytes_max: usize,
    reject_raw_bytes_max: usize,
    clock: Arc<dyn Clock>,
    meter: Arc<Meter>,
}

impl<W: WriteEvidence + 'static> Intake<W> {
    /// An intake and the tasks that write its groups; they end after [`Intake::stop`].
    pub(crate) fn start(
        writer: Arc<W>,
        config: &Config,
        clock: Arc<dyn Clock>,
        meter: Arc<Meter>,
    ) -> (Arc<Intake<W>>, Vec<JoinHandle<()>>) {
        let settings: IngestSettings = config.ingest.settings();
        let serve = &config.serve;
        let waiting = Arc::new(Waiting::new(serve.waiting_bytes_max));
        let lane = |_| Arc::new(Lane::new(settings.clone(), Arc::clone(&waiting)));
        let lanes: Vec<_> = (0..serve.lanes).map(lane).collect();
        let intake = Arc::new(Intake {
            writer,
            turn: AtomicUsize::new(0),
            waiting,
            decoding: Semaphore::new(lanes.len()),
            crew: Crew::begin("halfopen-decode", lanes.len()),
            lanes,
            stopping: AtomicBool::new(false),
            patience: serve.patience(),
            message_bytes_max: serve.message_bytes_max,
            reject_raw_bytes_max: config.ingest.reject_raw_bytes_max,
            clock,
            meter,
        });
        let commit = |lane: &Arc<Lane>| {
            task::spawn("commit", commit_groups(Arc::clone(&intake), Arc::clone(lane)))
        };
        let committers = intake.lanes.iter().map(commit).collect();
        (intake, committers)
    }

    /// Takes an export; when this returns an outcome, its rows are durable.
    pub(crate) async fn take(self: &Arc<Self>, export: Export) -> Result<Outcome, NotTaken> {
        self.admit(export.body.bytes.len() * ROWS_PER_BODY_BYTES)?;
        let small = export.body.bytes.len() <= INLINE_BYTES_MAX;
        let plain = matches!(export.compression, Compression::None);
        let at_once = if small && plain {
            let decode =
                |mut forming| decode(&mut forming, &export, &export.body.bytes, &*self.clock);
            self.free_lane().map(decode)
        } else {
            None
        };
        let decoded = match at_once {
            Some(decoded) => Ok(decoded),
            None => self.decode_aside(export).await,
        };
        if let Err(NotTaken::Inflate { reject: Some(reject), .. }) = &decoded {
            // A refusal here changes nothing: the sender is told that its export is no good.
            let _ = self.writer.write(vec![reject.clone()]).await;
        }
        let (outcome, durable) = decoded?;
        match durable.await {
            Ok(Ok(())) => Ok(outcome),
            Ok(Err(refusal)) => Err(NotTaken::Store(refusal)),
            Err(_) => Err(NotTaken::Lost),
        }
    }

    /// Keeps rows that did not arrive as telemetry, for example changes.
    pub(crate) async fn write(&self, batches: Vec<Batch>) -> Result<Written, NotTaken> {
        self.admit(0)?;
        self.writer.write(batches).await.map_err(NotTaken::Store)
    }

    fn admit(&self, bytes: usize) -> Result<(), NotTaken> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(NotTaken::Stopping);
        }
        if !self.waiting.has_room(bytes) {
            return Err(NotTaken::Full { bytes_max: self.waiting.bytes_max });
        }
        Ok(())
    }

    /// Decodes on a thread that may be busy for long. No more of them run than there are lanes,
    /// so that what decompression inflates is bounded too.
    async fn decode_aside(self: &Arc<Self>, export: Export) -> Result<Decoded, NotTaken> {
        let _slot = self.decoding.acquire().await.map_err(|_| NotTaken::Stopping)?;
        let intake = Arc::clone(self);
        let decoding = self.crew.run(move || {
            // Others were decoded while this one waited for its turn.
            intake.admit(export.body.bytes.len() * ROWS_PER_BODY_BYTES)?;
            let inflated;
            let body = match export.compression {
                Compression::None => &export.body.bytes[..],
                compression => {
                    inflated = inflate(compression, &export.body.bytes, intake.message_bytes_max)
                        .map_err(|error| intake.not_inflated(&export, error))?;
                    intake.admit(inflated.len() * ROWS_PER_BODY_BYTES)?;
                    &inflated[..]
                }
            };
            Ok(decode(&mut intake.any_lane(), &export, body, &*intake.clock))
        });
        decoding.await.unwrap_or_else(|| {
            error!("an export made the decoder fail");
            Err(NotTaken::Lost)
        })
    }

    /// What could not be decompressed is kept as a reject.
    fn not_inflated(&self, export: &Export, source: InflateError) -> NotTaken {
        let reason = with_causes(&source);
        let at = self.clock.now();
        let reject = reject::unreadable(export, &reason, at, self.reject_raw_bytes_max);
        if let Err(error) = &reject {
            error!(%error, "a reject could not be made into a row");
        }
        NotTaken::Inflate { source, reject: reject.ok() }
    }

    fn free_lane(&self) -> Option<lane::Forming<'_>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.lanes.len();
        (0..count).find_map(|step| self.lanes[(first + step) % count].try_form())
    }

    fn any_lane(&self) -> lane::Forming<'_> {
        match self.free_lane() {
            Some(forming) => forming,
            None => self.lanes[self.turn.load(Ordering::Relaxed) % self.lanes.len()].form(),
        }
    }

    /// Rows that wait to become durable, in bytes.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// Takes nothing more; the committers end once everything that was taken is written.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for lane in &self.lanes {
            lane.wake();
        }
    }
}

/// What became of an export, and when it is durable.
type Decoded = (Outcome, oneshot::Receiver<Result<(), Refusal>>);

fn decode(
    forming: &mut lane::Forming<'_>,
    export: &Export,
    body: &[u8],
    clock: &dyn Clock,
) -> Decoded {
    let arrival = Arrival { sender: &export.sender, at: clock.now() };
    forming.decode(export.signal, export.encoding, body, &arrival)
}

async fn commit_groups<W: WriteEvidence + 'static>(intake: Arc<Intake<W>>, lane: Arc<Lane>) {
    loop {
        let stopping = intake.stopping.load(Ordering::Acquire);
        let Some(group) = take_group(&intake, &lane).await else {
            error!("a group could not be put together");
            continue;
        };
        let Some(group) = group else {
            if stopping {
                return;
            }
            lane.woken().await;
            continue;
        };
        let begun = tokio::time::Instant::now();
        let written = write_patiently(&intake, &group.batches).await;
        intake.meter.groups.observe(begun.elapsed());
        match &written {
            Ok(written) => {
                intake.meter.rows_written.add(written.rows);
                intake.meter.rows_collapsed.add(written.collapsed);
            }
            Err(refusal) => {
                intake.meter.groups_refused.add(1);
                warn!(%refusal, exports = group.senders.len(), "a group was not taken");
            }
        }
        let answer = written.map(|_| ());
        for sender in group.senders {
            // Who no longer listens has gone away; the rows are durable all the same.
            let _ = sender.send(answer.clone());
        }
    }
}

/// Takes the group that has formed: a small one at once, a large one in a thread that may be busy.
/// `None` when that panicked.
async fn take_group<W>(intake: &Intake<W>, lane: &Arc<Lane>) -> Option<Option<lane::Group>> {
    if let Some(small) = lane.try_take_group(INLINE_ROWS_MAX) {
        return Some(small);
    }
    let taking = Arc::clone(lane);
    intake.crew.run(move || taking.take_group()).await
}

/// Writes a group. A store that is full for a moment is tried again for a while, because some
/// senders (the gRPC exporter of Node) drop what is refused, whatever they are told.
async fn write_patiently<W: WriteEvidence + 'static>(
    intake: &Intake<W>,
    batches: &[Batch],
) -> Result<Written, Refusal> {
    let until = tokio::time::Instant::now() + intake.patience;
    loop {
        let refusal = match intake.writer.write(batches.to_vec()).await {
            Err(refusal @ Refusal::Later { .. }) => refusal,
            other => return other,
        };
        let pause = retry_after(&refusal).unwrap_or_default().clamp(PAUSE_MIN, PAUSE_MAX);
        let stopping = intake.stopping.load(Ordering::Acquire);
        if stopping || tokio::time::Instant::now() + pause > until {
            return Err(refusal);
        }
        tokio::time::sleep(pause).await;
    }
}

/// What a sender is told to wait when a store refuses.
pub(crate) fn retry_after(refusal: &Refusal) -> Option<Duration> {
    match refusal {
        Refusal::Later { after, .. } => Some(*after),
        Refusal::Never { .. } | Refusal::Closed => None,
    }
}
