//! Random requests.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Keys with a column, keys of correlation ids, and others.
const KEYS: &[&str] = &[
    "service.name",
    "service.version",
    "process.pid",
    "http.route",
    "http.response.status_code",
    "error.type",
    "thread.id",
    "x-request-id",
    "http.request.header.x-correlation-id",
    "session.id",
    "order.id",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,4}", "[a-c\"\\\\\n\u{0}\u{1f}é{}]{1,6}"]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(1e300), -1e6..1e6_f64, Just(5e-324)]
}

/// prost leaves out a negative zero where the field is not optional.
fn plain_double() -> impl Strategy<Value = f64> {
    double().prop_map(|value| if value == 0.0 { 0.0 } else { value })
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(i64::MIN), Just(i64::MAX), -1_000..1_000_i64]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 1_795_185_000_000_000_000..1_795_185_001_000_000_000_u64,
        1 => Just(0),
        1 => Just(u64::MAX),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        2 => int().prop_map(Value::IntValue),
        1 => double().prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..5).prop_map(Value::BytesValue),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let any = inner.prop_map(|value| AnyValue { value: Some(value) });
        let pair = ("[a-z\"]{0,3}", any.clone()).prop_map(|(key, value)| KeyValue {
            key,
            value: Some(value),
            ..KeyValue::default()
        });
        prop_oneof![
            vec(any, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(pair, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Option<AnyValue>> {
    option::weighted(0.95, value()).prop_map(|value| Some(AnyValue { value }))
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![
        3 => proptest::sample::select(KEYS).prop_map(str::to_owned),
        1 => "[a-z.]{0,5}",
    ];
    let pair =
        (key, any_value()).prop_map(|(key, value)| KeyValue { key, value, ..KeyValue::default() });
    vec(pair, 0..6)
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), bytes),
        1 => Just(Vec::new()),
        1 => Just(vec![0; bytes]),
    ]
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    option::weighted(0.9, (attributes(), 0..3_u32)).prop_map(|parts| {
        parts.map(|(attributes, dropped_attributes_count)| Resource {
            attributes,
            dropped_attributes_count,
            ..Resource::default()
        })
    })
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let parts = (text(), text(), attributes(), 0..2_u32);
    option::weighted(0.9, parts).prop_map(|parts| {
        parts.map(|(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        })
    })
}

fn event() -> impl Strategy<Value = Event> {
    (time(), text(), attributes(), 0..2_u32).prop_map(
        |(time_unix_nano, name, attributes, dropped)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: dropped,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8), text(), attributes(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count: flags % 3,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), id(8));
    let trace_state = prop_oneof![Just(""), Just("ot=th:8"), Just("a=b,ot=rv:1;th:c")];
    let head = (trace_state, text(), -1..8_i32, time(), time(), any::<u32>());
    let parts = (attributes(), vec(event(), 0..3), vec(link(), 0..2));
    let status = option::of((text(), 0..4_i32));
    (ids, head, parts, status, vec(0..3_u32, 3)).prop_map(|(ids, head, parts, status, dropped)| {
        Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            trace_state: head.0.to_owned(),
            name: head.1,
            kind: head.2,
            start_time_unix_nano: head.3,
            end_time_unix_nano: head.4,
            flags: head.5,
            attributes: parts.0,
            events: parts.1,
            links: parts.2,
            status: status.map(|(message, code)| Status { message, code }),
            dropped_attributes_count: dropped[0],
            dropped_events_count: dropped[1],
            dropped_links_count: dropped[2],
        }
    })
}

pub(crate) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans = (scope(), vec(span(), 0..4), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let resource_spans = (resource(), vec(scope_spans, 0..3), text()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url },
    );
    vec(resource_spans, 1..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn record() -> impl Strategy<Value = LogRecord> {
    let head = (time(), time(), -1..26_i32, text(), any::<u32>(), text());
    let body = option::of(any_value()).prop_map(Option::flatten);
    (head, body, attributes(), id(16), id(8)).prop_map(
        |(head, body, attributes, trace_id, span_id)| LogRecord {
            time_unix_nano: head.0,
            observed_time_unix_nano: head.1,
            severity_number: head.2,
            severity_text: head.3,
            flags: head.4,
            event_name: head.5,
            dropped_attributes_count: head.4 % 2,
            body,
            attributes,
            trace_id,
            span_id,
        },
    )
}

pub(crate) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope_logs = (scope(), vec(record(), 0..4), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let resource_logs = (resource(), vec(scope_logs, 0..3), text()).prop_map(
        |(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url },
    );
    vec(resource_logs, 1..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = prop_oneof![
        int().prop_map(exemplar::Value::AsInt),
        double().prop_map(exemplar::Value::AsDouble),
    ];
    let one = (attributes(), time(), id(8), id(16), value).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value: Some(value),
        },
    );
    vec(one, 0..3)
}

fn number_points() -> impl Strategy<Value = Vec<NumberDataPoint>> {
    let value = prop_oneof![
        int().prop_map(number_data_point::Value::AsInt),
        double().prop_map(number_data_point::Value::AsDouble),
    ];
    let one = (attributes(), time(), time(), exemplars(), option::of(value), 0..2_u32).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, value, flags)| {
            NumberDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                exemplars,
                flags,
                value,
            }
        },
    );
    vec(one, 0..3)
}

fn histogram_points() -> impl Strategy<Value = Vec<HistogramDataPoint>> {
    let numbers = (any::<u64>(), option::of(double()), option::of(double()), 0..2_u32);
    let lists = (vec(any::<u64>(), 0..4), vec(double(), 0..3));
    let one = (attributes(), time(), time(), exemplars(), numbers, lists).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, numbers, lists)| {
            HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: numbers.0,
                sum: numbers.1,
                bucket_counts: lists.0,
                explicit_bounds: lists.1,
                exemplars,
                flags: numbers.3,
                min: numbers.2,
                max: numbers.1,
            }
        },
    );
    vec(one, 0..3)
}

fn buckets() -> impl Strategy<Value = Option<Buckets>> {
    option::of((any::<i32>(), vec(any::<u64>(), 0..3)))
        .prop_map(|parts| parts.map(|(offset, bucket_counts)| Buckets { offset, bucket_counts }))
}

fn exponential_points() -> impl Strategy<Value = Vec<ExponentialHistogramDataPoint>> {
    let numbers = (any::<u64>(), option::of(double()), any::<i32>(), any::<u64>(), plain_double());
    let one = (attributes(), time(), exemplars(), numbers, buckets(), buckets()).prop_map(
        |(attributes, time_unix_nano, exemplars, numbers, positive, negative)| {
            ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: time_unix_nano / 2,
                time_unix_nano,
                count: numbers.0,
                sum: numbers.1,
                scale: numbers.2,
                zero_count: numbers.3,
                positive,
                negative,
                flags: 1,
                exemplars,
                min: numbers.1,
                max: None,
                zero_threshold: numbers.4,
            }
        },
    );
    vec(one, 0..2)
}

fn summary_points() -> impl Strategy<Value = Vec<SummaryDataPoint>> {
    let quantile = (plain_double(), plain_double())
        .prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let one = (attributes(), time(), any::<u64>(), plain_double(), vec(quantile, 0..3)).prop_map(
        |(attributes, time_unix_nano, count, sum, quantile_values)| SummaryDataPoint {
            attributes,
            start_time_unix_nano: 0,
            time_unix_nano,
            count,
            sum,
            quantile_values,
            flags: 0,
        },
    );
    vec(one, 0..3)
}

fn data() -> impl Strategy<Value = Data> {
    let temporality = || 0..4_i32;
    prop_oneof![
        number_points().prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (number_points(), temporality(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| {
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
            }
        ),
        (histogram_points(), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (exponential_points(), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality,
            })
        }),
        summary_points().prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

pub(crate) fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metric = (text(), text(), text(), attributes(), data()).prop_map(
        |(name, description, unit, metadata, data)| Metric {
            name,
            description,
            unit,
            metadata,
            data: Some(data),
        },
    );
    let scope_metrics = (scope(), vec(metric, 0..3), text())
        .prop_map(|(scope, metrics, schema_url)| ScopeMetrics { scope, metrics, schema_url });
    let resource_metrics = (resource(), vec(scope_metrics, 0..2), text()).prop_map(
        |(resource, scope_metrics, schema_url)| ResourceMetrics {
            resource,
            scope_metrics,
            schema_url,
        },
    );
    vec(resource_metrics, 1..3)
        .prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}
