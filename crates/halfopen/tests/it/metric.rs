//! `halfopen why --metric`: two counted metrics from a table to a cause, and its number again.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect;
use serde_json::Value;

const MAPPING: &str = r#"
[[table]]
files = '\.csv'
into = "metrics"
rest = true
[table.columns]
time = { column = "at", unit = "s" }
[table.metrics]
"orders" = { column = "all", kind = "delta" }
"orders.failed" = { column = "failed", kind = "delta" }
"#;

/// 2026-11-20T14:00:00Z
const BEGIN_S: i64 = 1_795_183_200;

/// Fifteen minutes of orders by region and client; from 14:10 on those of new clients in one
/// region fail.
fn orders() -> String {
    let mut table = "at,region,client,all,failed\n".to_owned();
    for minute in 0..15 {
        for region in ["north", "south", "west"] {
            for client in ["web", "app-7", "app-8"] {
                let hit = minute >= 10 && region == "south" && client == "app-8";
                let failed = if hit { 90 } else { 2 + (minute + client.len() as i64) % 3 };
                let at = BEGIN_S + minute * 60;
                writeln!(table, "{at},{region},{client},300,{failed}").expect("memory");
            }
        }
    }
    table
}

fn halfopen(arguments: &[&str], data: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_halfopen"))
        .args(["--now", "2026-11-20T14:15:00Z"])
        .args(arguments)
        .arg("--data")
        .arg(data)
        .env_remove("HALFOPEN_URL")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_counted_metric_leads_to_the_attributes_and_back_to_its_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("orders.csv"), orders()).expect("a file");
    fs::write(path("mapping.toml"), MAPPING).expect("a file");
    let (table, mapping, data) = (path("orders.csv"), path("mapping.toml"), path("data"));
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let import = ["import", &text(&table), "--mapping", &text(&mapping)];
    assert_eq!(halfopen(&import, &data).0, Some(0));

    let why = ["why", "--metric", "orders.failed", "--total", "orders"];
    let (code, said) = halfopen(&why, &data);
    assert_eq!(code, Some(1), "{said}");
    expect![[r#"
        orders.failed of orders: 568 of 13,500 (4.2 %, was 1 %) from 14:10:00 for 5 min 0 s
         1 strong client = app-8 and region = south
                  450 of 1,500 (30 %, was 1 %) · 100 % of what is more than before
                  rather than region = south
                  rather than client = app-8
        over: 270 points · 2026-11-20 14:00:00..14:15:00 UTC · against 14:00:00..14:10:00
    "#]]
    .assert_eq(&said);

    let (_, document) = halfopen(&[&["--json"], &why[..]].concat(), &data);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let cause = &document["causes"][0];
    let sql = cause["query"].as_str().expect("SQL");
    let (code, rows) = halfopen(&["--json", "query", sql], &data);
    assert_eq!(code, Some(0), "{rows}");
    let rows: Value = serde_json::from_str(&rows).expect("JSON");
    let counted = &cause["now"]["count"];
    assert_eq!(rows["failing"].as_f64(), counted["count"].as_f64(), "{rows}");
    assert_eq!(rows["failing_of"].as_f64(), counted["total"].as_f64(), "{rows}");

    let (code, said) = halfopen(&["why", "--metric", "orders.lost", "--total", "orders"], &data);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no metric has the name orders.lost"), "{said}");
    assert_eq!(halfopen(&["why", "--metric", "orders.failed"], &data).0, Some(2));
}
