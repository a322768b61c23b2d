//! OTLP as files gives the same rows as OTLP over the network.

use std::collections::BTreeMap;

use halfopen_ingest::import::{Format, ImportSettings, detect};
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::identity::marks;
use halfopen_model::{Batch, Fingerprint, Table};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

use crate::import::run::{AT, rows, rows_of};

/// What all rows of each table say, in any order.
fn said(batches: &[Batch]) -> BTreeMap<Table, Vec<Fingerprint>> {
    let mut said: BTreeMap<Table, Vec<Fingerprint>> = BTreeMap::new();
    for batch in batches {
        said.entry(batch.table).or_default().extend(marks(batch.table, &batch.rows));
    }
    said.values_mut().for_each(|marks| marks.sort_unstable());
    said
}

fn received(signal: Signal, encoding: Encoding, bodies: &[Vec<u8>]) -> Vec<Batch> {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    for body in bodies {
        builder.decode(signal, encoding, body, &Arrival { sender: "127.0.0.1:9", at: AT });
    }
    builder.finish()
}

fn json_of(body: &[u8]) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    serde_json::to_vec(&request).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn all_four_forms_of_a_file_give_what_the_network_gives(
        seed in any::<u64>(),
        sizes in proptest::collection::vec(1_usize..700, 1..4),
    ) {
        let bodies: Vec<Vec<u8>> = sizes
            .iter()
            .zip(0..)
            .map(|(spans, index)| sample::traces(seed ^ index, *spans, 12))
            .collect();
        let expected = said(&received(Signal::Traces, Encoding::Protobuf, &bodies));
        let lengths = bodies.iter().flat_map(|body| {
            [&(body.len() as u32).to_be_bytes()[..], body].concat()
        });
        let lines: Vec<u8> =
            bodies.iter().flat_map(|body| [&json_of(body)[..], b"\n"].concat()).collect();
        let document = serde_json::to_vec_pretty(
            &ExportTraceServiceRequest::decode(&*bodies.concat()).expect("OTLP"),
        ).expect("JSON");
        let files = [
            (Format::OtlpProto, bodies.concat()),
            (Format::OtlpProtoLengths, lengths.collect()),
            (Format::OtlpJsonLines, lines),
            (Format::OtlpJson, document),
        ];
        for (format, file) in files {
            let detected = detect(&file[..file.len().min(64 << 10)]);
            // One line without another behind it is a document as well.
            let is_same = detected == Ok(Some(format))
                || format == Format::OtlpJsonLines && detected == Ok(Some(Format::OtlpJson));
            prop_assert!(is_same, "{format}: {detected:?}");
            let found = rows_of(format, &ImportSettings::default(), &file);
            prop_assert_eq!(found.count(Table::Spans), sizes.iter().sum::<usize>());
            prop_assert!(said(&found.0) == expected, "{format}");
        }
    }
}

const LOGS: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name",
    "value":{"stringValue":"cart"}}]},"scopeLogs":[{"logRecords":[
    {"timeUnixNano":"7","severityNumber":17,"body":{"stringValue":"a request_id=req_1"}},
    {"timeUnixNano":"8","traceId":"00000000000000000000000000000abc",
    "body":{"intValue":"4"}}]}]}]}"#;

const METRICS: &str = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":
    {"dataPoints":[{"timeUnixNano":"7","asDouble":1.5},{"timeUnixNano":"8","asInt":"2"}]}},
    {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"9",
    "count":"3","sum":4,"bucketCounts":["1","2"],"explicitBounds":[0.5]}]}}]}]}]}"#;

#[test]
fn logs_and_metrics_say_the_same_as_over_the_network() {
    for (signal, text) in [(Signal::Logs, LOGS), (Signal::Metrics, METRICS)] {
        let expected = said(&received(signal, Encoding::Json, &[text.as_bytes().to_vec()]));
        assert_eq!(said(&rows(text).0), expected);
        assert_eq!(said(&rows(&text.replace('\n', " ")).0), expected);
    }
}

#[test]
fn the_signal_of_protobuf_shows_in_its_items() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    let logs: ExportLogsServiceRequest = serde_json::from_str(LOGS).expect("OTLP");
    let metrics: ExportMetricsServiceRequest = serde_json::from_str(METRICS).expect("OTLP");
    let files = [
        (Table::Logs, logs.encode_to_vec(), LOGS),
        (Table::Metrics, metrics.encode_to_vec(), METRICS),
    ];
    for (table, file, text) in files {
        assert_eq!(detect(&file), Ok(Some(Format::OtlpProto)));
        let found = rows_of(Format::OtlpProto, &ImportSettings::default(), &file);
        assert_eq!(said(&found.0).get(&table), said(&rows(text).0).get(&table));
    }
}

#[test]
fn a_file_that_ends_early_keeps_its_whole_items() {
    let body = sample::traces(7, 600, 12);
    let json = json_of(&body);
    let cut = rows_of(Format::OtlpJson, &ImportSettings::default(), &json[..json.len() / 2]);
    let spans = cut.count(Table::Spans);
    assert!((250..350).contains(&spans), "{spans}");
    assert_eq!(cut.count(Table::Rejects), 1, "{:?}", cut.reasons());
    let cut = rows_of(Format::OtlpProto, &ImportSettings::default(), &body[..body.len() / 2]);
    let spans = cut.count(Table::Spans);
    assert!((250..350).contains(&spans), "{spans}");
    assert!(cut.count(Table::Rejects) > 0);
}

#[test]
fn a_broken_line_costs_that_line() {
    let text = format!(
        "{}\n{{\"resourceSpans\": no\n\n{}\n{{}}\n",
        LOGS.replace('\n', " "),
        METRICS.replace('\n', " ")
    );
    let found = rows(&text);
    assert_eq!((found.count(Table::Logs), found.count(Table::Metrics)), (2, 3));
    let reasons = found.reasons();
    assert!(reasons[0].starts_with("import a.file: line 2: the body is no JSON"), "{reasons:?}");
    assert_eq!(reasons[1], "import a.file: line 5: no export request of OTLP");
}
