//! What must hold for any bytes whatever. The fuzz targets call it, and so does a test of
//! halfopen-ingest over the corpus.

use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use halfopen_ingest::export::OtlpJson;
use halfopen_ingest::import::{
    self, Format, Group, ImportSettings, Mapping, Pattern, SENDER_PREFIX,
};
use halfopen_ingest::inflate::{Compression, inflate, inflating};
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Outcome, Signal};
use halfopen_model::batch::{Cells, conform};
use halfopen_model::{Batch, Table, UnixNanos, schema};

/// What must hold for these bytes.
type Check = fn(&[u8]);

/// Every check by the name of its target and of its folder of the corpus.
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("traces_protobuf", |data| otlp(Signal::Traces, Encoding::Protobuf, data)),
    ("logs_protobuf", |data| otlp(Signal::Logs, Encoding::Protobuf, data)),
    ("metrics_protobuf", |data| otlp(Signal::Metrics, Encoding::Protobuf, data)),
    ("traces_json", |data| otlp(Signal::Traces, Encoding::Json, data)),
    ("logs_json", |data| otlp(Signal::Logs, Encoding::Json, data)),
    ("metrics_json", |data| otlp(Signal::Metrics, Encoding::Json, data)),
    ("inflate", inflated),
    ("group", group),
    ("mapping", mapping),
    ("pattern", pattern),
    ("detect", detected),
    ("import_otlp_json", |data| imported(Format::OtlpJson, data)),
    ("import_otlp_json_lines", |data| imported(Format::OtlpJsonLines, data)),
    ("import_otlp_proto", |data| imported(Format::OtlpProto, data)),
    ("import_otlp_proto_lengths", |data| imported(Format::OtlpProtoLengths, data)),
    ("import_jaeger", |data| imported(Format::Jaeger, data)),
    ("import_zipkin", |data| imported(Format::Zipkin, data)),
    ("import_har", |data| imported(Format::Har, data)),
    ("import_json_lines", |data| imported(Format::JsonLines, data)),
    ("import_json_list", |data| imported(Format::JsonList, data)),
    ("import_logfmt", |data| imported(Format::Logfmt, data)),
    ("import_access_log", |data| imported(Format::AccessLog, data)),
    ("import_timed_lines", |data| imported(Format::TimedLines, data)),
    ("import_container_log", |data| imported(Format::ContainerLog, data)),
    ("import_prometheus", |data| imported(Format::Prometheus, data)),
    ("import_mapping", |data| imported(Format::Mapped, data)),
];

const ARRIVAL: Arrival<'static> = Arrival { sender: "10.0.0.7:4711", at: UnixNanos(5_000) };

/// Bodies inflate to no more than this here.
const INFLATED_MAX: usize = 1 << 20;

fn decoded(signal: Signal, encoding: Encoding, body: &[u8]) -> (Outcome, Vec<Batch>) {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let outcome = builder.decode(signal, encoding, body, &ARRIVAL);
    (outcome, fitting(builder.finish()))
}

/// Rows fit the schema of their table, and each has a fingerprint where any has one.
fn fitting(batches: Vec<Batch>) -> Vec<Batch> {
    for batch in &batches {
        let rows = conform(&batch.rows, &schema::schema(batch.table)).expect("rows fit");
        let marks = batch.fingerprints.len();
        assert!(marks == 0 || marks == rows.num_rows(), "{marks} of {}", rows.num_rows());
    }
    batches
}

fn rows_of(batches: &[Batch], table: Table) -> usize {
    batches.iter().filter(|batch| batch.table == table).map(|batch| batch.rows.num_rows()).sum()
}

/// What is accepted are rows, the same each time; written out and read again they are as many.
fn otlp(signal: Signal, encoding: Encoding, body: &[u8]) {
    let (outcome, batches) = decoded(signal, encoding, body);
    let table = signal.table();
    assert_eq!(outcome.accepted as usize, rows_of(&batches, table));
    let (again, same) = decoded(signal, encoding, body);
    assert_eq!(format!("{outcome:?}"), format!("{again:?}"));
    for (one, other) in batches.iter().zip(&same) {
        assert_eq!(one.fingerprints, other.fingerprints);
    }
    let mut lines = Vec::new();
    for batch in batches.iter().filter(|batch| batch.table == table) {
        OtlpJson::of(table).expect("telemetry has a form").write(&batch.rows, &mut lines);
    }
    let mut back = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        assert!(str::from_utf8(line).is_ok(), "a line is text");
        let (outcome, _) = decoded(signal, Encoding::Json, line);
        assert_eq!((outcome.rejected, outcome.unreadable), (0, false), "{outcome:?}");
        back += outcome.accepted;
    }
    assert_eq!(back, outcome.accepted);
}

/// The first byte chooses the compression; what comes out stays under the bound.
fn inflated(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let compression = match choice % 3 {
        0 => Compression::Gzip,
        1 => Compression::Zstd,
        _ => Compression::Deflate,
    };
    if let Ok(body) = inflate(compression, body, INFLATED_MAX) {
        assert!(body.len() <= INFLATED_MAX);
    }
    if let Ok(source) = inflating(body) {
        let mut found = Vec::new();
        // A source that breaks off is an error of reading, which is one of the answers.
        let _broken = source.take(INFLATED_MAX as u64).read_to_end(&mut found).is_err();
    }
}

/// A group that came over the network: read or refused, and the same when it is sent on.
fn group(data: &[u8]) {
    if let Ok(group) = Group::decode(data) {
        let again = Group::decode(&group.encode()).expect("what was written can be read");
        assert_eq!(again.encode(), group.encode());
        taken(&group);
    }
}

fn taken(group: &Group) -> Vec<Batch> {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    builder.import(group, "a.file", ARRIVAL.at);
    fitting(builder.finish())
}

fn mapping(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(mapping) = Mapping::parse(text)
    {
        let _known = (mapping.ignores("traces.csv"), mapping.takes("traces.csv"));
        let source = "TraceID,SpanID,Time\n1,2,1795185000\nx,,\n";
        let settings = ImportSettings {
            mapping: Some(Arc::new(mapping)),
            source: "traces.csv".to_owned(),
            ..ImportSettings::default()
        };
        read(Format::Mapped, &settings, source.as_bytes());
    }
}

fn pattern(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(pattern) = Pattern::new(text)
    {
        let settings = ImportSettings { pattern: Some(pattern), ..ImportSettings::default() };
        read(Format::Pattern, &settings, b"2026-11-20T14:30:00Z INFO a b=c\n\n[x] y\n");
    }
}

fn detected(data: &[u8]) {
    if let Ok(Some(format)) = import::detect(data) {
        imported(format, data);
    }
}

static SETTINGS: LazyLock<ImportSettings> = LazyLock::new(|| {
    let text = "[[table]]\nfiles = '.'\ninto = 'spans'\nrest = true\n[table.columns]\n\
        trace_id = { column = 'TraceID', repeat = '1' }\nspan_id = 'SpanID'\nstart_time = 'Time'\n";
    let mapping = Mapping::parse(text).expect("a mapping");
    ImportSettings { mapping: Some(Arc::new(mapping)), source: "a".into(), ..Default::default() }
});

fn imported(format: Format, data: &[u8]) {
    read(format, &SETTINGS, data);
}

/// Groups are the same whether they travel or not; what is lost is a reject that tells where.
fn read(format: Format, settings: &ImportSettings, data: &[u8]) {
    let mut groups = Vec::new();
    // Pieces of a few bytes find what breaks at the edge of a buffer.
    let mut source = BufReader::with_capacity(7, data);
    import::read(format, settings, &mut source, &mut |group| {
        groups.push(group);
        ControlFlow::Continue(())
    });
    for group in &groups {
        let travelled = Group::decode(&group.encode()).expect("what was written can be read");
        let (here, there) = (taken(group), taken(&travelled));
        for table in Table::ALL {
            assert_eq!(rows_of(&here, table), rows_of(&there, table), "{table}");
        }
        for batch in here.iter().filter(|batch| batch.table == Table::Rejects) {
            let cells = Cells::new(&batch.rows);
            for row in 0..cells.len() {
                assert!(
                    cells.text("sender", row).is_some_and(|from| from.starts_with(SENDER_PREFIX))
                );
                assert!(cells.text("reason", row).is_some_and(|reason| !reason.is_empty()));
            }
        }
    }
}
