//! The checks of the fuzz targets over their corpus, each file as it is and changed by fixed seeds.

#[path = "../../../fuzz/changes.rs"]
mod changes;
#[path = "../../../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};

use changes::{Dice, changed, files};

/// Changed copies of each file of the corpus.
const CHANGED: u64 = 48;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn every_check_holds_for_its_corpus_and_for_changed_copies_of_it() {
    for (seed, (name, check)) in checks::CHECKS.iter().enumerate() {
        let files = files(&corpus().join(name));
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        let mut dice = Dice(seed as u64);
        for (number, file) in files.iter().enumerate() {
            check(file);
            let other = &files[(number + 1) % files.len()];
            (0..CHANGED).for_each(|_| check(&changed(file, other, &mut dice)));
        }
    }
}

#[test]
fn every_check_is_a_target_and_every_target_a_check() {
    let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).expect("the manifest");
    let names = manifest.lines().filter_map(|line| line.strip_prefix("name = \""));
    let mut targets: Vec<&str> = names.filter_map(|rest| rest.strip_suffix('"')).skip(1).collect();
    let mut checks: Vec<&str> = checks::CHECKS.iter().map(|(name, _)| *name).collect();
    let mut corpus: Vec<String> = fs::read_dir(corpus())
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    targets.sort_unstable();
    checks.sort_unstable();
    corpus.sort_unstable();
    assert_eq!((&targets, &corpus.iter().map(String::as_str).collect()), (&checks, &checks));
}
