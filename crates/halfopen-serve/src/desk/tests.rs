use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    new_null_array,
};
use arrow::compute::cast;
use expect_test::{Expect, expect};
use halfopen_model::answer::Matched;
use halfopen_model::memory::MemoryEvidence;
use halfopen_model::port::{Match, ReadError, Rows, Scan};
use halfopen_model::schema::{Form, schema};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Batch, Clock, ReadEvidence, Table, TimeRange, UnixNanos};

use super::{Desk, DeskSettings, WhyAsk};

/// 2026-11-20T14:00:00Z
const NOW: UnixNanos = UnixNanos(1_795_183_200_000_000_000);

struct Standing;

impl Clock for Standing {
    fn now(&self) -> UnixNanos {
        NOW
    }
}

fn words(words: &[&str]) -> ArrayRef {
    let text: ArrayRef = Arc::new(StringArray::from(words.to_vec()));
    cast(&text, &Form::Word.data_type()).expect("text becomes words")
}

fn ids<const N: usize>(ids: &[[u8; N]]) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter(ids.iter()).expect("ids of one length"))
}

fn times(times: &[UnixNanos]) -> ArrayRef {
    let times = TimestampNanosecondArray::from_iter_values(times.iter().map(|time| time.0));
    Arc::new(times.with_timezone("UTC"))
}

fn no_attributes(rows: usize) -> ArrayRef {
    let nulls = new_null_array(&Form::Attributes.data_type(), rows).to_data();
    let empty = nulls.into_builder().nulls(None).build().expect("empty maps");
    arrow::array::make_array(empty)
}

/// Spans of one second each: trace, service, begin.
fn spans(rows: &[([u8; 16], &str, UnixNanos)]) -> Batch {
    let all = |word: &'static str| words(&vec![word; rows.len()]);
    let traces: Vec<[u8; 16]> = rows.iter().map(|row| row.0).collect();
    let span_ids: Vec<[u8; 8]> = (1..=rows.len() as u64).map(u64::to_be_bytes).collect();
    let services: Vec<&str> = rows.iter().map(|row| row.1).collect();
    let begins: Vec<UnixNanos> = rows.iter().map(|row| row.2).collect();
    let durations = Int64Array::from(vec![SECOND_NS; rows.len()]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("trace_id", ids(&traces)),
        ("span_id", ids(&span_ids)),
        ("start_time", times(&begins)),
        ("duration_ns", Arc::new(durations)),
        ("service", words(&services)),
        ("name", all("GET /")),
        ("kind", all("server")),
        ("status", all("unset")),
        ("attributes", no_attributes(rows.len())),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Batch { table: Table::Spans, rows, fingerprints: Vec::new() }
}

fn id_rows(rows: &[(&str, [u8; 16])]) -> Batch {
    let traces: Vec<[u8; 16]> = rows.iter().map(|row| row.1).collect();
    let texts = StringArray::from_iter_values(rows.iter().map(|row| row.0));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(texts)),
        ("name", words(&vec!["session.id"; rows.len()])),
        ("trace_id", ids(&traces)),
        ("table", words(&vec!["spans"; rows.len()])),
        ("time", times(&vec![NOW; rows.len()])),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Batch { table: Table::Ids, rows, fingerprints: Vec::new() }
}

fn desk(batches: Vec<Batch>, why_spans_max: usize) -> Desk<MemoryEvidence> {
    let evidence = MemoryEvidence::new();
    evidence.put(batches).expect("rows that fit");
    let settings = DeskSettings { why_spans_max, ..DeskSettings::default() };
    Desk::new(evidence, Arc::new(Standing), settings)
}

fn ago(seconds: i64) -> UnixNanos {
    NOW.shifted(-seconds * SECOND_NS)
}

#[track_caller]
fn check_gaps(gaps: &[halfopen_model::answer::Gap], expected: Expect) {
    let shown: Vec<String> = gaps.iter().map(ToString::to_string).collect();
    expected.assert_eq(&shown.join("\n"));
}

#[tokio::test]
async fn a_trace_is_meant_by_its_beginning_its_span_or_what_it_alone_carries() {
    let (one, two) = ([0xab; 16], [0xcd; 16]);
    let desk = desk(
        vec![
            spans(&[(one, "gate", ago(60)), (two, "gate", ago(50))]),
            id_rows(&[("sess-1", one), ("sess-2", one), ("sess-2", two)]),
        ],
        10,
    );
    for meant in ["abab", "ABABABAB", &"ab".repeat(16), "0000000000000001", "sess-1"] {
        let reply = desk.trace(meant).await.expect("evidence reads");
        let trace = reply.trace.expect("one trace");
        assert_eq!(trace.trace_id.to_string(), "ab".repeat(16), "{meant}");
    }
    let several = desk.trace("sess-2").await.expect("evidence reads");
    let ids: Vec<String> = several.candidates.iter().map(|one| one.id.clone()).collect();
    assert_eq!((several.trace, ids), (None, vec!["ab".repeat(16), "cd".repeat(16)]));
    for nothing in ["", "   ", "ab", "feed", "sess-3"] {
        let reply = desk.trace(nothing).await.expect("evidence reads");
        assert_eq!((reply.trace, reply.candidates), (None, Vec::new()), "{nothing:?}");
    }
}

#[tokio::test]
async fn an_id_is_looked_for_in_the_time_that_was_asked_about() {
    let one = [0xab; 16];
    let desk = desk(vec![spans(&[(one, "gate", ago(60))]), id_rows(&[("sess-1", one)])], 10);
    let found = desk.find("sess-1", None).await.expect("evidence reads");
    assert_eq!((found.matched, found.timeline.len()), (Matched::Exact, 1));
    let range = TimeRange { from: ago(600), to: ago(300) };
    let found = desk.find("sess-1", Some(range)).await.expect("evidence reads");
    assert_eq!((found.matched, found.timeline.len()), (Matched::Nothing, 0));
}

#[tokio::test]
async fn why_looks_at_the_last_time_that_holds_data_and_says_so() {
    let old = ago(3 * 86_400);
    let desk = desk(vec![spans(&[([1; 16], "gate", old)])], 10);
    let answer = desk.why(WhyAsk::default()).await.expect("evidence reads");
    assert!(answer.window.contains(old), "{:?} misses {old}", answer.window);
    let told = answer.gaps.iter().any(|gap| gap.to_string().ends_with("last one, 71 h 59 min ago"));
    assert!(told, "{:?}", answer.gaps);

    let window = Some(TimeRange { from: ago(60), to: NOW });
    let empty = desk.why(WhyAsk { window, ..WhyAsk::default() }).await.expect("evidence reads");
    let told = empty.gaps.iter().any(|gap| gap.to_string().starts_with("no span is of that time"));
    assert!(told, "{:?}", empty.gaps);
}

#[tokio::test]
async fn too_many_spans_are_thinned_out_by_whole_traces() {
    let mut rows = Vec::new();
    for trace in 0..=255_u8 {
        let mut id = [7; 16];
        id[0] = trace;
        rows.extend([(id, "gate", ago(60)), (id, "pay", ago(59))]);
    }
    let desk = desk(vec![spans(&rows)], 200);
    let (batches, truncated) = {
        let mut gaps = Vec::new();
        let window = TimeRange { from: ago(120), to: NOW };
        let read = desk.spans_in(window, &mut gaps).await.expect("evidence reads");
        check_gaps(
            &gaps,
            expect!["more than 200 spans: one in 4 traces was looked at, counts are of those"],
        );
        read
    };
    assert_eq!(truncated, None);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 2 * 64);
}

#[tokio::test]
async fn spans_that_cannot_be_thinned_out_are_cut_and_that_is_told() {
    let mut rows = Vec::new();
    for trace in 0..=99_u8 {
        let mut id = [0xff; 16];
        id[15] = trace;
        rows.push((id, "gate", ago(60)));
    }
    let desk = desk(vec![spans(&rows)], 50);
    let mut gaps = Vec::new();
    let window = TimeRange { from: ago(120), to: NOW };
    let (batches, truncated) = desk.spans_in(window, &mut gaps).await.expect("evidence reads");
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, truncated), (50, Some(50)));
}

/// Evidence that remembers what was read.
struct Remembering {
    evidence: MemoryEvidence,
    scans: Arc<Mutex<Vec<Scan>>>,
}

impl ReadEvidence for Remembering {
    async fn read(&self, scan: Scan) -> Result<Rows, ReadError> {
        self.scans.lock().expect("no test panics").push(scan.clone());
        self.evidence.get(&scan)
    }
}

fn a_deploy(at: UnixNanos) -> Batch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", Arc::new(StringArray::from(vec!["one"]))),
        ("time", times(&[at])),
        ("kind", words(&["deploy"])),
        ("title", Arc::new(StringArray::from(vec!["gate 2"]))),
        ("source", words(&["api"])),
        ("attributes", no_attributes(1)),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Batch { table: Table::Changes, rows, fingerprints: Vec::new() }
}

#[tokio::test]
async fn logs_and_points_are_read_once_for_suspects_and_changes() {
    // Shorter than the time before that is compared with, as long, longer.
    for minutes in [0.5, 10.0, 40.0] {
        let window = TimeRange { from: ago((minutes * 60.0) as i64), to: NOW };
        let before = window.from.shifted(-5 * SECOND_NS);
        let rows = [([1; 16], "gate", before), ([2; 16], "gate", ago(10))];
        let evidence = MemoryEvidence::new();
        evidence.put(vec![spans(&rows), a_deploy(ago(20))]).expect("rows that fit");
        let scans: Arc<Mutex<Vec<Scan>>> = Arc::default();
        let evidence = Remembering { evidence, scans: Arc::clone(&scans) };
        let desk = Desk::new(evidence, Arc::new(Standing), DeskSettings::default());
        let ask = WhyAsk { window: Some(window), ..WhyAsk::default() };
        desk.why(ask).await.expect("evidence reads");
        let scans = scans.lock().expect("no test panics");
        for table in [Table::Logs, Table::Metrics] {
            let of_table = |scan: &&Scan| scan.table == table && scan.matching == Match::All;
            let read: Vec<TimeRange> = scans.iter().filter(of_table).map(|s| s.range).collect();
            let twice = |at: usize| read[..at].iter().any(|range| range.overlaps(&read[at]));
            assert!(!(0..read.len()).any(twice), "{minutes} min, {table}: {read:?}");
            let from = read.iter().map(|range| range.from).min().expect("it is read");
            assert!(from <= window.from.shifted(-window.length_ns()), "{table}: {read:?}");
        }
    }
}

#[test]
fn every_column_that_why_leaves_unread_exists() {
    let schema = schema(Table::Spans);
    for name in super::why::UNREAD_COLUMNS {
        assert!(schema.field_with_name(name).is_ok(), "there is no column {name}");
    }
}
