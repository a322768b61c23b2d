//! Tokens, bounds of one sender, and the record of what was refused.

use crate::client::{PROTOBUF, Reply, TRACES, call_with, framed, get, send};
use crate::fixture::{Ground, config, receivers, rows};
use halfopen_ingest::sample;
use halfopen_model::Table;
use halfopen_serve::{Config, Scope, ServeError, TokenEntry};
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What a bearer sends.
pub(crate) struct Bearer {
    pub(crate) token: String,
    pub(crate) header: String,
    pub(crate) entry: String,
}

pub(crate) fn bearer(name: &str, scopes: &[Scope]) -> Bearer {
    let (token, entry) = TokenEntry::generate(name, scopes).expect("a token");
    Bearer { header: format!("Bearer {token}"), token, entry: entry.to_string() }
}

fn guarded(bearers: &[&Bearer]) -> Config {
    let mut config = config();
    config.serve.tokens = bearers.iter().map(|bearer| bearer.entry.clone()).collect();
    config
}

/// Sends with a token, or with what is given in its place.
async fn ask(method: Method, url: &str, authorization: &str, body: &[u8]) -> Reply {
    let json = ("content-type", "application/json");
    if authorization.is_empty() {
        return send(method, url, &[json], body).await;
    }
    send(method, url, &[json, ("authorization", authorization)], body).await
}

async fn export(url: &str, authorization: &str, body: &[u8]) -> Reply {
    let headers = [PROTOBUF[0], ("authorization", authorization)];
    send(Method::POST, url, &headers, body).await
}

#[tokio::test]
async fn with_tokens_every_port_asks_for_one() {
    let (reader, writer) = (bearer("grafana", &[Scope::Read]), bearer("ci", &[Scope::Write]));
    let operator = bearer("operator", &[Scope::Admin]);
    let ground = Ground::with(guarded(&[&reader, &writer, &operator])).await;
    let stranger = bearer("ci", &[Scope::Admin]);
    let sql = json!({ "sql": "select 1" }).to_string();
    let change = json!({ "kind": "deploy", "service": "cart", "version": "2" }).to_string();
    let traces = json!({ "resourceSpans": [] }).to_string();
    let (query, changes) = (ground.api("/api/v1/query"), ground.api("/api/v1/changes"));
    let (refusals, export) = (ground.api("/api/v1/refusals"), ground.otlp("/v1/traces"));
    let cases = [
        (Method::POST, &query, &sql, [200, 403, 200]),
        (Method::GET, &changes, &sql, [200, 403, 200]),
        (Method::POST, &changes, &change, [403, 200, 200]),
        (Method::GET, &refusals, &sql, [403, 403, 200]),
        (Method::POST, &export, &traces, [403, 200, 200]),
    ];
    for (method, url, body, expected) in cases {
        let ask = |authorization: String| {
            let (method, body) = (method.clone(), body.clone());
            async move { ask(method, url, &authorization, body.as_bytes()).await }
        };
        for none in ["", "Basic Y2k6Y2k=", "Bearer"] {
            let reply = ask(none.to_owned()).await;
            assert_eq!(reply.status, 401, "{method} {url}: {}", reply.text());
            assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"halfopen\"");
        }
        let reply = ask(stranger.header.clone()).await;
        assert_eq!(reply.status, 401, "{method} {url}: {}", reply.text());
        assert!(!reply.text().contains(&stranger.token), "{}", reply.text());
        for (bearer, expected) in [&reader, &writer, &operator].into_iter().zip(expected) {
            let reply = ask(bearer.header.clone()).await;
            assert_eq!(reply.status, expected, "{method} {url}: {}", reply.text());
        }
    }
    assert_eq!(get(&ground.api("/healthz")).await.status, 200);
    assert_eq!(get(&ground.api("/readyz")).await.status, 200);
    assert_eq!(get(&ground.api("/metrics")).await.status, 401);
    assert_eq!(get(&ground.api("/")).await.status, 401);
    // A name of this server on the network, as a browser or a proxy sends it.
    let headers = [("authorization", &*reader.header), ("host", "halfopen.example:7070")];
    assert_eq!(send(Method::GET, &ground.api("/"), &headers, b"").await.status, 200);
}

#[tokio::test]
async fn grpc_tells_who_is_unknown_and_who_may_not() {
    let (reader, writer) = (bearer("grafana", &[Scope::Read]), bearer("ci", &[Scope::Write]));
    let (ports, evidence) = receivers(&guarded(&[&reader, &writer])).await;
    let frames = framed(0, &sample::traces(1, 5, 2));
    let call = |authorization: &'static str, token: &str| {
        let (value, frames) = (format!("Bearer {token}"), frames.clone());
        let address = ports.otlp_grpc;
        async move {
            let headers = [(authorization, value.as_str())];
            call_with(address, TRACES, &headers, &frames).await
        }
    };
    let none = call("x-other", "nothing").await;
    assert_eq!(none.code, 16, "{none:?}");
    assert!(none.message.starts_with("a token is needed here, and none came"), "{none:?}");
    assert_eq!(call("authorization", "nothing").await.code, 16);
    assert_eq!(call("authorization", &reader.token).await.code, 7);
    assert_eq!(rows(&evidence, Table::Spans), 0);
    assert_eq!(call("authorization", &writer.token).await.code, 0);
    assert_eq!(rows(&evidence, Table::Spans), 5);
}

#[tokio::test]
async fn refusals_are_counted_and_listed_without_tokens() {
    let (writer, operator) = (bearer("ci", &[Scope::Write]), bearer("operator", &[Scope::Admin]));
    let ground = Ground::with(guarded(&[&writer, &operator])).await;
    let stranger = bearer("ci", &[Scope::Admin]);
    for header in ["", &stranger.header, &writer.header] {
        ask(Method::GET, &ground.api("/api/v1/status"), header, b"").await;
    }
    let headers = [("authorization", stranger.header.as_str())];
    let address = ground.server.addresses().otlp_grpc;
    call_with(address, TRACES, &headers, &framed(0, b"")).await;
    let reply = ask(Method::GET, &ground.api("/api/v1/refusals"), &operator.header, b"").await;
    let listed = reply.json();
    let count = |port: &str, reason: &str| json!({ "port": port, "reason": reason, "count": 1 });
    let expected = [
        count("otlp_grpc", "wrong_token"),
        count("http", "no_token"),
        count("http", "wrong_token"),
        count("http", "scope"),
    ];
    assert_eq!(listed["counts"], json!(expected));
    let recent = listed["recent"].as_array().expect("a list");
    assert_eq!(recent.len(), 4);
    assert_eq!((&recent[0]["port"], &recent[1]["token"]), (&json!("otlp_grpc"), &json!("ci")));
    assert_eq!(recent[2]["token"], Value::Null, "who is not known has no name");
    assert!(recent[0]["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    let metrics = ask(Method::GET, &ground.api("/metrics"), &operator.header, b"").await.text();
    let line = "halfopen_refusals_total{port=\"http\",reason=\"scope\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    for bearer in [&writer, &operator, &stranger] {
        assert!(!reply.text().contains(&bearer.token) && !metrics.contains(&bearer.token));
    }
}

#[tokio::test]
async fn without_tokens_no_other_machine_may_reach_a_port() {
    let mut config = config();
    config.serve.http = "0.0.0.0:0".parse().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    config.store.folder = folder.path().join("data");
    let clock = || std::sync::Arc::new(crate::fixture::StillClock);
    let refused = halfopen_serve::start(config.clone(), clock()).await.err().expect("no token");
    assert!(matches!(refused, ServeError::Settings(_)), "{refused}");
    assert!(refused.to_string().starts_with("serve.http: 0.0.0.0:0 can be reached"), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("halfopen token new")));
    config.serve.tokens = vec![bearer("ci", &[Scope::Read]).entry];
    let server = halfopen_serve::start(config, clock()).await.expect("tokens are there");
    let url = format!("http://127.0.0.1:{}/", server.addresses().http.port());
    assert_eq!(get(&url).await.status, 401);
}

#[tokio::test]
async fn a_greedy_sender_is_told_to_wait_and_others_are_not() {
    let (greedy, modest) = (bearer("greedy", &[Scope::Write]), bearer("modest", &[Scope::Write]));
    let mut config = guarded(&[&greedy, &modest]);
    config.serve.sender_bytes_per_second_max = 1;
    let (ports, _) = receivers(&config).await;
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let body = sample::traces(1, 20, 4);
    // The first passes whole, and overdraws the account for the better part of an hour.
    assert_eq!(export(&url, &greedy.header, &body).await.status, 200);
    let reply = export(&url, &greedy.header, &body).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    let wait: usize = reply.headers["retry-after"].to_str().expect("text").parse().expect("number");
    assert!((body.len() / 2..=body.len()).contains(&wait), "{wait} s for {} bytes", body.len());
    let headers = [("authorization", greedy.header.as_str())];
    let called = call_with(ports.otlp_grpc, TRACES, &headers, &framed(0, &body)).await;
    assert_eq!(called.code, 8, "{called:?}");
    assert!(called.status.and_then(|status| status.retry_after_seconds()).is_some());
    assert_eq!(export(&url, &modest.header, &body).await.status, 200);
}

/// A request whose body does not come: it is under way until the stream is dropped.
async fn begin(address: std::net::SocketAddr, authorization: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a port");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nauthorization: {authorization}\r\n\
         content-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n\x0a"
    );
    stream.write_all(head.as_bytes()).await.expect("a socket");
    stream
}

#[tokio::test]
async fn what_one_sender_has_under_way_is_bounded() {
    let (greedy, modest) = (bearer("greedy", &[Scope::Write]), bearer("modest", &[Scope::Write]));
    let body = sample::traces(1, 20, 4);
    let limit: [fn(&mut Config); 3] = [
        |config| config.serve.sender_requests_max = 1,
        |config| config.serve.sender_connections_max = 1,
        |config| {
            config.serve.message_bytes_max = 8 << 10;
            config.serve.bodies_bytes_max = 16 << 10;
        },
    ];
    for (set, reason) in limit.into_iter().zip(["requests", "connections", "bodies"]) {
        let mut config = guarded(&[&greedy, &modest]);
        set(&mut config);
        let (ports, _) = receivers(&config).await;
        let url = format!("http://{}/v1/traces", ports.otlp_http);
        let slow = begin(ports.otlp_http, &greedy.header, 8 << 10).await;
        let refused = loop {
            let reply = export(&url, &greedy.header, &body).await;
            if reply.status != 200 {
                break reply;
            }
        };
        assert_eq!(refused.status, 429, "{reason}: {}", refused.text());
        assert!(refused.headers.contains_key("retry-after"), "{reason}");
        assert_eq!(export(&url, &modest.header, &body).await.status, 200, "{reason}");
        drop(slow);
        while export(&url, &greedy.header, &body).await.status != 200 {}
    }
}
