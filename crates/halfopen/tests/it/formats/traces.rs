//! Jaeger and Zipkin.

use halfopen_ingest::import::{Format, ImportSettings};
use halfopen_model::Table;

use super::{rows, rows_of};

const JAEGER: &str = r#"{"data":[{"traceID":"7f3","spans":[
    {"traceID":"7f3","spanID":"a1","flags":1,"operationName":"GET /cart",
     "references":[],"startTime":1795185000000001,"duration":2500,
     "tags":[{"key":"span.kind","type":"string","value":"server"},
             {"key":"http.status_code","type":"int64","value":500},
             {"key":"error","type":"bool","value":true},
             {"key":"otel.status_description","type":"string","value":"no stock"},
             {"key":"otel.scope.name","type":"string","value":"axum"},
             {"key":"ratio","type":"float64","value":0.5},
             {"key":"x-request-id","type":"string","value":"req_8"}],
     "logs":[{"timestamp":1795185000000002,"fields":[
        {"key":"event","type":"string","value":"retry"},
        {"key":"attempt","type":"int64","value":2}]}],
     "processID":"p1","warnings":["clock skew"]},
    {"traceID":"7f3","spanID":"req-b","operationName":"SELECT",
     "references":[{"refType":"FOLLOWS_FROM","traceID":"9","spanID":"c"},
                   {"refType":"CHILD_OF","traceID":"7f3","spanID":"a1"}],
     "startTime":1795185000000003,"tags":[],"logs":[],"processID":"p2"},
    {"traceID":"7f3","spanID":"0","operationName":"x","startTime":1,"processID":"p1"}],
   "processes":{"p1":{"serviceName":"cart","tags":[{"key":"host.name","type":"string",
     "value":"node-3"}]},"p2":{"serviceName":"stock"}}}],"total":0}"#;

#[test]
fn a_jaeger_trace_keeps_ids_kinds_status_events_links_and_processes() {
    let found = rows(JAEGER);
    let spans = found.cells(Table::Spans);
    assert_eq!(spans.len(), 2);
    let trace = spans.trace_id("trace_id", 0).map(|id| id.to_string());
    assert_eq!(trace.as_deref(), Some("000000000000000000000000000007f3"));
    assert_eq!(spans.text("service", 0), Some("cart"));
    assert_eq!((spans.text("kind", 0), spans.text("status", 0)), (Some("server"), Some("error")));
    assert_eq!(spans.text("status_message", 0), Some("no stock"));
    assert_eq!(spans.text("scope_name", 0), Some("axum"));
    assert_eq!(spans.text("request_id", 0), Some("req_8"));
    assert_eq!(spans.int("duration_ns", 0), Some(2_500_000));
    let start = spans.time("start_time", 0).map(|time| time.0);
    assert_eq!(start, Some(1_795_185_000_000_001_000));
    let attributes = found.attributes(Table::Spans, 0);
    let expected = [
        "resource.host.name=node-3",
        "span.http.response.status_code=500",
        "span.jaeger.warning=clock skew",
        "span.ratio=0.5",
        "span.x-request-id=req_8",
    ];
    assert_eq!(attributes, expected);
    let parent = spans.span_id("parent_span_id", 1).map(|id| id.to_string());
    assert_eq!(parent.as_deref(), Some("00000000000000a1"));
    assert_eq!(spans.int("duration_ns", 1), None);
    let raw = found.attributes(Table::Spans, 1);
    assert_eq!(raw, ["halfopen.raw.span_id=req-b"]);
    let columns = |name: &str| {
        let batch = found.0.iter().find(|batch| batch.table == Table::Spans).expect("spans");
        let column = batch.rows.column_by_name(name).expect("a column").clone();
        arrow::util::display::array_value_to_string(&column, usize::from(name == "links"))
            .expect("it can be shown")
    };
    assert!(columns("events").contains("retry"), "{}", columns("events"));
    assert!(columns("links").contains("follows_from"), "{}", columns("links"));
    let reasons = found.reasons();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].starts_with("import a.file: trace 1, byte 9, span 2: the span id is"));
}

const ZIPKIN: &str = r#"[[{"traceId":"5982fe77008310cc80f1da5e10147519",
  "parentId":"90394f6bcffb5d13",
  "id":"67fae42571535f60","kind":"SERVER","name":"/m/n/2.6.1","timestamp":1516781775726000,
  "duration":26000,"localEndpoint":{"serviceName":"api","ipv4":"10.1.1.2","port":80},
  "remoteEndpoint":{"serviceName":"app","ipv6":"::1"},
  "annotations":[{"timestamp":1516781775726001,"value":"foo"}],
  "tags":{"http.path":"/api","error":"timeout"},"shared":true}],
  [{"traceId":"48485a3953bb6124","id":"1","name":"x"},
   {"traceId":"48485a3953bb6124","id":"1","name":"x","timestamp":1}]]"#;

#[test]
fn zipkin_spans_keep_endpoints_annotations_and_errors() {
    let found = rows(ZIPKIN);
    let spans = found.cells(Table::Spans);
    assert_eq!(spans.len(), 2);
    assert_eq!((spans.text("service", 0), spans.text("service", 1)), (Some("api"), None));
    assert_eq!((spans.text("kind", 0), spans.text("kind", 1)), (Some("server"), Some("internal")));
    assert_eq!(spans.text("status_message", 0), Some("timeout"));
    assert_eq!(spans.int("duration_ns", 0), Some(26_000_000));
    let expected = [
        "span.error=timeout",
        "span.http.path=/api",
        "span.network.local.address=10.1.1.2",
        "span.network.local.port=80",
        "span.network.peer.address=::1",
        "span.service.peer.name=app",
        "span.zipkin.shared=true",
    ];
    assert_eq!(found.attributes(Table::Spans, 0), expected);
    let reasons = found.reasons();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].ends_with("span 0: no timestamp"), "{reasons:?}");
}

#[test]
fn things_without_a_service_get_the_one_that_was_given() {
    let settings = ImportSettings { service: Some("shop".into()), ..Default::default() };
    let text = r#"[{"traceId":"1","id":"1","timestamp":1}]"#;
    let found = rows_of(Format::Zipkin, &settings, text.as_bytes());
    assert_eq!(found.cells(Table::Spans).text("service", 0), Some("shop"));
}
