//! The one thread that writes the WAL. It takes all writes that wait, makes them durable with one
//! sync, shows them to queries, and only then acknowledges them. While it syncs, the next writes
//! gather: no timer, no idle disk.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use halfopen_model::port::Refusal;

use crate::crash::CrashPoint;
use crate::intake::Pending;
use crate::shared::Shared;
use crate::wal::file::WalLog;

/// When a sender should try again after the disk refused: room is made by sealing or by people.
const DISK_RETRY: Duration = Duration::from_secs(5);

/// However the thread ends, no sender waits for ever.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        self.0.intake.abandon();
    }
}

/// Writes until the intake is closed and empty.
pub(crate) fn run(shared: &Shared, next_sequence: u64) {
    let _farewell = Farewell(shared);
    let mut log = WalLog::new(&shared.folder.path("wal"), &shared.wal_files, next_sequence);
    while let Some(mut group) = shared.intake.take() {
        let begin = Instant::now();
        let frames = group.iter_mut().filter_map(|pending| pending.frame.as_mut());
        let appended = log.append(frames);
        let counters = &shared.counters;
        counters.wal_syncs.fetch_add(1, Ordering::Relaxed);
        let took = begin.elapsed().as_nanos() as u64;
        counters.wal_sync_ns.fetch_add(took, Ordering::Relaxed);
        match appended {
            Ok(last_sequence) => {
                shared.crash.at(CrashPoint::WalDurable);
                acknowledge(shared, group, last_sequence);
            }
            Err(error) => refuse(shared, group, &error),
        }
    }
}

fn acknowledge(shared: &Shared, mut group: Vec<Pending>, last_sequence: u64) {
    let bytes: usize = group.iter().map(|pending| pending.bytes).sum();
    shared.publish(group.iter_mut().flat_map(|p| std::mem::take(&mut p.batches)), last_sequence);
    shared.intake.release(bytes);
    for pending in group {
        shared.counters.acknowledged(&pending.written);
        // Who asked may be gone; the rows are kept all the same.
        let _ = pending.acknowledge.send(Ok(pending.written));
    }
}

/// Writes behind the failed ones may have been collapsed against them: they are refused as well.
fn refuse(shared: &Shared, mut group: Vec<Pending>, error: &io::Error) {
    tracing::warn!(error = %error, writes = group.len(), "write-ahead log was not written");
    shared.counters.wal_failures.fetch_add(1, Ordering::Relaxed);
    shared.intake.take_back(&mut group);
    let reason = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        _ => format!("the disk does not take the write-ahead log: {error}"),
    };
    for pending in group {
        shared.counters.refused_disk.fetch_add(1, Ordering::Relaxed);
        let refusal = Refusal::Later { reason: reason.clone(), after: DISK_RETRY };
        let _ = pending.acknowledge.send(Err(refusal));
    }
}
