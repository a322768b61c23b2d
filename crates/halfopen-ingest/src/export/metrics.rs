//! Points of metrics.

use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, UInt64Type};
use halfopen_model::batch::Cells;
use halfopen_model::known::Scope;

use super::json::Json;
use super::spans::{ids, number_of};
use super::{Rows, value};
use crate::columns::TEMPORALITIES;

/// What the points of one metric share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Metric<'a> {
    name: &'a str,
    description: Option<&'a str>,
    unit: Option<&'a str>,
    kind: &'a str,
    temporality: Option<i64>,
    monotonic: Option<bool>,
}

pub(super) fn write(json: &mut Json<'_>, rows: Rows<'_>, members: &[usize]) {
    let cells = rows.cells;
    let mut metrics: Vec<(Metric<'_>, Vec<usize>)> = Vec::new();
    let mut known: HashMap<Metric<'_>, usize> = HashMap::new();
    for row in members {
        let metric = Metric {
            name: cells.text("name", *row).unwrap_or_default(),
            description: cells.text("description", *row),
            unit: cells.text("unit", *row),
            kind: cells.text("kind", *row).unwrap_or_default(),
            temporality: temporality(cells, *row),
            monotonic: truth(rows, "monotonic", *row),
        };
        let place = *known.entry(metric).or_insert_with(|| {
            metrics.push((metric, Vec::new()));
            metrics.len() - 1
        });
        metrics[place].1.push(*row);
    }
    json.list(&metrics, |json, (metric, points)| {
        json.object(|json| one(json, rows, *metric, points));
    });
}

/// As OTLP numbers it; zero stands for unspecified.
fn temporality(cells: Cells<'_>, row: usize) -> Option<i64> {
    let sent = value::original(&cells.attributes(row), "temporality");
    let known = number_of(TEMPORALITIES, cells.text("temporality", row));
    sent.and_then(|sent| sent.parse().ok()).or(known.map(|number| i64::from(number) + 1))
}

fn one(json: &mut Json<'_>, rows: Rows<'_>, metric: Metric<'_>, points: &[usize]) {
    json.name("name").text(metric.name);
    json.some_text("description", metric.description);
    json.some_text("unit", metric.unit);
    let name = match metric.kind {
        "exponential_histogram" => "exponentialHistogram",
        other => other,
    };
    json.name(name).object(|json| {
        json.name("dataPoints");
        json.list(points, |json, row| json.object(|json| point(json, rows, metric.kind, *row)));
        json.some_small_signed("aggregationTemporality", metric.temporality);
        if let Some(monotonic) = metric.monotonic {
            json.name("isMonotonic").truth(monotonic);
        }
    });
}

fn point(json: &mut Json<'_>, rows: Rows<'_>, kind: &str, row: usize) {
    let cells = rows.cells;
    let attributes = cells.attributes(row);
    json.name("attributes");
    let own = value::of_scope(&attributes, Scope::Metric);
    value::pairs(
        json,
        None,
        value::originals(&attributes, &["start_time", "time", "temporality"]).chain(own),
    );
    let start = cells.time("start_time", row);
    value::time(json, "startTimeUnixNano", start, &attributes, "start_time");
    value::time(json, "timeUnixNano", cells.time("time", row), &attributes, "time");
    json.some_small("flags", cells.small("flags", row));
    json.some_wide("asInt", cells.int("value_int", row));
    json.some_double("asDouble", cells.double("value_double", row));
    json.some_wide("count", cells.count("count", row));
    json.some_double("sum", cells.double("sum", row));
    json.some_double("min", cells.double("min", row));
    json.some_double("max", cells.double("max", row));
    if let Some(bounds) = doubles(rows, "bounds", row) {
        json.name("explicitBounds").list(bounds, |json, bound| json.double(bound));
    }
    if let Some(buckets) = counts(rows, "buckets", row) {
        json.name("bucketCounts").list(buckets, |json, count| json.wide(count));
    }
    if kind == "exponential_histogram" {
        json.some_small_signed("scale", cells.int("scale", row));
        json.some_wide("zeroCount", cells.count("zero_count", row));
        json.some_double("zeroThreshold", cells.double("zero_threshold", row));
        side(json, rows, ["positive", "positive_offset", "positive_buckets"], row);
        side(json, rows, ["negative", "negative_offset", "negative_buckets"], row);
    }
    if let Some(quantiles) = rows.items("quantiles", row) {
        let cells = Cells::new(&quantiles);
        json.name("quantileValues").list(0..cells.len(), |json, item| {
            json.object(|json| {
                json.some_double("quantile", cells.double("quantile", item));
                json.some_double("value", cells.double("value", item));
            });
        });
    }
    if let Some(exemplars) = rows.items("exemplars", row) {
        let cells = Cells::new(&exemplars);
        json.name("exemplars").list(0..cells.len(), |json, item| {
            json.object(|json| {
                let attributes = value::of_item(&exemplars, item);
                value::time(json, "timeUnixNano", cells.time("time", item), &attributes, "time");
                json.some_wide("asInt", cells.int("value_int", item));
                json.some_double("asDouble", cells.double("value_double", item));
                ids(json, cells, item);
                json.name("filteredAttributes");
                value::bare(json, &attributes);
            });
        });
    }
}

/// One side of an exponential histogram.
fn side(json: &mut Json<'_>, rows: Rows<'_>, names: [&str; 3], row: usize) {
    let [name, offset, buckets] = names;
    let (offset, buckets) = (rows.cells.int(offset, row), counts(rows, buckets, row));
    if offset.is_none() && buckets.is_none() {
        return;
    }
    json.name(name).object(|json| {
        json.some_small_signed("offset", offset);
        if let Some(buckets) = buckets {
            json.name("bucketCounts").list(buckets, |json, count| json.wide(count));
        }
    });
}

fn truth(rows: Rows<'_>, name: &str, row: usize) -> Option<bool> {
    let column = rows.rows.column_by_name(name).filter(|column| column.is_valid(row))?;
    Some(column.as_boolean_opt()?.value(row))
}

fn doubles(rows: Rows<'_>, name: &str, row: usize) -> Option<Vec<f64>> {
    let column = rows.rows.column_by_name(name).filter(|column| column.is_valid(row))?;
    let items = column.as_list_opt::<i32>()?.value(row);
    Some(items.as_primitive_opt::<Float64Type>()?.values().to_vec())
}

fn counts(rows: Rows<'_>, name: &str, row: usize) -> Option<Vec<u64>> {
    let column = rows.rows.column_by_name(name).filter(|column| column.is_valid(row))?;
    let items = column.as_list_opt::<i32>()?.value(row);
    Some(items.as_primitive_opt::<UInt64Type>()?.values().to_vec())
}
