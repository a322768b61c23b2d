//! What telemetry itself says that it lost: parts of spans that an SDK left out, and counters of
//! SDKs and collectors for what they could not queue or send.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use halfopen_model::answer::Gap;
use halfopen_model::batch::Cells;

use crate::spans::Spans;

/// Columns that count what an SDK left out of a span.
const DROPPED: [&str; 3] = ["dropped_attributes", "dropped_events", "dropped_links"];

/// Counters of things that were lost, by the beginning of their names.
pub const LOSS_METRICS: [&str; 2] = ["otel.sdk.", "otelcol_"];

/// What a counter counts: its name, what was lost, and whether only points with an error type
/// count losses (SDK metrics of the semantic conventions v1.44.0; internal telemetry of the
/// OpenTelemetry Collector).
const COUNTERS: &[(&str, &str, bool)] = &[
    ("otel.sdk.processor.span.processed", "spans", true),
    ("otel.sdk.exporter.span.exported", "spans", true),
    ("otel.sdk.processor.log.processed", "log records", true),
    ("otel.sdk.exporter.log.exported", "log records", true),
    ("otelcol_exporter_enqueue_failed_spans", "spans", false),
    ("otelcol_exporter_send_failed_spans", "spans", false),
    ("otelcol_processor_dropped_spans", "spans", false),
    ("otelcol_exporter_enqueue_failed_log_records", "log records", false),
    ("otelcol_exporter_send_failed_log_records", "log records", false),
];

/// So many losses are named, the largest ones.
const LOSSES_MAX: usize = 5;

/// Spans of the window that lost something in their SDK.
pub(super) fn in_spans(spans: &Spans<'_>) -> Option<Gap> {
    let mut dropped = vec![false; spans.len()];
    for part in &spans.parts {
        for name in DROPPED {
            let column = part.rows.column_by_name(name);
            let Some(counts) = column.and_then(|c| c.as_primitive_opt::<UInt32Type>()) else {
                continue;
            };
            let some = |row: &usize| counts.is_valid(*row) && counts.value(*row) > 0;
            (0..counts.len()).filter(some).for_each(|row| dropped[part.first + row] = true);
        }
    }
    let count = dropped[..spans.baseline_from].iter().filter(|dropped| **dropped).count();
    (count > 0).then_some(Gap::Dropped(count as u64))
}

/// One point of a counter.
struct Point {
    at: i64,
    value: f64,
    delta: bool,
    began: Option<i64>,
}

/// Service, what was lost, why.
type Loss = (String, &'static str, String);

/// Losses that counters tell of, by how much they grew over these rows of `metrics`. What a
/// counter held before its first row counts only where it began after the first row of all.
pub(super) fn in_metrics(rows: &[RecordBatch]) -> Vec<Gap> {
    let mut series: BTreeMap<(Loss, String), Vec<Point>> = BTreeMap::new();
    for rows in rows {
        let cells = Cells::new(rows);
        for row in 0..rows.num_rows() {
            if let Some((key, point)) = read(&cells, row) {
                series.entry(key).or_default().push(point);
            }
        }
    }
    let first = series.values().flatten().map(|point| point.at).min().unwrap_or(i64::MIN);
    let mut losses: BTreeMap<Loss, f64> = BTreeMap::new();
    for ((loss, _), mut points) in series {
        points.sort_by_key(|point| point.at);
        *losses.entry(loss).or_default() += growth(&points, first);
    }
    let mut losses: Vec<(Loss, f64)> = losses.into_iter().filter(|(_, n)| *n >= 1.0).collect();
    losses.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    losses.truncate(LOSSES_MAX);
    let gap = |((service, what, reason), count): (Loss, f64)| Gap::Lost {
        service,
        what,
        reason,
        count: count as u64,
    };
    losses.into_iter().map(gap).collect()
}

fn read(cells: &Cells<'_>, row: usize) -> Option<((Loss, String), Point)> {
    let name = cells.text("name", row)?;
    let (_, what, by_error) = COUNTERS.iter().find(|(known, ..)| {
        *known == name || name.strip_suffix("_total").is_some_and(|bare| bare == *known)
    })?;
    let attribute = |name: &str| cells.attribute(name, row).map(|value| value.to_text());
    let error = attribute("metric.error.type").filter(|error| !error.is_empty());
    if *by_error && error.is_none() {
        return None;
    }
    let value = cells.int("value_int", row).map(|value| value as f64);
    let value = value.or_else(|| cells.double("value_double", row))?;
    let service = cells.text("service", row).unwrap_or_default().to_owned();
    let reason = error.unwrap_or_else(|| name.trim_start_matches("otelcol_").replace('_', " "));
    // One series is one set of attributes of one sender.
    let all = cells.attributes(row).iter().map(|(k, v)| format!("{k}={}", v.to_text())).collect();
    let point = Point {
        at: cells.time("time", row)?.0,
        value,
        delta: cells.text("temporality", row) == Some("delta"),
        began: cells.time("start_time", row).map(|time| time.0),
    };
    Some((((service, *what, reason), format!("{name} {}", joined(all))), point))
}

fn joined(mut attributes: Vec<String>) -> String {
    attributes.sort();
    attributes.join(" ")
}

/// By how much one series grew; a counter that falls was begun anew.
fn growth(points: &[Point], first: i64) -> f64 {
    let mut sum = 0.0;
    let mut last: Option<f64> = None;
    for point in points {
        sum += match last {
            _ if point.delta => point.value,
            Some(last) if point.value >= last => point.value - last,
            Some(_) => point.value,
            None if point.began.is_some_and(|began| began >= first) => point.value,
            None => 0.0,
        };
        last = Some(point.value);
    }
    sum
}
