//! A lane: the group that is forming, and who waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::Batch;
use halfopen_model::port::Refusal;
use tokio::sync::{Notify, oneshot};

use super::Decoded;

/// Bytes of all rows that wait to become durable.
pub(super) struct Waiting {
    bytes: AtomicUsize,
    pub(super) bytes_max: usize,
}

impl Waiting {
    pub(super) fn new(bytes_max: usize) -> Waiting {
        Waiting { bytes: AtomicUsize::new(0), bytes_max }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether so many more fit. A single one always fits when nothing else waits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let waiting = self.bytes();
        waiting == 0 || waiting.saturating_add(bytes) <= self.bytes_max
    }
}

/// Bytes that wait; they stop waiting when this is dropped.
pub(super) struct Share {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Share {
    fn none(waiting: &Arc<Waiting>) -> Share {
        Share { waiting: Arc::clone(waiting), bytes: 0 }
    }

    fn resize(&mut self, bytes: usize) {
        self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

type Answer = oneshot::Sender<Result<(), Refusal>>;

struct State {
    builder: EvidenceBuilder,
    senders: Vec<Answer>,
    share: Share,
}

/// A group that goes to the store.
pub(super) struct Group {
    pub(super) batches: Vec<Batch>,
    pub(super) senders: Vec<Answer>,
    _share: Share,
}

pub(super) struct Lane {
    state: Mutex<State>,
    settings: IngestSettings,
    waiting: Arc<Waiting>,
    notify: Notify,
}

impl Lane {
    pub(super) fn new(settings: IngestSettings, waiting: Arc<Waiting>) -> Lane {
        let state = Mutex::new(fresh(&settings, &waiting));
        Lane { state, settings, waiting, notify: Notify::new() }
    }

    /// The group that is forming, if nobody else is at it.
    pub(super) fn try_form(&self) -> Option<Forming<'_>> {
        match self.state.try_lock() {
            Ok(state) => Some(Forming { lane: self, state }),
            Err(TryLockError::Poisoned(_)) => Some(self.form()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The group that is forming, after whoever is at it.
    pub(super) fn form(&self) -> Forming<'_> {
        let state = self.state.lock().unwrap_or_else(|poisoned| {
            // A panic left the group half done. Its senders are told that it was lost, and send
            // it again; the next group begins with nothing.
            self.state.clear_poison();
            let mut state = poisoned.into_inner();
            *state = fresh(&self.settings, &self.waiting);
            state
        });
        Forming { lane: self, state }
    }

    /// Takes the group that has formed, if there is one.
    pub(super) fn take_group(&self) -> Option<Group> {
        self.take(self.form())
    }

    /// Takes the group that has formed, if there is one, unless it is larger than this or
    /// somebody is at it: then `None`.
    pub(super) fn try_take_group(&self, rows_max: usize) -> Option<Option<Group>> {
        let forming = self.try_form()?;
        (forming.state.builder.rows() <= rows_max).then(|| self.take(forming))
    }

    fn take(&self, forming: Forming<'_>) -> Option<Group> {
        let mut state = forming.state;
        if state.senders.is_empty() {
            return None;
        }
        let batches = state.builder.finish();
        let senders = std::mem::take(&mut state.senders);
        let share = std::mem::replace(&mut state.share, Share::none(&self.waiting));
        Some(Group { batches, senders, _share: share })
    }

    pub(super) fn wake(&self) {
        self.notify.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}

fn fresh(settings: &IngestSettings, waiting: &Arc<Waiting>) -> State {
    State {
        builder: EvidenceBuilder::new(settings.clone()),
        senders: Vec::new(),
        share: Share::none(waiting),
    }
}

/// The right to add to the group that is forming.
pub(super) struct Forming<'a> {
    lane: &'a Lane,
    state: MutexGuard<'a, State>,
}

impl Forming<'_> {
    /// Adds an export to the group.
    pub(super) fn decode(
        &mut self,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
        arrival: &Arrival<'_>,
    ) -> Decoded {
        let (answer, durable) = oneshot::channel();
        let rows_before = self.state.builder.rows();
        let outcome = self.state.builder.decode(signal, encoding, body, arrival);
        if self.state.builder.rows() == rows_before {
            // Nothing to wait for: an export without rows is durable at once.
            let _ = answer.send(Ok(()));
            return (outcome, durable);
        }
        let bytes = self.state.builder.bytes();
        self.state.share.resize(bytes);
        self.state.senders.push(answer);
        self.lane.wake();
        (outcome, durable)
    }
}
