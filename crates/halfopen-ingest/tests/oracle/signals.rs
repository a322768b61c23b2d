//! The rows that spans, log records and points have to become.

use halfopen_model::known::Scope;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, exemplar, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use crate::expect::{Expected, bare, stored, time};
use crate::render::{Row, attribute, hex};

/// When the request arrived.
pub(crate) const ARRIVAL: i64 = 1_795_185_111_000_000_000;

/// An id that is there: neither empty nor zero.
fn present(id: &[u8]) -> bool {
    id.iter().any(|byte| *byte != 0)
}

pub(crate) fn spans(request: &ExportTraceServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            let urls = (&*resource.schema_url, &*scope.schema_url);
            let common = Expected::common(resource.resource.as_ref(), scope.scope.as_ref(), urls);
            let kept = scope.spans.iter().filter(|s| present(&s.trace_id) && present(&s.span_id));
            rows.extend(kept.map(|kept| span(common.clone(), kept)));
        }
    }
    rows
}

fn span(mut row: Expected, span: &Span) -> Row {
    row.set("trace_id", hex(&span.trace_id));
    row.set("span_id", hex(&span.span_id));
    row.set_time("start_time", span.start_time_unix_nano);
    if present(&span.parent_span_id) {
        row.set("parent_span_id", hex(&span.parent_span_id));
    }
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    if end != 0 {
        time(end, "end_time", &mut row.map);
        let duration = i128::from(end) - i128::from(start);
        row.set("duration_ns", duration.clamp(i64::MIN.into(), i64::MAX.into()));
    }
    row.set("name", &span.name);
    let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    word(&mut row, "kind", &kinds, span.kind);
    let status = span.status.clone().unwrap_or_default();
    word(&mut row, "status", &["unset", "ok", "error"], status.code);
    row.set_text("status_message", &status.message);
    row.set_text("trace_state", &span.trace_state);
    row.set_number("flags", span.flags);
    row.set_number("dropped_attributes", span.dropped_attributes_count);
    row.set_number("dropped_events", span.dropped_events_count);
    row.set_number("dropped_links", span.dropped_links_count);
    row.attributes(Scope::Span, &span.attributes);
    if !span.events.is_empty() {
        let events: Vec<_> = span.events.iter().map(event).collect();
        row.set("events", format!("[{}]", events.join(" | ")));
    }
    if !span.links.is_empty() {
        let links: Vec<_> = span.links.iter().map(link).collect();
        row.set("links", format!("[{}]", links.join(" | ")));
    }
    match span.trace_state.as_str() {
        "ot=th:8" => row.set("weight", "2.0"),
        "a=b,ot=rv:1;th:c" => row.set("weight", "4.0"),
        _ => {}
    }
    row.finish(true)
}

/// A word by its number; the first one, and a note, when there is none.
fn word(row: &mut Expected, column: &str, words: &[&str], number: i32) {
    let known = usize::try_from(number).ok().and_then(|number| words.get(number));
    row.set(column, known.unwrap_or(&words[0]));
    if known.is_none() {
        row.note(column, 3, &number.to_string());
    }
}

fn event(event: &Event) -> String {
    let mut map = bare(&event.attributes);
    let time = time(event.time_unix_nano, "time", &mut map);
    let (name, dropped) = (&event.name, event.dropped_attributes_count);
    format!("time={time} name={name} attributes={map} dropped_attributes={dropped} ")
}

fn link(link: &Link) -> String {
    let id = |id: &[u8], bytes| if id.is_empty() { hex(&vec![0; bytes]) } else { hex(id) };
    let (trace_id, span_id) = (id(&link.trace_id, 16), id(&link.span_id, 8));
    let state = match link.trace_state.as_str() {
        "" => String::new(),
        state => format!("trace_state={state} "),
    };
    let (flags, map, dropped) = (link.flags, bare(&link.attributes), link.dropped_attributes_count);
    format!(
        "trace_id={trace_id} span_id={span_id} {state}flags={flags} attributes={map} \
         dropped_attributes={dropped} "
    )
}

pub(crate) fn logs(request: &ExportLogsServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in &request.resource_logs {
        for scope in &resource.scope_logs {
            let urls = (&*resource.schema_url, &*scope.schema_url);
            let common = Expected::common(resource.resource.as_ref(), scope.scope.as_ref(), urls);
            rows.extend(scope.log_records.iter().map(|kept| record(common.clone(), kept)));
        }
    }
    rows
}

fn record(mut row: Expected, record: &LogRecord) -> Row {
    let observed = record.observed_time_unix_nano;
    match (record.time_unix_nano, observed) {
        (0, 0) => row.set("time", ARRIVAL),
        (0, observed) => row.set("time", i64::try_from(observed).unwrap_or(i64::MAX)),
        (time, _) => row.set_time("time", time),
    }
    if observed != 0 {
        row.set_time("observed_time", observed);
    }
    if present(&record.trace_id) {
        row.set("trace_id", hex(&record.trace_id));
    }
    if present(&record.span_id) {
        row.set("span_id", hex(&record.span_id));
    }
    match u32::try_from(record.severity_number) {
        Ok(number) => row.set_number("severity_number", number),
        Err(_) => row.note("severity_number", 3, &record.severity_number.to_string()),
    }
    row.set_text("severity_text", &record.severity_text);
    row.set_text("event_name", &record.event_name);
    row.set_number("flags", record.flags);
    row.set_number("dropped_attributes", record.dropped_attributes_count);
    row.attributes(Scope::Log, &record.attributes);
    let (tag, text) = stored(record.body.as_ref());
    if tag != 0 {
        row.set("body", text);
    }
    if tag > 1 {
        row.set("body_type", tag);
    }
    row.finish(true)
}

pub(crate) fn points(request: &ExportMetricsServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in &request.resource_metrics {
        for scope in &resource.scope_metrics {
            let urls = (&*resource.schema_url, &*scope.schema_url);
            let common = Expected::common(resource.resource.as_ref(), scope.scope.as_ref(), urls);
            scope.metrics.iter().for_each(|metric| rows.extend(metric_points(&common, metric)));
        }
    }
    rows
}

fn metric_points(common: &Expected, metric: &Metric) -> Vec<Row> {
    let head = |kind: &str, temporality: i32| {
        let mut row = common.clone();
        row.set("name", &metric.name);
        row.set_text("description", &metric.description);
        row.set_text("unit", &metric.unit);
        row.set("kind", kind);
        match temporality {
            1 => row.set("temporality", "delta"),
            2 => row.set("temporality", "cumulative"),
            0 => {}
            other => row.note("temporality", 3, &other.to_string()),
        }
        row
    };
    let mut rows = Vec::new();
    match metric.data.as_ref().expect("generated with data") {
        Data::Gauge(gauge) => {
            for point in &gauge.data_points {
                rows.push(number(head("gauge", 0), metric, point));
            }
        }
        Data::Sum(sum) => {
            for point in &sum.data_points {
                let mut row = head("sum", sum.aggregation_temporality);
                row.set("monotonic", sum.is_monotonic);
                rows.push(number(row, metric, point));
            }
        }
        Data::Histogram(histogram) => {
            for point in &histogram.data_points {
                let mut row = head("histogram", histogram.aggregation_temporality);
                times(&mut row, point.start_time_unix_nano, point.time_unix_nano, point.flags);
                doubles(&mut row, &[("sum", point.sum), ("min", point.min), ("max", point.max)]);
                row.set("count", point.count);
                let bounds = point.explicit_bounds.iter().map(|bound| format!("{bound:?}"));
                row.set("bounds", format!("[{}]", bounds.collect::<Vec<_>>().join(" | ")));
                row.set("buckets", counts(&point.bucket_counts));
                rows.push(finish(row, metric, &point.attributes, &point.exemplars));
            }
        }
        Data::ExponentialHistogram(histogram) => {
            for point in &histogram.data_points {
                let kind = "exponential_histogram";
                let mut row = head(kind, histogram.aggregation_temporality);
                times(&mut row, point.start_time_unix_nano, point.time_unix_nano, point.flags);
                doubles(&mut row, &[("sum", point.sum), ("min", point.min), ("max", point.max)]);
                doubles(&mut row, &[("zero_threshold", Some(point.zero_threshold))]);
                row.set("count", point.count);
                row.set("scale", point.scale);
                row.set("zero_count", point.zero_count);
                side(&mut row, "positive", point.positive.as_ref());
                side(&mut row, "negative", point.negative.as_ref());
                rows.push(finish(row, metric, &point.attributes, &point.exemplars));
            }
        }
        Data::Summary(summary) => {
            for point in &summary.data_points {
                let mut row = head("summary", 0);
                times(&mut row, point.start_time_unix_nano, point.time_unix_nano, point.flags);
                doubles(&mut row, &[("sum", Some(point.sum))]);
                row.set("count", point.count);
                row.set("quantiles", quantiles(&point.quantile_values));
                rows.push(finish(row, metric, &point.attributes, &[]));
            }
        }
    }
    rows
}

fn number(
    mut row: Expected,
    metric: &Metric,
    point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint,
) -> Row {
    times(&mut row, point.start_time_unix_nano, point.time_unix_nano, point.flags);
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => row.set("value_int", value),
        Some(number_data_point::Value::AsDouble(value)) => {
            doubles(&mut row, &[("value_double", Some(value))]);
        }
        None => {}
    }
    finish(row, metric, &point.attributes, &point.exemplars)
}

fn times(row: &mut Expected, start: u64, time: u64, flags: u32) {
    row.set_time("time", time);
    if start != 0 {
        row.set_time("start_time", start);
    }
    row.set_number("flags", flags);
}

fn doubles(row: &mut Expected, values: &[(&str, Option<f64>)]) {
    for (column, value) in values {
        if let Some(value) = value {
            row.set(column, format!("{value:?}"));
        }
    }
}

fn counts(counts: &[u64]) -> String {
    let shown: Vec<_> = counts.iter().map(u64::to_string).collect();
    format!("[{}]", shown.join(" | "))
}

fn quantiles(values: &[ValueAtQuantile]) -> String {
    let show = |at: &ValueAtQuantile| format!("quantile={:?} value={:?} ", at.quantile, at.value);
    let shown: Vec<_> = values.iter().map(show).collect();
    format!("[{}]", shown.join(" | "))
}

fn side(row: &mut Expected, name: &str, buckets: Option<&Buckets>) {
    if let Some(buckets) = buckets {
        row.set(&format!("{name}_offset"), buckets.offset);
        row.set(&format!("{name}_buckets"), counts(&buckets.bucket_counts));
    }
}

fn finish(
    mut row: Expected,
    metric: &Metric,
    attributes: &[KeyValue],
    exemplars: &[Exemplar],
) -> Row {
    for pair in &metric.metadata {
        let (tag, text) = stored(pair.value.as_ref());
        row.map.push_str(&attribute(&format!("metric.metadata.{}", pair.key), tag, &text));
    }
    row.attributes(Scope::Metric, attributes);
    if !exemplars.is_empty() {
        let shown: Vec<_> = exemplars.iter().map(exemplar).collect();
        row.set("exemplars", format!("[{}]", shown.join(" | ")));
    }
    row.finish(false)
}

fn exemplar(exemplar: &Exemplar) -> String {
    let mut map = bare(&exemplar.filtered_attributes);
    let mut text = format!("time={} ", time(exemplar.time_unix_nano, "time", &mut map));
    text += &match exemplar.value {
        Some(exemplar::Value::AsInt(value)) => format!("value_int={value} "),
        Some(exemplar::Value::AsDouble(value)) => format!("value_double={value:?} "),
        None => String::new(),
    };
    if present(&exemplar.trace_id) {
        text += &format!("trace_id={} ", hex(&exemplar.trace_id));
    }
    if present(&exemplar.span_id) {
        text += &format!("span_id={} ", hex(&exemplar.span_id));
    }
    text + &format!("attributes={map} ")
}
