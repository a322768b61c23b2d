//! At its bounds the store refuses and says when to try again; it never grows and never loses.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use halfopen_model::port::{Refusal, WriteEvidence};
use halfopen_model::{Batch, Table};
use halfopen_store::{Store, StoreConfig};

use crate::support::{all, clock, config, full, number, open, put, spans};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_within_its_bound_while_rows_come_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { hot_bytes_max: 64 * MIB, ..config(folder.path()) };
    let (store, _) = Store::open(config, clock()).await.expect("a folder that opens");
    let (mut acknowledged, mut refused) = (0, 0);
    for seed in 0..60 {
        match store.write(vec![spans(5_000, seed)]).await {
            Ok(written) => acknowledged += written.rows,
            Err(Refusal::Later { reason, after }) => {
                assert!(reason.contains("memory") && after > Duration::ZERO, "{reason}");
                refused += 1;
                tokio::task::yield_now().await;
            }
            Err(other) => panic!("{other}"),
        }
        let stats = store.stats();
        assert!(stats.hot_bytes <= stats.hot_bytes_max, "{} bytes are held", stats.hot_bytes);
    }
    println!("{acknowledged} rows acknowledged, {refused} writes refused");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, acknowledged as i64);
    assert_eq!(store.stats().refused_memory, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_refuses_until_rows_are_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { wal_bytes_max: 2_000_000, ..config(folder.path()) };
    let (store, _) = Store::open(config, clock()).await.expect("a folder that opens");
    let mut refused = false;
    for seed in 0..200 {
        match store.write(vec![spans(5_000, seed)]).await {
            Ok(_) => {}
            Err(Refusal::Later { reason, .. }) => {
                assert!(reason.contains("write-ahead log is full"), "{reason}");
                refused = true;
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused, "200 writes fit into a log of 2 MB");
    store.seal().await.expect("room on the disk");
    assert_eq!(put(&store, spans(1_000, 1_000)).await.rows, 1_000);
    assert!(store.stats().refused_wal > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_do_not_fit_are_refused_for_good_and_nothing_of_the_write_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let good = spans(10, 1);
    let lacking = Batch { rows: good.rows.project(&[0, 1]).expect("columns"), ..good.clone() };
    let marked = Batch { fingerprints: vec![1], ..good.clone() };
    let other = Batch { table: Table::Logs, ..good.clone() };
    for (bad, words) in [
        (lacking, "lack the column \"start_time\""),
        (marked, "10 rows of spans came with 1 fingerprints"),
        (other, "rows of logs lack the column \"time\""),
    ] {
        match store.write(vec![good.clone(), bad]).await {
            Err(Refusal::Never { reason }) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(all(&store, Table::Spans).await.len(), 0);
    assert_eq!(put(&store, good).await.rows, 10, "its rows are still new");
    assert_eq!(store.stats().refused_invalid, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_batches_of_a_quiet_sender_are_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, full(Table::Spans, 10, 0)).await;
    let one = store.stats().hot_bytes;
    for seed in 1..200 {
        put(&store, full(Table::Spans, 10, seed)).await;
    }
    let expected = all(&store, Table::Spans).await;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while store.stats().hot_batches > 20 {
        tick.tick().await;
    }
    let after = store.stats();
    assert!(after.hot_bytes * 3 < one * 200, "{one} bytes, then {}", after.hot_bytes);
    assert_eq!(all(&store, Table::Spans).await, expected);
    assert_eq!(put(&store, full(Table::Spans, 10, 7)).await.collapsed, 10);
}

/// A file system of a few megabytes; `None` where it cannot be had.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: a small tmpfs cannot be mounted here (needs root)");
            return None;
        }
        Some(SmallDisk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let ballast = disk.path().join("ballast");
    let data = disk.path().join("data");
    std::fs::write(&ballast, vec![1; 12 * MIB]).expect("room on the disk");
    let (store, _) = open(&data).await;
    let (mut acknowledged, mut refused) = (0, Vec::new());
    for seed in 0..400 {
        match store.write(vec![spans(2_000, seed)]).await {
            Ok(written) => acknowledged += written.rows,
            Err(Refusal::Later { reason, .. }) => {
                assert_eq!(reason, "the disk is full");
                refused.push(seed);
                if refused.len() == 20 {
                    break;
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(!refused.is_empty(), "the disk never became full");
    println!("{acknowledged} rows acknowledged, refused: {refused:?}");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, acknowledged as i64);
    assert!(store.seal().await.is_err(), "there is no room for segments either");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, acknowledged as i64);

    std::fs::remove_file(&ballast).expect("a file");
    for seed in refused {
        let written = store.write(vec![spans(2_000, seed)]).await.expect("there is room again");
        assert_eq!((written.rows, written.collapsed), (2_000, 0), "it was taken back");
        acknowledged += written.rows;
    }
    store.seal().await.expect("there is room again");
    store.seal().await.expect("there is room again");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, acknowledged as i64);
    store.close(Duration::from_secs(10)).await;
    drop(store);
    let (store, report) = open(&data).await;
    assert_eq!(report.damaged_frames + report.damaged_segments, 0, "{report}");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, acknowledged as i64);
    store.close(Duration::ZERO).await;
}
