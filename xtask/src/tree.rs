//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source of ours.
const SKIPPED: [&str; 3] = [".git", "target", "node_modules"];

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the root").to_owned()
}

/// One file: its path from the root with `/`, and its text; files that are no text are left out.
pub(crate) struct Source {
    /// Path from the root.
    pub(crate) path: String,
    /// Text.
    pub(crate) text: String,
}

impl Source {
    /// Whether this is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every text file of the repository, by path.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a readable folder");
        for path in entries.map(|entry| entry.expect("a readable entry").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if SKIPPED.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let relative = path.strip_prefix(&root).expect("inside the root");
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                found.push(Source { path: parts.join("/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Prints a line for people.
#[expect(clippy::print_stdout, reason = "a tool of the house, never piped")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Prints trouble.
#[expect(clippy::print_stderr, reason = "a tool of the house, never piped")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}
