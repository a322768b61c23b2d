//! Writers, readers and seals at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use halfopen_model::port::{Match, ReadEvidence, Scan, WriteEvidence};
use halfopen_model::{Table, TimeRange};

use crate::support::{number, open, put, spans, trace_id};

const WRITERS: u64 = 3;
const WRITES: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_row_is_missed_or_seen_twice_while_rows_are_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let (begun, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, begun, done) = (store.clone(), Arc::clone(&begun), Arc::clone(&done));
            tokio::spawn(async move {
                for number in 0..WRITES {
                    begun.fetch_add(500, Ordering::SeqCst);
                    put(&store, spans(500, writer * 1_000 + number)).await;
                    done.fetch_add(500, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let sealer = {
        let (store, over) = (store.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                store.seal().await.expect("room on the disk");
                tokio::task::yield_now().await;
            }
        })
    };
    let mut looks = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        let least = done.load(Ordering::SeqCst) as i64;
        let sql = "SELECT count(*) FROM spans";
        let scan = Scan::all(Table::Spans, TimeRange::ALL, usize::MAX);
        let seen = match looks % 2 {
            0 => number(&store, sql).await,
            _ => store.read(scan).await.expect("rows").len() as i64,
        };
        let most = begun.load(Ordering::SeqCst) as i64;
        assert!((least..=most).contains(&seen), "{seen} rows, {least} to {most} were written");
        assert_eq!(seen % 500, 0, "a write is seen whole or not at all");
        looks += 1;
    }
    over.store(true, Ordering::SeqCst);
    sealer.await.expect("no panic");
    for writer in writers {
        writer.await.expect("no panic");
    }
    println!("{looks} looks, {:?} seals", store.stats().seals);
    let rows = (WRITERS * WRITES * 500) as i64;
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, rows);
    let distinct = "SELECT count(*) FROM (SELECT DISTINCT trace_id, span_id FROM spans)";
    assert_eq!(number(&store, distinct).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_rows_from_many_senders_at_once_are_kept_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.write(vec![spans(1_000, 5)]).await })
        })
        .collect();
    let mut rows = 0;
    for sender in senders {
        let written = sender.await.expect("no panic").expect("rows that fit");
        assert_eq!(written.rows + written.collapsed, 1_000);
        rows += written.rows;
    }
    assert_eq!((rows, number(&store, "SELECT count(*) FROM spans").await), (1_000, 1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_find_what_they_ask_for_hot_and_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, spans(20_000, 1)).await;
    store.seal().await.expect("room on the disk");
    put(&store, spans(20_000, 2)).await;
    let count = |matching: Match, rows_max: usize| {
        let store = store.clone();
        let mut scan = Scan::all(Table::Spans, TimeRange::ALL, rows_max);
        scan.matching = matching;
        async move {
            let rows = store.read(scan).await.expect("rows");
            (rows.len(), rows.truncated)
        }
    };
    let ids: Vec<_> = [(1, 3), (1, 3), (1, 3_999), (2, 0)].map(|(s, n)| trace_id(s, n)).into();
    assert_eq!(count(Match::Traces(ids), 100).await, (15, false));
    assert_eq!(count(Match::Traces(vec![trace_id(3, 0)]), 100).await, (0, false));
    let id = trace_id(1, 9);
    assert_eq!(count(Match::TraceRange(id, id), 100).await, (5, false));
    let (mut from, mut to) = (id, id);
    from.0[4..].fill(0);
    to.0[4..].fill(0xFF);
    assert_eq!(count(Match::TraceRange(from, to), 100).await, (5, false));
    assert_eq!(count(Match::All, 33).await, (33, true));
    assert_eq!(count(Match::All, 40_000).await, (40_000, false));
    let text =
        |column: &str, value: &str| Match::Text { column: column.into(), value: value.into() };
    let by_sql = number(&store, "SELECT count(*) FROM spans WHERE service = 'word 4'").await;
    assert_eq!(count(text("service", "word 4"), usize::MAX).await, (by_sql as usize, false));
    assert_eq!(count(text("service", "nobody"), usize::MAX).await, (0, false));
    let prefix = Match::TextPrefix { column: "service".into(), prefix: "word 1".into() };
    let by_sql = number(&store, "SELECT count(*) FROM spans WHERE service LIKE 'word 1%'").await;
    assert_eq!(count(prefix, usize::MAX).await, (by_sql as usize, false));

    let mut scan = Scan::all(Table::Spans, TimeRange::ALL, 10);
    scan.columns = Some(vec!["name".into(), "request_id".into(), "events".into()]);
    let rows = store.read(scan.clone()).await.expect("rows");
    assert_eq!(rows.batches[0].num_columns(), 3, "columns that no row has are null");
    scan.columns = Some(vec!["colour".into()]);
    assert!(store.read(scan).await.is_err());
    assert!(matches!(
        store
            .read(Scan {
                matching: text("colour", "x"),
                ..Scan::all(Table::Ids, TimeRange::ALL, 1)
            })
            .await,
        Err(halfopen_model::port::ReadError::Invalid { .. })
    ));
    store.close(Duration::ZERO).await;
}
