use super::*;

const NOW: UnixNanos = UnixNanos(1_795_185_000_000_000_000);

/// What is read can be taken, and gives these fields.
#[track_caller]
fn check(text: &str, service: Option<&str>, expected: &[&[(&str, &str)]]) -> Reported {
    let defaults = Defaults { service: service.map(str::to_owned), ..Defaults::default() };
    let reported = read(text, &defaults).expect(text);
    assert_eq!(reported.changes.len(), expected.len(), "{reported:?}");
    for (change, fields) in reported.changes.iter().zip(expected) {
        for (name, value) in *fields {
            assert_eq!(super::text(change.get(*name)), Some(*value), "{name} of {change}");
        }
        assert_eq!(super::text(change.get("source")), Some("import"));
    }
    if !reported.changes.is_empty() {
        let body = serde_json::to_vec(&reported.changes).expect("JSON");
        let (batch, taken) = rows(&body, NOW).expect(text);
        assert_eq!(batch.rows.num_rows(), expected.len());
        assert_eq!(rows(&body, NOW).expect(text).1, taken, "twice is once");
    }
    reported
}

#[test]
fn our_own_form_is_read_as_document_and_as_lines() {
    let one = r#"{"service": "pay", "version": "2", "time": "2026-11-20T14:02:10Z"}"#;
    check(one, None, &[&[("service", "pay"), ("version", "2")]]);
    check(&format!("[{one},\n{one}]"), None, &[&[], &[]]);
    let lines = check(&format!("{one}\n\n{{broken\n{one}\n"), None, &[&[], &[]]);
    assert_eq!(lines.unread.len(), 1);
    assert_eq!(lines.unread[0].0, 3);
    for none in ["", "hello", "{broken", "\u{0}"] {
        assert!(read(none, &Defaults::default()).is_err(), "{none}");
    }
}

#[test]
fn commits_of_git_log_have_their_files() {
    let log = "d670460b4b4aece5915caf5c68d12f560a9fe3e4\t2026-11-20T15:02:10+01:00\tpay team\t\
        round up\n\n\
        src/round.rs\nCargo.toml\n\
        a3f1c2d\t2026-11-20T13:00:00Z\tpay team\tfirst\tcommit\n";
    let first: &[(&str, &str)] = &[
        ("service", "pay"),
        ("author", "pay team"),
        ("title", "round up"),
        ("time", "2026-11-20T15:02:10+01:00"),
    ];
    let reported = check(log, Some("pay"), &[first, &[("title", "first\tcommit")]]);
    assert_eq!(reported.changes[0]["files"], json!(["src/round.rs", "Cargo.toml"]));
}

#[test]
fn commits_of_git_log_with_patches_have_their_diffs() {
    let log = "d670460b4b4aece5915caf5c68d12f560a9fe3e4\t2026-11-20T15:02:10+01:00\tpay team\t\
        smaller\n\n\
        diff --git a/pool.go b/pkg/pool.go\nindex 1..2 100644\n--- a/pool.go\n+++ b/pkg/pool.go\n\
        @@ -1 +1 @@\n-max = 50\n+max = 10\n\n\
        a3f1c2d\t2026-11-20T13:00:00Z\tpay team\tfirst\n";
    let first: &[(&str, &str)] = &[("title", "smaller")];
    let reported = check(log, Some("pay"), &[first, &[("title", "first")]]);
    let change = &reported.changes[0];
    assert_eq!(change["files"], json!(["pkg/pool.go"]));
    let diff = change["diff"].as_str().expect("a diff");
    assert!(diff.ends_with("@@ -1 +1 @@\n-max = 50\n+max = 10\n"), "{diff}");
    assert_eq!(reported.changes[1].get("diff"), None);

    let long = format!("{}{}", &log[..log.len() / 2], "+more\n".repeat(100_000));
    let reported = check(&long, None, &[first]);
    let diff = reported.changes[0]["diff"].as_str().expect("a diff");
    assert!(diff.len() <= api::DIFF_BYTES_MAX && diff.ends_with("the diff is longer @@\n"));
}

#[test]
fn deployments_of_github_and_gitlab_are_deploys() {
    let github = r#"{"action": "created", "deployment": {"id": 7, "sha": "abc1234", "ref": "v2.3.1",
        "environment": "production", "created_at": "2026-11-20T14:02:10Z",
        "creator": {"login": "mo"}, "description": null},
        "repository": {"name": "pay", "html_url": "https://example.com/pay"}}"#;
    let expected: &[(&str, &str)] = &[
        ("id", "github-7"),
        ("service", "pay"),
        ("version", "v2.3.1"),
        ("commit", "abc1234"),
        ("url", "https://example.com/pay"),
    ];
    check(github, Some("other"), &[expected]);
    let failed =
        github.replace("\"action\"", "\"deployment_status\": {\"state\": \"failure\"}, \"action\"");
    assert_eq!(check(&failed, None, &[]).passed_over, 1);
    let gitlab = r#"{"object_kind": "deployment", "status": "success", "deployment_id": 15,
        "status_changed_at": "2026-11-20 16:02:10 +0200", "environment": "staging",
        "project": {"name": "pay"}, "short_sha": "279484c0", "ref": "main",
        "user": {"username": "mo"}, "commit_title": "Round up"}"#;
    let expected: &[(&str, &str)] =
        &[("time", "2026-11-20T16:02:10+02:00"), ("title", "Round up"), ("environment", "staging")];
    check(gitlab, None, &[expected]);
}

#[test]
fn events_of_kubernetes_that_change_something_are_changes() {
    let list = r#"{"kind": "EventList", "items": [
        {"reason": "ScalingReplicaSet", "message": "Scaled up replica set pay-7c9 to 3",
         "metadata": {"uid": "u1"}, "lastTimestamp": "2026-11-20T14:02:10Z",
         "involvedObject": {"kind": "Deployment", "name": "pay", "namespace": "shop"}},
        {"reason": "Killing", "message": "Stopping container", "metadata": {"uid": "u2"},
         "lastTimestamp": null, "eventTime": "2026-11-20T14:03:10.000001Z",
         "involvedObject": {"kind": "Pod", "name": "pay-7c9d5f6b4-x2k9p", "namespace": "shop"}},
        {"reason": "Pulled", "involvedObject": {"kind": "Pod", "name": "pay-7c9d5f6b4-x2k9p"}}]}"#;
    let scale: &[(&str, &str)] =
        &[("kind", "scale"), ("service", "pay"), ("environment", "shop"), ("id", "k8s-u1")];
    let restart: &[(&str, &str)] =
        &[("kind", "restart"), ("service", "pay"), ("instance", "pay-7c9d5f6b4-x2k9p")];
    assert_eq!(check(list, None, &[scale, restart]).passed_over, 1);
}
