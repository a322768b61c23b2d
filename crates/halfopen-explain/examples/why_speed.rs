//! How long `why` and `map` take: `cargo run -p halfopen-explain --example why_speed [SPANS]`.
//!
//! Spans of a made-up shop, ten to a trace, with twelve attributes (nine in columns, three in the
//! map); one request in twenty of one pod fails.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, MapArray, RecordBatch,
    StringArray, StructArray, TimestampNanosecondArray, UInt8Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use halfopen_explain::map::{self, MapEvidence, MapQuestion};
use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::Scope;
use halfopen_model::schema::{self, entry_fields, value_fields};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

const SPANS_DEFAULT: usize = 1_000_000;
const TRACE_SPANS: usize = 10;
const BATCH_ROWS: usize = 100_000;
const WINDOW_S: i64 = 900;

fn mix(number: usize) -> u64 {
    let mut z = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

/// A dictionary column with this many values.
fn words(rows: std::ops::Range<usize>, values: usize, value: impl Fn(usize) -> usize) -> ArrayRef {
    let keys: Int32Array = rows.map(|row| Some((value(row) % values) as i32)).collect();
    let texts: StringArray = (0..values).map(|v| Some(format!("value-{v}"))).collect();
    let column: DictionaryArray<Int32Type> = DictionaryArray::new(keys, Arc::new(texts));
    Arc::new(column)
}

fn named(rows: std::ops::Range<usize>, texts: &[&str], value: impl Fn(usize) -> usize) -> ArrayRef {
    let keys: Int32Array = rows.map(|row| Some(value(row) as i32)).collect();
    let texts: StringArray = texts.iter().copied().map(Some).collect();
    let column: DictionaryArray<Int32Type> = DictionaryArray::new(keys, Arc::new(texts));
    Arc::new(column)
}

fn map(rows: std::ops::Range<usize>) -> ArrayRef {
    let names = ["span.app.tenant", "span.app.gift_card", "span.cart.items"];
    let count = rows.len();
    let (mut keys, mut tags, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let dice = mix(row / TRACE_SPANS);
        keys.extend(names);
        tags.extend([1_u8, 2, 3]);
        let gift = dice.is_multiple_of(7).to_string();
        texts.extend([format!("tenant-{}", dice % 40), gift, (dice % 60).to_string()]);
    }
    let values: Vec<ArrayRef> =
        vec![Arc::new(UInt8Array::from(tags)), Arc::new(StringArray::from(texts))];
    let values = StructArray::new(value_fields(), values, None);
    let parts: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(values)];
    let entries = StructArray::new(entry_fields(), parts, None);
    let field = Field::new("entries", DataType::Struct(entry_fields()), false);
    let offsets = OffsetBuffer::from_lengths(vec![names.len(); count]);
    Arc::new(MapArray::new(Arc::new(field), offsets, entries, None, false))
}

fn batch(rows: std::ops::Range<usize>, total: usize) -> RecordBatch {
    let all = || rows.clone();
    let place = |row: usize| row % TRACE_SPANS;
    let dice = |row: usize| mix(row / TRACE_SPANS);
    let pod = move |row: usize| (mix(row) % 3) as usize;
    // A request fails when the span in the middle of its trace meets pod 1 and bad luck.
    let failed = |row: usize| {
        let middle = row - row % TRACE_SPANS + 5;
        place(row) <= 5 && pod(middle) == 1 && dice(row) % 20 < 3
    };
    let trace = all().map(|row| u128::from(dice(row) | 1).to_be_bytes());
    let id = |row: usize| (row as u64 + 1).to_be_bytes();
    let parent = all().map(|row| (place(row) > 0).then(|| id(row - 1)));
    let start = |row: usize| (row as i64 * WINDOW_S * SECOND_NS) / total as i64;
    let times = TimestampNanosecondArray::from_iter_values(all().map(start)).with_timezone("UTC");
    let kinds = ["server", "client"];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("trace_id", Arc::new(FixedSizeBinaryArray::try_from_iter(trace).expect("16 bytes"))),
        ("span_id", Arc::new(FixedSizeBinaryArray::try_from_iter(all().map(id)).expect("8 bytes"))),
        (
            "parent_span_id",
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(parent, 8).expect("8 bytes"),
            ),
        ),
        ("start_time", Arc::new(times)),
        ("duration_ns", Arc::new(all().map(|_| Some(5_000_000)).collect::<Int64Array>())),
        ("service", words(all(), 5, |row| place(row) / 2)),
        ("name", words(all(), 10, place)),
        ("kind", named(all(), &kinds, |row| row % 2)),
        ("status", named(all(), &["unset", "error"], |row| usize::from(failed(row)))),
        (
            "resource.service.version",
            words(all(), 2, |row| usize::from(mix(row).is_multiple_of(9))),
        ),
        ("resource.k8s.pod.name", words(all(), 15, |row| place(row) / 2 * 3 + pod(row))),
        ("resource.host.name", words(all(), 15, |row| place(row) / 2 * 3 + pod(row))),
        ("resource.cloud.region", words(all(), 3, |row| dice(row) as usize)),
        ("resource.telemetry.sdk.language", words(all(), 1, |_| 0)),
        ("span.http.route", words(all(), 20, place)),
        ("span.http.request.method", words(all(), 4, place)),
        ("span.user.id", words(all(), 20_000, |row| dice(row) as usize >> 8)),
        ("span.server.address", words(all(), 30, |row| mix(row) as usize >> 9)),
        (schema::ATTRIBUTES, map(all())),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn main() -> std::io::Result<()> {
    let spans = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let spans: usize = spans.unwrap_or(SPANS_DEFAULT);
    let starts = (0..spans).step_by(BATCH_ROWS);
    let batches = starts.map(|at| batch(at..(at + BATCH_ROWS).min(spans), spans)).collect();
    let window = TimeRange { from: UnixNanos(0), to: UnixNanos(WINDOW_S * SECOND_NS) };
    let now = window.to.shifted(60 * SECOND_NS);
    let question = WhyQuestion { scope: Scope::default(), window, baseline: None, slow: None, now };
    let evidence = WhyEvidence { spans: batches, ..WhyEvidence::default() };
    let mut out = std::io::stdout().lock();
    let spans_of_map = MapEvidence { spans: evidence.spans.clone(), truncated: None };
    for _ in 0..3 {
        let begin = Instant::now();
        let answer = map::map(&MapQuestion { window, now }, &spans_of_map);
        let took_ms = begin.elapsed().as_secs_f64() * 1e3;
        let edges = answer.edges.len();
        writeln!(out, "map of {spans} spans: {took_ms:.0} ms, {edges} edges")?;
    }
    for _ in 0..3 {
        let begin = Instant::now();
        let answer = why(&question, &evidence);
        let took_ms = begin.elapsed().as_secs_f64() * 1e3;
        let first = answer.causes.first().and_then(|cause| cause.conditions.first());
        writeln!(
            out,
            "{spans} spans x 12 attributes: {took_ms:.0} ms; {:?}, {} of {}, {:?}",
            answer.verdict,
            answer.failing.count,
            answer.failing.total,
            first.map(|condition| &condition.parts)
        )?;
    }
    Ok(())
}
