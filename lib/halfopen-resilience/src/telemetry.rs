//! Every decision has a name: counted, traced, and handed to an observer.
//!
//! Three ways out, none of which forces the version of anything on a user:
//! - counters without a lock, read by [`Meter::counts`];
//! - `tracing` events and spans with `halfopen.*` fields (`tracing-opentelemetry` of whatever
//!   version turns them into OpenTelemetry spans and events);
//! - the [`Observer`] hook, thirty lines away from any metrics library (see
//!   `examples/opentelemetry.rs` and docs/telemetry.md).

mod event;
mod trace;

pub use event::{DenyReason, Event, Name, Value};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gets every event of a stack. Called on the path of the request: it must be quick.
pub trait Observer: Send + Sync {
    /// `event` happened on calls to `peer`, or on work for the service of that name.
    fn on(&self, peer: &str, event: &Event<'_>);
}

/// Counts and reports the events of one stack. Clones share the counts.
#[derive(Clone)]
pub struct Meter(Arc<Inner>);

struct Inner {
    peer: Arc<str>,
    observer: Option<Arc<dyn Observer>>,
    counts: [AtomicU64; Name::ALL.len()],
}

impl Meter {
    /// A meter for calls to `peer`.
    pub fn new(peer: &str) -> Meter {
        Meter::with(peer, None)
    }

    /// A meter that tells `observer` too.
    pub fn observed(peer: &str, observer: Arc<dyn Observer>) -> Meter {
        Meter::with(peer, Some(observer))
    }

    fn with(peer: &str, observer: Option<Arc<dyn Observer>>) -> Meter {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Meter(Arc::new(Inner { peer: Arc::from(peer), observer, counts }))
    }

    /// Who is called.
    #[inline]
    pub fn peer(&self) -> &Arc<str> {
        &self.0.peer
    }

    /// How often each event happened.
    pub fn counts(&self) -> impl Iterator<Item = (Name, u64)> + '_ {
        Name::ALL.into_iter().map(|name| (name, self.count(name)))
    }

    /// How often the event of this name happened.
    pub fn count(&self, name: Name) -> u64 {
        self.0.counts[name as usize].load(Ordering::Relaxed)
    }

    /// Whether somebody besides the counters listens.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.0.observer.is_some()
    }

    /// Counts an event that happens on every call, and tells the observer only.
    #[inline]
    pub(crate) fn tick(&self, event: &Event<'_>) {
        self.0.counts[event.name() as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(observer) = &self.0.observer {
            observer.on(&self.0.peer, event);
        }
    }

    /// Counts, traces and reports a decision.
    pub(crate) fn note(&self, event: &Event<'_>) {
        self.tick(event);
        trace::emit(&self.0.peer, event);
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("peer", &self.0.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
