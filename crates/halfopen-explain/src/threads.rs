//! Shares work among threads: a room of this row has no runtime.

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
