//! Damage on disk is found, set aside, named, and everything else is served.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use halfopen_model::port::{Match, ReadEvidence, Scan};
use halfopen_model::{Table, TimeRange};
use halfopen_store::{QueryLimits, Store, StoreError};

use crate::support::{Numbers, all, catalogue, clock, config, number, open, put, spans, trace_id};

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("a file");
}

/// Three segments of a thousand spans, closed.
async fn three_segments(folder: &Path) -> Vec<PathBuf> {
    let (store, _) = open(folder).await;
    for seed in 1..=3 {
        put(&store, spans(1_000, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    store.close(Duration::from_secs(10)).await;
    files(&folder.join("segments/spans"), ".parquet")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_a_segment_is_found_wherever_it_is() {
    for seed in 1..=12 {
        let folder = tempfile::tempdir().expect("a folder");
        let segments = three_segments(folder.path()).await;
        let mut numbers = Numbers::new(seed);
        let size = fs::metadata(&segments[1]).expect("a file").len();
        let at = numbers.below(size) as usize;
        println!("seed {seed}: bit flipped at byte {at} of {size}");
        flip(&segments[1], at);
        let (store, report) = open(folder.path()).await;
        assert_eq!((report.segments, report.damaged_segments), (3, 0), "nothing is read at start");
        let rows = if seed % 2 == 0 {
            let scan = Scan::all(Table::Spans, TimeRange::ALL, usize::MAX);
            let rows = store.read(scan).await.expect("the rest");
            assert!(rows.unread.len() == 1 && rows.unread[0].contains("1000 rows of spans"));
            rows.len()
        } else {
            let sql = "SELECT * FROM spans";
            let answer = store.query(sql, QueryLimits::default()).await.expect("the rest");
            assert_eq!(answer.unread.len(), 1, "{:?}", answer.unread);
            answer.batches.iter().map(|batch| batch.num_rows()).sum()
        };
        assert_eq!(rows, 2_000);
        let stats = store.stats();
        assert_eq!((stats.damaged_segments, stats.damaged_rows), (1, 1_000));
        assert_eq!(files(&folder.path().join("damaged"), ".parquet").len(), 1);
        assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 2_000);
        store.close(Duration::from_secs(10)).await;
        let (_, report) = open(folder.path()).await;
        assert_eq!((report.segments, report.damaged_segments), (2, 1), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_elsewhere_does_not_stumble_over_damage_and_names_it_when_it_matters() {
    let folder = tempfile::tempdir().expect("a folder");
    let segments = three_segments(folder.path()).await;
    flip(&segments[0], 100);
    let (store, _) = open(folder.path()).await;
    let mut scan = Scan::all(Table::Spans, TimeRange::ALL, 100);
    scan.matching = Match::Traces(vec![trace_id(3, 7)]);
    assert_eq!(store.read(scan.clone()).await.expect("a trace").len(), 5);
    assert_eq!(all(&store, Table::Spans).await.len(), 2_000, "now the damage is found");
    let rows = store.read(scan).await.expect("a trace");
    assert_eq!((rows.len(), rows.unread.len()), (5, 1), "the trace may have had more spans");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_shortened_segments_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let segments = three_segments(folder.path()).await;
    fs::remove_file(&segments[0]).expect("a file");
    let short = fs::read(&segments[1]).expect("a file");
    fs::write(&segments[1], &short[..short.len() / 2]).expect("a file");
    let (store, report) = open(folder.path()).await;
    assert_eq!((report.segments, report.damaged_segments), (2, 1), "{report}");
    assert!(report.notes[0].contains("its file is missing"), "{report}");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 1_000);
    let answer = store.query("SELECT 1 FROM spans", QueryLimits::default()).await.expect("rows");
    assert_eq!(answer.unread.len(), 2);
}

/// Four writes that are in the log only.
async fn four_writes(folder: &Path) -> PathBuf {
    let (store, _) = open(folder).await;
    for seed in 1..=4 {
        put(&store, spans(500, seed)).await;
    }
    store.close(Duration::ZERO).await;
    files(&folder.join("wal"), ".wal").remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_log_costs_one_write() {
    for seed in 1..=25 {
        let folder = tempfile::tempdir().expect("a folder");
        let wal = four_writes(folder.path()).await;
        let size = fs::metadata(&wal).expect("a file").len();
        // Behind the head of the file: a bit flipped there costs nothing.
        let at = 8 + Numbers::new(seed).below(size - 8) as usize;
        println!("seed {seed}: bit flipped at byte {at} of {size}");
        flip(&wal, at);
        let (store, report) = open(folder.path()).await;
        assert_eq!((report.replayed_rows, report.damaged_frames), (1_500, 1), "{report}");
        assert_eq!(report.torn_bytes, 0, "{report}");
        assert_eq!(files(&folder.path().join("damaged"), ".frame").len(), 1);
        assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 1_500);
        assert_eq!(store.stats().damaged_frames, 1);
        let written = put(&store, spans(500, 9)).await;
        assert_eq!(written.rows, 500, "service goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_of_the_log_is_cut() {
    for seed in 1..=25 {
        let folder = tempfile::tempdir().expect("a folder");
        let wal = four_writes(folder.path()).await;
        let bytes = fs::read(&wal).expect("a file");
        let last = bytes.len() - bytes.len() / 5;
        let end = last + Numbers::new(seed).below((bytes.len() - last) as u64) as usize;
        println!("seed {seed}: cut at byte {end} of {}", bytes.len());
        fs::write(&wal, &bytes[..end]).expect("a file");
        let (store, report) = open(folder.path()).await;
        assert_eq!((report.replayed_rows, report.damaged_frames), (1_500, 0), "{report}");
        assert!(report.torn_bytes > 0, "{report}");
        // What was never acknowledged is sent again.
        assert_eq!(put(&store, spans(500, 4)).await.rows, 500);
        assert_eq!(put(&store, spans(500, 3)).await.collapsed, 500);
        store.close(Duration::ZERO).await;
        let (store, report) = open(folder.path()).await;
        assert_eq!((report.replayed_rows, report.torn_bytes), (2_000, 0), "{report}");
        drop(store);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_format_and_a_foreign_folder_are_refused_with_a_reason() {
    let refused = |folder: PathBuf| async move {
        Store::open(config(&folder), clock()).await.map(|_| ()).expect_err("a refusal")
    };
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("FORMAT"), "halfopen store 3\n").expect("a file");
    let error = refused(folder.path().to_owned()).await;
    assert!(error.to_string().ends_with("has format 3, this halfopen reads up to 2"), "{error}");
    fs::write(folder.path().join("FORMAT"), "something else").expect("a file");
    assert!(matches!(refused(folder.path().to_owned()).await, StoreError::NotOurs { .. }));

    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("thesis.tex"), "x").expect("a file");
    let error = refused(folder.path().to_owned()).await;
    assert!(error.to_string().contains("it holds \"thesis.tex\""), "{error}");
    assert_eq!(files(folder.path(), "").len(), 1, "nothing was made in it");

    let nowhere = folder.path().join("nowhere");
    let error = Store::open_read_only(config(&nowhere), clock()).await.map(|_| ());
    assert!(matches!(error, Err(StoreError::Missing { .. })));
    assert!(!nowhere.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_owner_and_read_only_leaves_it_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, spans(1_000, 1)).await;
    store.seal().await.expect("room on the disk");
    put(&store, spans(1_000, 2)).await;
    for read_only in [false, true] {
        let error = match read_only {
            true => Store::open_read_only(config(folder.path()), clock()).await.map(|_| ()),
            false => Store::open(config(folder.path()), clock()).await.map(|_| ()),
        };
        let error = error.expect_err("the folder is taken");
        let process = format!("is in use by process {}", std::process::id());
        assert!(error.to_string().ends_with(&process), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--url")));
    }
    store.close(Duration::ZERO).await;
    drop(store);

    let content = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    let wal = files(&folder.path().join("wal"), ".wal");
    let catalogue = if catalogue().is_some() { "CATALOGUE" } else { "catalogue.sqlite" };
    let before = (content(catalogue), fs::read(&wal[0]).expect("a file"));
    let opened = Store::open_read_only(config(folder.path()), clock()).await;
    let (store, report) = opened.expect("a folder that opens");
    assert_eq!((report.segment_rows, report.replayed_rows), (1_000, 1_000), "{report}");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 2_000);
    let refusal = halfopen_model::WriteEvidence::write(&store, vec![spans(5, 3)]).await;
    assert_eq!(refusal, Err(halfopen_model::port::Refusal::Closed));
    assert!(store.seal().await.is_err());
    store.close(Duration::ZERO).await;
    drop(store);
    let after = (content(catalogue), fs::read(&wal[0]).expect("a file"));
    assert!(before == after, "reading changed the folder");
}
