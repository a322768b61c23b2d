//! `halfopen import` into a folder and through a server: the same report, and nothing twice.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::{ExpectFile, expect_file};
use serde_json::Value;

use crate::process::{Served, query};

const JAEGER: &str = r#"{"data":[{"traceID":"7f3a","spans":[
 {"spanID":"a1","operationName":"GET /cart","startTime":1795185000000000,"duration":2500,
  "tags":[{"key":"span.kind","value":"server"},{"key":"x-request-id","value":"req_8f2c41"}],
  "processID":"p1"},
 {"spanID":"b2","operationName":"SELECT","references":[{"refType":"CHILD_OF","spanID":"a1"}],
  "startTime":1795185000000500,"duration":900,"processID":"p2"},
 {"spanID":"c3","operationName":"lost","processID":"p2"}],
 "processes":{"p1":{"serviceName":"cart"},"p2":{"serviceName":"stock"}}}]}"#;

const ZIPKIN: &str = r#"[{"traceId":"7f3b","id":"1","timestamp":1795185001000000,"name":"pay",
 "localEndpoint":{"serviceName":"payment"}}]"#;

fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.json"), JAEGER).expect("a file");
    fs::create_dir(folder.path().join("more")).expect("a folder");
    fs::write(folder.path().join("more/b.json"), ZIPKIN).expect("a file");
    fs::write(folder.path().join("notes.bin"), b"\x7fELF").expect("a file");
    fs::write(folder.path().join("empty.log"), b"").expect("a file");
    folder
}

/// Runs `halfopen import` and gives what can be seen of it.
fn import(path: &Path, destination: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_halfopen"))
        .args(["--now", "2026-11-20T14:40:00Z", "import"])
        .arg(path)
        .args(destination)
        .env_remove("HALFOPEN_URL")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.stderr.is_empty() {
        text += &format!("--- stderr\n{}", String::from_utf8_lossy(&output.stderr));
    }
    text + &format!("--- exit {code}\n")
}

fn check(found: &str, hidden: &str, expected: &ExpectFile) {
    expected.assert_eq(&found.replace(hidden, "WHERE"));
}

#[test]
fn a_folder_of_files_is_imported_once_however_often() {
    let (files, data) = (files(), tempfile::tempdir().expect("a folder"));
    let data = data.path().join("data");
    let data = data.to_str().expect("UTF-8");
    check(
        &import(files.path(), &["--data", data]),
        &format!("--data {data}"),
        &expect_file!["../import/first.out"],
    );
    check(
        &import(files.path(), &["--data", data]),
        &format!("--data {data}"),
        &expect_file!["../import/second.out"],
    );
    let json = import(files.path(), &["--data", data, "--json"]);
    let line = json.lines().next().expect("a document");
    let document: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&document["v"], &document["tables"]["spans"]["collapsed"]), (&1.into(), &3.into()));
}

#[test]
fn a_server_takes_the_same_import_and_keeps_it_once() {
    let (files, data) = (files(), tempfile::tempdir().expect("a folder"));
    let server = Served::start(data.path(), &[]);
    let url = format!("http://{}", server.http);
    check(
        &import(files.path(), &["--url", &url]),
        &format!("--url {url}"),
        &expect_file!["../import/first.out"],
    );
    check(
        &import(files.path(), &["--url", &url]),
        &format!("--url {url}"),
        &expect_file!["../import/second.out"],
    );
    let rows = query(&server.http, "select service, count(*) from spans group by 1 order by 1");
    let shown = rows.iter().map(|row| format!("{}{}", row[0], row[1])).collect::<Vec<_>>();
    assert_eq!(shown, ["\"cart\"1", "\"payment\"1", "\"stock\"1"]);
}

#[test]
fn a_file_of_no_known_format_is_a_usage_error_with_a_hint() {
    let files = files();
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path().to_str().expect("UTF-8");
    let found = import(&files.path().join("notes.bin"), &["--data", data]);
    check(&found, data, &expect_file!["../import/no_format.out"]);
    let found = import(&files.path().join("nowhere"), &["--data", data]);
    assert!(found.contains("could not read"), "{found}");
    assert!(found.ends_with("--- exit 3\n"), "{found}");
}

fn halfopen(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_halfopen"))
        .args(arguments)
        .env_remove("HALFOPEN_URL")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn what_is_exported_as_otlp_is_imported_as_it_was() {
    let (files, folder) = (files(), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (data, lines, copy) = (path("data"), path("spans.jsonl"), path("copy"));
    import(files.path(), &["--data", &data]);
    let export = ["store", "export", "--data", &data, "--format", "otlp-json"];
    let (code, told) = halfopen(&[&export[..], &["--out", &lines]].concat());
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("3 rows of spans, "), "{told}");
    // Where it came from nothing of it is new...
    let again = import(Path::new(&lines), &["--data", &data]);
    assert!(again.contains("spans                0 kept  3 there already"), "{again}");
    // ...and elsewhere it is the same.
    import(Path::new(&lines), &["--data", &copy]);
    let rows = |data: &str| {
        let sql = "select * from spans order by start_time, span_id";
        halfopen(&["query", sql, "--data", data, "--json"])
    };
    assert_eq!(rows(&copy), rows(&data));

    let (code, told) = halfopen(&[&export[..], &["--table", "ids", "--out", "x"]].concat());
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("OTLP has no form for rows of ids"), "{told}");
}
