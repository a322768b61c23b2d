//! The HTTP API.

use crate::client::{PROTOBUF, get, post_json, query, send};
use crate::fixture::{Ground, config};
use halfopen_ingest::sample;
use http::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn spans_are_found_by_every_question() {
    let ground = Ground::start().await;
    let body = sample::traces(1, 200, 12);
    let reply = send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, &body).await;
    assert_eq!(reply.status, 200);
    let url = ground.api("/api/v1/query");
    assert_eq!(query(&url, "select count(*) from spans").await, [[json!(200)]]);

    let found = query(&url, "select trace_id from spans limit 1").await;
    let id = found[0][0].as_str().expect("hex").to_owned();
    let reply = get(&ground.api(&format!("/api/v1/traces/{id}"))).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["trace"]["trace_id"]), (200, &json!(id)));
    for with in ["peers", &id] {
        let reply = get(&ground.api(&format!("/api/v1/traces/{id}?compare={with}"))).await;
        assert_eq!(reply.json()["comparison"]["trace_id"], json!(id), "{}", reply.text());
    }
    let reply = get(&ground.api(&format!("/api/v1/traces/{id}?with=peers"))).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let reply = get(&ground.api(&format!("/api/v1/find?id={id}"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!reply.json()["timeline"].as_array().expect("a list").is_empty());
    let reply = get(&ground.api("/api/v1/why?from=2000-01-01T00:00:00Z&to=now")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json()["verdict"].is_string());
    let reply = get(&ground.api("/api/v1/traces/no-such-thing")).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["trace"]), (200, &Value::Null));
}

#[tokio::test]
async fn rows_come_as_lines_to_who_wants_lines() {
    let ground = Ground::start().await;
    let body = sample::traces(1, 30, 2);
    send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, &body).await;
    let question = json!({ "sql": "select name, kind from spans", "rows_max": 20 }).to_string();
    let headers = [("content-type", "application/json"), ("accept", "application/x-ndjson")];
    let url = ground.api("/api/v1/query");
    let reply = send(Method::POST, &url, &headers, question.as_bytes()).await;
    assert_eq!(reply.headers["halfopen-truncated"], "1");
    let text = reply.text();
    let rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("one object")).collect();
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row["name"].is_string() && row["kind"].is_string()));
}

#[tokio::test]
async fn changes_are_kept_once_and_asked_for_like_everything_else() {
    let ground = Ground::start().await;
    let url = ground.api("/api/v1/changes");
    let deploy = json!({ "service": "payment", "version": "2.3.1", "commit": "0a1b2c",
        "time": "2026-11-20T14:02:10Z", "files": ["src/card.rs"], "attributes": { "pods": 3 } });
    let reply = post_json(&url, &deploy).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let again = post_json(&url, &json!([deploy])).await;
    assert_eq!(again.json(), reply.json());
    let sql = "select kind, service, version, title, source, files, attributes from changes";
    let found = query(&ground.api("/api/v1/query"), sql).await;
    let title = "deploy payment 2.3.1";
    let expected = json!([["deploy", "payment", "2.3.1", title, "api", ["src/card.rs"],
        { "pods": 3 }]]);
    assert_eq!(json!(found), expected);
    let reply = post_json(&url, &json!({ "kind": "party", "service": "payment" })).await;
    assert_eq!(reply.status, 400);
    let error = &reply.json()["error"];
    assert_eq!(error["fact"], "change 1 of the request cannot be taken");
    assert!(error["hint"].is_string());
}

#[tokio::test]
async fn the_map_and_what_changed_are_answers_like_others() {
    let ground = Ground::start().await;
    let body = sample::traces(1, 200, 12);
    send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, &body).await;
    let all = "from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
    let reply = get(&ground.api(&format!("/api/v1/map?{all}"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let map = reply.json();
    assert_eq!((&map["v"], &map["spans"]), (&json!(1), &json!(200)));
    assert!(!map["nodes"].as_array().expect("a list").is_empty(), "{map}");
    assert!(map["edges"].is_array(), "{map}");
    let reply = get(&ground.api(&format!("/api/v1/map.svg?{all}"))).await;
    assert_eq!(reply.headers["content-type"], "image/svg+xml");
    assert!(reply.text().starts_with("<svg "), "{}", reply.text());

    let url = ground.api("/api/v1/changes");
    let at = "2026-11-20T14:02:10Z";
    let flag = json!({ "kind": "flag", "service": "shop", "title": "new-tax on", "time": at,
        "url": "https://example.com/7", "source": "import" });
    assert_eq!(post_json(&url, &flag).await.status, 200);
    let day = "from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z";
    let reply = get(&ground.api(&format!("/api/v1/changes?{day}&kind=flag&service=shop"))).await;
    let listed = reply.json();
    assert_eq!(listed["changes"].as_array().expect("a list").len(), 1, "{listed}");
    let change = &listed["changes"][0];
    assert_eq!((&change["told_by"], &change["seen"]), (&json!("import"), &Value::Null));
    assert_eq!(change["url"], "https://example.com/7");
    let reply = get(&ground.api(&format!("/api/v1/changes?{day}&kind=deploy"))).await;
    assert_eq!(reply.json()["changes"], json!([]));
    for wrong in ["map?colour=red", "map.svg?since=soon", "changes?from=15m&since=15m"] {
        assert_eq!(get(&ground.api(&format!("/api/v1/{wrong}"))).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_server_tells_about_itself() {
    let ground = Ground::start().await;
    let body = sample::traces(1, 30, 2);
    send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, &body).await;
    send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, b"\x07\xff").await;
    query(&ground.api("/api/v1/query"), "select 1").await;
    assert_eq!(get(&ground.api("/healthz")).await.text(), "ok\n");
    assert_eq!(get(&ground.api("/readyz")).await.text(), "ready\n");
    let page = get(&ground.api("/")).await;
    let grpc = ground.server.addresses().otlp_grpc.to_string();
    assert!(page.text().contains(&grpc) && page.text().contains("halfopen why"));

    let metrics = get(&ground.api("/metrics")).await.text();
    let labels = "{protocol=\"http\",signal=\"traces\"}";
    for line in [
        format!("halfopen_export_requests_total{labels} 2"),
        format!("halfopen_export_rows_accepted_total{labels} 30"),
        format!("halfopen_export_unreadable_total{labels} 1"),
        "halfopen_table_hot_rows{table=\"spans\"} 30".to_owned(),
        "halfopen_question_seconds_count{question=\"query\"} 1".to_owned(),
        "halfopen_ready 1".to_owned(),
        "halfopen_process_start_time_seconds 1795185000".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    let status = get(&ground.api("/api/v1/status")).await.json();
    assert_eq!((&status["v"], &status["ready"]), (&json!(1), &json!(true)));
}

/// Every line of the page is a comment, or a name with labels and a number; every name was
/// announced with its type, once.
#[tokio::test]
async fn metrics_are_in_the_format_of_prometheus() {
    let ground = Ground::start().await;
    let page = get(&ground.api("/metrics")).await.text();
    let mut announced = std::collections::BTreeSet::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().expect("a name").to_owned();
            assert!(announced.insert(name), "{line} comes twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a name and a number");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().expect("a name");
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .filter(|base| announced.contains(*base));
            assert!(base.is_some() || announced.contains(name), "{line} was not announced");
        }
    }
    assert!(announced.len() > 30);
}

#[tokio::test]
async fn only_this_machine_is_answered() {
    let ground = Ground::start().await;
    let url = ground.api("/api/v1/status");
    for (name, value, status) in [
        ("host", "evil.example:7070", 403),
        ("host", "localhost:7070", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://127.0.0.1:3000", 200),
    ] {
        let reply = send(Method::GET, &url, &[(name, value)], b"").await;
        assert_eq!(reply.status.as_u16(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_a_hint() {
    let ground = Ground::start().await;
    for (method, path, status) in [
        (Method::GET, "/api/v1/spans", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/query", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/api/v1/changes", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let reply = send(method, &ground.api(path), &[], b"").await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["error"]["hint"], "GET / lists what there is");
    }
}

#[tokio::test]
async fn questions_are_bounded_in_number() {
    let mut config = config();
    config.serve.questions_max = 1;
    let ground = Ground::with(config).await;
    let url = ground.api("/api/v1/query");
    let slow = json!({ "sql": "select count(*) from generate_series(1, 3000000) a" });
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (url, slow) = (url.clone(), slow.clone());
        asked.spawn(async move { post_json(&url, &slow).await });
    }
    let mut refused = 0;
    while let Some(reply) = asked.join_next().await {
        let reply = reply.expect("an answer");
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            refused += 1;
            assert!(reply.headers.contains_key("retry-after"));
        }
    }
    assert!(refused > 0);
    assert_eq!(query(&url, "select 1").await, [[json!(1)]]);
}
