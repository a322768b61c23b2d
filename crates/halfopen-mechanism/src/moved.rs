//! Metrics that moved, where their names say what that means.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use halfopen_model::batch::Cells;
use halfopen_model::{TimeRange, UnixNanos};

use crate::diff::words;
use crate::known::Mechanism;
use crate::symptom::Sign;

/// A level has moved when it is so many times what it was.
const RISE_MIN: f64 = 3.0;

/// Traffic has risen when it is so many times what it was...
const TRAFFIC_MIN: f64 = 2.0;

/// ...in so many services.
const TRAFFIC_SERVICES_MIN: usize = 2;

/// Points on each side.
const POINTS_MIN: usize = 3;

/// Points of one metric of one service by time.
type Series = BTreeMap<(String, String), Vec<(UnixNanos, f64)>>;

/// The level before, the level now, and when it went up.
struct Level {
    before: f64,
    now: f64,
    since: UnixNanos,
}

/// Signs of the metrics of a window. What came before the window, else its first half, is what
/// they were before; now is its last quarter.
pub(crate) fn signs(points: &[RecordBatch], window: TimeRange) -> Vec<Sign> {
    let mut found = Vec::new();
    let mut busier = Vec::new();
    for ((service, name), values) in series(points, window) {
        let Some(level) = level(&values, window) else { continue };
        let words = words(&name);
        let has = |wanted: &[&str]| wanted.iter().any(|wanted| words.iter().any(|w| w == wanted));
        let ratio = level.now / level.before.max(f64::MIN_POSITIVE);
        let per_request = words.windows(2).any(|pair| pair == ["per", "request"]);
        let calls = has(&["query", "queries", "call", "calls", "db", "rpc", "statements"]);
        let traffic = has(&["requests", "request", "rps", "qps", "throughput"])
            && has(&["second", "sec", "rate", "rps", "qps", "throughput", "total", "count"])
            && !per_request
            && !has(&["error", "errors", "failed", "5", "duration", "latency", "ms"]);
        let sign = |mechanism| Sign {
            mechanism,
            service: service.clone(),
            text: format!("{name}: {} → {}", shown(level.before), shown(level.now)),
            since: level.since,
            count: 1,
            words: words.iter().cloned().collect(),
            hosts: Default::default(),
        };
        if per_request && calls && ratio >= RISE_MIN {
            found.push(sign(Mechanism::MoreCalls));
        } else if traffic && ratio >= TRAFFIC_MIN {
            busier.push(sign(Mechanism::TrafficUp));
        }
    }
    let services: std::collections::BTreeSet<&str> =
        busier.iter().map(|sign| sign.service.as_str()).collect();
    if services.len() >= TRAFFIC_SERVICES_MIN && found.is_empty() {
        found.extend(busier);
    }
    found
}

fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn series(points: &[RecordBatch], window: TimeRange) -> Series {
    let mut series = Series::new();
    for rows in points {
        let cells = Cells::new(rows);
        for row in 0..cells.len() {
            let (Some(time), Some(name)) = (cells.time("time", row), cells.text("name", row))
            else {
                continue;
            };
            let int = cells.int("value_int", row).map(|value| value as f64);
            let Some(value) = cells.double("value_double", row).or(int) else { continue };
            // A counter that only grows is no level.
            let grows = cells.text("temporality", row) == Some("cumulative");
            if time >= window.to || grows || !value.is_finite() {
                continue;
            }
            let service = cells.text("service", row).unwrap_or_default().to_owned();
            series.entry((service, name.to_owned())).or_default().push((time, value));
        }
    }
    series.values_mut().for_each(|values| values.sort_by_key(|(time, _)| *time));
    series
}

fn level(values: &[(UnixNanos, f64)], window: TimeRange) -> Option<Level> {
    let quarter = window.to.shifted(-window.length_ns() / 4);
    let half = window.to.shifted(-window.length_ns() / 2);
    let of = |from: UnixNanos, to: UnixNanos| -> Vec<f64> {
        let inside = values.iter().filter(|(time, _)| *time >= from && *time < to);
        inside.map(|(_, value)| *value).collect()
    };
    let mut before = of(UnixNanos::MIN, window.from);
    if before.len() < POINTS_MIN {
        before = of(UnixNanos::MIN, half);
    }
    let mut now = of(quarter, window.to);
    if before.len() < POINTS_MIN || now.len() < POINTS_MIN {
        return None;
    }
    let (before, now) = (median(&mut before), median(&mut now));
    let middle = (before + now) / 2.0;
    let last_below = values.iter().rposition(|(_, value)| (*value < middle) == (before < now));
    let since = values.get(last_below.map_or(0, |at| at + 1)).or(values.last())?.0;
    Some(Level { before, now, since })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
