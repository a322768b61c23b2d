//! Merged segments hold what they were made of, once.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::TimestampNanosecondType;
use halfopen_model::port::WriteEvidence;
use halfopen_model::{Batch, Table};
use halfopen_store::{QueryLimits, Store, StoreConfig};

use crate::support::{NOW, TestClock, all, config, full, number, open, put, shown, spans};

const HOUR_NS: i64 = 3_600_000_000_000;

/// The same rows, `hours` later.
pub(crate) fn shifted(batch: &Batch, hours: &dyn Fn(usize) -> i64) -> Batch {
    let name = batch.table.time_column();
    let columns = batch.rows.schema_ref().fields().iter().zip(batch.rows.columns());
    let columns = columns.map(|(field, column)| {
        if field.name() != name {
            return Arc::clone(column);
        }
        let times = column.as_primitive::<TimestampNanosecondType>();
        let moved = times.values().iter().enumerate();
        let moved = moved.map(|(row, time)| time + hours(row) * HOUR_NS);
        Arc::new(TimestampNanosecondArray::from_iter_values(moved).with_timezone("UTC")) as _
    });
    let rows = RecordBatch::try_new(batch.rows.schema(), columns.collect()).expect("columns");
    Batch { rows, ..batch.clone() }
}

fn segments(folder: &Path, table: Table) -> Vec<String> {
    let entries = fs::read_dir(folder.join("segments").join(table.name())).expect("a folder");
    let names = entries.map(|entry| entry.expect("a file").file_name().into_string());
    let mut names: Vec<_> = names.map(|name| name.expect("a plain name")).collect();
    names.retain(|name| name.ends_with(".parquet"));
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_all_tables_are_the_same_after_a_merge_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 1..=4 {
        let batches: Vec<_> = Table::ALL.into_iter().map(|table| full(table, 200, seed)).collect();
        store.write(batches).await.expect("rows that fit");
        store.seal().await.expect("room on the disk");
    }
    let mut expected = Vec::new();
    for table in Table::ALL {
        expected.push((table, all(&store, table).await));
    }
    let snapshot = store.stats().snapshot;
    let report = store.compact().await.expect("room on the disk");
    assert_eq!((report.inputs, report.outputs, report.collapsed), (36, 9, 0), "{report:?}");
    assert_eq!((report.input_rows, report.rows), (7_200, 7_200));
    let after = store.stats();
    assert_eq!((after.snapshot, after.compactions, after.leaving_files), (snapshot + 9, 9, 36));
    assert!(after.tables.iter().all(|table| table.segments == 1 && table.sealed_rows == 800));
    assert_eq!(store.compact().await.expect("nothing to do").inputs, 0);
    for (table, rows) in &expected {
        assert_eq!(&all(&store, *table).await, rows, "{table} after the merge");
        let sql = format!("SELECT * FROM {table}");
        let answer = store.query(&sql, QueryLimits::default()).await.expect("rows");
        assert_eq!(&shown(&answer.batches), rows, "{table} in SQL");
    }
    assert_eq!(store.delete_unserved(Duration::from_secs(3_600)).await, 0, "queries may run");
    assert_eq!(store.delete_unserved(Duration::ZERO).await, 36);
    store.close(Duration::from_secs(10)).await;
    let (store, report) = open(folder.path()).await;
    assert_eq!((report.segments, report.orphans), (9, 0), "{report}");
    for (table, rows) in &expected {
        assert_eq!(&all(&store, *table).await, rows, "{table} after a restart");
        assert_eq!(segments(folder.path(), *table).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_spans_collapse_and_lines_stay_as_often_as_a_request_had_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    // Without fingerprints the store cannot know them again.
    let unmarked = |batch: Batch| Batch { fingerprints: Vec::new(), ..batch };
    let (trace, lines) = (unmarked(spans(500, 1)), unmarked(full(Table::Logs, 300, 2)));
    let twice = arrow::compute::concat_batches(&lines.rows.schema(), [&lines.rows, &lines.rows]);
    let twice = Batch { rows: twice.expect("one schema"), ..lines.clone() };
    let other = unmarked(spans(500, 3));
    for batches in [vec![trace.clone(), twice.clone()], vec![trace.clone(), lines], vec![other]] {
        store.write(batches).await.expect("rows that fit");
        store.seal().await.expect("room on the disk");
    }
    store.write(vec![trace.clone(), trace.clone()]).await.expect("rows that fit");
    store.seal().await.expect("room on the disk");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 2_500);
    assert_eq!(number(&store, "SELECT count(*) FROM logs").await, 900);
    let report = store.compact().await.expect("room on the disk");
    assert_eq!(report.collapsed, 1_500 + 300, "{report:?}");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 1_000);
    assert_eq!(all(&store, Table::Logs).await, shown(&[twice.rows]));
    assert_eq!(store.stats().compaction_collapsed, 1_800);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_different_spans_with_one_id_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let one = spans(100, 1);
    let names = spans(100, 2).rows.column_by_name("name").cloned().expect("a column");
    let columns = one.rows.schema_ref().fields().iter().zip(one.rows.columns());
    let columns = columns.map(|(f, c)| if f.name() == "name" { &names } else { c }.clone());
    let rows = RecordBatch::try_new(one.rows.schema(), columns.collect()).expect("columns");
    let other = Batch { rows, fingerprints: Vec::new(), table: Table::Spans };
    let same = (0..100).filter(|row| {
        let word = |batch: &Batch| {
            let column = batch.rows.column_by_name("name").expect("a column");
            halfopen_model::batch::text_at(column.as_ref(), *row).map(str::to_owned)
        };
        word(&one) == word(&other)
    });
    let same = same.count() as i64;
    for batch in [one.clone(), other.clone()] {
        put(&store, batch).await;
        store.seal().await.expect("room on the disk");
    }
    store.compact().await.expect("room on the disk");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 200 - same);
    let ids = "SELECT count(*) FROM (SELECT DISTINCT trace_id, span_id FROM spans)";
    assert_eq!(number(&store, ids).await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_taken_apart_by_hour_and_late_ones_move_nothing_large() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(TestClock(AtomicI64::new(NOW)));
    let settings = StoreConfig { compact_rows: 20_000, ..config(folder.path()) };
    let (store, _) = Store::open(settings, clock.clone()).await.expect("a folder that opens");
    for seed in 1..=3 {
        put(&store, shifted(&spans(3_000, seed), &|row| (row % 3) as i64)).await;
        store.seal().await.expect("room on the disk");
    }
    let expected = all(&store, Table::Spans).await;
    store.compact().await.expect("room on the disk");
    store.delete_unserved(Duration::ZERO).await;
    let hours = ["h2026112014", "h2026112015", "h2026112016"];
    let names = segments(folder.path(), Table::Spans);
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().zip(hours).all(|(name, hour)| name.contains(hour)), "{names:?}");
    assert_eq!(all(&store, Table::Spans).await, expected);
    // Ten rows come late, one by one, and each is old enough to be merged.
    clock.0.store(NOW + 8 * HOUR_NS, Ordering::Relaxed);
    let mut rewritten = 0;
    for seed in 10..20 {
        put(&store, spans(1, seed)).await;
        store.seal().await.expect("room on the disk");
        clock.0.fetch_add(HOUR_NS / 2, Ordering::Relaxed);
        rewritten += store.compact_due().await.expect("room on the disk").input_rows;
    }
    assert!(rewritten < 60, "{rewritten} rows were rewritten for ten late ones");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 9_010);
    assert!(store.stats().tables[Table::Spans as usize].segments <= 3 + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_larger_than_a_segment_makes_several_and_they_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = StoreConfig { compact_rows: 20_000, ..config(folder.path()) };
    let (store, _) =
        Store::open(settings, crate::support::clock()).await.expect("a folder that opens");
    for seed in 1..=3 {
        put(&store, spans(20_000, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    let expected = all(&store, Table::Spans).await;
    let report = store.compact().await.expect("room on the disk");
    assert!(report.outputs >= 3 && report.rows == 60_000, "{report:?}");
    assert_eq!(all(&store, Table::Spans).await, expected);
    assert_eq!(store.compact().await.expect("nothing to do").inputs, 0, "all are full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_a_merge_meets_is_set_aside_and_the_rest_is_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 1..=4 {
        put(&store, spans(1_000, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    let name = &segments(folder.path(), Table::Spans)[2];
    let path = folder.path().join("segments/spans").join(name);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[5_000] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let report = store.compact().await.expect("room on the disk");
    assert_eq!((report.inputs, report.rows), (3, 3_000), "{report:?}");
    let stats = store.stats();
    assert_eq!((stats.damaged_segments, stats.damaged_rows), (1, 1_000));
    let answer = store.query("SELECT 1 FROM spans", QueryLimits::default()).await.expect("rows");
    let rows: usize = answer.batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, answer.unread.len()), (3_000, 1));
    store.close(Duration::from_secs(10)).await;
    let (store, _) = open(folder.path()).await;
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 3_000);
    assert_eq!(segments(folder.path(), Table::Spans).len(), 1, "leftovers are swept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_and_queries_run_while_segments_are_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for seed in 0..60 {
            put(&writer, spans(500, seed)).await;
            writer.seal().await.expect("room on the disk");
        }
    });
    let merger = store.clone();
    let merging = tokio::spawn(async move {
        let mut merged = 0;
        while merged < 55 {
            merged += merger.compact_due().await.expect("room on the disk").inputs;
            merger.delete_unserved(Duration::ZERO).await;
            tokio::task::yield_now().await;
        }
    });
    let mut last = 0;
    while !merging.is_finished() {
        let sql = "SELECT count(*) FROM (SELECT DISTINCT trace_id, span_id FROM spans)";
        let rows = number(&store, sql).await;
        assert!(rows % 500 == 0 && rows >= last, "{rows} rows after {last}");
        last = rows;
        if writing.is_finished() && !merging.is_finished() {
            // What is left is too little to be due.
            store.compact().await.expect("room on the disk");
            break;
        }
    }
    merging.abort();
    writing.await.expect("no panic");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 30_000);
    assert_eq!(store.stats().damaged_segments, 0);
}
