//! Graceful degradation: optional parts with names, levels of service, and fallbacks that are
//! visible in the answer and in telemetry.
//!
//! A page, or any answer made of parts, declares which parts are optional and down to which level
//! each is still tried. When parts fail, the level sinks and the least important ones are no
//! longer tried at all, which takes load away where it hurts; now and then one call tries them,
//! and when they work again the level rises. Maintenance is set by hand and tries nothing.
//!
//! **Invariant:** a failing optional part never fails the whole, be it by an error, by taking too
//! long or by a panic.

mod page;

pub use page::{DEGRADED, Fallback, Outcome, Page, Source};

use crate::telemetry::{Event, Meter};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A level of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything.
    Full,
    /// Without what is nice to have.
    Reduced,
    /// What the service is for, little else.
    Minimal,
    /// Nothing is worked out; fallbacks only.
    Maintenance,
}

impl Level {
    /// As telemetry names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Full => "full",
            Level::Reduced => "reduced",
            Level::Minimal => "minimal",
            Level::Maintenance => "maintenance",
        }
    }

    fn from_number(number: u8) -> Level {
        match number {
            0 => Level::Full,
            1 => Level::Reduced,
            2 => Level::Minimal,
            _ => Level::Maintenance,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An optional part.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name, in answers and telemetry.
    pub name: &'static str,
    /// The lowest level of service at which it is still tried.
    pub until: Level,
    /// How long it may take; never longer than the deadline of the request allows.
    pub within: Duration,
}

impl Part {
    /// A part that is tried down to level `until`, for at most a second.
    pub fn new(name: &'static str, until: Level) -> Part {
        Part { name, until, within: Duration::from_secs(1) }
    }

    /// For at most this long.
    pub fn within(mut self, within: Duration) -> Part {
        self.within = within;
        self
    }
}

/// When the level moves by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DegradeSettings {
    /// Failures in a row after which a part counts as failing.
    pub failures: u32,
    /// Successes in a row after which it counts as working again.
    pub successes: u32,
    /// How often a part that is not tried at this level is tried all the same.
    pub try_every: Duration,
}

impl Default for DegradeSettings {
    fn default() -> DegradeSettings {
        DegradeSettings { failures: 5, successes: 3, try_every: Duration::from_secs(5) }
    }
}

/// The optional parts of one service and its level. Clones share both.
#[derive(Clone, Debug)]
pub struct Degrade(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Vec<Watched>,
    settings: DegradeSettings,
    level: AtomicU8,
    /// The level set by hand; a number beyond the levels when it moves by itself.
    fixed: AtomicU8,
    origin: Instant,
    meter: Meter,
}

/// No level is set by hand.
const MOVES_BY_ITSELF: u8 = u8::MAX;

#[derive(Debug)]
struct Watched {
    part: Part,
    failed_in_a_row: AtomicU32,
    worked_in_a_row: AtomicU32,
    is_failing: AtomicU8,
    tried_ms: AtomicU64,
}

impl Degrade {
    /// At full level.
    pub fn new(parts: Vec<Part>, settings: DegradeSettings, meter: Meter) -> Degrade {
        let watch = |part| Watched {
            part,
            failed_in_a_row: AtomicU32::new(0),
            worked_in_a_row: AtomicU32::new(0),
            is_failing: AtomicU8::new(0),
            tried_ms: AtomicU64::new(0),
        };
        Degrade(Arc::new(Shared {
            parts: parts.into_iter().map(watch).collect(),
            settings,
            level: AtomicU8::new(0),
            fixed: AtomicU8::new(MOVES_BY_ITSELF),
            origin: Instant::now(),
            meter,
        }))
    }

    /// The level of service now.
    pub fn level(&self) -> Level {
        Level::from_number(self.0.level.load(Ordering::Acquire))
    }

    /// Holds the level until [`Degrade::release`].
    pub fn hold(&self, level: Level, why: &str) {
        self.0.fixed.store(level as u8, Ordering::Release);
        self.0.move_to(level, why);
    }

    /// Lets the level move by itself again.
    pub fn release(&self) {
        self.0.fixed.store(MOVES_BY_ITSELF, Ordering::Release);
        self.0.weigh("released");
    }

    /// Begins an answer.
    pub fn page(&self) -> Page {
        Page::new(self.clone())
    }

    fn watched(&self, name: &str) -> Option<&Watched> {
        self.0.parts.iter().find(|watched| watched.part.name == name)
    }

    /// Whether the part is to be tried now.
    fn is_tried(&self, watched: &Watched, now: Instant) -> bool {
        let level = self.level();
        if level <= watched.part.until {
            return true;
        }
        if level == Level::Maintenance {
            return false;
        }
        let now_ms = now.saturating_duration_since(self.0.origin).as_millis() as u64;
        let every_ms = self.0.settings.try_every.as_millis() as u64;
        let is_due = |tried_ms: u64| (now_ms >= tried_ms + every_ms).then_some(now_ms);
        watched.tried_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, is_due).is_ok()
    }

    fn learn(&self, watched: &Watched, worked: bool, now: Instant) {
        let settings = &self.0.settings;
        let (hit, other, bound) = if worked {
            (&watched.worked_in_a_row, &watched.failed_in_a_row, settings.successes)
        } else {
            (&watched.failed_in_a_row, &watched.worked_in_a_row, settings.failures)
        };
        other.store(0, Ordering::Relaxed);
        let in_a_row = hit.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if in_a_row < bound.max(1) {
            return;
        }
        if !worked {
            let now_ms = now.saturating_duration_since(self.0.origin).as_millis() as u64;
            watched.tried_ms.store(now_ms, Ordering::Relaxed);
        }
        let is_failing = u8::from(!worked);
        if watched.is_failing.swap(is_failing, Ordering::AcqRel) != is_failing {
            self.0.weigh(watched.part.name);
        }
    }
}

impl Shared {
    /// One failing part: reduced; more than half of them: minimal.
    fn weigh(&self, cause: &str) {
        if self.fixed.load(Ordering::Acquire) != MOVES_BY_ITSELF {
            return;
        }
        let is_failing = |watched: &&Watched| watched.is_failing.load(Ordering::Acquire) == 1;
        let failing = self.parts.iter().filter(is_failing).count();
        let level = match failing {
            0 => Level::Full,
            some if some * 2 > self.parts.len() => Level::Minimal,
            _ => Level::Reduced,
        };
        self.move_to(level, cause);
    }

    fn move_to(&self, level: Level, cause: &str) {
        let before = self.level.swap(level as u8, Ordering::AcqRel);
        if before != level as u8 {
            let from = Level::from_number(before).as_str();
            self.meter.note(&Event::LevelChanged { from, to: level.as_str(), cause });
        }
    }
}

#[cfg(test)]
mod tests;
