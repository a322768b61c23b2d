//! Killed at every step between log, segment, catalogue and deletion: nothing is lost, nothing is
//! there twice, and nothing is left over.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use halfopen_model::Table;
use halfopen_store::{CrashPoint, Store, StoreConfig};

use crate::compact::shifted;
use crate::support::{
    NOW, TestClock, all, change_catalogue, config, number, open, put, shown, spans,
};

/// Says to the child where to write, and at which moment it ends.
const CHILD: &str = "HALFOPEN_TEST_STEP_CHILD";
const ROWS: usize = 300;
/// Longer ago than rows are kept here.
const OLD_HOURS: i64 = 24 * 30;

fn settings(folder: &Path) -> StoreConfig {
    StoreConfig { retention_days: 7, ..config(folder) }
}

/// Not a test of its own: what the child of the next test does until it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_ends_at_a_step() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (folder, point) = task.rsplit_once(' ').expect("a folder and a number");
    let point = CrashPoint::ALL[point.parse::<usize>().expect("a number")];
    let clock = Arc::new(TestClock(AtomicI64::new(NOW)));
    let opened = Store::open_and_crash(settings(Path::new(folder)), clock.clone(), point).await;
    let (store, _) = opened.expect("a folder that opens");
    for seed in 1..=3 {
        put(&store, spans(ROWS, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    put(&store, shifted(&spans(ROWS, 4), &|_| -OLD_HOURS)).await;
    store.seal().await.expect("room on the disk");
    store.compact().await.expect("room on the disk");
    clock.0.fetch_add(1, Ordering::Relaxed);
    store.retain().await.expect("room on the disk");
    store.delete_unserved(Duration::ZERO).await;
    unreachable!("{point:?} is never reached");
}

fn run_to(folder: &Path, point: usize) {
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "steps::child_that_ends_at_a_step", "--nocapture"])
        .env(CHILD, format!("{} {point}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a child");
    use std::os::unix::process::ExitStatusExt;
    let name = CrashPoint::ALL[point];
    assert_eq!(status.signal(), Some(6), "{name:?}: it was to end by itself ({status})");
}

/// A catalogue and a folder as version 1 left them.
async fn make_old(folder: &Path) {
    let back = "ALTER TABLE segments DROP COLUMN level;
        ALTER TABLE segments DROP COLUMN removed_at;
        DROP TABLE cuts;
        UPDATE numbers SET value = 1 WHERE name = 'version'";
    change_catalogue(folder, back).await;
    fs::write(folder.join("FORMAT"), "halfopen store 1\n").expect("a file");
}

fn segment_files(folder: &Path) -> u64 {
    let tables = fs::read_dir(folder.join("segments")).expect("a folder");
    let files = tables.flat_map(|table| fs::read_dir(table.expect("a folder").path()));
    let names = files.flatten().map(|file| file.expect("a file").file_name());
    names.filter(|name| !name.to_string_lossy().ends_with(".filter")).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing() {
    for (number_of, point) in CrashPoint::ALL.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        if point == CrashPoint::UpgradeHalf {
            let (store, _) = open(&data).await;
            store.close(Duration::from_secs(10)).await;
            make_old(&data).await;
        }
        run_to(&data, number_of);
        // Killed, and again at the same step of what is repeated.
        let clock = Arc::new(TestClock(AtomicI64::new(NOW)));
        let opened = Store::open(settings(&data), clock).await;
        let (store, report) = opened.expect("a folder that opens");
        assert_eq!(report.damaged_frames + report.damaged_segments, 0, "{point:?}: {report}");
        assert!(report.notes.is_empty(), "{point:?}: {report}");
        let expired = store.stats().tables[Table::Spans as usize];
        for seed in 1..=4 {
            let batch = shifted(&spans(ROWS, seed), &|_| if seed == 4 { -OLD_HOURS } else { 0 });
            put(&store, batch).await;
        }
        store.seal().await.expect("room on the disk");
        store.compact().await.expect("room on the disk");
        store.retain().await.expect("room on the disk");
        store.delete_unserved(Duration::ZERO).await;
        let young: Vec<_> = (1..=3).map(|seed| spans(ROWS, seed).rows).collect();
        assert_eq!(
            number(&store, "SELECT count(*) FROM spans").await,
            3 * ROWS as i64,
            "{point:?}: {expired:?}"
        );
        let rows = all(&store, Table::Spans).await;
        let batches = young.iter().map(|rows| {
            halfopen_model::batch::conform(rows, &halfopen_model::schema::schema(Table::Spans))
        });
        let batches: Vec<_> = batches.map(|rows| rows.expect("columns")).collect();
        assert_eq!(rows, shown(&batches), "{point:?}");
        let stats = store.stats();
        let served: u64 = stats.tables.iter().map(|table| table.segments).sum();
        assert_eq!((stats.leaving_files, segment_files(&data)), (0, served), "{point:?}");
        store.close(Duration::from_secs(10)).await;
        drop(store);
        let (store, report) = Store::open(settings(&data), crate::support::clock())
            .await
            .expect("a folder that opens");
        assert_eq!((report.orphans, report.notes.len()), (0, 0), "{point:?}: {report}");
        assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 3 * ROWS as i64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_an_older_format_is_read_as_it_is_and_upgraded_when_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, spans(ROWS, 1)).await;
    store.close(Duration::from_secs(10)).await;
    drop(store);
    make_old(folder.path()).await;
    let format = || fs::read_to_string(folder.path().join("FORMAT")).expect("a file");
    let clock = crate::support::clock();
    let opened = Store::open_read_only(config(folder.path()), Arc::clone(&clock)).await;
    let (store, _) = opened.expect("a folder that opens");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, ROWS as i64);
    store.close(Duration::ZERO).await;
    drop(store);
    assert_eq!(format(), "halfopen store 1\n", "reading changes nothing");
    let (store, _) = open(folder.path()).await;
    assert_eq!(format(), "halfopen store 2\n");
    put(&store, spans(ROWS, 2)).await;
    store.seal().await.expect("room on the disk");
    assert_eq!(store.compact().await.expect("room on the disk").inputs, 2);
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 2 * ROWS as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_lets_the_oldest_go_by_age_and_by_size_and_answers_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = StoreConfig {
        retention_table_days: vec!["spans=7".to_owned()],
        retention_bytes_max: 150_000,
        ..config(folder.path())
    };
    let (store, _) =
        Store::open(settings, crate::support::clock()).await.expect("a folder that opens");
    for (seed, hours) in [(1, -OLD_HOURS), (2, -3), (3, -2), (4, 0)] {
        put(&store, shifted(&spans(500, seed), &|_| hours)).await;
        store.seal().await.expect("room on the disk");
    }
    store.retain().await.expect("room on the disk");
    assert_eq!(store.stats().expired_rows, 500);
    let answer =
        store.query("SELECT 1 FROM spans", Default::default()).await.expect("a query that runs");
    assert!(answer.unread[0].starts_with("500 rows of spans from "), "{:?}", answer.unread);
    assert!(answer.unread[0].ends_with("are gone: their retention is over"));
    let lately = "SELECT 1 FROM spans WHERE start_time >= '2026-11-20T00:00:00Z'";
    let answer = store.query(lately, Default::default()).await.expect("a query that runs");
    assert_eq!(answer.unread.len(), 0, "{:?}", answer.unread);
    let mut scan =
        halfopen_model::port::Scan::all(Table::Spans, halfopen_model::TimeRange::ALL, 10_000);
    let rows = halfopen_model::ReadEvidence::read(&store, scan.clone()).await.expect("rows");
    assert_eq!((rows.len(), rows.unread.len()), (1_500, 1));
    scan.range.from = halfopen_model::UnixNanos(NOW);
    let rows = halfopen_model::ReadEvidence::read(&store, scan).await.expect("rows");
    assert_eq!(rows.unread.len(), 0);
    // Far more rows: the bound is reached.
    for seed in 10..16 {
        put(&store, spans(2_000, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    store.retain().await.expect("room on the disk");
    let stats = store.stats();
    let bytes: u64 = stats.tables.iter().map(|table| table.segment_bytes).sum();
    assert!(bytes <= 150_000 && stats.expired_segments > 2, "{bytes} bytes");
    assert_eq!(stats.retention_bytes_max, 150_000);
    let late = "SELECT count(*) FROM spans WHERE start_time < '2026-11-20T14:00:00Z'";
    assert_eq!(number(&store, late).await, 0, "the oldest went first");
}
