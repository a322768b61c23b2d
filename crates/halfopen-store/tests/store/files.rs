//! The files: others read them, and a quiet folder is small and quick to open.

use std::process::Command;
use std::time::{Duration, Instant};

use halfopen_model::Table;
use halfopen_model::port::WriteEvidence;

use crate::support::{full, number, open, put, spans};

const DUCKDB: &str = "
import duckdb, sys
folder = sys.argv[1]
for table in sys.argv[2:]:
    source = f\"read_parquet('{folder}/segments/{table}/*.parquet', union_by_name=true)\"
    rows = duckdb.sql(f'select count(*) from {source}').fetchall()[0][0]
    duckdb.execute(f'create temp table copy_of_{table} as select * from {source}')
    print(table, rows)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duckdb_reads_segments_and_counts_the_same_rows() {
    let probe = Command::new("python3").args(["-c", "import duckdb"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: python3 with the package duckdb is not there");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 1..=2 {
        let batches = Table::ALL.into_iter().map(|table| full(table, 500, seed)).collect();
        store.write(batches).await.expect("rows that fit");
        put(&store, spans(3_000, seed + 10)).await;
        store.seal().await.expect("room on the disk");
    }
    let mut python = Command::new("python3");
    python.args(["-c", DUCKDB]).arg(folder.path()).args(Table::ALL.map(Table::name));
    let output = python.output().expect("python3");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut expected = String::new();
    for table in Table::ALL {
        let rows = number(&store, &format!("SELECT count(*) FROM {table}")).await;
        expected.push_str(&format!("{table} {rows}\n"));
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_leaves_no_log_and_the_next_start_is_quick() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, spans(50_000, 1)).await;
    let report = store.close(Duration::from_secs(30)).await;
    assert_eq!((report.sealed.rows, report.rows_in_wal), (50_000, 0), "{report:?}");
    assert!(report.notes.is_empty(), "{report:?}");
    drop(store);
    let left: Vec<_> = std::fs::read_dir(folder.path().join("wal")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
    let begin = Instant::now();
    let (store, report) = open(folder.path()).await;
    println!("opened in {:?}", begin.elapsed());
    assert!(report.took < Duration::from_secs(2), "{:?}", report.took);
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interrupted_seal_left_behind_is_removed_and_foreign_files_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, spans(1_000, 1)).await;
    store.close(Duration::ZERO).await;
    drop(store);
    let segments = folder.path().join("segments/spans");
    for name in ["spans-1.tmp", "spans-00000000000000000001-node-1.parquet", "notes.parquet"] {
        std::fs::write(segments.join(name), "half of a segment").expect("a file");
    }
    let (store, report) = open(folder.path()).await;
    assert_eq!((report.orphans, report.notes.len()), (2, 1), "{report}");
    assert!(report.notes[0].contains("notes.parquet is not in the catalogue"), "{report}");
    assert!(segments.join("notes.parquet").exists());
    store.seal().await.expect("room on the disk");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 1_000);
}
