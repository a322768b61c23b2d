//! The checks of the fuzz targets over their corpus, each file as it is and changed by fixed seeds.

#[path = "../../../../fuzz/changes.rs"]
mod changes;
#[path = "../../../../fuzz/store/checks.rs"]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use halfopen_model::Table;
use halfopen_store::inspect;

use crate::support::{full, open, put, spans};
use changes::files;

/// Set to write the corpus again, after a change of the formats.
const WRITE: &str = "HALFOPEN_WRITE_CORPUS";
/// Changed copies of each file of the corpus.
const CHANGED: u64 = 400;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/store/corpus")
}

#[test]
fn every_check_holds_for_its_corpus_and_for_changed_copies_of_it() {
    changes::run(checks::CHECKS, &corpus(), CHANGED);
}

#[test]
fn every_check_is_a_target_and_every_target_a_check() {
    let targets = changes::targets(&corpus().join("../Cargo.toml"));
    let checks: Vec<&str> = checks::CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(targets, checks);
}

/// A corpus of an older format would find nothing any more.
#[test]
fn the_corpus_reads() {
    let logs = files(&corpus().join("wal_file"));
    assert!(logs.iter().all(|log| inspect::log(log).frames > 0));
    for filter in files(&corpus().join("filter_file")) {
        let read = inspect::filter(&filter, b"nobody");
        assert!(read.all > 0 && read.groups.iter().any(Option::is_some), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_corpus_is_what_a_store_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, spans(3, 1)).await;
    put(&store, full(Table::Logs, 2, 2)).await;
    put(&store, full(Table::Ids, 4, 3)).await;
    let log = fs::read(only_file(&folder.path().join("wal"))).expect("a log");
    assert_eq!(inspect::log(&log).frames, 3);
    store.seal().await.expect("room on the disk");
    let mut written = vec![("wal_file", "of_three_writes".to_owned(), log)];
    for table in ["spans", "logs", "ids"] {
        let files = fs::read_dir(folder.path().join("segments").join(table)).expect("a folder");
        let mut paths = files.map(|file| file.expect("an entry").path());
        let path = paths.find(|path| path.extension().is_some_and(|end| end == "filter"));
        let filter = fs::read(path.expect("a side file")).expect("it reads");
        assert!(inspect::filter(&filter, b"").all > 0, "{table}");
        written.push(("filter_file", format!("of_{table}"), filter));
    }
    store.close(Duration::ZERO).await;
    if std::env::var_os(WRITE).is_some() {
        for (target, name, bytes) in written {
            fs::write(corpus().join(target).join(name), bytes).expect("room on the disk");
        }
    }
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files =
        fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let file = files.next().expect("a file");
    assert!(files.next().is_none());
    file
}
