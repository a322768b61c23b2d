//! A check reads every byte; a lost catalogue is made again from the segments.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use halfopen_model::port::WriteEvidence;
use halfopen_model::{Table, TimeRange, UnixNanos};
use halfopen_store::{CheckReport, Store, check, rebuild};

use crate::support::{
    NOW, all, catalogue, change_catalogue, clock, config, full, number, open, put, shown, spans,
};

async fn look(folder: &Path) -> CheckReport {
    check(config(folder), clock()).await.expect("a folder that opens")
}

/// Sealed, merged, sealed since, and in the log.
async fn folder_of_all_kinds(folder: &Path) -> Store {
    let (store, _) = open(folder).await;
    for seed in 1..=3 {
        let batches = Table::ALL.into_iter().map(|table| full(table, 100, seed)).collect();
        store.write(batches).await.expect("rows that fit");
        store.seal().await.expect("room on the disk");
    }
    store.compact().await.expect("room on the disk");
    put(&store, spans(500, 9)).await;
    store.seal().await.expect("room on the disk");
    put(&store, spans(200, 10)).await;
    store
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("segments/spans")).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_folder_has_no_problem_and_every_kind_of_damage_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder_of_all_kinds(folder.path()).await;
    assert_eq!(store.delete_unserved(Duration::ZERO).await, 27);
    store.close(Duration::ZERO).await;
    drop(store);
    let report = look(folder.path()).await;
    assert_eq!(report.problems, [], "nothing is wrong");
    assert_eq!((report.segments, report.rows, report.log_rows), (10, 9 * 300 + 500, 200));
    let segments = segments(folder.path());
    let mut bytes = fs::read(&segments[0]).expect("a file");
    bytes[1_000] ^= 4;
    fs::write(&segments[0], bytes).expect("a file");
    fs::remove_file(&segments[1]).expect("a file");
    fs::write(folder.path().join("segments/logs/notes.parquet"), "x").expect("a file");
    let report = look(folder.path()).await;
    let found: Vec<String> = report
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.file, problem.what))
        .collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains("rows are set aside: its file is missing"), "{found:?}");
    assert!(found[1].starts_with("segments/logs/notes.parquet: is not in"), "{found:?}");
    assert!(found[2].contains("the checksum of its block at byte 0 differs"), "{found:?}");
    assert_eq!(look(folder.path()).await.problems, report.problems, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_catalogue_is_made_again_with_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder_of_all_kinds(folder.path()).await;
    let mut expected = Vec::new();
    for table in Table::ALL {
        expected.push(all(&store, table).await);
    }
    // What was merged is still there beside what it was merged from.
    assert_eq!(store.stats().leaving_files, 27);
    store.close(Duration::ZERO).await;
    drop(store);
    match catalogue() {
        None => fs::remove_file(folder.path().join("catalogue.sqlite")).expect("a file"),
        Some(_) => change_catalogue(folder.path(), "DROP TABLE segments, numbers, cuts").await,
    }
    let report = rebuild(&config(folder.path())).await.expect("segments that read");
    assert_eq!((report.segments, report.rows, report.left_out.len()), (10, 9 * 300 + 500, 27));
    let (store, opened) = open(folder.path()).await;
    assert_eq!(opened.replayed_rows, 200, "{opened}");
    for (table, rows) in Table::ALL.into_iter().zip(expected) {
        assert_eq!(all(&store, table).await, rows, "{table}");
    }
    store.seal().await.expect("room on the disk");
    assert!(store.compact().await.expect("room on the disk").inputs > 0);
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_range_are_exported_as_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder_of_all_kinds(folder.path()).await;
    let path = folder.path().join("out.parquet");
    let exported = store.export(Table::Spans, TimeRange::ALL, &path).await.expect("a file");
    assert_eq!(exported.rows, 1_000);
    let file = fs::File::open(&path).expect("a file");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let reader = reader.expect("Parquet").build().expect("Parquet");
    let batches: Vec<_> = reader.map(|rows| rows.expect("rows")).collect();
    assert_eq!(shown(&batches), all(&store, Table::Spans).await);
    let later = TimeRange { from: UnixNanos(NOW + 60_000_000_000), to: UnixNanos::MAX };
    let exported = store.export(Table::Spans, later, &path).await.expect("a file");
    assert_eq!(exported.rows, 0);
}
