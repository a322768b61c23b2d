//! Timeouts learned per route: a quantile over a sliding window, times a margin, between a floor
//! and a ceiling.
//!
//! **Invariant:** recording is two atomic additions, reading is one load; the quantile is worked
//! out again at most once per slice of the window.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Routes that are told apart; all further ones share the last place.
const ROUTES_MAX: usize = 64;
/// The window slides in steps of a quarter.
const SLICES: usize = 4;
/// Buckets for each doubling: a bucket is at most 9 % wide.
const PER_DOUBLING: u32 = 8;
/// From one microsecond to 2^27 of them, more than two minutes.
const DOUBLINGS: u32 = 27;
const BUCKETS: usize = (DOUBLINGS * PER_DOUBLING) as usize;

/// How a timeout is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Adaptive {
    /// The share of attempts that the timeout should let through, such as 0.99.
    pub quantile: f64,
    /// The timeout is the quantile times this.
    pub margin: f64,
    /// Never shorter.
    pub floor: Duration,
    /// Never longer, and what is used until enough was seen.
    pub ceiling: Duration,
    /// How far back it looks.
    pub window: Duration,
    /// Fewer attempts in the window are too few to learn from.
    pub samples_min: u32,
}

impl Default for Adaptive {
    fn default() -> Adaptive {
        Adaptive {
            quantile: 0.99,
            margin: 2.0,
            floor: Duration::from_millis(20),
            ceiling: Duration::from_secs(5),
            window: Duration::from_secs(60),
            samples_min: 100,
        }
    }
}

/// The learned timeouts of all routes.
#[derive(Debug)]
pub struct RouteTimeouts {
    settings: Adaptive,
    origin: Instant,
    routes: Box<[OnceLock<Learned>]>,
}

#[derive(Debug)]
struct Learned {
    route: &'static str,
    slices: [Slice; SLICES],
    timeout_us: AtomicU64,
    /// The step of time in which the timeout was last worked out.
    worked_out: AtomicU64,
}

#[derive(Debug)]
struct Slice {
    step: AtomicU64,
    buckets: Box<[AtomicU32]>,
}

impl RouteTimeouts {
    /// Nothing learned yet.
    pub fn new(settings: Adaptive, now: Instant) -> RouteTimeouts {
        let routes = (0..ROUTES_MAX).map(|_| OnceLock::new()).collect();
        RouteTimeouts { settings, origin: now, routes }
    }

    /// The timeout of `route` now.
    pub fn timeout(&self, route: &'static str, now: Instant) -> Duration {
        let learned = self.learned(route);
        let step = self.step(now);
        let before = learned.worked_out.load(Ordering::Acquire);
        let is_mine = before != step
            && learned
                .worked_out
                .compare_exchange(before, step, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if is_mine {
            let timeout = self.work_out(learned, step);
            learned.timeout_us.store(timeout.as_micros() as u64, Ordering::Release);
        }
        Duration::from_micros(learned.timeout_us.load(Ordering::Acquire))
    }

    /// An attempt on `route` took this long.
    pub fn record(&self, route: &'static str, took: Duration, now: Instant) {
        let learned = self.learned(route);
        let step = self.step(now);
        let slice = &learned.slices[(step % SLICES as u64) as usize];
        let before = slice.step.load(Ordering::Acquire);
        if before < step
            && slice
                .step
                .compare_exchange(before, step, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        {
            // A record that falls between swap and clearing is lost: one of thousands.
            slice.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        }
        slice.buckets[bucket_of(took)].fetch_add(1, Ordering::Relaxed);
    }

    fn learned(&self, route: &'static str) -> &Learned {
        let last = self.routes.len() - 1;
        for place in &self.routes[..last] {
            let learned = place.get_or_init(|| self.fresh(route));
            if learned.route == route {
                return learned;
            }
        }
        self.routes[last].get_or_init(|| self.fresh("other"))
    }

    fn fresh(&self, route: &'static str) -> Learned {
        let slice = || Slice {
            step: AtomicU64::new(0),
            buckets: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
        };
        Learned {
            route,
            slices: std::array::from_fn(|_| slice()),
            timeout_us: AtomicU64::new(self.settings.ceiling.as_micros() as u64),
            worked_out: AtomicU64::new(0),
        }
    }

    /// Sixteen steps in a slice would be finer than needed: a slice is one step. Steps begin at
    /// the number of slices, so that an empty slice is always too old.
    fn step(&self, now: Instant) -> u64 {
        let slice_us = (self.settings.window.as_micros() as u64 / SLICES as u64).max(1);
        let now_us = now.saturating_duration_since(self.origin).as_micros() as u64;
        now_us / slice_us + SLICES as u64
    }

    fn work_out(&self, learned: &Learned, step: u64) -> Duration {
        let is_fresh = |slice: &&Slice| {
            let age = step.saturating_sub(slice.step.load(Ordering::Acquire));
            age <= SLICES as u64
        };
        let mut counts = vec![0u64; BUCKETS];
        for slice in learned.slices.iter().filter(is_fresh) {
            for (count, bucket) in counts.iter_mut().zip(&slice.buckets) {
                *count += u64::from(bucket.load(Ordering::Relaxed));
            }
        }
        let total: u64 = counts.iter().sum();
        if total < u64::from(self.settings.samples_min) {
            return self.settings.ceiling;
        }
        let rank = (total as f64 * self.settings.quantile.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            seen >= rank
        };
        let bucket = counts.iter().position(reaches).unwrap_or(BUCKETS - 1);
        let timeout = upper_edge(bucket).mul_f64(self.settings.margin.max(1.0));
        timeout.clamp(self.settings.floor.min(self.settings.ceiling), self.settings.ceiling)
    }
}

fn bucket_of(took: Duration) -> usize {
    let us = (took.as_micros() as f64).max(1.0);
    ((us.log2() * f64::from(PER_DOUBLING)) as usize).min(BUCKETS - 1)
}

fn upper_edge(bucket: usize) -> Duration {
    let us = ((bucket + 1) as f64 / f64::from(PER_DOUBLING)).exp2();
    Duration::from_micros(us.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn fed(took_ms: impl Iterator<Item = u64>) -> (RouteTimeouts, Instant) {
        let start = Instant::now();
        let timeouts = RouteTimeouts::new(Adaptive::default(), start);
        took_ms.for_each(|ms| timeouts.record("pay", MS(ms), start));
        (timeouts, start)
    }

    #[test]
    fn until_enough_was_seen_the_ceiling_holds() {
        let (timeouts, start) = fed(std::iter::repeat_n(10, 99));
        assert_eq!(timeouts.timeout("pay", start + MS(20_000)), MS(5_000));
    }

    #[test]
    fn the_timeout_follows_the_quantile_and_its_margin() {
        let (timeouts, start) = fed((0..1_000).map(|call| if call % 200 == 0 { 900 } else { 50 }));
        let timeout = timeouts.timeout("pay", start + MS(16_000));
        assert!((MS(100)..MS(112)).contains(&timeout), "{timeout:?}");
        assert_eq!(timeouts.timeout("other", start + MS(16_000)), MS(5_000), "routes are apart");
    }

    #[test]
    fn floor_and_ceiling_hold() {
        let (timeouts, start) = fed(std::iter::repeat_n(1, 500));
        assert_eq!(timeouts.timeout("pay", start + MS(16_000)), MS(20));
        let (timeouts, start) = fed(std::iter::repeat_n(60_000, 500));
        assert_eq!(timeouts.timeout("pay", start + MS(16_000)), MS(5_000));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let (timeouts, start) = fed(std::iter::repeat_n(40, 500));
        assert!(timeouts.timeout("pay", start + MS(16_000)) < MS(100));
        assert_eq!(timeouts.timeout("pay", start + MS(200_000)), MS(5_000));
    }

    #[test]
    fn more_routes_than_places_share_the_last() {
        let start = Instant::now();
        let timeouts = RouteTimeouts::new(Adaptive::default(), start);
        for number in 0..ROUTES_MAX * 2 {
            let route: &'static str = Box::leak(format!("route {number}").into_boxed_str());
            timeouts.record(route, MS(1), start);
        }
        assert_eq!(timeouts.routes.iter().filter(|place| place.get().is_some()).count(), 64);
    }
}
