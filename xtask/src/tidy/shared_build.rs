//! The README's two commands share one build: whatever lies below the engine has the same
//! features in `cargo run` as in `cargo test --workspace`. Otherwise it is compiled twice.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tree;

/// Crates below this one are what costs minutes.
const ENGINE: &str = "datafusion";

/// Crates below the engine with other features in the demo than in the tests.
pub(super) fn offences() -> Vec<String> {
    let below = features(&["--package", ENGINE, "--edges", "normal,build"]);
    let names: BTreeSet<&str> = below.iter().filter_map(|line| line.split(' ').next()).collect();
    let tests = features(&["--workspace", "--edges", "normal,build,dev"]);
    let demo = features(&["--package", "halfopen", "--edges", "normal,build"]);
    demo.iter()
        .filter(|line| line.split(' ').next().is_some_and(|name| names.contains(name)))
        .filter(|line| !tests.contains(*line))
        .map(|line| format!("{line}: the tests build it with other features than the demo"))
        .collect()
}

/// Each crate of a dependency tree with its version and features, as cargo resolves it.
fn features(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(tree::root())
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .args(arguments)
        .output()
        .expect("cargo runs, it built us");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}
