//! The checks of the fuzz targets over their corpus, each file as it is and changed by fixed seeds.

#[path = "../../../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};

/// Changed copies of each file of the corpus.
const CHANGED: u64 = 48;

/// Longer copies cost time and find nothing more.
const BYTES_MAX: usize = 64 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The files of a target by name.
fn files(name: &str) -> Vec<Vec<u8>> {
    let folder = corpus().join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Flips, cuts, repeats, numbers at their edges, and pieces of another file.
fn changed(data: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..=dice.below(4) {
        let (at, length) = (dice.below(data.len()), 1 + dice.below(24));
        let end = data.len().min(at + length);
        match dice.below(6) {
            0 if !data.is_empty() => data[at] ^= 1 << dice.below(8),
            1 => data.truncate(at),
            2 => drop(data.drain(at..end)),
            3 => {
                let piece = data[at..end].to_vec();
                (0..dice.below(200)).for_each(|_| drop(data.splice(at..at, piece.clone())));
            }
            4 => {
                let odd: [&[u8]; 6] =
                    [b"\xff\xff\xff\xff\xff", b"\x80", b"-1", b"1e999", b"\"", b"[[[[["];
                drop(data.splice(at..at, odd[dice.below(odd.len())].iter().copied()));
            }
            _ => {
                let from = dice.below(other.len());
                let piece = &other[from..other.len().min(from + length)];
                drop(data.splice(at..at, piece.iter().copied()));
            }
        }
        data.truncate(BYTES_MAX);
    }
    data
}

#[test]
fn every_check_holds_for_its_corpus_and_for_changed_copies_of_it() {
    for (seed, (name, check)) in checks::CHECKS.iter().enumerate() {
        let files = files(name);
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
