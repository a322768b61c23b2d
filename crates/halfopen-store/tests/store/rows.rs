//! Rows come back as they were: hot, sealed, and after the start of another process.

use std::time::Duration;

use crate::support::{all, full, open, shown};
use halfopen_model::Table;
use halfopen_model::port::WriteEvidence;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_all_tables_come_back_hot_sealed_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let batches: Vec<_> = Table::ALL.into_iter().map(|table| full(table, 300, 7)).collect();
    let expected: Vec<_> = batches
        .iter()
        .map(|batch| (batch.table, shown(std::slice::from_ref(&batch.rows))))
        .collect();
    let written = store.write(batches.clone()).await.expect("rows that fit");
    assert_eq!((written.rows, written.collapsed), (2_700, 0));
    for (table, rows) in &expected {
        assert_eq!(&all(&store, *table).await, rows, "{table} while hot");
    }
    let sealed = store.seal().await.expect("room on the disk");
    assert_eq!((sealed.rows, sealed.segments), (2_700, 9));
    for (table, rows) in &expected {
        assert_eq!(&all(&store, *table).await, rows, "{table} after the seal");
    }
    let again = store.write(batches).await.expect("rows that fit");
    assert_eq!((again.rows, again.collapsed), (0, 2_700), "the same rows again");
    store.close(Duration::from_secs(10)).await;
    let (store, report) = open(folder.path()).await;
    assert_eq!((report.segment_rows, report.replayed_rows), (2_700, 0), "{report}");
    assert!(report.notes.is_empty(), "{report}");
    for (table, rows) in &expected {
        assert_eq!(&all(&store, *table).await, rows, "{table} after a restart");
    }
}
