//! Killed at random moments: every acknowledged row is there afterwards, and once.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use halfopen_model::port::WriteEvidence;
use halfopen_store::{Store, StoreConfig};

use crate::support::{Numbers, clock, config, number, open, put, spans};

/// Says to the child where to write, and with which seed.
const CHILD: &str = "HALFOPEN_TEST_CRASH_CHILD";
const ROWS: usize = 400;
const SENDERS: u64 = 3;

/// Not a test of its own: what the child of the next test does until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes_until_it_is_killed() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (folder, round) = task.rsplit_once(' ').expect("a folder and a number");
    let folder = Path::new(folder);
    let round: u64 = round.parse().expect("a number");
    // Seals all the time, so that it is killed in the middle of one now and then.
    let config = StoreConfig { seal_rows: 3_000, ..config(&folder.join("data")) };
    let (store, _) = Store::open(config, clock()).await.expect("a folder that opens");
    let log = OpenOptions::new().create(true).append(true).open(folder.join("acknowledged"));
    let log = std::sync::Arc::new(log.expect("a file"));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (store, log) = (store.clone(), std::sync::Arc::clone(&log));
            tokio::spawn(async move {
                for number in 0.. {
                    let seed = (round * SENDERS + sender) * 100_000 + number;
                    store.write(vec![spans(ROWS, seed)]).await.expect("rows that fit");
                    (&*log).write_all(format!("{seed}\n").as_bytes()).expect("a file");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("no panic");
    }
}

fn acknowledged(folder: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(folder.join("acknowledged")).unwrap_or_default();
    // The last line may lack its end.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().expect("a seed")).collect()
}

/// Starts the child and kills it after some milliseconds.
fn run_and_kill(folder: &Path, round: u64, after: Duration) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "crash::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, format!("{} {round}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let before = acknowledged(folder).len();
    let deadline = Instant::now() + Duration::from_secs(20);
    // Counts from the first acknowledgement on: starting takes its time.
    while acknowledged(folder).len() == before && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let kill = Instant::now() + after;
    while Instant::now() < kill {
        std::thread::yield_now();
    }
    child.kill().expect("a child that runs");
    child.wait().expect("a child that ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_row_survives_a_kill_at_any_moment() {
    let kills = if std::env::var_os("HALFOPEN_SLOW").is_some() { 50 } else { 6 };
    let folder = tempfile::tempdir().expect("a folder");
    let mut numbers = Numbers::new(2026);
    for round in 1..=kills {
        let after = Duration::from_micros(numbers.below(400_000));
        println!("round {round}: killed after {after:?}");
        run_and_kill(folder.path(), round, after);
        let (store, report) = open(&folder.path().join("data")).await;
        assert_eq!(report.damaged_frames + report.damaged_segments, 0, "{report}");
        let seeds = acknowledged(folder.path());
        let rows = number(&store, "SELECT count(*) FROM spans").await;
        let distinct =
            "SELECT count(*) FROM (SELECT DISTINCT trace_id, span_id, start_time FROM spans)";
        assert_eq!(number(&store, distinct).await, rows, "no row is there twice");
        assert!(rows >= (seeds.len() * ROWS) as i64, "{rows} rows of {} writes", seeds.len());
        let Some(last) = seeds.iter().next_back() else { continue };
        let again = put(&store, spans(ROWS, *last)).await;
        assert_eq!(again.collapsed, ROWS as u64, "a resent row is kept once: {report}");
        for seed in seeds.iter().filter(|seed| *seed / 100_000 / SENDERS == round) {
            let id = crate::support::trace_id(*seed, 0);
            let sql = format!("SELECT count(*) FROM spans WHERE trace_id = '{id}'");
            assert_eq!(number(&store, &sql).await, 5, "a trace of the write {seed}");
        }
        store.close(Duration::ZERO).await;
    }
}
