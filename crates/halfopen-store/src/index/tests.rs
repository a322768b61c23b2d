use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray};
use halfopen_model::port::Match;
use halfopen_model::{SpanId, Table, TimeRange, TraceId, UnixNanos};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::*;
use crate::segment::SegmentInfo;

/// Rows of a group in these tests.
const GROUP_ROWS: usize = 100;

fn trace(number: u64) -> TraceId {
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    TraceId(((u128::from(high) << 64) | u128::from(number)).to_be_bytes())
}

fn segment(folder: &TempDir, table: Table, sums: Vec<u64>, rows: u64) -> Segment {
    let info = SegmentInfo {
        id: 1,
        table,
        file: "segments/a.parquet".to_owned(),
        rows,
        bytes: 0,
        range: TimeRange { from: UnixNanos(0), to: UnixNanos(1) },
        traces: None,
        sums,
        schema_version: 1,
        columns: Vec::new(),
        sealed_at: UnixNanos(0),
        level: 0,
    };
    Segment::new(info, folder.path().join("a.parquet"))
}

/// A segment of ten spans for each trace, sorted by trace; its side file is written.
fn spans(folder: &TempDir, traces: &[TraceId]) -> Segment {
    let mut traces = traces.to_vec();
    traces.sort_unstable();
    let rows = traces.len() * 10;
    let trace_ids = (0..rows).map(|row| traces[row / 10].0);
    let span_ids = (0..rows).map(|row| span(traces[row / 10], row % 10).0);
    let columns: [(&str, ArrayRef); 2] = [
        ("trace_id", Arc::new(FixedSizeBinaryArray::try_from_iter(trace_ids).expect("16 bytes"))),
        ("span_id", Arc::new(FixedSizeBinaryArray::try_from_iter(span_ids).expect("8 bytes"))),
    ];
    write_index(folder, Table::Spans, columns.to_vec(), rows as u64)
}

fn span(trace: TraceId, number: usize) -> SpanId {
    let low = u64::from_be_bytes(trace.0[..8].try_into().expect("8 bytes"));
    SpanId((low ^ number as u64).to_be_bytes())
}

fn ids(folder: &TempDir, ids: &[&str]) -> Segment {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
    write_index(folder, Table::Ids, vec![("id", column)], ids.len() as u64)
}

fn write_index(
    folder: &TempDir,
    table: Table,
    columns: Vec<(&str, ArrayRef)>,
    rows: u64,
) -> Segment {
    write_groups(folder, table, columns, (rows, GROUP_ROWS))
}

fn write_groups(
    folder: &TempDir,
    table: Table,
    columns: Vec<(&str, ArrayRef)>,
    (rows, group_rows): (u64, usize),
) -> Segment {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut builder = IndexBuilder::new(table, group_rows);
    // Batches do not end where row groups do.
    for begin in (0..batch.num_rows()).step_by(70) {
        builder.add(&batch.slice(begin, 70.min(batch.num_rows() - begin)));
    }
    let segment = segment(folder, table, vec![1, 2, 3], rows);
    write(&segment.path, &builder.finish(identity(&[1, 2, 3], rows)));
    segment
}

fn ask(segment: &Segment, matching: &Match) -> Verdict {
    let probe = Probe::of_match(segment.info.table, matching).expect("what filters know");
    segment.index.ask_disk(segment, &probe, &Arc::new(AtomicUsize::new(0)))
}

#[track_caller]
fn groups(verdict: Verdict) -> Vec<usize> {
    match verdict {
        Verdict::Groups(groups) => groups.some,
        Verdict::Unknown => panic!("there is a filter"),
    }
}

#[test]
fn traces_and_spans_are_found_in_their_row_group_and_others_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let traces: Vec<_> = (1..=50).map(trace).collect();
    let segment = spans(&folder, &traces);
    let mut sorted = traces.clone();
    sorted.sort_unstable();
    for (place, id) in sorted.iter().enumerate() {
        assert_eq!(groups(ask(&segment, &Match::Traces(vec![*id]))), [place / 10]);
        let found = groups(ask(&segment, &Match::Span(span(*id, 3))));
        assert!(found.contains(&(place / 10)), "{found:?}");
    }
    let foreign = (1_000..11_000).map(trace);
    let wrong =
        foreign.clone().filter(|id| !groups(ask(&segment, &Match::Traces(vec![*id]))).is_empty());
    let wrong = wrong.count();
    assert!(wrong < 80, "{wrong} of 10,000 traces");
    let wrong = foreign.filter(|id| !groups(ask(&segment, &Match::Span(span(*id, 1)))).is_empty());
    let wrong = wrong.count();
    assert!(wrong < 400, "{wrong} of 10,000 spans in five row groups");
}

#[test]
fn a_beginning_of_a_trace_id_excludes_what_does_not_begin_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let traces: Vec<_> = (1..=50).map(trace).collect();
    let segment = spans(&folder, &traces);
    let range = |id: TraceId, digits: usize| {
        let mut ends = [id.0, id.0];
        for digit in digits..32 {
            let shift = if digit % 2 == 0 { 4 } else { 0 };
            ends[0][digit / 2] &= !(15 << shift);
            ends[1][digit / 2] |= 15 << shift;
        }
        Match::TraceRange(TraceId(ends[0]), TraceId(ends[1]))
    };
    for digits in [4, 5, 7, 8, 13, 31] {
        for id in &traces {
            assert!(!groups(ask(&segment, &range(*id, digits))).is_empty(), "{digits} digits");
        }
    }
    let foreign = (1_000..2_000).map(trace);
    let wrong = foreign.filter(|id| !groups(ask(&segment, &range(*id, 8))).is_empty()).count();
    assert!(wrong < 20, "{wrong} of 1,000 beginnings");
}

#[test]
fn twelve_digits_of_a_random_trace_id_exclude_a_full_row_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let random = |number: u64| {
        let half = |seed| u128::from(xxh3_64_with_seed(&number.to_le_bytes(), seed));
        TraceId(((half(1) << 64) | half(2)).to_be_bytes())
    };
    for traces in [1_000, 12_500, 32_768] {
        let mut own: Vec<TraceId> = (0..traces).map(random).collect();
        own.sort_unstable();
        let column = FixedSizeBinaryArray::try_from_iter(own.iter().map(|id| id.0));
        let columns: Vec<(&str, ArrayRef)> = vec![("trace_id", Arc::new(column.expect("ids")))];
        let shape = (traces, traces as usize);
        let segment = write_groups(&folder, Table::Spans, columns, shape);
        let beginning = |id: TraceId| {
            let (mut first, mut last) = (id, id);
            first.0[6..].fill(0);
            last.0[6..].fill(0xff);
            Match::TraceRange(first, last)
        };
        for id in own.iter().step_by(97) {
            assert_eq!(groups(ask(&segment, &Match::Traces(vec![*id]))), [0]);
            assert_eq!(groups(ask(&segment, &beginning(*id))), [0]);
        }
        let foreign = || (1_000_000..1_002_000).map(random);
        let ranges = foreign().filter(|id| !groups(ask(&segment, &beginning(*id))).is_empty());
        let whole = foreign().map(|id| Match::Traces(vec![id]));
        let whole = whole.filter(|wanted| !groups(ask(&segment, wanted)).is_empty());
        let (ranges, whole) = (ranges.count(), whole.count());
        assert!(ranges < 24 && whole < 24, "{ranges} and {whole} of 2,000 in {traces} traces");
        let bytes = fs::metadata(path_of(&segment.path)).expect("a side file").len();
        assert!(bytes < traces * 4, "{bytes} bytes for {traces} traces");
    }
}

/// A random UUID (version 4).
fn uuid(number: u64) -> String {
    let hex = trace(number).to_string();
    let hex = format!("{}{}", &hex[..16], trace(number ^ 0x5bd1_e995));
    format!("{}-{}-4{}-9{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

#[test]
fn of_random_ids_few_lengths_are_filed_and_all_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut own: Vec<String> = (1..=1_000).map(uuid).collect();
    own.sort_unstable();
    let texts: Vec<&str> = own.iter().map(String::as_str).collect();
    let segment = ids(&folder, &texts);
    let column = || "id".to_owned();
    for id in texts.iter().step_by(7) {
        let exact = Match::Text { column: column(), value: (*id).to_owned() };
        assert!(!groups(ask(&segment, &exact)).is_empty(), "{id}");
        for length in 1..=id.len() {
            let prefix = Match::TextPrefix { column: column(), prefix: id[..length].to_owned() };
            assert!(!groups(ask(&segment, &prefix)).is_empty(), "{}", &id[..length]);
        }
    }
    let wrong = |text: &dyn Fn(String) -> Match| {
        let foreign = (5_000..6_000).map(|number| text(uuid(number)));
        foreign.filter(|matching| !groups(ask(&segment, matching)).is_empty()).count()
    };
    let exact = wrong(&|value| Match::Text { column: column(), value });
    let beginning = wrong(&|id| Match::TextPrefix { column: column(), prefix: id[..8].to_owned() });
    assert!(exact < 20 && beginning < 40, "{exact} and {beginning} of 1,000");
    let bytes = fs::metadata(path_of(&segment.path)).expect("a side file").len();
    assert!(bytes < 1_000 * 5, "{bytes} bytes for 1,000 ids");
}

#[test]
fn ids_are_found_whole_and_by_each_beginning() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut own: Vec<String> = (0..300).map(|n| format!("req_{:06x}", n * 7_919)).collect();
    own.extend(["a".to_owned(), "abc".to_owned(), "550e8400-e29b-41d4-a716".to_owned()]);
    own.sort_unstable();
    let texts: Vec<&str> = own.iter().map(String::as_str).collect();
    let segment = ids(&folder, &texts);
    let column = || "id".to_owned();
    for id in &texts {
        let exact = Match::Text { column: column(), value: (*id).to_owned() };
        assert!(!groups(ask(&segment, &exact)).is_empty(), "{id}");
        for length in 1..=id.len() {
            let prefix = Match::TextPrefix { column: column(), prefix: id[..length].to_owned() };
            assert!(!groups(ask(&segment, &prefix)).is_empty(), "{}", &id[..length]);
        }
    }
    let foreign = (0..1_000).map(|n| format!("req_{:06x}", n * 7_919 + 1));
    let wrong = foreign.filter(|id| {
        let prefix = Match::TextPrefix { column: column(), prefix: id.clone() };
        !groups(ask(&segment, &prefix)).is_empty()
    });
    let wrong = wrong.count();
    assert!(wrong < 20, "{wrong} of 1,000 ids");
    let exact = Match::Text { column: column(), value: "req_".to_owned() };
    assert_eq!(groups(ask(&segment, &exact)), [] as [usize; 0], "a beginning is not the whole");
}

#[test]
fn a_side_file_that_is_missing_foreign_or_damaged_excludes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = segment(&folder, Table::Spans, vec![1, 2, 3], 500);
    let wanted = Match::Traces(vec![trace(999)]);
    assert_eq!(ask(&missing, &wanted), Verdict::Unknown);

    let whole = spans(&folder, &(1..=50).map(trace).collect::<Vec<_>>());
    assert_eq!(groups(ask(&whole, &wanted)), [] as [usize; 0]);
    let foreign = segment(&folder, Table::Spans, vec![1, 2, 4], 500);
    assert_eq!(ask(&foreign, &wanted), Verdict::Unknown);

    let path = path_of(&whole.path);
    let content = std::fs::read(&path).expect("it was written");
    for (place, length) in [(9, 0), (60, 0), (content.len() - 1, 0), (0, content.len() / 2)] {
        let mut damaged = content.clone();
        damaged[place] ^= 0x10;
        if length > 0 {
            damaged = content[..length].to_vec();
        }
        std::fs::write(&path, &damaged).expect("room on the disk");
        let again = segment(&folder, Table::Spans, vec![1, 2, 3], 500);
        assert_eq!(ask(&again, &Match::Span(SpanId([9; 8]))), Verdict::Unknown, "byte {place}");
    }
}

#[test]
fn memory_is_counted_and_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let segment = spans(&folder, &(1..=50).map(trace).collect::<Vec<_>>());
    let memory = Arc::new(AtomicUsize::new(0));
    let by_span = Probe::of_match(Table::Spans, &Match::Span(SpanId([9; 8]))).expect("known");
    segment.index.ask_disk(&segment, &by_span, &memory);
    let held = memory.load(Ordering::Relaxed);
    assert!(held >= 500, "{held}");
    assert!(segment.index.ask(&by_span).is_some(), "it is kept");
    let by_trace = Probe::of_match(Table::Spans, &Match::Traces(vec![trace(1)])).expect("known");
    segment.index.ask_disk(&segment, &by_trace, &memory);
    assert!(memory.load(Ordering::Relaxed) > held);
    drop(segment);
    assert_eq!(memory.load(Ordering::Relaxed), 0);

    // A full memory answers all the same, and keeps nothing.
    let segment = spans(&folder, &(1..=50).map(trace).collect::<Vec<_>>());
    let full = Arc::new(AtomicUsize::new(FILTER_BYTES_MAX));
    let verdict = segment.index.ask_disk(&segment, &by_trace, &full);
    assert!(!groups(verdict).is_empty());
    assert_eq!(full.load(Ordering::Relaxed), FILTER_BYTES_MAX);
    assert_eq!(segment.index.ask(&by_trace), None);
}
