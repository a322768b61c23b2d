//! The demos as sets: each is run once for each seed, what it sent is kept as lines of OTLP beside
//! what it knows, and asked about like the evidence of any other incident.
//!
//! A run is recorded in real time with the binary that lies beside this one, into a folder that
//! the build makes and no commit holds. Recordings of another lab are made anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::chance::word;
use crate::tree::complain;

/// The demos that are sets.
pub(super) const DEMOS: [&str; 2] = ["gift-card", "cascading-timeout"];
/// What the names of their sets begin with.
pub(super) const PREFIX: &str = "demo-";
/// Runs of a demo.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=10;
/// What a demo sends.
const TABLES: [&str; 3] = ["spans", "logs", "metrics"];

/// The folder with the sets of the demos, recorded where they are not there yet.
///
/// # Errors
/// When there is no binary to run, or a run fails.
pub(super) fn recorded(only: Option<&str>) -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = here.parent().ok_or("the tool lies in no folder")?;
    let binary = beside.join(format!("halfopen{}", std::env::consts::EXE_SUFFIX));
    let folder = beside.join("demos");
    let lab = lab();
    for demo in DEMOS {
        let name = format!("{PREFIX}{demo}");
        if only.is_none_or(|only| only == name) {
            record(&binary, &folder.join(name), demo, &lab)?;
        }
    }
    Ok(folder)
}

/// The lab as it is now, in one word.
fn lab() -> String {
    let sources = crate::tree::sources();
    let of_lab = sources.iter().filter(|source| source.path.starts_with("crates/halfopen-lab/src"));
    of_lab.fold(String::new(), |lab, source| word(0, &(lab + &source.text)))
}

fn record(binary: &Path, folder: &Path, demo: &str, lab: &str) -> Result<(), String> {
    let labels = folder.join("labels.json");
    let known = fs::read_to_string(&labels).ok();
    let known = known.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if known.is_some_and(|known| known["lab"] == lab) {
        return Ok(());
    }
    if !binary.is_file() {
        let fact = format!("there is no \"{}\" to record demos with", binary.display());
        return Err(format!("{fact}\nhint: cargo build, or leave demos out with --no-demos"));
    }
    let wrong = |error: std::io::Error| format!("could not record demo \"{demo}\": {error}");
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(wrong)?;
    }
    fs::create_dir_all(folder).map_err(wrong)?;
    let mut cases = Vec::new();
    for seed in SEEDS {
        complain(&format!("recording demo {demo}, seed {seed} of {}", SEEDS.end()));
        cases.push(run(binary, folder, demo, seed)?);
    }
    let text = format!("{:#}", json!({ "lab": lab, "cases": cases }));
    fs::write(labels, text).map_err(wrong)
}

/// One run; its label.
fn run(binary: &Path, folder: &Path, demo: &str, seed: u64) -> Result<Value, String> {
    let wrong = |why: String| format!("could not record seed {seed} of demo \"{demo}\": {why}");
    let data = TempDir::new().map_err(|error| wrong(error.to_string()))?;
    let store = data.path().display().to_string();
    let arguments = ["demo", demo, "--seed", &seed.to_string(), "--data", &store, "--json"];
    let said = call(binary, &arguments).map_err(wrong)?;
    let told: Value = serde_json::from_str(&said).map_err(|error| wrong(error.to_string()))?;
    let case = format!("seed-{seed}");
    let into = folder.join(&case);
    fs::create_dir_all(&into).map_err(|error| wrong(error.to_string()))?;
    for table in TABLES {
        let out = into.join(format!("{table}.jsonl")).display().to_string();
        let format = ["--format", "otlp-json", "--out", &out];
        let arguments = [&["store", "export", "--data", &store, "--table", table][..], &format];
        call(binary, &arguments.concat()).map_err(wrong)?;
    }
    Ok(json!({
        "case": case, "demo": demo, "window": told["why"]["window"], "truth": told["truth"],
    }))
}

/// What a call of the binary writes; 1 is what it ends with when something was found.
fn call(binary: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(binary).args(arguments).env_remove("HALFOPEN_URL").output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.code().is_none_or(|code| code > 1) {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
