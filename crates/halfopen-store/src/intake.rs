//! The queue in front of the WAL. Bounds and repetitions are checked and the place in the queue is
//! taken under one lock: what is found repeated is always behind what it repeats.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use halfopen_model::Table;
use halfopen_model::port::{Refusal, Written};
use tokio::sync::oneshot;

use crate::hot::HotBatch;
use crate::seen::{Seen, mark};
use crate::wal::frame::{Frame, Part};

/// A write that waits for the disk.
pub(crate) struct Pending {
    /// `None` when every row was there already: it waits for those rows to be durable.
    pub(crate) frame: Option<Frame>,
    pub(crate) batches: Vec<(Table, HotBatch)>,
    pub(crate) written: Written,
    /// Memory that it holds while it waits.
    pub(crate) bytes: usize,
    pub(crate) acknowledge: oneshot::Sender<Result<Written, Refusal>>,
}

/// A write that was brought into its stored form.
pub(crate) struct Prepared {
    pub(crate) parts: Vec<Part>,
    pub(crate) frame: Frame,
}

/// The queue.
pub(crate) struct Intake {
    queue: Mutex<Queue>,
    filled: Condvar,
    bytes: AtomicUsize,
}

struct Queue {
    seen: Seen,
    waiting: Vec<Pending>,
    closed: bool,
}

impl Intake {
    /// An empty queue that knows rows of an earlier run.
    pub(crate) fn new(seen: Seen) -> Intake {
        let queue = Queue { seen, waiting: Vec::new(), closed: false };
        Intake { queue: Mutex::new(queue), filled: Condvar::new(), bytes: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory held by writes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Writes that were taken from the queue are done.
    pub(crate) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Puts a write into the queue, without the rows that were there already.
    ///
    /// # Errors
    /// When the store is closed, or `room` refuses.
    pub(crate) fn submit(
        &self,
        prepared: Prepared,
        room: impl Fn(usize, usize) -> Result<(), Refusal>,
    ) -> Result<oneshot::Receiver<Result<Written, Refusal>>, Refusal> {
        let (acknowledge, acknowledged) = oneshot::channel();
        let mut queue = self.lock();
        if queue.closed {
            return Err(Refusal::Closed);
        }
        let frame_bytes = prepared.frame.len();
        room(memory(&prepared), frame_bytes)?;
        let (prepared, collapsed) = queue.collapse(prepared)?;
        let written = Written {
            rows: prepared.parts.iter().map(|part| part.rows.num_rows() as u64).sum(),
            collapsed,
        };
        let bytes = memory(&prepared);
        let frame = (written.rows > 0).then_some(prepared.frame);
        let batch =
            |part: Part| (part.table, HotBatch::new(part.table, part.rows, part.fingerprints));
        let batches = prepared.parts.into_iter().map(batch).collect();
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        queue.waiting.push(Pending { frame, batches, written, bytes, acknowledge });
        drop(queue);
        self.filled.notify_one();
        Ok(acknowledged)
    }

    /// All writes that wait; waits for one. `None` once closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Pending>> {
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut queue.waiting))
    }

    /// Forgets rows that could not be kept, together with everything that waits by now.
    pub(crate) fn take_back(&self, group: &mut Vec<Pending>) {
        let mut queue = self.lock();
        group.append(&mut queue.waiting);
        for pending in group.iter() {
            for (table, batch) in &pending.batches {
                queue.seen.take_back(batch.fingerprints.iter().map(|f| mark(*table, *f)));
            }
            self.release(pending.bytes);
        }
    }

    /// No more writes; those that wait are still done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Nobody writes any more: whoever waits is told so.
    pub(crate) fn abandon(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.waiting.clear();
    }

    /// Takes note of rows of an earlier run.
    pub(crate) fn remember(&self, marks: impl Iterator<Item = u128>) {
        self.lock().seen.remember(marks);
    }

    /// Memory held by fingerprints.
    pub(crate) fn seen_bytes(&self) -> usize {
        self.lock().seen.bytes()
    }
}

fn memory(prepared: &Prepared) -> usize {
    let rows = prepared.parts.iter().map(|part| {
        crate::hot::memory_bytes(&part.rows) + part.fingerprints.len() * size_of::<u128>()
    });
    rows.sum::<usize>() + prepared.frame.len()
}

impl Queue {
    /// Leaves out rows that were there already; how many.
    fn collapse(&mut self, prepared: Prepared) -> Result<(Prepared, u64), Refusal> {
        let masks: Vec<Option<BooleanArray>> =
            prepared.parts.iter().map(|part| self.new_rows(part)).collect();
        if masks.iter().all(Option::is_none) {
            return Ok((prepared, 0));
        }
        let mut parts = Vec::new();
        let mut collapsed = 0;
        for (part, mask) in prepared.parts.into_iter().zip(masks) {
            let Some(mask) = mask else {
                parts.push(part);
                continue;
            };
            collapsed += mask.false_count() as u64;
            let kept = mask.iter().zip(&part.fingerprints);
            let fingerprints =
                kept.filter(|(new, _)| *new == Some(true)).map(|(_, f)| *f).collect();
            let rows = filter_record_batch(&part.rows, &mask).map_err(|error| invalid(&error))?;
            if rows.num_rows() > 0 {
                parts.push(Part { table: part.table, rows, fingerprints });
            }
        }
        let frame = Frame::encode(&parts).map_err(|error| invalid(&error))?;
        Ok((Prepared { parts, frame }, collapsed))
    }

    /// Which rows are new; `None` when all are.
    fn new_rows(&mut self, part: &Part) -> Option<BooleanArray> {
        let marks = part.fingerprints.iter().map(|f| mark(part.table, *f));
        let new: Vec<bool> = marks.map(|mark| self.seen.insert(mark)).collect();
        new.contains(&false).then(|| BooleanArray::from(new))
    }
}

/// The refusal of rows that do not fit.
pub(crate) fn invalid(error: &dyn std::error::Error) -> Refusal {
    Refusal::Never { reason: error.to_string() }
}
