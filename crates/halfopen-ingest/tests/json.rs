//! OTLP/JSON as senders really write it.

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Outcome, Signal};
use halfopen_model::batch::Cells;
use halfopen_model::{AttributeValue, Batch, Table, TraceId, UnixNanos};

const ARRIVAL: Arrival<'static> = Arrival { sender: "127.0.0.1:9", at: UnixNanos(5_000) };

fn decode(signal: Signal, body: &str) -> (Outcome, Vec<Batch>) {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let outcome = builder.decode(signal, Encoding::Json, body.as_bytes(), &ARRIVAL);
    (outcome, builder.finish())
}

fn table(batches: &[Batch], table: Table) -> Cells<'_> {
    let batch = batches.iter().find(|batch| batch.table == table).expect("the table has rows");
    Cells::new(&batch.rows)
}

fn spans(items: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{items}]}}]}}]}}"#)
}

const IDS: &str = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174""#;

#[test]
fn both_spellings_of_names_numbers_and_enums_are_read() {
    let camel = format!(
        r#"{{{IDS},"name":"a","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":1544712661000000000,"status":{{"code":"STATUS_CODE_ERROR"}}}}"#
    );
    let snake = r#"{"trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174",
        "name":"a","kind":2,"start_time_unix_nano":1544712660000000000,
        "end_time_unix_nano":"1544712661000000000","status":{"code":"2"}}"#;
    let (outcome, batches) = decode(Signal::Traces, &spans(&format!("{camel},{snake}")));
    assert_eq!((outcome.accepted, outcome.problem), (2, None));
    let batch = &batches[0];
    assert_eq!(batch.fingerprints[0], batch.fingerprints[1]);
    let cells = table(&batches, Table::Spans);
    assert_eq!((cells.text("kind", 0), cells.text("status", 1)), (Some("server"), Some("error")));
    assert_eq!(cells.int("duration_ns", 1), Some(1_000_000_000));
}

#[test]
fn values_keep_their_type_and_their_last_bit() {
    let attributes = r#"
        {"key":"int","value":{"intValue":"9223372036854775807"}},
        {"key":"number","value":{"intValue":-9007199254740993}},
        {"key":"double","value":{"doubleValue":926492.6993163751}},
        {"key":"nan","value":{"doubleValue":"NaN"}},
        {"key":"infinity","value":{"doubleValue":"-Infinity"}},
        {"key":"bytes","value":{"bytesValue":"AAEC/w"}},
        {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"doubleValue":1}]}}},
        {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}},
        {"key":"empty","value":{}},{"key":"nothing"}"#;
    let span = format!(r#"{{{IDS},"attributes":[{attributes}]}}"#);
    let (outcome, batches) = decode(Signal::Traces, &spans(&span));
    assert_eq!(outcome.problem, None);
    let cells = table(&batches, Table::Spans);
    let text = |key: &str| {
        let value = cells.attribute(&format!("span.{key}"), 0).expect("kept");
        format!("{:?} {}", value.value_type(), value.to_text())
    };
    assert_eq!(text("int"), "Int 9223372036854775807");
    assert_eq!(text("number"), "Int -9007199254740993");
    assert_eq!(text("double"), "Double 926492.6993163751");
    assert_eq!(text("nan"), "Double NaN");
    assert_eq!(text("infinity"), "Double -inf");
    assert_eq!(text("bytes"), "Bytes AAEC/w==");
    assert_eq!(text("list"), "List [\"a\",1.0]");
    assert_eq!(text("map"), "Map {\"k\":true}");
    assert_eq!((text("empty"), text("nothing")), ("Empty ".to_owned(), "Empty ".to_owned()));
}

#[test]
fn histograms_with_numbers_as_text_do_not_vanish() {
    let body = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"latency","unit":"s",
        "histogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","dataPoints":[
        {"timeUnixNano":"1544712660300000000","count":"3","sum":4.5,"bucketCounts":["1",2,"0"],
        "explicitBounds":[0.1,1],"min":0.5,"max":"Infinity"},
        {"timeUnixNano":"1544712660300000000","count":"three"},
        {"timeUnixNano":1544712660300000000,"count":1.0}]}}]}]}]}"#;
    let (outcome, batches) = decode(Signal::Metrics, body);
    assert_eq!((outcome.accepted, outcome.rejected), (2, 1));
    let problem = outcome.problem.expect("a problem");
    let path = "resourceMetrics[0].scopeMetrics[0].metrics[0].histogram.dataPoints[1].count";
    assert!(problem.contains(path), "{problem}");
    let cells = table(&batches, Table::Metrics);
    assert_eq!((cells.count("count", 0), cells.double("sum", 0)), (Some(3), Some(4.5)));
    assert_eq!(cells.double("max", 0), Some(f64::INFINITY));
    assert_eq!((cells.count("count", 1), cells.text("temporality", 1)), (Some(1), Some("delta")));
    assert_eq!(cells.count("series", 0), cells.count("series", 1));
    let raw = table(&batches, Table::Rejects).bytes("raw", 0).expect("its JSON");
    assert!(raw.ends_with(b"\"count\":\"three\"}"));
}

#[test]
fn ids_that_are_no_hex_are_hashed_and_kept_and_short_ones_padded() {
    let span = r#"{"traceId":"order/4711","spanId":"b174","parentSpanId":"not-hex"}"#;
    let (outcome, batches) = decode(Signal::Traces, &spans(&format!("{span},{span}")));
    assert_eq!((outcome.accepted, outcome.problem), (2, None));
    let cells = table(&batches, Table::Spans);
    let kept = |column: &str| cells.attribute(&format!("halfopen.raw.{column}"), 0);
    let text = |text: &str| Some(AttributeValue::Text(text.to_owned()));
    assert_eq!(kept("trace_id"), text("order/4711"));
    assert_eq!(kept("parent_span_id"), text("not-hex"));
    assert_eq!(kept("span_id"), None);
    assert_eq!(cells.trace_id("trace_id", 0), cells.trace_id("trace_id", 1));
    let span_id = cells.span_id("span_id", 0).expect("an id");
    assert_eq!(span_id.to_string(), "000000000000b174");
}

#[test]
fn a_span_without_a_trace_is_rejected_with_its_json() {
    let zero = r#"{"traceId":"00000000000000000000000000000000","spanId":"EEE19B7EC3C1B174"}"#;
    let good = format!("{{{IDS}}}");
    let (outcome, batches) = decode(Signal::Traces, &spans(&format!("{zero},{good},7")));
    assert_eq!((outcome.accepted, outcome.rejected), (1, 2));
    let rejects = table(&batches, Table::Rejects);
    assert_eq!(rejects.bytes("raw", 0), Some(zero.as_bytes()));
    assert_eq!(rejects.bytes("raw", 1), Some(&b"7"[..]));
    let reason = rejects.text("reason", 0).expect("a reason");
    let path = "resourceSpans[0].scopeSpans[0].spans[0]";
    assert_eq!(reason, format!("{path}: the trace id is missing or zero"));
}

#[test]
fn a_log_record_keeps_an_id_of_zeros_as_none() {
    let zeros = "0".repeat(32);
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"traceId":"{zeros}","spanId":"",
        "severityNumber":"SEVERITY_NUMBER_WARN","body":{{"stringValue":"x"}}}}]}}]}}]}}"#
    );
    let (_, batches) = decode(Signal::Logs, &body);
    let cells = table(&batches, Table::Logs);
    assert_eq!(cells.trace_id("trace_id", 0), None::<TraceId>);
    assert_eq!(cells.small("severity_number", 0), Some(13));
    assert_eq!(cells.time("time", 0), Some(ARRIVAL.at), "no time of its own");
}

#[test]
fn items_whose_json_is_broken_lose_only_themselves() {
    let good = format!("{{{IDS},\"name\":\"kept\"}}");
    let broken = format!("{{{IDS},\"name\":oops}}");
    let (outcome, batches) = decode(Signal::Traces, &spans(&format!("{good},{broken},{good}")));
    assert_eq!((outcome.accepted, outcome.rejected, outcome.unreadable), (2, 1, false));
    assert_eq!(table(&batches, Table::Rejects).bytes("raw", 0), Some(broken.as_bytes()));

    let cut = spans(&format!("{good},{good},{good}"));
    let cut = &cut[..cut.len() - 30];
    let (outcome, batches) = decode(Signal::Traces, cut);
    assert_eq!((outcome.accepted, outcome.rejected), (2, 1));
    assert_eq!(table(&batches, Table::Spans).text("name", 1), Some("kept"));
}

#[test]
fn json_that_is_not_utf8_is_read_and_the_loss_is_said() {
    let body = spans(&format!("{{{IDS},\"name\":\"caf?\"}}"));
    let body: Vec<u8> = body.bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let outcome = builder.decode(Signal::Traces, Encoding::Json, &body, &ARRIVAL);
    assert_eq!((outcome.accepted, outcome.rejected), (1, 0));
    assert!(outcome.problem.expect("a problem").contains("not UTF-8"));
    let batches = builder.finish();
    assert_eq!(table(&batches, Table::Spans).text("name", 0), Some("caf\u{fffd}"));
}
