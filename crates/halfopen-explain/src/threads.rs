//! Shares work among threads: a room of this row has no runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// With fewer rows than this a thread costs more than it brings.
const ROWS_MIN: usize = 100_000;

/// More threads than this wait for memory.
const THREADS_MAX: usize = 8;

/// How many threads look at so many rows.
pub(crate) fn threads(rows: usize) -> usize {
    let there = thread::available_parallelism().map_or(1, usize::from);
    if rows < ROWS_MIN { 1 } else { there.min(THREADS_MAX) }
}

/// What `run` makes of each number below `count`, in order, each in a thread of its own.
pub(crate) fn each<R: Send>(count: usize, run: impl Fn(usize) -> R + Sync) -> Vec<R> {
    if count == 1 {
        return vec![run(0)];
    }
    let run = &run;
    thread::scope(|scope| {
        let started: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number))).collect();
        let ended = started.into_iter().map(|thread| thread.join());
        // A panic in there is one of ours: it goes on here.
        ended.map(|made| made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// What `run` makes of each number below `jobs`, in order: each of `count` threads takes the next
/// one when it is done, so that long jobs keep nobody waiting. The longest should come first.
pub(crate) fn share<R: Send>(count: usize, jobs: usize, run: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let taken = each(count, |_| {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|job| *job < jobs);
        std::iter::from_fn(take).map(|job| (job, run(job))).collect::<Vec<_>>()
    });
    let mut made: Vec<(usize, R)> = taken.into_iter().flatten().collect();
    made.sort_unstable_by_key(|(job, _)| *job);
    made.into_iter().map(|(_, result)| result).collect()
}
