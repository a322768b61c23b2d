//! Shares work among threads: a room of this row has no runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// With fewer rows than this a thread costs more than it brings.
const ROWS_MIN: usize = 30_000;

/// More threads than this wait for memory.
const THREADS_MAX: usize = 8;

/// How many threads look at so many rows.
pub(crate) fn threads(rows: usize) -> usize {
    let there = thread::available_parallelism().map_or(1, usize::from);
    if rows < ROWS_MIN { 1 } else { there.min(THREADS_MAX) }
}

/// What `run` makes of each number below `count`, in order, each in a thread of its own.
pub(crate) fn each<R: Send>(count: usize, run: impl Fn(usize) -> R + Sync) -> Vec<R> {
    each_of((0..count).collect(), run)
}

/// What `run` makes of each share of work, in order, each in a thread of its own.
pub(crate) fn each_of<S: Send, R: Send>(shares: Vec<S>, run: impl Fn(S) -> R + Sync) -> Vec<R> {
    if shares.len() == 1 {
        return shares.into_iter().map(run).collect();
    }
    let run = &run;
    thread::scope(|scope| {
        let started = shares.into_iter().map(|share| scope.spawn(move || run(share)));
        let started: Vec<_> = started.collect();
        started.into_iter().map(joined).collect()
    })
}

/// What a thread made. A panic in there is one of ours: it goes on here.
pub(crate) fn joined<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What `of` makes of each number below `rows`, in order; each thread makes a part of it.
pub(crate) fn of_rows<T: Copy + Send>(
    rows: usize,
    blank: T,
    of: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let count = threads(rows);
    if count == 1 {
        return (0..rows).map(of).collect();
    }
    let (mut made, length) = (vec![blank; rows], rows.div_ceil(count));
    let parts: Vec<(usize, &mut [T])> = made.chunks_mut(length).enumerate().collect();
    each_of(parts, |(number, part)| {
        let first = number * length;
        part.iter_mut().enumerate().for_each(|(place, cell)| *cell = of(first + place));
    });
    made
}

/// Sorts, equal ones in any order: each thread a part, then all parts are merged.
pub(crate) fn sort<T: Send>(all: &mut [T], order: impl Fn(&T, &T) -> std::cmp::Ordering + Sync) {
    let length = all.len().div_ceil(threads(all.len())).max(1);
    each_of(all.chunks_mut(length).collect(), |part| part.sort_unstable_by(&order));
    // The stable sort finds what is sorted already.
    all.sort_by(order);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_what_one_loop_makes() {
        let spread = |row: usize| row.wrapping_mul(0x9e37_79b9) % 10_007;
        for rows in [0, 1, ROWS_MIN - 1, ROWS_MIN, 3 * ROWS_MIN + 7] {
            let one_by_one: Vec<usize> = (0..rows).map(spread).collect();
            assert_eq!(of_rows(rows, usize::MAX, spread), one_by_one);
            let (mut shared, mut alone) = (one_by_one.clone(), one_by_one);
            sort(&mut shared, usize::cmp);
            alone.sort_unstable();
            assert_eq!(shared, alone);
        }
        assert_eq!(each(0, |_| 1), Vec::<i32>::new());
    }
}
