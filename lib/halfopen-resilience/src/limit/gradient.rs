//! The arithmetic of the adaptive limit. No clock, no chance: the same samples make the same
//! limit.

use std::time::Duration;

/// Samples that the first average is taken over.
const WARM_UP_SAMPLES: u32 = 10;
/// Samples that the long average reaches back over.
const LONG_SAMPLES: f64 = 600.0;
/// Times under load are longer than normal ones, so they raise the average this much more slowly.
/// Here we depart from Gradient2, where a lasting overload becomes what is normal.
const UNDER_LOAD_SLOWER: f64 = 50.0;
/// When times have halved, what was normal is no longer: the long average follows this fast.
const DRIFT: f64 = 0.95;
/// One step takes away at most half.
const GRADIENT_MIN: f64 = 0.5;

/// The bounds of an adaptive limit.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSettings {
    /// Before anything was learned.
    pub first: u32,
    /// Never fewer.
    pub least: u32,
    /// Never more.
    pub most: u32,
    /// Recent times may be this many times the long average before the limit shrinks.
    pub tolerance: f64,
    /// Calls that may queue beneath; what the limit grows by.
    pub queue: u32,
    /// How much of each step is taken.
    pub smoothing: f64,
}

impl Default for LimitSettings {
    fn default() -> LimitSettings {
        LimitSettings { first: 20, least: 4, most: 1_000, tolerance: 1.5, queue: 4, smoothing: 0.2 }
    }
}

#[derive(Debug)]
pub(super) struct Gradient {
    settings: LimitSettings,
    limit: f64,
    long_s: f64,
    samples: u32,
}

impl Gradient {
    pub(super) fn new(settings: LimitSettings) -> Gradient {
        let least = settings.least.max(1);
        let limit = f64::from(settings.first.clamp(least, settings.most.max(least)));
        Gradient { settings, limit, long_s: 0.0, samples: 0 }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A call took this long while so many were under way; the limit from now on.
    pub(super) fn sample(&mut self, took: Duration, in_flight: u32) -> u32 {
        let short_s = took.as_secs_f64().max(1e-9);
        let is_in_use = f64::from(in_flight) * 2.0 >= self.limit;
        self.average(short_s, is_in_use);
        if self.long_s / short_s > 2.0 {
            self.long_s *= DRIFT;
        }
        if !is_in_use {
            return self.limit();
        }
        let room = self.settings.tolerance.max(1.0) * self.long_s / short_s;
        let target = self.limit * room.clamp(GRADIENT_MIN, 1.0) + f64::from(self.settings.queue);
        let smoothing = self.settings.smoothing.clamp(0.0, 1.0);
        let least = f64::from(self.settings.least.max(1));
        let most = f64::from(self.settings.most).max(least);
        self.limit = (self.limit * (1.0 - smoothing) + target * smoothing).clamp(least, most);
        self.limit()
    }

    fn average(&mut self, short_s: f64, is_in_use: bool) {
        self.samples = self.samples.saturating_add(1);
        let weight = if self.samples <= WARM_UP_SAMPLES {
            1.0 / f64::from(self.samples)
        } else if is_in_use && short_s > self.long_s {
            2.0 / (LONG_SAMPLES + 1.0) / UNDER_LOAD_SLOWER
        } else {
            2.0 / (LONG_SAMPLES + 1.0)
        };
        self.long_s += (short_s - self.long_s) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// The limit for a peer that works on `slots` calls at a time, 10 ms each; more wait.
    fn settled(slots: u32) -> u32 {
        let mut gradient = Gradient::new(LimitSettings::default());
        // Alone, a call takes as long as it takes.
        (0..WARM_UP_SAMPLES).for_each(|_| {
            gradient.sample(MS(10), 1);
        });
        for _ in 0..400 {
            let in_flight = gradient.limit();
            let waiting = f64::from(in_flight) / f64::from(slots);
            gradient.sample(MS(10).mul_f64(waiting.max(1.0)), in_flight);
        }
        gradient.limit()
    }

    #[test]
    fn the_limit_settles_near_what_the_peer_can_do() {
        for slots in [10, 40, 100] {
            let limit = settled(slots);
            assert!((slots..slots * 3).contains(&limit), "{slots} slots, limit {limit}");
        }
    }

    #[test]
    fn an_unused_limit_does_not_grow() {
        let mut gradient = Gradient::new(LimitSettings::default());
        (0..1_000).for_each(|_| {
            gradient.sample(MS(10), 3);
        });
        assert_eq!(gradient.limit(), 20);
    }

    #[test]
    fn a_peer_that_hangs_takes_the_limit_to_its_floor() {
        let mut gradient = Gradient::new(LimitSettings::default());
        (0..100).for_each(|_| {
            gradient.sample(MS(10), 20);
        });
        (0..40).for_each(|_| {
            let in_flight = gradient.limit();
            gradient.sample(MS(2_000), in_flight);
        });
        assert!(gradient.limit() <= 10, "{}", gradient.limit());
    }
}
