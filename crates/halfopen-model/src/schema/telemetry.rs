//! Columns of the three signals of OpenTelemetry.

use super::{Column, Form};

const fn required(name: &'static str, form: Form, about: &'static str) -> Column {
    Column { name, form, required: true, about }
}

const fn optional(name: &'static str, form: Form, about: &'static str) -> Column {
    Column { name, form, required: false, about }
}

const SERVICE: Column =
    optional("service", Form::Word, "The service that sent it: resource attribute `service.name`");
const REQUEST_ID: Column = optional(
    "request_id",
    Form::Text,
    "The id of the request, from the first known name that the row carries (`x-request-id`, ...)",
);
const SCOPE_NAME: Column =
    optional("scope_name", Form::Word, "Instrumentation scope: `scope.name`");
const SCOPE_VERSION: Column =
    optional("scope_version", Form::Word, "Instrumentation scope: `scope.version`");
const RESOURCE_SCHEMA_URL: Column =
    optional("resource_schema_url", Form::Word, "`schema_url` of the resource");
const SCOPE_SCHEMA_URL: Column =
    optional("scope_schema_url", Form::Word, "`schema_url` of the scope");
const ATTRIBUTES: Column = required(
    super::ATTRIBUTES,
    Form::Attributes,
    "Every attribute without a column of its own, prefixed by where it was set",
);
const DROPPED: Column =
    optional("dropped_attributes", Form::Small, "Attributes that the SDK dropped; null for none");

/// One row is one span.
pub(super) const SPANS: &[Column] = &[
    required("trace_id", Form::TraceId, "`trace_id`"),
    required("span_id", Form::SpanId, "`span_id`"),
    optional("parent_span_id", Form::SpanId, "`parent_span_id`; null for a root"),
    REQUEST_ID,
    required("start_time", Form::Time, "`start_time_unix_nano`"),
    optional(
        "duration_ns",
        Form::Nanos,
        "`end_time_unix_nano` minus start, in nanoseconds; negative when the clocks of the source \
         ran backwards; null when the span never ended",
    ),
    SERVICE,
    required("name", Form::Word, "`name`"),
    required(
        "kind",
        Form::Word,
        "`kind`: unspecified, internal, server, client, producer, consumer",
    ),
    required("status", Form::Word, "`status.code`: unset, ok, error"),
    optional("status_message", Form::Text, "`status.message`"),
    optional("trace_state", Form::Word, "`trace_state`"),
    optional("flags", Form::Small, "`flags`; null for 0"),
    optional(
        "weight",
        Form::Double,
        "How many spans this one stands for, from the sampler (`ot=th:`, `sampling` attributes); \
         null for one",
    ),
    SCOPE_NAME,
    SCOPE_VERSION,
    RESOURCE_SCHEMA_URL,
    SCOPE_SCHEMA_URL,
    DROPPED,
    optional("dropped_events", Form::Small, "Events that the SDK dropped; null for none"),
    optional("dropped_links", Form::Small, "Links that the SDK dropped; null for none"),
    optional("events", Form::Events, "`events`, attribute keys without prefix; null for none"),
    optional("links", Form::Links, "`links`, attribute keys without prefix; null for none"),
    ATTRIBUTES,
];

/// One row is one log record.
pub(super) const LOGS: &[Column] = &[
    required("time", Form::Time, "`time_unix_nano`; the observed time where that is missing"),
    optional("observed_time", Form::Time, "`observed_time_unix_nano`"),
    optional("trace_id", Form::TraceId, "`trace_id`"),
    optional("span_id", Form::SpanId, "`span_id`"),
    REQUEST_ID,
    SERVICE,
    optional("severity_number", Form::Small, "`severity_number`, 1 (trace) to 24 (fatal 4)"),
    optional("severity_text", Form::Word, "`severity_text` as the source wrote it"),
    optional("event_name", Form::Word, "`event_name`"),
    optional("body", Form::Text, "`body`; one that is no text in its stored form"),
    optional(
        "body_type",
        Form::Small,
        "Type tag of a body that is no text, as in attributes; null for text",
    ),
    optional("flags", Form::Small, "`flags`; null for 0"),
    SCOPE_NAME,
    SCOPE_VERSION,
    RESOURCE_SCHEMA_URL,
    SCOPE_SCHEMA_URL,
    DROPPED,
    ATTRIBUTES,
];

/// One row is one point of one series.
pub(super) const METRICS: &[Column] = &[
    required(
        "series",
        Form::Count,
        "The series: a hash of name, unit, kind, temporality, resource, scope and attributes",
    ),
    required("time", Form::Time, "`time_unix_nano`"),
    optional("start_time", Form::Time, "`start_time_unix_nano`; null for none"),
    SERVICE,
    required("name", Form::Word, "Name of the metric"),
    optional("description", Form::Word, "`description`"),
    optional("unit", Form::Word, "`unit` (UCUM)"),
    required("kind", Form::Word, "gauge, sum, histogram, exponential_histogram, summary"),
    optional("temporality", Form::Word, "delta, cumulative; null for gauges and summaries"),
    optional("monotonic", Form::Bool, "Sums: whether the value only grows"),
    optional("flags", Form::Small, "`flags`; 1 = no recorded value; null for 0"),
    optional("value_int", Form::Int, "Gauges and sums: the value, where it was sent as integer"),
    optional("value_double", Form::Double, "Gauges and sums: the value, where sent as float"),
    optional("count", Form::Count, "Histograms and summaries: number of values"),
    optional("sum", Form::Double, "Histograms and summaries: sum of the values"),
    optional("min", Form::Double, "Histograms: smallest value"),
    optional("max", Form::Double, "Histograms: largest value"),
    optional("bounds", Form::Doubles, "Histograms: `explicit_bounds`"),
    optional("buckets", Form::Counts, "Histograms: `bucket_counts`"),
    optional("scale", Form::Int, "Exponential histograms: base is 2^(2^-scale)"),
    optional("zero_count", Form::Count, "Exponential histograms: values around zero"),
    optional("zero_threshold", Form::Double, "Exponential histograms: width of the zero bucket"),
    optional("positive_offset", Form::Int, "Exponential histograms: index of the first bucket"),
    optional("positive_buckets", Form::Counts, "Exponential histograms: counts above zero"),
    optional("negative_offset", Form::Int, "Exponential histograms: index of the first bucket"),
    optional("negative_buckets", Form::Counts, "Exponential histograms: counts below zero"),
    optional("quantiles", Form::Quantiles, "Summaries: `quantile_values`"),
    optional("exemplars", Form::Exemplars, "Exemplars with trace and span; null for none"),
    SCOPE_NAME,
    SCOPE_VERSION,
    RESOURCE_SCHEMA_URL,
    SCOPE_SCHEMA_URL,
    ATTRIBUTES,
];
