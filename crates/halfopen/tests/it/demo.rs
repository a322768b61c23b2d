//! `halfopen demo`, as a stranger runs it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfopen"));
    command.arg("demo").args(arguments).env_remove("HALFOPEN_URL").stdin(Stdio::null());
    command
}

/// Two shops at once would take each other's time: what one of them shows is not the other's.
fn alone() -> MutexGuard<'static, ()> {
    static STAGE: Mutex<()> = Mutex::new(());
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(arguments: &[&str]) -> Output {
    demo(arguments).output().expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the demo writes UTF-8")
}

/// The whole way: services, SDKs, OTLP, store, `why`. It takes half a minute, as the shop has to
/// be healthy first and then to fail for a while.
#[test]
fn why_names_the_cause_of_the_gift_card_demo() {
    let _alone = alone();
    let output = run(&["gift-card", "--seed", "3", "--json"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let document: Value = serde_json::from_str(&out).expect("one JSON document on stdout");
    assert_eq!(document["v"], 1);
    assert_eq!(document["truth"]["service"], "checkout", "{err}");
    assert_eq!(document["named"], true, "{out}\n{err}");
    assert_eq!(output.status.code(), Some(0));
    for line in err.lines() {
        assert!(!line.contains("warning"), "{err}");
        assert!(!line.contains("crème"), "given away before `why` was asked: {line}");
    }
}

/// The gateway gives up first, its callees go on; the place in which time is lost is named, and
/// the configuration that let it be lost.
#[test]
fn why_names_the_cause_of_the_cascading_timeout_demo() {
    let _alone = alone();
    for seed in ["2", "5"] {
        let output = run(&["cascading-timeout", "--seed", seed, "--json"]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let document: Value = serde_json::from_str(&out).expect("one JSON document on stdout");
        assert_eq!(document["truth"]["service"], "inventory", "{err}");
        assert_eq!(document["named"], true, "{out}\n{err}");
        assert_eq!(output.status.code(), Some(0));
        let reason = document["why"]["causes"][0]["call"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("checkout and gateway gave up"), "{reason}");
        assert_eq!(document["why"]["causes"][0]["after"][0]["kind"], "config");
        let hash = document["truth"]["now"].as_str().expect("a hash");
        for line in err.lines() {
            assert!(!line.contains("warning"), "{err}");
            assert!(!line.contains(hash), "given away before `why` was asked: {line}");
        }
    }
}

#[test]
fn without_a_scenario_the_list_is_shown() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(0));
    let out = text(&output.stdout);
    for name in ["gift-card ", "cascading-timeout "] {
        let line = out.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.len() <= 80), "{out}");
    }
}

#[test]
fn a_misspelt_scenario_is_answered_with_the_one_that_was_meant() {
    let output = run(&["giftcard"]);
    assert_eq!(output.status.code(), Some(2));
    let err = text(&output.stderr);
    assert!(err.contains("'gift-card'"), "{err}");
}

/// Who has seen enough presses Ctrl-C: nothing stays behind.
#[test]
fn a_demo_that_is_stopped_leaves_nothing_behind() {
    let _alone = alone();
    let here = tempfile::tempdir().expect("a folder");
    let mut child = demo(&["gift-card", "--keep"])
        .env("TMPDIR", here.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let begun = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("customers come")));
    assert!(begun.is_some(), "the demo begins");
    assert_eq!(std::fs::read_dir(here.path()).expect("it is there").count(), 1);
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(stopped.expect("there is a `kill`").success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let status = child.wait().expect("it is our child");
    assert_eq!(status.code(), Some(1), "the cause was not named: {rest:?}");
    assert_eq!(std::fs::read_dir(here.path()).expect("it is there").count(), 0, "{rest:?}");
}
