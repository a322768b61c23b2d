//! The checks of the fuzz targets over their corpus, each file as it is and changed by fixed seeds.

#[path = "../../../fuzz/changes.rs"]
mod changes;
#[path = "../../../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};

/// Changed copies of each file of the corpus.
const CHANGED: u64 = 48;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn every_check_holds_for_its_corpus_and_for_changed_copies_of_it() {
    changes::run(checks::CHECKS, &corpus(), CHANGED);
}

#[test]
fn every_check_is_a_target_and_every_target_a_check() {
    let mut targets = changes::targets(&corpus().join("../Cargo.toml"));
    let mut checks: Vec<&str> = checks::CHECKS.iter().map(|(name, _)| *name).collect();
    let mut corpus: Vec<String> = fs::read_dir(corpus())
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    targets.sort_unstable();
    checks.sort_unstable();
    corpus.sort_unstable();
    assert_eq!(targets, checks);
    assert_eq!(corpus, checks);
}
