//! Calls, failures and slow calls over a sliding window of time, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// The window slides in steps of a tenth.
const SLICES: usize = 10;
/// Width of each of the three counts in a slice. A slice that reaches it halves all three: the
/// ratios stay, and thousands of calls are enough to judge by.
const COUNT_BITS: u32 = 14;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
/// What is left of 64 bits says which step of time a slice belongs to.
const STEP_BITS: u32 = 64 - 3 * COUNT_BITS;
const STEP_MASK: u64 = (1 << STEP_BITS) - 1;

/// What the window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) calls: u32,
    pub(crate) failures: u32,
    pub(crate) slow: u32,
}

impl Sums {
    pub(crate) fn failure_ratio(&self) -> f64 {
        f64::from(self.failures) / f64::from(self.calls.max(1))
    }

    pub(crate) fn slow_ratio(&self) -> f64 {
        f64::from(self.slow) / f64::from(self.calls.max(1))
    }
}

/// **Invariant:** each slice is one word, changed by compare-and-swap: no count is ever torn.
#[derive(Debug)]
pub(crate) struct Window {
    slices: [AtomicU64; SLICES],
    slice_ns: u64,
    /// The last step in which a call failed or was slow; 0 when there was none.
    bad_step: AtomicU64,
}

impl Window {
    pub(crate) fn new(window_ns: u64) -> Window {
        let slice_ns = (window_ns / SLICES as u64).max(1);
        Window { slices: Default::default(), slice_ns, bad_step: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn record(&self, now_ns: u64, failed: bool, slow: bool) {
        let step = self.step(now_ns);
        let slice = &self.slices[(step % SLICES as u64) as usize];
        if failed || slow {
            self.bad_step.fetch_max(step, Ordering::AcqRel);
        }
        let add = 1 | u64::from(failed) << COUNT_BITS | u64::from(slow) << (2 * COUNT_BITS);
        let mut seen = slice.load(Ordering::Relaxed);
        loop {
            let is_current = seen >> (3 * COUNT_BITS) == step & STEP_MASK;
            let base = if is_current { halved_when_full(seen) } else { stamp(step) };
            match slice.compare_exchange_weak(seen, base + add, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now_there) => seen = now_there,
            }
        }
    }

    /// Whether no call in the window failed or was slow: then there is nothing to sum up.
    #[inline]
    pub(crate) fn is_clean(&self, now_ns: u64) -> bool {
        let bad_step = self.bad_step.load(Ordering::Acquire);
        bad_step == 0 || self.step(now_ns).saturating_sub(bad_step) >= SLICES as u64
    }

    #[inline]
    pub(crate) fn sums(&self, now_ns: u64) -> Sums {
        let step = self.step(now_ns) & STEP_MASK;
        let mut sums = Sums::default();
        for slice in &self.slices {
            let word = slice.load(Ordering::Acquire);
            let age = step.wrapping_sub(word >> (3 * COUNT_BITS)) & STEP_MASK;
            if age < SLICES as u64 {
                sums.calls += (word & COUNT_MAX) as u32;
                sums.failures += (word >> COUNT_BITS & COUNT_MAX) as u32;
                sums.slow += (word >> (2 * COUNT_BITS) & COUNT_MAX) as u32;
            }
        }
        sums
    }

    pub(crate) fn clear(&self) {
        for slice in &self.slices {
            slice.store(0, Ordering::Release);
        }
        self.bad_step.store(0, Ordering::Release);
    }

    /// Steps begin at one window, so that an empty slice, all zeros, is always too old.
    #[inline]
    fn step(&self, now_ns: u64) -> u64 {
        now_ns / self.slice_ns + SLICES as u64
    }
}

fn stamp(step: u64) -> u64 {
    (step & STEP_MASK) << (3 * COUNT_BITS)
}

fn halved_when_full(word: u64) -> u64 {
    if word & COUNT_MAX < COUNT_MAX {
        return word;
    }
    let half = |shift: u32| (word >> shift & COUNT_MAX) / 2;
    (word & !(stamp_free()))
        | half(0)
        | half(COUNT_BITS) << COUNT_BITS
        | half(2 * COUNT_BITS) << (2 * COUNT_BITS)
}

/// The bits of a word that are counts.
fn stamp_free() -> u64 {
    (1 << (3 * COUNT_BITS)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_slice_that_overflows_keeps_its_ratio() {
        let window = Window::new(1_000);
        for call in 0..100_000u32 {
            window.record(5, call % 4 == 0, false);
        }
        let sums = window.sums(5);
        assert!(sums.calls > 8_000, "{sums:?}");
        assert!((sums.failure_ratio() - 0.25).abs() < 0.01, "{sums:?}");
    }

    #[test]
    fn no_call_is_lost_between_threads() {
        let window = Window::new(1_000_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| window.record(7, true, false)));
            }
        });
        assert_eq!(window.sums(7), Sums { calls: 4_000, failures: 4_000, slow: 0 });
    }

    proptest! {
        /// Against a plain list of calls: exact, up to the width of a slice.
        #[test]
        fn the_window_forgets_what_is_older(
            calls in prop::collection::vec((0u64..300, any::<bool>(), any::<bool>()), 1..200),
        ) {
            let window = Window::new(1_000);
            let mut plain: VecDeque<(u64, bool, bool)> = VecDeque::new();
            let mut now = 0;
            for (wait, failed, slow) in calls {
                now += wait;
                window.record(now, failed, slow);
                plain.push_back((now / 100, failed, slow));
                plain.retain(|(slice, ..)| now / 100 - slice < 10);
                let count = |which: fn(&(u64, bool, bool)) -> bool| {
                    plain.iter().filter(|call| which(call)).count() as u32
                };
                let expected =
                    Sums { calls: count(|_| true), failures: count(|c| c.1), slow: count(|c| c.2) };
                prop_assert_eq!(window.sums(now), expected);
                let is_clean = expected.failures == 0 && expected.slow == 0;
                prop_assert_eq!(window.is_clean(now), is_clean);
            }
        }
    }
}
