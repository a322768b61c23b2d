use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::ask::Asked;
use super::chance::Chance;
use super::labels::{Case, Kind, Question, When, seconds};
use super::measure::{Outcome, SetResult};
use super::options::Options;
use super::*;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder that can be made");
    fs::write(path, text).expect("a file that can be written");
}

fn options(folder: &TempDir, more: &[&str]) -> Options {
    let mut arguments = vec!["--data".to_owned(), folder.path().display().to_string()];
    arguments.extend(more.iter().map(|text| (*text).to_owned()));
    Options::read(&arguments).expect("arguments that read")
}

async fn results(folder: &TempDir, more: &[&str]) -> Vec<SetResult> {
    let options = options(folder, more);
    evaluate(folder.path(), &options).await.expect("sets that can be read")
}

/// Two incidents of one form: of the first no change is the cause, of the second one is, and
/// nothing tells.
fn incidents() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let labels = r#"{"cases": [
        {"case": "calm", "root_cause_commit": "none", "decoy_deploy_commits": ["aaaaaaa1"]},
        {"case": "blind", "root_cause_commit": "bbbbbbb2", "decoy_deploy_commits": []}]}"#;
    write(folder.path(), "shop/labels.json", labels);
    for case in ["calm", "blind"] {
        let alert = r#"{"service": "checkout", "fired_at": "2026-07-11T13:46:00Z"}"#;
        write(folder.path(), &format!("shop/{case}/alert.json"), alert);
        let spans: Vec<String> = (0..40)
            .map(|n| {
                format!(
                    r#"{{"trace_id": "{:032x}", "span_id": "{:016x}", "parent_id": null,
                        "service": "checkout", "name": "GET /", "duration_ms": 5,
                        "start": "2026-07-11T13:{:02}:00Z", "status": "OK"}}"#,
                    n + 1,
                    n + 1,
                    n + 10,
                )
            })
            .collect();
        let spans = format!("[{}]", spans.join(","));
        write(folder.path(), &format!("shop/{case}/traces.json"), &spans);
        let deploys = r#"[{"timestamp": "2026-07-11T13:20:00Z", "service": "checkout",
            "version": "2", "commit_sha": "bbbbbbb2"}]"#;
        write(folder.path(), &format!("shop/{case}/context/deploys.json"), deploys);
    }
    folder
}

#[tokio::test]
async fn hits_and_misses_are_counted_against_the_labels() {
    let folder = incidents();
    let results = results(&folder, &["--quiet", "4", "--scramble"]).await;
    let [result] = results.as_slice() else { panic!("one set, not {}", results.len()) };
    assert_eq!((result.kind, result.outcomes.len()), (Kind::Commit, 2));
    assert_eq!(result.accuracy(1).count, 1.0, "the case without a cause is right");
    assert_eq!(result.outcomes[1].ranks(), [None]);
    assert_eq!(result.decoys(), 0);
    // One deploy and "none" could be named.
    assert!((result.random(1) - 0.5).abs() < 1e-9);
    assert!(result.outcomes.iter().all(|outcome| outcome.moved.is_none()));
    let table = show::table(&options(&folder, &["--scramble"]), std::slice::from_ref(result));
    assert!(table.contains("(1 of 2)") && table.contains("no rank changed"), "{table}");
    let document: serde_json::Value =
        serde_json::from_str(&show::json(&options(&folder, &["--json"]), &results)).expect("JSON");
    assert_eq!(document["sets"][0]["cases"][1]["truth"][0], "bbbbbbb2");
}

#[tokio::test]
async fn a_set_that_is_not_there_is_said_by_name() {
    let folder = incidents();
    let missing = evaluate(folder.path(), &options(&folder, &["--set", "other"])).await;
    let error = missing.err().expect("no such set");
    assert!(error.contains("\"other\""), "{error}");
    write(folder.path(), "odd/labels.json", r#"{"cases": [{"case": "x", "culprit": "y"}]}"#);
    let odd = evaluate(folder.path(), &options(&folder, &[])).await.err().expect("a form unknown");
    assert!(odd.contains("form is not known"), "{odd}");
}

#[test]
fn data_that_is_not_there_is_asked_for() {
    let options = Options::read(&["--data".to_owned(), "no/such/folder".to_owned()]);
    let error = data(&options.expect("arguments that read")).expect_err("no such folder");
    assert!(error.contains("--data DIR"), "{error}");
    for wrong in [&["--onset-shift", "soon"][..], &["--quiet"], &["--what"]] {
        let arguments: Vec<String> = wrong.iter().map(|text| (*text).to_owned()).collect();
        assert!(Options::read(&arguments).expect_err("refused").contains("usage:"));
    }
    let shift = Options::read(&["--onset-shift".to_owned(), "-60s".to_owned()]);
    assert_eq!(shift.expect("a shift").onset_shift_ns, -60_000_000_000);
}

#[test]
fn a_wrong_time_moves_as_a_whole_or_its_begin_alone() {
    let question = Question {
        window: When::At(seconds(100, 280)),
        baseline: None,
        service: None,
        metric: None,
        total: None,
        naming: None,
    };
    let moved = |ns, end_stays| question.shifted(ns, end_stays).window.range();
    assert_eq!(moved(60_000_000_000, false), seconds(160, 340));
    assert_eq!(moved(60_000_000_000, true), seconds(160, 280));
    assert_eq!(moved(-60_000_000_000, true), seconds(40, 280));
    assert_eq!(moved(180_000_000_000, true), seconds(280, 460), "nothing would be left");
}

fn outcome(truth: &[&str], ranking: &[&str]) -> Outcome {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let question = Question {
        window: When::At(seconds(0, 60)),
        baseline: None,
        service: None,
        metric: None,
        total: None,
        naming: None,
    };
    let case = Case {
        name: "x".to_owned(),
        evidence: 0,
        question,
        truth: owned(truth),
        decoys: Vec::new(),
    };
    let candidates = owned(&["a", "b", "c", "d"]).into_iter().collect();
    let ranking = owned(ranking);
    Outcome::of(&case, Asked { ranking, candidates, is_verdict: true, took: Duration::ZERO })
}

#[test]
fn several_causes_are_whole_when_all_are_named() {
    let result = |outcomes: Vec<Outcome>| SetResult {
        name: String::new(),
        kind: Kind::Service,
        outcomes,
        quiet: measure::Quiet::default(),
    };
    let one = result(vec![outcome(&["a", "b"], &["b", "c", "a"])]);
    assert_eq!([1, 3].map(|depth| one.accuracy(depth).count), [1.0, 1.0]);
    let half = result(vec![outcome(&["a", "b"], &["b", "c", "d"])]);
    assert_eq!([1, 3].map(|depth| half.accuracy(depth).count), [1.0, 0.5]);
    assert_eq!(half.outcomes[0].ranks(), [None, Some(1)]);
    // One of four at random hits one of two causes half of the time.
    assert!((half.random(1) - 0.5).abs() < 1e-9);
    assert!((result(vec![outcome(&["a"], &[])]).random(3) - 0.75).abs() < 1e-9);
}

#[test]
fn an_order_holds_every_number_once() {
    let order = Chance::new(7, 1).order(100);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    assert_ne!(order, sorted);
    assert_eq!(order, Chance::new(7, 1).order(100), "equal seeds give equal orders");
    assert_ne!(order, Chance::new(8, 1).order(100));
}

/// Requests of twelve minutes by two attributes; in the tenth those of one combination fail.
fn counted() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let begin = 1_600_000_020;
    let at = begin + 9 * 60;
    let labels = format!(
        r#"{{"cases": [{{"case": "one", "anomaly_unix": {at},
            "root_cause": [{{"cdn": "2", "device": "tv"}}]}}]}}"#
    );
    write(folder.path(), "video/labels.json", &labels);
    let mut table = "min,cdn,device,value,cnt\n".to_owned();
    for minute in 0..12 {
        for cdn in 1..5 {
            for device in ["tv", "web", "app"] {
                let hit = minute == 9 && cdn == 2 && device == "tv";
                let failed = if hit { 120 } else { 3 + (minute + cdn) % 3 };
                let min = begin + minute * 60;
                table.push_str(&format!("{min},{cdn},{device},{failed},{}\n", 300 + cdn));
            }
        }
    }
    write(folder.path(), "video/cases/one.csv", &table);
    folder
}

#[tokio::test]
async fn counts_are_asked_about_in_the_failing_minute_and_beside_it() {
    let folder = counted();
    for shift in ["0s", "60s", "-60s"] {
        let more = ["--quiet", "10", "--scramble", "--onset-shift", shift];
        let results = results(&folder, &more).await;
        let outcome = &results[0].outcomes[0];
        assert_eq!(outcome.ranks(), [Some(1)], "{shift}: {:?}", outcome.ranking);
        assert!(outcome.is_verdict && outcome.moved.is_none(), "{shift}: {:?}", outcome.moved);
        assert_eq!(outcome.candidates, 4 + 3 + 12);
        assert_eq!((results[0].quiet.verdicts, results[0].quiet.begun), (0, 0));
        assert!(results[0].quiet.windows > 0);
    }
}

/// Levels of three services for two days; in an incident that of the last one rises.
fn levels() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let at = 1_600_400_000;
    let labels = format!(
        r#"{{"cases": [{{"case": "busy/issue_0", "scenario": "busy", "target_node": "front",
            "target_metric": "latency", "target_agg": "Average", "target_unix": {at},
            "root_cause_node": "stock", "has_own_baseline": true}}]}}"#
    );
    write(folder.path(), "pets/labels.json", &labels);
    let graph = ",front,cart,stock\nfront,0.0,1.0,1.0\ncart,0.0,0.0,0.0\nstock,0.0,0.0,0.0\n";
    write(folder.path(), "pets/busy/graph.csv", graph);
    let head = "microservice,front,cart,stock,front,cart,stock\n\
                metric,latency,latency,latency,requests,requests,requests\n\
                statistic,Average,Average,Average,Sum,Sum,Sum\n\
                unix_timestamp,,,,,,\n";
    let row = |time: i64, stock: f64| {
        let wave = (time / 300 % 7) as f64 / 100.0;
        let (front, cart) = (0.2 + wave + stock / 2.0, 0.1 + wave);
        format!("{time},{front},{cart},{},100,60,90\n", stock + wave)
    };
    let quiet: String = (0..500).map(|step| row(1_600_500_000 + step * 300, 0.05)).collect();
    write(folder.path(), "pets/busy/noissue_metrics.csv", &format!("{head}{quiet}"));
    let issue: String = (-3..3).map(|step| row(at + step * 300, 0.9)).collect();
    write(folder.path(), "pets/busy/issue_0/metrics.csv", &format!("{head}{issue}"));
    folder
}

#[tokio::test]
async fn levels_are_followed_to_the_service_they_come_from() {
    let results = results(&levels(), &["--quiet", "20", "--scramble"]).await;
    let outcome = &results[0].outcomes[0];
    assert_eq!(outcome.ranks(), [Some(1)], "{:?}", outcome.ranking);
    assert!(outcome.is_verdict && outcome.moved.is_none(), "{:?}", outcome.moved);
    assert_eq!(results[0].quiet.verdicts, 0, "{:?}", results[0].quiet.examples);
}

/// A run of half a minute: from its half on a third of the requests meet a new version of the
/// till, which fails for vouchers.
fn run(truth: &serde_json::Value) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let begin = 1_795_183_200_000_000_000_i64;
    let text =
        |key: &str, value: &str| serde_json::json!({"key": key, "value": {"stringValue": value}});
    let spans = (0..900_i64).map(|n| {
        let (new, voucher) = (n >= 450 && n % 3 == 0, n % 7 < 3);
        let at = begin + n * 33_000_000;
        let version = if new { "2.0.0" } else { "1.9.9" };
        let status = if new && voucher { 2 } else { 0 };
        let span = serde_json::json!({
            "traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1),
            "name": "POST /checkout", "kind": 2, "status": {"code": status},
            "startTimeUnixNano": at.to_string(), "endTimeUnixNano": (at + 5_000_000).to_string(),
            "attributes": [
                text("pay.with", if voucher { "voucher" } else { "card" }),
                text("http.request.method", "POST"), text("http.route", "/checkout"),
            ],
        });
        let resource = [text("service.name", "checkout"), text("service.version", version)];
        let spans = serde_json::json!([{"spans": [span]}]);
        let one = serde_json::json!({"resource": {"attributes": resource}, "scopeSpans": spans});
        serde_json::json!({"resourceSpans": [one]}).to_string()
    });
    let lines: Vec<String> = spans.collect();
    write(folder.path(), "demo-till/seed-1/spans.jsonl", &lines.join("\n"));
    let label = serde_json::json!({
        "case": "seed-1", "demo": "till", "truth": truth,
        "window": {"from": "2026-11-20T14:00:00Z", "to": "2026-11-20T14:00:30Z"},
    });
    let labels = serde_json::json!({"lab": "", "cases": [label]}).to_string();
    write(folder.path(), "demo-till/labels.json", &labels);
    folder
}

#[tokio::test]
async fn a_demo_counts_only_when_all_of_its_cause_is_named() {
    let truth = |now: &str, value: &str| {
        serde_json::json!({
            // The route has the name of the service in it, so it is scrambled with it.
            "service": "checkout", "now": now, "route": "POST /checkout", "attribute": "pay.with",
            "value": value, "began_at": "2026-11-20T14:00:14.85Z",
        })
    };
    let more = ["--quiet", "6", "--scramble"];
    let found = results(&run(&truth("2.0.0", "voucher")), &more).await;
    let outcome = &found[0].outcomes[0];
    assert_eq!((found[0].kind, outcome.ranks()), (Kind::Change, vec![Some(1)]), "{outcome:?}");
    assert!(outcome.moved.is_none(), "{outcome:?}");
    assert_eq!(outcome.candidates, 2, "two versions of one service");
    assert_eq!((found[0].quiet.windows, found[0].quiet.verdicts), (6, 0));
    for wrong in [truth("1.9.9", "voucher"), truth("2.0.0", "card")] {
        let found = results(&run(&wrong), &["--quiet", "0"]).await;
        assert_eq!(found[0].outcomes[0].ranks(), [None], "{wrong}");
    }
}

#[test]
fn demos_are_part_of_the_whole_run_and_of_no_other() {
    let read = |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let options = Options::read(&texts).expect("arguments that read");
        (options.wants_data(), options.wants_demos())
    };
    assert_eq!(read(&[]), (true, true));
    assert_eq!(read(&["--no-demos"]), (true, false));
    assert_eq!(read(&["--data", "x"]), (true, false));
    assert_eq!(read(&["--set", "nezha"]), (true, false));
    assert_eq!(read(&["--set", "demo-gift-card"]), (false, true));
}
