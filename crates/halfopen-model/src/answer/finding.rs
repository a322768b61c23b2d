//! Findings, what they rest on, and what could not be known.

use std::fmt;

use crate::id::{SpanId, TraceId};
use crate::table::Table;
use crate::time::{TimeRange, UnixNanos, show_duration};

/// How many of how many. Sampling weights are counted in, so counts may be fractions.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Share {
    /// How many.
    pub count: f64,
    /// Of how many.
    pub total: f64,
}

/// The two-sided 95 % point of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;

impl Share {
    /// `count` of `total`.
    pub fn new(count: f64, total: f64) -> Share {
        Share { count, total }
    }

    /// The share, 0 to 1; 0 of nothing is 0.
    pub fn ratio(&self) -> f64 {
        if self.total > 0.0 { self.count / self.total } else { 0.0 }
    }

    /// The 95 % interval of the share by Wilson's score (E. B. Wilson, JASA 22, 1927), which
    /// stays inside 0 to 1 and is fit for small samples. Nothing looked at: 0 to 1.
    pub fn interval(&self) -> (f64, f64) {
        if self.total <= 0.0 {
            return (0.0, 1.0);
        }
        let (n, p, z2) = (self.total, self.ratio().clamp(0.0, 1.0), Z_95 * Z_95);
        let middle = p + z2 / (2.0 * n);
        let spread = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
    }
}

/// How much weight a piece of evidence bears, from calibration against all other subjects in the
/// same window; never from the size of the effect alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Strength {
    /// It fits, and so would other things.
    Weak,
    /// More probable than what else was looked at.
    Likely,
    /// Stands out from everything else that was looked at.
    Strong,
}

impl fmt::Display for Strength {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Strength::Weak => "weak",
            Strength::Likely => "likely",
            Strength::Strong => "strong",
        })
    }
}

/// A size with its natural unit.
#[derive(Clone, PartialEq, Debug)]
pub struct Effect {
    /// The size.
    pub value: f64,
    /// The unit: `ns`, `ratio`, `calls`, ...
    pub unit: &'static str,
}

/// A row that evidence points to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EvidenceRef {
    /// A whole trace.
    Trace(TraceId),
    /// One span.
    Span(TraceId, SpanId),
    /// A row of `changes`.
    Change(String),
    /// A metric series.
    Series(u64),
}

/// One observation that supports a finding.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// By which the chain of whys names it; the same evidence has the same id in every answer.
    pub id: String,
    /// What kind of observation: `error_origin`, `attribute`, `version_split`, `onset`, ...
    pub kind: &'static str,
    /// What it is about: a service, an edge, an attribute.
    pub subject: String,
    /// How large, where there is a size.
    pub effect: Option<Effect>,
    /// Among failing requests.
    pub failing: Share,
    /// Among those they are compared with.
    pub healthy: Share,
    /// How much weight it bears.
    pub strength: Strength,
    /// Rows to look at.
    pub refs: Vec<EvidenceRef>,
    /// SQL that gives the number again.
    pub query: Option<String>,
}

/// A statement with what it rests on and what it excludes.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Kind of statement.
    pub kind: &'static str,
    /// What it is about.
    pub subject: String,
    /// One sentence.
    pub statement: String,
    /// The strongest of its evidence.
    pub strength: Strength,
    /// The time it speaks about.
    pub window: TimeRange,
    /// When it was found.
    pub found_at: UnixNanos,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// What was looked at and excluded, each with its reason.
    pub ruled_out: Vec<String>,
}

/// What an answer could not know, and how much of it. Never an error.
#[derive(Clone, PartialEq, Debug)]
pub enum Gap {
    /// Others call this service, but no span of it came.
    SilentService {
        /// Its name as callers know it.
        service: String,
        /// How many services call it.
        callers: usize,
    },
    /// Traces with spans whose parent is missing.
    IncompleteTraces(Share),
    /// Spans whose parent is missing, in one trace.
    MissingParents(u64),
    /// Requests without an end: still running, or their end was lost.
    Unended(u64),
    /// More rows than may be looked at in one question.
    Truncated {
        /// The table that was cut.
        table: Table,
        /// The bound.
        rows_max: usize,
    },
    /// The window is so recent that spans of it may still arrive.
    NotSettled {
        /// How long is waited for late spans, in nanoseconds.
        settle_ns: i64,
    },
    /// The sender samples by outcome, so shares of failing requests are not those of the system.
    TailSampled(Share),
    /// Different spans with one id in one trace.
    RepeatedSpanIds(u64),
    /// Spans that name each other as parent.
    ParentCycle(u64),
    /// Spans whose end lies before their start.
    NegativeDurations(u64),
    /// A child that begins before its parent or ends after it, across hosts.
    ClockSkew {
        /// The service whose clock differs.
        service: String,
        /// By how much at the most, in nanoseconds.
        skew_ns: i64,
    },
    /// Clocks of two services that do not agree: calls that begin before their caller did, or end
    /// after it though they took no longer.
    ClockOffset {
        /// The service that calls.
        caller: String,
        /// The service that is called.
        callee: String,
        /// By how much the clock of the callee is ahead, in nanoseconds; negative when behind.
        ahead_ns: i64,
        /// 90 % of these calls lie within so many nanoseconds of it.
        spread_ns: i64,
        /// Such calls of all calls between the two.
        calls: Share,
    },
    /// Too few requests to compare.
    FewRequests {
        /// Failing ones.
        failing: u64,
        /// Healthy ones.
        healthy: u64,
    },
    /// Requests fail from the begin of the window on, so nothing tells when it began.
    NoBaseline,
    /// Rows of telemetry that could not be read.
    Rejects(u64),
    /// The SDK reported attributes, events or links that it dropped.
    Dropped(u64),
    /// Telemetry that an SDK or a collector says it lost.
    Lost {
        /// The service that says so; empty when it has no name.
        service: String,
        /// What was lost: spans, log records.
        what: &'static str,
        /// Why: `queue_full`, ...
        reason: String,
        /// How many.
        count: u64,
    },
    /// Something else, in a sentence.
    Other(String),
}

impl Gap {
    /// A short name for scripts.
    pub fn kind(&self) -> &'static str {
        match self {
            Gap::SilentService { .. } => "silent_service",
            Gap::IncompleteTraces(_) => "incomplete_traces",
            Gap::MissingParents(_) => "missing_parents",
            Gap::Unended(_) => "unended",
            Gap::Truncated { .. } => "truncated",
            Gap::NotSettled { .. } => "not_settled",
            Gap::TailSampled(_) => "tail_sampled",
            Gap::RepeatedSpanIds(_) => "repeated_span_ids",
            Gap::ParentCycle(_) => "parent_cycle",
            Gap::NegativeDurations(_) => "negative_durations",
            Gap::ClockSkew { .. } | Gap::ClockOffset { .. } => "clock_skew",
            Gap::FewRequests { .. } => "few_requests",
            Gap::NoBaseline => "no_baseline",
            Gap::Rejects(_) => "rejects",
            Gap::Dropped(_) => "dropped",
            Gap::Lost { .. } => "lost",
            Gap::Other(_) => "other",
        }
    }
}

fn plural<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::SilentService { service, callers } => {
                let those = plural(*callers as u64, "1 caller does", "callers do");
                let count = if *callers == 1 { String::new() } else { format!("{callers} ") };
                write!(f, "{service} sends no spans, its {count}{those}")
            }
            Gap::IncompleteTraces(share) => {
                let percent = share.ratio() * 100.0;
                match percent < 0.05 {
                    true => f.write_str("less than 0.1 % of traces incomplete"),
                    false => write!(f, "{percent:.1} % of traces incomplete"),
                }
            }
            Gap::MissingParents(count) => {
                let those = plural(*count, "span names", "spans name");
                write!(f, "{count} {those} a parent that did not arrive")
            }
            Gap::Unended(count) => {
                write!(f, "{count} {} never ended", plural(*count, "request", "requests"))
            }
            Gap::Truncated { table, rows_max } => {
                write!(f, "only {rows_max} rows of {table} were looked at, there are more")
            }
            Gap::NotSettled { settle_ns } => {
                write!(f, "the last {} may still miss spans", show_duration(*settle_ns))
            }
            Gap::TailSampled(share) => {
                let (count, total) = (share.count, share.total);
                write!(f, "{count} of {total} traces were sampled by outcome")
            }
            Gap::RepeatedSpanIds(count) => {
                write!(f, "{count} span {} used twice", plural(*count, "id", "ids"))
            }
            Gap::ParentCycle(count) => {
                write!(f, "{count} {} in a circle of parents", plural(*count, "span", "spans"))
            }
            Gap::NegativeDurations(count) => {
                let those = plural(*count, "span ends", "spans end");
                write!(f, "{count} {those} before the start")
            }
            Gap::ClockSkew { service, skew_ns } => {
                write!(f, "the clock of {service} differs by up to {}", show_duration(*skew_ns))
            }
            Gap::FewRequests { failing, healthy } => {
                write!(f, "too few requests to compare: {failing} failing, {healthy} healthy")
            }
            Gap::NoBaseline => {
                f.write_str("it was so all through the window: when it began is not known")
            }
            Gap::Rejects(count) => {
                let those = plural(*count, "piece of telemetry", "pieces of telemetry");
                write!(f, "{count} {those} could not be read (table rejects)")
            }
            Gap::Dropped(count) => {
                let those = plural(*count, "span lost", "spans lost");
                write!(f, "{count} {those} attributes, events or links in the SDK")
            }
            Gap::ClockOffset { caller, callee, ahead_ns, spread_ns, calls } => {
                let way = if *ahead_ns < 0 { "behind" } else { "ahead of" };
                let offset = show_duration(ahead_ns.saturating_abs());
                let (spread, Share { count, total }) = (show_duration(*spread_ns), calls);
                write!(f, "the clock of {callee} is {offset} ±{spread} {way} that of {caller}, ")?;
                write!(f, "by {count} of {total} calls")
            }
            Gap::Lost { service, what, reason, count } => {
                let who = if service.is_empty() { "a service" } else { service };
                write!(f, "{who} lost {count} {what}: {reason}")
            }
            Gap::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_stays_inside_and_covers_small_samples() {
        let close = |(a, b): (f64, f64), (c, d): (f64, f64)| {
            assert!((a - c).abs() < 5e-4 && (b - d).abs() < 5e-4, "({a}, {b}) is not ({c}, {d})");
        };
        // 10 of 100: 0.0552 to 0.1744 (Wilson without continuity correction).
        close(Share::new(10.0, 100.0).interval(), (0.0552, 0.1744));
        close(Share::new(0.0, 10.0).interval(), (0.0, 0.2775));
        close(Share::new(0.0, 0.0).interval(), (0.0, 1.0));
    }

    #[test]
    fn gaps_read_as_sentences() {
        let silent = |callers| Gap::SilentService { service: "inventory".into(), callers };
        assert_eq!(silent(3).to_string(), "inventory sends no spans, its 3 callers do");
        assert_eq!(silent(1).to_string(), "inventory sends no spans, its 1 caller does");
        let incomplete = Gap::IncompleteTraces(Share::new(12.0, 1000.0));
        assert_eq!(incomplete.to_string(), "1.2 % of traces incomplete");
        assert_eq!(Gap::RepeatedSpanIds(1).to_string(), "1 span id used twice");
        let offset = |ahead_ns| Gap::ClockOffset {
            caller: "checkout".into(),
            callee: "payment".into(),
            ahead_ns,
            spread_ns: 2_000_000,
            calls: Share::new(40.0, 120.0),
        };
        assert_eq!(
            offset(-1_500_000_000).to_string(),
            "the clock of payment is 1.5 s ±2.0 ms behind that of checkout, by 40 of 120 calls"
        );
        assert!(offset(1_500_000_000).to_string().contains("ahead of that of checkout"));
    }
}
