//! Which crate may depend on which (ARCHITECTURE.md, "Direction"). A new edge needs an ADR.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::tree;

/// A room and the rooms that it may use. Tests may use one more: see [`ALLOWED_IN_TESTS`].
const ALLOWED: &[(&str, &[&str])] = &[
    ("halfopen-model", &[]),
    ("halfopen-ingest", &["halfopen-model"]),
    ("halfopen-explain", &["halfopen-model"]),
    ("halfopen-trace", &["halfopen-model"]),
    ("halfopen-chain", &["halfopen-model"]),
    ("halfopen-picture", &["halfopen-model"]),
    ("halfopen-measure", &["halfopen-model"]),
    ("halfopen-mechanism", &["halfopen-model"]),
    ("halfopen-store", &["halfopen-model"]),
    (
        "halfopen-serve",
        &[
            "halfopen-model",
            "halfopen-ingest",
            "halfopen-explain",
            "halfopen-trace",
            "halfopen-chain",
            "halfopen-picture",
            "halfopen-measure",
            "halfopen-mechanism",
            "halfopen-store",
        ],
    ),
    ("halfopen-lab", &["halfopen-resilience"]),
    (
        "halfopen",
        &[
            "halfopen-model",
            "halfopen-ingest",
            "halfopen-explain",
            "halfopen-trace",
            "halfopen-store",
            "halfopen-serve",
            "halfopen-lab",
        ],
    ),
    ("halfopen-resilience", &[]),
    (
        "xtask",
        &[
            "halfopen-model",
            "halfopen-ingest",
            "halfopen-explain",
            "halfopen-trace",
            "halfopen-store",
            "halfopen-serve",
        ],
    ),
];

/// Edges that exist in tests alone.
const ALLOWED_IN_TESTS: &[(&str, &str)] = &[];

/// Only this crate links the engine.
const ENGINE: (&str, &str) = ("datafusion", "halfopen-store");

type Tables = BTreeMap<String, toml::Value>;

fn manifests() -> Vec<(String, Tables)> {
    let mut found = Vec::new();
    for folder in ["crates", "lib"] {
        let entries = fs::read_dir(tree::root().join(folder)).expect("a folder of crates");
        for entry in entries.map(|entry| entry.expect("a readable entry")) {
            let manifest = entry.path().join("Cargo.toml");
            let text = fs::read_to_string(&manifest).expect("a crate has a manifest");
            found.push((
                entry.file_name().to_string_lossy().into_owned(),
                toml::from_str(&text).expect("a manifest is TOML"),
            ));
        }
    }
    let text = fs::read_to_string(tree::root().join("xtask/Cargo.toml")).expect("our manifest");
    found.push(("xtask".to_owned(), toml::from_str(&text).expect("a manifest is TOML")));
    found
}

fn dependencies<'a>(manifest: &'a Tables, table: &str) -> BTreeSet<&'a str> {
    let table = manifest.get(table).and_then(toml::Value::as_table);
    table.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn package_name(manifest: &Tables) -> &str {
    manifest.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str).unwrap_or("")
}

/// Edges that are not allowed, and crates that are not known.
pub(super) fn offences() -> Vec<String> {
    let mut offences = Vec::new();
    for (folder, manifest) in manifests() {
        let name = package_name(&manifest).to_owned();
        if name != folder {
            offences.push(format!("{folder}: the folder of {name} must have its name"));
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(room, _)| *room == name) else {
            offences.push(format!("{name} is not in ARCHITECTURE.md, 'Direction'"));
            continue;
        };
        let used = dependencies(&manifest, "dependencies");
        let in_tests = dependencies(&manifest, "dev-dependencies");
        for room in ours(&used) {
            if !allowed.contains(&room) {
                offences.push(format!(
                    "{name} must not depend on {room}: see ARCHITECTURE.md, 'Direction'"
                ));
            }
        }
        for room in ours(&in_tests) {
            let known = allowed.contains(&room) || ALLOWED_IN_TESTS.contains(&(&name, room));
            if !known && room != name {
                offences.push(format!("tests of {name} must not depend on {room}"));
            }
        }
        let (engine, owner) = ENGINE;
        if name != owner && (used.contains(engine) || in_tests.contains(engine)) {
            offences.push(format!("{name} must not link {engine}: only {owner} does"));
        }
        let workspace_lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if workspace_lints.and_then(toml::Value::as_bool) != Some(true) {
            offences.push(format!("{name} must take its lints from the workspace"));
        }
    }
    offences
}

fn ours<'a>(names: &BTreeSet<&'a str>) -> Vec<&'a str> {
    names.iter().copied().filter(|name| ALLOWED.iter().any(|(room, _)| room == name)).collect()
}
