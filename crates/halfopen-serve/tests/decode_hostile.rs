//! Input that is broken, huge, deep or strange: nothing panics, the rest is kept, and what was
//! lost can be found.

use halfopen_ingest::{
    Arrival, BODY_BYTES_MAX, Encoding, EvidenceBuilder, IngestSettings, Outcome, Signal, sample,
};
use halfopen_model::batch::{Cells, conform};
use halfopen_model::{AttributeValue, Batch, Table, UnixNanos, schema};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use prost::Message;

const ARRIVAL: Arrival<'static> = Arrival { sender: "10.0.0.7:4711", at: UnixNanos(5_000) };

fn decode_with(
    settings: IngestSettings,
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
) -> (Outcome, Vec<Batch>) {
    let mut builder = EvidenceBuilder::new(settings);
    let outcome = builder.decode(signal, encoding, body, &ARRIVAL);
    let batches = builder.finish();
    for batch in &batches {
        let rows = conform(&batch.rows, &schema::schema(batch.table)).expect("it fits its schema");
        assert_eq!(rows.num_rows(), batch.fingerprints.len());
    }
    (outcome, batches)
}

fn decode(signal: Signal, encoding: Encoding, body: &[u8]) -> (Outcome, Vec<Batch>) {
    decode_with(IngestSettings::default(), signal, encoding, body)
}

fn table(batches: &[Batch], table: Table) -> Cells<'_> {
    let batch = batches.iter().find(|batch| batch.table == table).expect("the table has rows");
    Cells::new(&batch.rows)
}

fn rows(batches: &[Batch], table: Table) -> usize {
    let ours = batches.iter().filter(|batch| batch.table == table);
    ours.map(|batch| batch.rows.num_rows()).sum()
}

/// A log record with this body.
fn log_with(body: Value) -> Vec<u8> {
    let record = LogRecord {
        time_unix_nano: 7,
        body: Some(AnyValue { value: Some(body) }),
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
}

/// Wraps bytes as a message in a field.
fn wrap(field: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    let mut length = message.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(message);
    out
}

fn json_of(body: &[u8]) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    serde_json::to_vec(&request).expect("JSON")
}

fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn any_bytes_are_read_or_rejected(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for signal in Signal::ALL {
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                let (outcome, batches) = decode(signal, encoding, &body);
                let rejects = rows(&batches, Table::Rejects);
                prop_assert_eq!(outcome.problem.is_some(), rejects > 0);
                prop_assert_eq!(outcome.accepted as usize, rows(&batches, signal.table()));
                prop_assert!(!outcome.unreadable || rejects > 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn flipped_bits_lose_no_more_than_is_reported(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
        is_json in any::<bool>(),
    ) {
        let mut body = sample::traces(3, 8, 6);
        let encoding = if is_json { Encoding::Json } else { Encoding::Protobuf };
        if is_json {
            body = json_of(&body);
        }
        for (index, bit) in flips {
            let position = index.index(body.len());
            body[position] ^= 1 << bit;
        }
        for signal in Signal::ALL {
            let (outcome, batches) = decode(signal, encoding, &body);
            prop_assert_eq!(outcome.accepted as usize, rows(&batches, signal.table()));
            prop_assert_eq!(outcome.rejected == 0 || outcome.problem.is_some(), true);
        }
    }

    #[test]
    fn a_body_that_is_cut_short_keeps_its_whole_spans(
        cut in any::<prop::sample::Index>(),
        is_json in any::<bool>(),
    ) {
        let whole = sample::traces(3, 300, 4);
        let (encoding, whole) = match is_json {
            true => (Encoding::Json, json_of(&whole)),
            false => (Encoding::Protobuf, whole),
        };
        let length = cut.index(whole.len() - 1) + 1;
        let (outcome, batches) = decode(Signal::Traces, encoding, &whole[..length]);
        prop_assert_eq!(outcome.accepted as usize, rows(&batches, Table::Spans));
        let share = length as f64 / whole.len() as f64;
        let least = (share * 300.0) as i64 - 8;
        prop_assert!(outcome.accepted as i64 >= least, "{} of {share}", outcome.accepted);
        prop_assert!(outcome.accepted == 300 || rows(&batches, Table::Rejects) >= 1 || length < 3);
    }
}

#[test]
fn a_broken_span_loses_only_itself_and_can_be_found() {
    let good = sample::traces(1, 1, 3);
    let request = ExportTraceServiceRequest::decode(&*good).expect("OTLP");
    let span = request.resource_spans[0].scope_spans[0].spans[0].encode_to_vec();
    let mut no_trace = request.resource_spans[0].scope_spans[0].spans[0].clone();
    no_trace.trace_id = vec![1; 5];
    let broken = b"\x0a\x10only four";
    let scope =
        [wrap(2, &span), wrap(2, broken), wrap(2, &no_trace.encode_to_vec()), wrap(2, &span)];
    let body = wrap(1, &wrap(2, &scope.concat()));
    let (outcome, batches) = decode(Signal::Traces, Encoding::Protobuf, &body);
    assert_eq!((outcome.accepted, outcome.rejected, outcome.unreadable), (2, 2, false));
    let rejects = table(&batches, Table::Rejects);
    assert_eq!(rejects.len(), 2);
    assert_eq!(rejects.bytes("raw", 0), Some(&broken[..]));
    assert_eq!(rejects.text("format", 0), Some("otlp/protobuf traces"));
    assert_eq!(rejects.text("sender", 0), Some("10.0.0.7:4711"));
    assert_eq!(rejects.time("time", 0), Some(UnixNanos(5_000)));
    let reason = rejects.text("reason", 0).expect("a reason");
    assert!(reason.starts_with("span 2, at byte "), "{reason}");
    let reason = rejects.text("reason", 1).expect("a reason");
    assert!(reason.ends_with("the trace id has 5 bytes instead of 16"), "{reason}");
    assert!(outcome.problem.expect("a problem").starts_with("2 spans not kept; the first"));
}

#[test]
fn a_row_that_breaks_late_leaves_nothing_behind() {
    let good = sample::traces(1, 1, 12);
    let request = ExportTraceServiceRequest::decode(&*good).expect("OTLP");
    let span = request.resource_spans[0].scope_spans[0].spans[0].encode_to_vec();
    // The last attribute claims to be longer than it is.
    let broken = [&span[..], &wrap(9, b"\x0a\x01k\x12\x05\x0a\x7f")].concat();
    let scope = [wrap(2, &span), wrap(2, &broken), wrap(2, &span)].concat();
    let body = wrap(1, &wrap(2, &scope));
    let (outcome, batches) = decode(Signal::Traces, Encoding::Protobuf, &body);
    assert_eq!((outcome.accepted, outcome.rejected), (2, 1));
    let spans = table(&batches, Table::Spans);
    assert_eq!(spans.attributes(0), spans.attributes(1));
    let batch = batches.iter().find(|batch| batch.table == Table::Spans).expect("spans");
    assert_eq!(batch.fingerprints[0], batch.fingerprints[1], "the same span twice");
}

#[test]
fn what_is_no_otlp_at_all_is_unreadable() {
    for (encoding, body) in [
        (Encoding::Protobuf, &b"{\"resourceSpans\":[]}"[..]),
        (Encoding::Protobuf, b"hello world"),
        (Encoding::Protobuf, b"\x78\x05"),
        (Encoding::Json, b"hello world"),
        (Encoding::Json, b"[1,2]"),
        (Encoding::Json, b"{\"spans\":[]}"),
        (Encoding::Json, b"\x0a\x00\xff"),
    ] {
        let (outcome, batches) = decode(Signal::Traces, encoding, body);
        assert!(outcome.unreadable && outcome.problem.is_some(), "{body:?}: {outcome:?}");
        assert_eq!(table(&batches, Table::Rejects).bytes("raw", 0), Some(body));
    }
    for body in [&b""[..], b"\x0a\x00"] {
        let (outcome, batches) = decode(Signal::Traces, Encoding::Protobuf, body);
        assert_eq!((outcome, batches.len()), (Outcome::default(), 0));
    }
    let (outcome, _) = decode(Signal::Logs, Encoding::Json, b"{}");
    assert_eq!(outcome, Outcome::default());
}

#[test]
fn values_nested_too_deeply_are_kept_as_text_with_a_note() {
    for (levels, is_deep) in [(32, false), (33, true), (20_000, true)] {
        let mut value = wrap(1, b"core");
        for _ in 0..levels {
            value = wrap(5, &wrap(1, &value));
        }
        let record = wrap(6, &[wrap(1, b"k"), wrap(2, &value)].concat());
        let body = wrap(1, &wrap(2, &wrap(2, &record)));
        let (outcome, batches) = decode(Signal::Logs, Encoding::Protobuf, &body);
        assert_eq!((outcome.accepted, outcome.rejected), (1, 0));
        match table(&batches, Table::Logs).attribute("log.k", 0) {
            Some(AttributeValue::List(text)) => assert!(!is_deep && text.contains("\"core\"")),
            Some(AttributeValue::Text(text)) => {
                assert!(is_deep && text.contains("deeper than 32 levels"), "{levels}");
            }
            other => panic!("{levels}: {other:?}"),
        }
    }
}

#[test]
fn json_nested_too_deeply_loses_only_its_item() {
    let mut value = String::from("{\"stringValue\":\"core\"}");
    for _ in 0..200_000 {
        value = ["{\"arrayValue\":{\"values\":[", &value, "]}}"].concat();
        if value.len() > 200_000 {
            break;
        }
    }
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[
            {{"body":{value}}},{{"body":{{"stringValue":"kept"}}}}]}}]}}]}}"#
    );
    let (outcome, batches) = decode(Signal::Logs, Encoding::Json, body.as_bytes());
    assert_eq!((outcome.accepted, outcome.rejected, outcome.unreadable), (1, 1, false));
    assert_eq!(table(&batches, Table::Logs).text("body", 0), Some("kept"));
}

#[test]
fn a_small_body_that_would_grow_without_end_is_stopped() {
    // One attribute of the resource, repeated in every row: 1 KiB times 100,000.
    let resource = wrap(1, &[wrap(1, b"k"), wrap(2, &wrap(1, &[b'x'; 1_024]))].concat());
    let scope = wrap(2, &[]).repeat(100_000);
    let body = [wrap(1, &resource), wrap(2, &scope)].concat();
    let body = wrap(1, &body);
    let settings = IngestSettings { builder_bytes_max: 16 << 20, ..IngestSettings::default() };
    let (outcome, batches) = decode_with(settings, Signal::Logs, Encoding::Protobuf, &body);
    assert!((1..20_000).contains(&outcome.accepted), "{outcome:?}");
    assert_eq!(outcome.accepted + outcome.rejected, 100_000);
    let rejects = table(&batches, Table::Rejects);
    assert_eq!((rejects.len(), rejects.count("items", 0)), (1, Some(outcome.rejected)));
}

/// Every scope refers to its resource: read again for each, this would be 100 GB.
#[test]
fn a_large_resource_with_many_scopes_is_not_read_again_and_again() {
    let resource = wrap(1, &[wrap(1, b"k"), wrap(2, &wrap(1, &vec![b'x'; 1 << 20]))].concat());
    let scope = |index: u32| {
        let name = wrap(1, &wrap(1, &index.to_le_bytes()));
        wrap(2, &[name, wrap(2, &[])].concat())
    };
    let scopes: Vec<u8> = (0..100_000).flat_map(scope).collect();
    let body = wrap(1, &[wrap(1, &resource), scopes].concat());
    let settings = IngestSettings { builder_bytes_max: 16 << 20, ..IngestSettings::default() };
    let (outcome, _) = decode_with(settings, Signal::Logs, Encoding::Protobuf, &body);
    assert!((1..20).contains(&outcome.accepted), "{outcome:?}");
    assert_eq!(outcome.accepted + outcome.rejected, 100_000);
}

#[test]
fn items_beyond_the_bound_are_counted_not_kept() {
    let body = sample::traces(1, 50, 1);
    let settings = IngestSettings { items_max: 20, ..IngestSettings::default() };
    let (outcome, batches) = decode_with(settings, Signal::Traces, Encoding::Protobuf, &body);
    assert_eq!((outcome.accepted, outcome.rejected), (20, 30));
    let rejects = table(&batches, Table::Rejects);
    let reason = "30 spans beyond the number of items that one request may have";
    assert_eq!(rejects.text("reason", 0), Some(reason));
}

#[test]
fn a_request_that_is_broken_all_over_fills_no_disk() {
    let body = wrap(1, &wrap(2, &wrap(2, b"\xff").repeat(5_000)));
    let (outcome, batches) = decode(Signal::Traces, Encoding::Protobuf, &body);
    assert_eq!((outcome.accepted, outcome.rejected), (0, 5_000));
    let rejects = table(&batches, Table::Rejects);
    let items: u64 = (0..rejects.len()).filter_map(|row| rejects.count("items", row)).sum();
    assert_eq!((rejects.len(), items), (65, 5_000));
}

#[test]
fn a_body_beyond_the_bound_is_refused_whole() {
    let body = vec![0; BODY_BYTES_MAX + 1];
    let (outcome, batches) = decode(Signal::Logs, Encoding::Protobuf, &body);
    assert!(outcome.unreadable);
    let rejects = table(&batches, Table::Rejects);
    assert_eq!(rejects.count("raw_bytes", 0), Some(BODY_BYTES_MAX as u64 + 1));
    assert_eq!(rejects.bytes("raw", 0).map(<[u8]>::len), Some(4_096));
}

#[test]
fn values_of_a_megabyte_and_strange_characters_come_back_as_they_were() {
    let long = "half-open\n\"\u{0}\u{7f}é😀\\".repeat(60_000);
    assert!(long.len() > 1_000_000);
    for text in [long.as_str(), "", "'; drop table spans; --", "\r\n\t\u{1b}[31m"] {
        let body = log_with(Value::StringValue(text.to_owned()));
        let request = ExportLogsServiceRequest::decode(&*body).expect("OTLP");
        let json = serde_json::to_vec(&request).expect("JSON");
        for (encoding, body) in [(Encoding::Protobuf, body), (Encoding::Json, json)] {
            let (_, batches) = decode(Signal::Logs, encoding, &body);
            assert_eq!(table(&batches, Table::Logs).text("body", 0), Some(text));
        }
    }
    let nested = Value::ArrayValue(ArrayValue {
        values: vec![AnyValue { value: Some(Value::StringValue(long.clone())) }],
    });
    let (_, batches) = decode(Signal::Logs, Encoding::Protobuf, &log_with(nested));
    let stored = table(&batches, Table::Logs).text("body", 0).expect("a body").to_owned();
    let read: Vec<String> = serde_json::from_str(&stored).expect("JSON");
    assert_eq!(read, [long]);
}

#[test]
fn text_that_is_not_utf8_is_kept_beside_what_can_be_shown() {
    let span = [
        wrap(1, &[7; 16]),
        wrap(2, &[8; 8]),
        wrap(5, b"caf\xe9"),
        wrap(9, &[wrap(1, b"http.route"), wrap(2, &wrap(1, b"/\xff"))].concat()),
        wrap(9, &[wrap(1, b"ke\xff"), wrap(2, &wrap(1, b"fine"))].concat()),
    ];
    let service = wrap(1, &[wrap(1, b"service.name"), wrap(2, &wrap(1, b"\xfeshop"))].concat());
    let scope_spans = wrap(2, &wrap(2, &span.concat()));
    let body = wrap(1, &[wrap(1, &service), scope_spans].concat());
    let (outcome, batches) = decode(Signal::Traces, Encoding::Protobuf, &body);
    assert_eq!((outcome.accepted, outcome.problem), (1, None));
    let spans = table(&batches, Table::Spans);
    let broken = |text: &str| Some(AttributeValue::BrokenText(text.to_owned()));
    assert_eq!(spans.text("name", 0), Some("caf\u{fffd}"));
    assert_eq!(spans.attribute("halfopen.raw.name", 0), broken("Y2Fm6Q=="));
    assert_eq!(spans.text("service", 0), Some("\u{fffd}shop"));
    assert_eq!(spans.attribute("halfopen.raw.service", 0), broken("/nNob3A="));
    assert_eq!(spans.attribute("span.http.route", 0), broken("L/8="));
    let fine = Some(AttributeValue::Text("fine".to_owned()));
    assert_eq!(spans.attribute("span.ke\u{fffd}", 0), fine);
}

#[test]
fn a_broken_resource_loses_no_spans() {
    let good = sample::traces(1, 1, 3);
    let request = ExportTraceServiceRequest::decode(&*good).expect("OTLP");
    let span = request.resource_spans[0].scope_spans[0].spans[0].encode_to_vec();
    let service = wrap(1, &[wrap(1, b"service.name"), wrap(2, &wrap(1, b"shop"))].concat());
    let resource = [service, wrap(1, b"\x0a\x7f")].concat();
    let body = wrap(1, &[wrap(1, &resource), wrap(2, &wrap(2, &span))].concat());
    let (outcome, batches) = decode(Signal::Traces, Encoding::Protobuf, &body);
    assert_eq!((outcome.accepted, outcome.rejected), (1, 0));
    assert!(outcome.problem.expect("a problem").contains("an attribute of the resource"));
    assert_eq!(table(&batches, Table::Spans).text("service", 0), Some("shop"));
    assert_eq!(rows(&batches, Table::Rejects), 1);
}

#[test]
fn a_resent_request_has_the_same_fingerprints_and_equal_lines_do_not() {
    let line = wrap(2, &wrap(5, &wrap(1, b"out of memory")));
    let body = wrap(1, &wrap(2, &[line.clone(), line].concat()));
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    for _ in 0..2 {
        builder.decode(Signal::Logs, Encoding::Protobuf, &body, &ARRIVAL);
    }
    let logs = &builder.finish()[0];
    let [a, b, c, d] = logs.fingerprints[..] else { panic!("four rows") };
    assert!(a == c && b == d && a != b);
}
