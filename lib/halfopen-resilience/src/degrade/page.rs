//! One answer made of parts.

use super::{Degrade, Level, Watched};
use crate::context::RequestContext;
use crate::telemetry::Event;
use crate::wire::REQUEST_ID;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use tokio::time::Instant;

/// In an answer: the level and each part that a fallback stands in for.
pub static DEGRADED: HeaderName = HeaderName::from_static("halfopen-degraded");

/// What stands in for a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback<T> {
    /// An older value.
    Cached(T),
    /// A value that fits everybody.
    Default(T),
    /// Nothing: the part is left out.
    Skip,
}

/// Where the value of a part came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// It was worked out now.
    Live,
    /// An older value stands in.
    Cached,
    /// A value that fits everybody stands in.
    Default,
    /// The part is left out.
    Skipped,
}

impl Source {
    /// As telemetry and the header of the answer name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Live => "live",
            Source::Cached => "cached",
            Source::Default => "default",
            Source::Skipped => "skipped",
        }
    }
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The value, unless the part is left out.
    pub value: Option<T>,
    /// Where it came from.
    pub source: Source,
}

/// One answer made of parts. It remembers which parts a fallback stands in for.
#[derive(Debug)]
pub struct Page {
    degrade: Degrade,
    level: Level,
    stood_in: Mutex<Vec<(&'static str, Source)>>,
}

impl Page {
    pub(super) fn new(degrade: Degrade) -> Page {
        let level = degrade.level();
        Page { degrade, level, stood_in: Mutex::new(Vec::new()) }
    }

    /// Works out an optional part, or lets its fallback stand in: when the part is not tried at
    /// this level, fails, takes too long, or panics. Parts may be worked out side by side.
    pub async fn part<T, E>(
        &self,
        name: &'static str,
        fallback: Fallback<T>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Outcome<T> {
        let Some(watched) = self.degrade.watched(name) else {
            // Nobody declared it, so nobody can say at which level it matters: it is tried.
            return match bounded(work, None).await {
                Ok(value) => Outcome { value: Some(value), source: Source::Live },
                Err(cause) => self.stand_in(name, fallback, cause),
            };
        };
        let now = Instant::now();
        if !self.degrade.is_tried(watched, now) {
            return self.stand_in(name, fallback, "level");
        }
        let result = bounded(work, Some(until(watched, now))).await;
        self.degrade.learn(watched, result.is_ok(), Instant::now());
        match result {
            Ok(value) => Outcome { value: Some(value), source: Source::Live },
            Err(cause) => self.stand_in(name, fallback, cause),
        }
    }

    fn stand_in<T>(
        &self,
        part: &'static str,
        fallback: Fallback<T>,
        cause: &'static str,
    ) -> Outcome<T> {
        let (value, source) = match fallback {
            Fallback::Cached(value) => (Some(value), Source::Cached),
            Fallback::Default(value) => (Some(value), Source::Default),
            Fallback::Skip => (None, Source::Skipped),
        };
        let kind = source.as_str();
        self.degrade.0.meter.note(&Event::FallbackUsed { part, kind, cause });
        self.stood_in.lock().unwrap_or_else(PoisonError::into_inner).push((part, source));
        Outcome { value, source }
    }

    /// The level of service when this answer began.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The parts that a fallback stands in for.
    pub fn stood_in(&self) -> Vec<(&'static str, Source)> {
        self.stood_in.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says so in the headers of the answer: `halfopen-degraded: reduced;reviews=skipped`.
    /// Nothing is written when the answer is whole.
    pub fn write(&self, headers: &mut HeaderMap) {
        let stood_in = self.stood_in();
        if stood_in.is_empty() && self.level == Level::Full {
            return;
        }
        let mut text = self.level.as_str().to_owned();
        for (part, source) in stood_in {
            // Writing into a string cannot fail.
            let _ = write!(text, ";{part}={}", source.as_str());
        }
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(DEGRADED.clone(), value);
        }
        if let Some(context) = RequestContext::current() {
            headers.insert(REQUEST_ID.clone(), context.id().to_header());
        }
    }
}

/// The bound of the part, or the deadline of the request if that is earlier.
fn until(watched: &Watched, now: Instant) -> Instant {
    let own = now + watched.part.within;
    let deadline = RequestContext::current().and_then(|context| context.deadline());
    deadline.map_or(own, |deadline| own.min(deadline))
}

async fn bounded<T, E>(
    work: impl Future<Output = Result<T, E>>,
    until: Option<Instant>,
) -> Result<T, &'static str> {
    let mut work = pin!(work);
    // After a panic the future is never polled again, so nothing half-done is seen.
    let caught = std::future::poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(Ok(value))) => Poll::Ready(Ok(value)),
            Ok(Poll::Ready(Err(_))) => Poll::Ready(Err("error")),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err("panic")),
        }
    });
    match until {
        Some(until) => tokio::time::timeout_at(until, caught).await.unwrap_or(Err("timeout")),
        None => caught.await,
    }
}
