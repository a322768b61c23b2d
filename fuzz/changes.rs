//! Changed copies of files of the corpus, by fixed seeds: for the tests that run the checks of the
//! fuzz targets.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer copies cost time and find nothing more.
const BYTES_MAX: usize = 64 << 10;

/// The files of a folder of the corpus, by name.
pub(crate) fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// What must hold for any bytes whatever.
type Check = fn(&[u8]);

/// Runs each check over its folder of `corpus`: every file as it is, and in `copies` that are
/// changed by a seed of the check.
pub(crate) fn run(checks: &[(&str, Check)], corpus: &Path, copies: u64) {
    for (seed, (name, check)) in checks.iter().enumerate() {
        let files = files(&corpus.join(name));
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        let mut dice = Dice(seed as u64);
        for (number, file) in files.iter().enumerate() {
            check(file);
            let other = &files[(number + 1) % files.len()];
            (0..copies).for_each(|_| check(&changed(file, other, &mut dice)));
        }
    }
}

/// The targets that a manifest of cargo-fuzz names.
pub(crate) fn targets(manifest: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(manifest).expect("the manifest");
    let names = manifest.lines().filter_map(|line| line.strip_prefix("name = \""));
    // The first name is that of the package.
    names.filter_map(|rest| rest.strip_suffix('"')).skip(1).map(str::to_owned).collect()
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
