//! Each `tests/cli/NAME.cmd` is a command line; `NAME.out` is what it prints and how it ends.
//! `UPDATE_EXPECT=1 cargo test -p halfopen` writes the `.out` files.
//!
//! Cases with `$DATA` run twice, on the folder and on a server that holds it: both must print
//! the same.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::shop;

/// All cases answer as if it were this time.
const NOW: &str = "2026-11-20T14:15:00Z";

struct Case {
    name: String,
    arguments: Vec<String>,
    out: PathBuf,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let files = fs::read_dir(&folder).expect("the folder of cases");
    let paths = files.map(|file| file.expect("a file").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "cmd")).collect();
    paths.sort();
    let case = |path: PathBuf| {
        let line = fs::read_to_string(&path).expect("a command line");
        let mut words = words(line.trim());
        assert_eq!(words.remove(0), "halfopen", "{}", path.display());
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Case { name, arguments: words, out: path.with_extension("out") }
    };
    paths.into_iter().map(case).collect()
}

/// Takes a command line apart as a shell does, with single and double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (vec![], String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, ' ' | '\n') if begun => {
                words.push(std::mem::take(&mut word));
                begun = false;
            }
            (None, ' ' | '\n') => {}
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (Some(open), c) if c == open => quote = None,
            _ => {
                word.push(c);
                begun = true;
            }
        }
    }
    words.extend(begun.then_some(word));
    words
}

fn halfopen() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfopen"));
    for name in ["HALFOPEN_URL", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command line and renders everything that can be seen from outside.
fn run(arguments: &[String], hidden: &[(&str, &str)]) -> String {
    let output = halfopen().args(["--now", NOW]).args(arguments).output().expect("it runs");
    let shown = |bytes: &[u8]| {
        let mut text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        for (secret, name) in hidden {
            text = text.replace(secret, name);
        }
        text
    };
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let mut text = shown(&output.stdout);
    if !output.stderr.is_empty() {
        text += &format!("--- stderr\n{}", shown(&output.stderr));
    }
    text + &format!("--- exit {code}\n")
}

#[tokio::test]
async fn every_case_prints_what_it_printed_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    shop::fill(&data).await;
    let data = data.to_str().expect("a path in UTF-8").to_owned();
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let mut expected = Vec::new();
    for case in cases() {
        let arguments = replaced(&case.arguments, &["$DATA"], &[&data]);
        let found = run(&arguments, &[(&data, "$DATA")]);
        if update {
            fs::write(&case.out, &found).expect("the case can be written");
        }
        let before = fs::read_to_string(&case.out).unwrap_or_default();
        if found != before {
            wrong.push(format!("=== {}\n{}\n--- but was\n{found}", case.name, before));
        }
        expected.push((case, found));
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));

    let server = Server::start(&data);
    for (case, found) in expected {
        let twice = case.arguments.iter().any(|word| word == "$DATA");
        if !twice || case.name.starts_with("folder_") {
            continue;
        }
        let arguments = replaced(&case.arguments, &["--data", "$DATA"], &["--url", &server.url]);
        let flag = format!("--url {}", server.url);
        let remote = run(&arguments, &[(&flag, "--data $DATA"), (&server.url, "$DATA")]);
        assert_eq!(remote, found, "{}: the server answers otherwise than the folder", case.name);
    }
    // While a server holds the folder, nobody else opens it.
    let query = ["query", "select 1", "--data", &data].map(str::to_owned);
    let locked = run(&query, &[(&data, "$DATA"), (&server.pid(), "$PID")]);
    assert!(locked.contains("hint: a running server holds it"), "{locked}");
    assert!(locked.ends_with("--- exit 3\n"), "{locked}");
}

fn replaced(arguments: &[String], old: &[&str], new: &[&str]) -> Vec<String> {
    let replace = |word: &String| match old.iter().position(|old| old == word) {
        Some(at) => new[at].to_owned(),
        None => word.clone(),
    };
    arguments.iter().map(replace).collect()
}

/// A server of the folder on free ports; ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &str) -> Server {
        let ports = ["--otlp-grpc", "0", "--otlp-http", "0", "--http", "0", "--json"];
        let mut child = halfopen()
            .args(["--now", NOW, "serve", "--data", data])
            .args(ports)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("the ready line");
        let ready: serde_json::Value = serde_json::from_str(&ready).expect("one line of JSON");
        Server { child, url: ready["url"].as_str().expect("the address").to_owned() }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What docs/why.md shows is what is printed.
#[test]
fn the_example_of_the_manual_is_true() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(folder.join(path)).expect("a file");
    let printed = read("tests/cli/why.out").replace(" --data $DATA", "");
    let (printed, _) = printed.split_once("--- exit").expect("an exit code");
    let manual = read("../../docs/why.md");
    assert!(
        manual.contains(&format!("$ halfopen why\n{printed}```")),
        "docs/why.md shows no:\n{printed}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = halfopen()
        .args(["why", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
