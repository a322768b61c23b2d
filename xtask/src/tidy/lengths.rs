//! How long things may be. Lengths of functions are checked by clippy (`too-many-lines`).

use crate::tree::{self, Source};

/// A file that is longer is read by nobody at one go.
const FILE_LINES_MAX: usize = 500;
/// Two files fit beside each other on a screen.
const LINE_COLUMNS_MAX: usize = 100;
/// `main` maps an outcome to an exit code, nothing more.
const MAIN_LINES_MAX: usize = 40;
/// A larger crate rebuilds too much for each edit: split it, with a measurement. Tests and examples
/// beside it are crates of their own and rebuild nothing.
const CRATE_LINES_MAX: usize = 15_000;
/// Boxed async traits hide costs; a few are where plug-ins meet.
const BOXED_ASYNC_MAX: usize = 8;

/// Whatever is too long.
pub(super) fn offences() -> Vec<String> {
    let sources: Vec<Source> = tree::sources().into_iter().filter(Source::is_rust).collect();
    let mut offences: Vec<String> = sources.iter().flat_map(of_file).collect();
    let mut crates: Vec<&str> =
        sources.iter().filter_map(|source| crate_of(&source.path)).collect();
    crates.dedup();
    for name in crates {
        let lines: usize = sources
            .iter()
            .filter(|source| crate_of(&source.path) == Some(name))
            .filter(|source| source.path[name.len()..].starts_with("/src/"))
            .map(|source| source.text.lines().count())
            .sum();
        if lines > CRATE_LINES_MAX {
            offences.push(format!("{name}: {lines} lines, at most {CRATE_LINES_MAX}"));
        }
    }
    let attribute = ["#[async", "_trait"].concat();
    let boxed: usize = sources.iter().map(|source| source.text.matches(&attribute).count()).sum();
    if boxed > BOXED_ASYNC_MAX {
        offences.push(format!("{boxed} boxed async traits, at most {BOXED_ASYNC_MAX}"));
    }
    offences
}

fn crate_of(path: &str) -> Option<&str> {
    let mut parts = path.match_indices('/').map(|(at, _)| at);
    let (_, second) = (parts.next()?, parts.next()?);
    Some(&path[..second])
}

fn of_file(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut offences = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        offences.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
    }
    if path.ends_with("/main.rs") && !path.contains("/tests/") && lines > MAIN_LINES_MAX {
        offences.push(format!("{path}: {lines} lines in main, at most {MAIN_LINES_MAX}"));
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let at = index + 1;
            offences.push(format!("{path}:{at}: {columns} columns, at most {LINE_COLUMNS_MAX}"));
        }
    }
    offences
}
