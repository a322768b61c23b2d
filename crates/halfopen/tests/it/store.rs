//! `halfopen store` on a folder that no server holds.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::shop;

fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_halfopen"))
        .arg("store")
        .args(arguments)
        .arg("--data")
        .arg(folder)
        .output()
        .expect("the binary runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one document")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_count_every_file_check_finds_damage_and_export_writes_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    shop::fill(&data).await;

    let stats = json(&run(&["stats", "--json"], &data));
    let tables = stats["tables"].as_array().expect("tables");
    let spans = tables.iter().find(|table| table["table"] == "spans").expect("spans");
    assert!(spans["sealed_rows"].as_u64() > Some(1_000) && spans["hot_rows"] == 0, "{stats}");
    let files = stats["files"].as_array().expect("files");
    let sum: u64 = files.iter().filter_map(|part| part["bytes"].as_u64()).sum();
    assert_eq!(stats["bytes"].as_u64(), Some(sum));
    let shown = run(&["stats"], &data);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("bytes/row"));

    let whole = run(&["check"], &data);
    assert_eq!(whole.status.code(), Some(0));
    let text = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(text.ends_with("0 rows in the log: nothing is wrong\n"), "{text}");

    let out = folder.path().join("spans.parquet");
    let name = out.display().to_string();
    let exported = run(&["export", "--json", "--table", "spans", "--out", &name], &data);
    assert_eq!(json(&exported)["rows"], spans["sealed_rows"]);
    assert!(out.exists());
    let again = run(&["export", "--out", &name], &data);
    assert_eq!(again.status.code(), Some(2), "a file is not written over");

    let segments = std::fs::read_dir(data.join("segments/spans")).expect("a folder");
    let mut paths = segments.map(|entry| entry.expect("a file").path());
    let path = paths.find(|path| path.extension().is_some_and(|e| e == "parquet"));
    let path = path.expect("a segment");
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).expect("a file");
    let damaged = run(&["check", "--json"], &data);
    assert_eq!(damaged.status.code(), Some(1));
    let problems = json(&damaged)["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(1), "{problems}");
    assert!(problems[0]["what"].as_str().is_some_and(|what| what.contains("checksum")));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_with_a_hint() {
    let output = run(&["check"], Path::new("/nowhere/at/all"));
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("there is no data folder") && text.contains("hint: "), "{text}");
}
