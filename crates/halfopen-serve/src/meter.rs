//! What the server counts about itself. `/metrics` shows it, tests read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use halfopen_ingest::{Outcome, Signal};
use halfopen_model::time::UnixNanos;

/// Upper bounds of the buckets of times, in seconds: from a fast disk to a stuck one.
pub(crate) const BUCKETS_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0];

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    pub(crate) buckets: [Counter; BUCKETS_SECONDS.len()],
    pub(crate) count: Counter,
    sum_us: Counter,
}

impl Timing {
    pub(crate) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS_SECONDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket].add(1);
        }
        self.count.add(1);
        self.sum_us.add(took.as_micros() as u64);
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum_us.get() as f64 / 1e6
    }
}

/// The protocols by which exports arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
        }
    }
}

/// Counts of one signal by one protocol.
#[derive(Debug, Default)]
pub(crate) struct ExportMeter {
    pub(crate) requests: Counter,
    pub(crate) bytes: Counter,
    pub(crate) rows_accepted: Counter,
    pub(crate) rows_rejected: Counter,
    pub(crate) refused: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) took: Timing,
}

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    Query,
    Find,
    Trace,
    Why,
    Map,
    Changes,
    Import,
}

impl Question {
    pub(crate) const ALL: [Question; 7] = [
        Question::Query,
        Question::Find,
        Question::Trace,
        Question::Why,
        Question::Map,
        Question::Changes,
        Question::Import,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Question::Query => "query",
            Question::Find => "find",
            Question::Trace => "trace",
            Question::Why => "why",
            Question::Map => "map",
            Question::Changes => "changes",
            Question::Import => "import",
        }
    }
}

/// Counts of one kind of question.
#[derive(Debug, Default)]
pub(crate) struct QuestionMeter {
    pub(crate) failed: Counter,
    pub(crate) took: Timing,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) started: UnixNanos,
    exports: [[ExportMeter; Signal::ALL.len()]; Protocol::ALL.len()],
    questions: [QuestionMeter; Question::ALL.len()],
    pub(crate) groups: Timing,
    pub(crate) rows_written: Counter,
    pub(crate) rows_collapsed: Counter,
    pub(crate) groups_refused: Counter,
    pub(crate) connections: Counter,
    connections_closed: Counter,
    pub(crate) connections_idle: Counter,
    pub(crate) requests: Counter,
    requests_done: Counter,
}

impl Meter {
    pub(crate) fn new(started: UnixNanos) -> Meter {
        Meter {
            started,
            exports: Default::default(),
            questions: Default::default(),
            groups: Timing::default(),
            rows_written: Counter::default(),
            rows_collapsed: Counter::default(),
            groups_refused: Counter::default(),
            connections: Counter::default(),
            connections_closed: Counter::default(),
            connections_idle: Counter::default(),
            requests: Counter::default(),
            requests_done: Counter::default(),
        }
    }

    pub(crate) fn export(&self, protocol: Protocol, signal: Signal) -> &ExportMeter {
        &self.exports[protocol as usize][signal as usize]
    }

    pub(crate) fn question(&self, question: Question) -> &QuestionMeter {
        &self.questions[question as usize]
    }

    pub(crate) fn exported(&self, protocol: Protocol, signal: Signal, outcome: &Outcome) {
        let export = self.export(protocol, signal);
        export.rows_accepted.add(outcome.accepted);
        export.rows_rejected.add(outcome.rejected);
        export.unreadable.add(u64::from(outcome.unreadable));
    }

    pub(crate) fn connections_open(&self) -> u64 {
        self.connections.get().saturating_sub(self.connections_closed.get())
    }

    pub(crate) fn requests_in_flight(&self) -> u64 {
        self.requests.get().saturating_sub(self.requests_done.get())
    }

    pub(crate) fn connection_idle(&self) {
        self.connections_idle.add(1);
    }

    pub(crate) fn connection_opened(self: &Arc<Meter>) -> Counted {
        self.connections.add(1);
        Counted { meter: Arc::clone(self), done: |meter| &meter.connections_closed }
    }

    pub(crate) fn request_begun(self: &Arc<Meter>) -> Counted {
        self.requests.add(1);
        Counted { meter: Arc::clone(self), done: |meter| &meter.requests_done }
    }
}

/// Something that began; counted as done when dropped.
pub(crate) struct Counted {
    meter: Arc<Meter>,
    done: fn(&Meter) -> &Counter,
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.done)(&self.meter).add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_first_bucket_that_holds_them() {
        let timing = Timing::default();
        timing.observe(Duration::from_millis(1));
        timing.observe(Duration::from_secs(60));
        let counts: Vec<_> = timing.buckets.iter().map(Counter::get).collect();
        assert_eq!(counts, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((timing.count.get(), timing.sum_seconds()), (2, 60.001));
    }

    #[test]
    fn what_began_is_in_flight_until_it_is_dropped() {
        let meter = Arc::new(Meter::new(UnixNanos(0)));
        let (one, two) = (meter.request_begun(), meter.request_begun());
        drop(one);
        assert_eq!(meter.requests_in_flight(), 1);
        drop(two);
        assert_eq!(meter.requests_in_flight(), 0);
    }
}
