use super::*;
use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;

fn reject(rows: i64) -> RecordBatch {
    let words: DictionaryArray<Int32Type> = (0..rows).map(|_| "otlp").collect();
    let times = TimestampNanosecondArray::from_iter_values((0..rows).map(|row| row * 10));
    let text = |value: &'static str| {
        Arc::new(StringArray::from_iter_values((0..rows).map(|_| value))) as ArrayRef
    };
    let count = || Arc::new(UInt64Array::from_iter_values(0..rows as u64)) as ArrayRef;
    let raw = BinaryArray::from_iter_values((0..rows).map(|_| b"x"));
    let sender = Arc::new(StringArray::new_null(rows as usize)) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("raw", Arc::new(raw)),
        ("raw_bytes", count()),
        ("items", count()),
        ("reason", text("broken")),
        ("sender", sender),
        ("format", Arc::new(words)),
        ("time", Arc::new(times.with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("columns of one length")
}

#[test]
fn a_batch_is_kept_without_its_empty_columns_in_the_order_of_the_schema() {
    let kept = fit(Table::Rejects, &reject(3)).expect("rows that fit");
    let schema = kept.schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["time", "format", "reason", "items", "raw_bytes", "raw"]);
    assert!(fit(Table::Ids, &reject(3)).is_err());
    let batch = HotBatch::new(Table::Rejects, kept, Vec::new());
    assert_eq!(batch.range, TimeRange { from: UnixNanos(0), to: UnixNanos(21) });
}

#[test]
fn small_batches_side_by_side_are_found_and_replaced() {
    let mut generation = Generation::default();
    let push = |generation: &mut Generation, rows| {
        let kept = fit(Table::Rejects, &reject(rows)).expect("rows that fit");
        generation.push(Table::Rejects, HotBatch::new(Table::Rejects, kept, Vec::new()));
    };
    (0..8).for_each(|_| push(&mut generation, 5));
    push(&mut generation, 5_000);
    (0..7).for_each(|_| push(&mut generation, 5));
    assert_eq!(generation.small_runs(), [(Table::Rejects, 0..8)]);
    let merged = merge(Table::Rejects, &generation.tables[8][0..8]).expect("rows that fit");
    let before = generation.bytes;
    generation.replace(Table::Rejects, 0..8, merged);
    assert_eq!((generation.rows(Table::Rejects), generation.tables[8].len()), (5_075, 9));
    assert!(generation.bytes < before);
    let counted: usize = generation.tables[8].iter().map(|batch| batch.bytes).sum();
    assert_eq!(generation.bytes, counted);
}

#[test]
fn memory_that_columns_share_counts_once() {
    let rows = fit(Table::Rejects, &reject(1_000)).expect("rows that fit");
    let twice = RecordBatch::try_from_iter([
        ("one", Arc::clone(rows.column(0))),
        ("other", Arc::clone(rows.column(0))),
    ]);
    let bytes = memory_bytes(&twice.expect("columns of one length"));
    assert!((8_000..9_500).contains(&bytes), "{bytes}");
    // Slices of one batch share all of it, whoever asks for them together.
    let mut known = std::collections::HashSet::new();
    let (first, second) = (rows.slice(0, 400), rows.slice(400, 600));
    let bytes = memory_bytes_beside(&first, &mut known);
    assert!(bytes >= memory_bytes_beside(&second, &mut known) + 8_000, "{bytes}");
}
