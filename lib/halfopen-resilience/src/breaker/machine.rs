//! The states of a breaker: closed, open, half-open, returning.
//!
//! One word of 64 bits holds the state with all that decides about it, so that each change is one
//! compare-and-swap. While closed a call costs one load here and one swap in the window.
//!
//! **Invariant:** closed never refuses; open refuses until its pause is over; half-open lets no
//! more than its probes through; a result counts only for the state in which its call was let in.

use super::{BreakerSettings, State};
use crate::window::{Sums, Window};
use crate::{Chance, call::RefusalReason};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const NS_PER_MS: u64 = 1_000_000;
/// The pause doubles with each failed recovery, at most this often.
const DOUBLINGS_MAX: u32 = 6;
/// A ramp that demand never fits into ends after this many times its length.
const RAMPS_MAX: u64 = 4;

/// The word: two bits of phase, eight of probes let in, eight of probes that came back well,
/// and milliseconds (until when open, since when half-open or returning).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    fn closed(since_ms: u64) -> Word {
        Word::new(State::Closed, 0, 0, since_ms)
    }

    fn new(state: State, issued: u64, good: u64, ms: u64) -> Word {
        let phase = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::Returning => 3,
        };
        Word(phase << 62 | issued.min(255) << 54 | good.min(255) << 46 | ms & ((1 << 46) - 1))
    }

    fn state(self) -> State {
        match self.0 >> 62 {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            _ => State::Returning,
        }
    }

    fn issued(self) -> u64 {
        self.0 >> 54 & 0xFF
    }

    fn good(self) -> u64 {
        self.0 >> 46 & 0xFF
    }

    fn ms(self) -> u64 {
        self.0 & ((1 << 46) - 1)
    }

    /// Whether a result of a call let in under `other` counts now.
    fn is_same_stay(self, other: Word) -> bool {
        self.state() == other.state() && self.ms() == other.ms()
    }
}

/// A call that was let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit(Word);

/// A call that was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: RefusalReason,
    pub(super) retry_after: Option<Duration>,
}

/// A change of state, for telemetry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) sums: Sums,
}

#[derive(Debug)]
pub(super) struct Machine {
    settings: BreakerSettings,
    word: AtomicU64,
    window: Window,
    /// Whether ratios of zero would trip it; a stack refuses such settings.
    trips_on_nothing: bool,
    /// Recoveries that failed in a row.
    reopened: AtomicU32,
    /// Calls a second before the trouble, in thousandths: load returns in proportion to it.
    steady_milli: AtomicU64,
    /// While returning: when the next call may pass.
    next_ns: AtomicU64,
    /// While returning: when a call was last refused.
    refused_ms: AtomicU64,
}

impl Machine {
    pub(super) fn new(settings: BreakerSettings) -> Machine {
        let window = Window::new(settings.window.as_nanos() as u64);
        let trips_on_nothing = settings.failure_ratio <= 0.0 || settings.slow_ratio <= 0.0;
        Machine {
            settings,
            trips_on_nothing,
            word: AtomicU64::new(Word::closed(0).0),
            window,
            reopened: AtomicU32::new(0),
            steady_milli: AtomicU64::new(0),
            next_ns: AtomicU64::new(0),
            refused_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn state(&self) -> State {
        self.load().state()
    }

    #[inline]
    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    fn swap(&self, from: Word, to: Word) -> bool {
        self.word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Asks to make a call. A change of state comes along when this call caused one.
    #[inline]
    pub(super) fn admit(&self, now_ns: u64) -> (Result<Permit, Refused>, Option<Change>) {
        let word = self.load();
        if word.state() == State::Closed {
            return (Ok(Permit(word)), None);
        }
        self.admit_in_trouble(now_ns)
    }

    fn admit_in_trouble(&self, now_ns: u64) -> (Result<Permit, Refused>, Option<Change>) {
        loop {
            let word = self.load();
            let answer = match word.state() {
                State::Closed => Some((Ok(Permit(word)), None)),
                State::Open => self.admit_open(word, now_ns),
                State::HalfOpen => self.admit_half_open(word, now_ns),
                State::Returning => self.admit_returning(word, now_ns),
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// `None` when another thread was quicker: look again.
    fn admit_open(
        &self,
        word: Word,
        now_ns: u64,
    ) -> Option<(Result<Permit, Refused>, Option<Change>)> {
        let now_ms = now_ns / NS_PER_MS;
        if now_ms < word.ms() {
            let wait = Duration::from_millis(word.ms() - now_ms);
            return Some((refuse(RefusalReason::BreakerOpen, Some(wait)), None));
        }
        let probing = Word::new(State::HalfOpen, 1, 0, now_ms);
        let change =
            Change { from: State::Open, to: State::HalfOpen, sums: self.window.sums(now_ns) };
        self.swap(word, probing).then_some((Ok(Permit(probing)), Some(change)))
    }

    fn admit_half_open(
        &self,
        word: Word,
        now_ns: u64,
    ) -> Option<(Result<Permit, Refused>, Option<Change>)> {
        let now_ms = now_ns / NS_PER_MS;
        let patience_ms = self.settings.pause.as_millis() as u64;
        let next = if word.issued() < u64::from(self.settings.probes.max(1)) {
            Word::new(State::HalfOpen, word.issued() + 1, word.good(), word.ms())
        } else if now_ms > word.ms() + patience_ms {
            // The probes never came back: others may try.
            Word::new(State::HalfOpen, 1, 0, now_ms)
        } else {
            return Some((refuse(RefusalReason::BreakerProbing, None), None));
        };
        self.swap(word, next).then_some((Ok(Permit(next)), None))
    }

    fn admit_returning(
        &self,
        word: Word,
        now_ns: u64,
    ) -> Option<(Result<Permit, Refused>, Option<Change>)> {
        let now_ms = now_ns / NS_PER_MS;
        let ramp_ms = (self.settings.ramp.as_millis() as u64).max(1);
        let elapsed_ms = now_ms.saturating_sub(word.ms());
        if elapsed_ms >= ramp_ms {
            let quiet_ms = now_ms.saturating_sub(self.refused_ms.load(Ordering::Relaxed));
            if quiet_ms * 4 >= ramp_ms || elapsed_ms >= RAMPS_MAX * ramp_ms {
                let sums = self.window.sums(now_ns);
                let change = Change { from: State::Returning, to: State::Closed, sums };
                let closed = Word::closed(now_ms);
                return self.swap(word, closed).then_some((Ok(Permit(closed)), Some(change)));
            }
        }
        let rate = self.returning_rate(elapsed_ms, ramp_ms);
        if self.pass(now_ns, (1e9 / rate) as u64) {
            return Some((Ok(Permit(word)), None));
        }
        self.refused_ms.store(now_ms, Ordering::Relaxed);
        Some((refuse(RefusalReason::SlowStart, None), None))
    }

    /// Calls a second that may pass now: from a small share of the steady rate up to a ceiling a
    /// little above it, so that what has piled up can drain.
    fn returning_rate(&self, elapsed_ms: u64, ramp_ms: u64) -> f64 {
        let steady = self.steady_milli.load(Ordering::Relaxed) as f64 / 1_000.0;
        let done = (elapsed_ms as f64 / ramp_ms as f64).min(1.0);
        let (from, to) = (self.settings.ramp_from, self.settings.ramp_to);
        (steady.max(self.settings.ramp_rate_min) * (from + (to - from) * done)).max(0.001)
    }

    /// Spaces calls evenly: one may pass each `interval_ns`.
    fn pass(&self, now_ns: u64, interval_ns: u64) -> bool {
        let step = |next_ns: u64| {
            (next_ns <= now_ns).then(|| {
                // A little of what was not used may be used late, never more than one call.
                next_ns.max(now_ns.saturating_sub(interval_ns)) + interval_ns
            })
        };
        self.next_ns.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).is_ok()
    }

    /// A call came back.
    #[inline]
    pub(super) fn finish(
        &self,
        permit: Permit,
        failed: bool,
        slow: bool,
        now_ns: u64,
        chance: &Chance,
    ) -> Option<Change> {
        if permit.0.state() == State::HalfOpen {
            return self.finish_probe(permit, failed || slow, now_ns, chance);
        }
        let word = self.load();
        if !word.is_same_stay(permit.0) {
            return None;
        }
        self.window.record(now_ns, failed, slow);
        if self.window.is_clean(now_ns) && !self.trips_on_nothing {
            return None;
        }
        let sums = self.window.sums(now_ns);
        if !self.is_tripped(&sums) {
            return None;
        }
        let from = word.state();
        if from == State::Closed {
            let window_s = self.settings.window.as_secs_f64().min(now_ns as f64 / 1e9).max(0.001);
            let rate = f64::from(sums.calls) / window_s;
            self.steady_milli.store((rate * 1_000.0) as u64, Ordering::Relaxed);
        }
        self.open(word, 0, now_ns, chance).then_some(Change { from, to: State::Open, sums })
    }

    fn is_tripped(&self, sums: &Sums) -> bool {
        sums.calls >= self.settings.calls_min
            && (sums.failure_ratio() >= self.settings.failure_ratio
                || sums.slow_ratio() >= self.settings.slow_ratio)
    }

    fn finish_probe(
        &self,
        permit: Permit,
        bad: bool,
        now_ns: u64,
        chance: &Chance,
    ) -> Option<Change> {
        loop {
            let word = self.load();
            if !word.is_same_stay(permit.0) {
                return None;
            }
            let sums = self.window.sums(now_ns);
            let change = |to| Change { from: State::HalfOpen, to, sums };
            if bad {
                let failures = self.reopened.load(Ordering::Relaxed) + 1;
                if self.open(word, failures, now_ns, chance) {
                    self.reopened.store(failures, Ordering::Relaxed);
                    return Some(change(State::Open));
                }
                continue;
            }
            let good = word.good() + 1;
            if good < u64::from(self.settings.probes.max(1)) {
                let next = Word::new(State::HalfOpen, word.issued(), good, word.ms());
                if self.swap(word, next) {
                    return None;
                }
                continue;
            }
            self.window.clear();
            self.next_ns.store(now_ns, Ordering::Release);
            self.refused_ms.store(now_ns / NS_PER_MS, Ordering::Relaxed);
            let (to, next) = if self.settings.ramp.is_zero() {
                (State::Closed, Word::closed(now_ns / NS_PER_MS))
            } else {
                (State::Returning, Word::new(State::Returning, 0, 0, now_ns / NS_PER_MS))
            };
            if self.swap(word, next) {
                self.reopened.store(0, Ordering::Relaxed);
                return Some(change(to));
            }
        }
    }

    /// A call was dropped before it came back: nothing was learned, a probe's place is free.
    pub(super) fn forget(&self, permit: Permit) {
        while permit.0.state() == State::HalfOpen {
            let word = self.load();
            let free = word.issued().saturating_sub(1);
            let next = Word::new(State::HalfOpen, free, word.good(), word.ms());
            if !word.is_same_stay(permit.0) || self.swap(word, next) {
                return;
            }
        }
    }

    fn open(&self, from: Word, failed_recoveries: u32, now_ns: u64, chance: &Chance) -> bool {
        let doublings = failed_recoveries.min(DOUBLINGS_MAX);
        let pause = self.settings.pause.saturating_mul(1 << doublings).min(self.settings.pause_max);
        let pause = pause + pause.mul_f64(self.settings.jitter.max(0.0) * chance.unit());
        let until_ms = now_ns / NS_PER_MS + (pause.as_millis() as u64).max(1);
        self.swap(from, Word::new(State::Open, 0, 0, until_ms))
    }
}

fn refuse(reason: RefusalReason, retry_after: Option<Duration>) -> Result<Permit, Refused> {
    Err(Refused { reason, retry_after })
}

#[cfg(test)]
mod tests;
