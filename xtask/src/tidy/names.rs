//! Names that say nothing, things that have no place in the repository.

use crate::tree::{self, Source};

/// A module with such a name takes in everything and is needed by everybody.
const FORBIDDEN_MODULES: [&str; 7] =
    ["common", "util", "utils", "core", "helper", "helpers", "misc"];

/// Attributes and macros without a place here, in two parts so that this file does not offend,
/// and the way out.
const FORBIDDEN_TEXTS: [(&str, &str, &str); 5] = [
    ("#[ign", "ore", "assert what happens today and say why it is wrong"),
    ("#[should_", "panic", "return an error and assert it"),
    ("to", "do!(", "finish it, or leave it out and say so"),
    ("unimpl", "emented!(", "finish it, or leave it out and say so"),
    ("serde_json/arbitrary", "_precision", "it breaks the numbers of OTLP/JSON"),
];

/// Beginnings of paths that only one machine has.
const MACHINE_PATHS: [(&str, &str); 4] =
    [("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/")];

/// Everything that must not be here.
pub(super) fn offences() -> Vec<String> {
    let sources = tree::sources();
    let mut offences = Vec::new();
    for source in &sources {
        offences.extend(module_name(source));
        offences.extend(texts(source));
        offences.extend(machine_paths(source));
        offences.extend(macros(source));
    }
    offences
}

fn module_name(source: &Source) -> Option<String> {
    if !source.is_rust() {
        return None;
    }
    let parts = source.path.trim_end_matches(".rs").split('/');
    let name = parts.into_iter().find(|part| FORBIDDEN_MODULES.contains(part))?;
    Some(format!("{}: \"{name}\" says nothing; name it by what it does", source.path))
}

fn texts(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let offends = |(first, second, _): &&(&str, &str, &str)| {
        source.text.contains(&[*first, *second].concat())
    };
    let found = FORBIDDEN_TEXTS.iter().filter(offends);
    found.map(|(a, b, way_out)| format!("{}: {a}{b}: {way_out}", source.path)).collect()
}

fn machine_paths(source: &Source) -> Vec<String> {
    if source.path == "Cargo.lock" {
        return Vec::new();
    }
    let prefixes = MACHINE_PATHS.map(|(first, second)| [first, second].concat());
    let lines = source.text.lines().enumerate();
    let offending = lines.filter(|(_, line)| prefixes.iter().any(|prefix| absolute(line, prefix)));
    offending
        .map(|(index, _)| format!("{}:{}: a path of one machine", source.path, index + 1))
        .collect()
}

/// Whether `line` holds `prefix` as the beginning of an absolute path.
fn absolute(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}~)".contains(c))
    })
}

fn macros(source: &Source) -> Option<String> {
    let is_test = source.path.contains("/tests/") || source.path.ends_with("tests.rs");
    let defines = ["macro", "_rules!"].concat();
    let offends = source.is_rust() && !is_test && source.text.contains(&defines);
    offends.then(|| format!("{}: no macros of our own outside tests", source.path))
}
