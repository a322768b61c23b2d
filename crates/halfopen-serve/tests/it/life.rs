//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{TRACES, call, framed, get, query};
use crate::fixture::{Ground, StillClock, config, receivers, rows};
use halfopen_ingest::sample;
use halfopen_model::Table;
use halfopen_serve::ServeError;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_flag() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.serve.otlp_http = taken.local_addr().expect("an address");
    config.store.folder = folder.path().join("data");
    let error = halfopen_serve::start(config, Arc::new(StillClock)).await.err().expect("taken");
    assert!(matches!(error, ServeError::Bind { .. }));
    assert!(error.to_string().ends_with("for OTLP over HTTP"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--otlp-http 127.0.0.1:0")));
    assert!(!folder.path().join("data").exists(), "nothing else was touched");
}

#[tokio::test]
async fn a_folder_that_is_held_is_refused_with_a_hint() {
    let ground = Ground::start().await;
    let mut config = config();
    config.store.folder = ground.folder.path().join("data");
    let error = halfopen_serve::start(config, Arc::new(StillClock)).await.err().expect("held");
    assert!(matches!(error, ServeError::Store(_)));
    assert!(error.hint().is_some_and(|hint| hint.contains("--url")));
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_says_so() {
    let ground = Ground::start().await;
    // Kept alive, and silent: it holds nothing up.
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    client.get(ground.api("/healthz").parse().expect("a URL")).await.expect("an answer");
    let body = framed(0, &sample::traces(1, 25, 2));
    assert_eq!(call(ground.server.addresses().otlp_grpc, TRACES, "identity", &body).await.code, 0);
    let report = ground.server.stop(DEADLINE).await;
    assert!(report.took < DEADLINE / 2, "{report}");
    assert_eq!((report.requests_cut, report.store.rows_in_wal), (0, 0), "{report}");
    assert!(report.store.sealed.rows >= 25, "{report}");
    assert!(report.to_string().ends_with("nothing lost"), "{report}");
}

/// Sends until it is refused or cut off; gives the seeds that were acknowledged.
async fn send_until_the_end(address: SocketAddr, first: u64) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for seed in first.. {
        let frames = framed(0, &sample::traces(seed, 50, 4));
        let calling = tokio::spawn(async move { call(address, TRACES, "identity", &frames).await });
        match calling.await {
            Ok(called) if called.code == 0 => acknowledged.push(seed),
            _ => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_ingest_loses_nothing_acknowledged() {
    let ground = Ground::start().await;
    let address = ground.server.addresses().otlp_grpc;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..6_u64 {
        senders.spawn(send_until_the_end(address, sender << 32));
    }
    let url = ground.api("/api/v1/query");
    while query(&url, "select count(*) from spans").await[0][0].as_u64() < Some(2_000) {}
    let Ground { server, folder } = ground;
    let report = server.stop(DEADLINE).await;
    assert_eq!(report.requests_cut, 0, "{report}");
    let acknowledged: usize = senders.join_all().await.iter().map(Vec::len).sum();

    let mut config = config();
    config.store.folder = folder.path().join("data");
    let server = halfopen_serve::start(config, Arc::new(StillClock)).await.expect("the folder");
    let url = format!("http://{}/api/v1/query", server.addresses().http);
    let found = query(&url, "select count(*) from spans").await;
    assert!(found[0][0].as_u64() >= Some(acknowledged as u64 * 50), "{found:?}: {report}");
}

#[tokio::test]
async fn readiness_ends_before_the_server_does() {
    let ground = Ground::start().await;
    assert_eq!(get(&ground.api("/readyz")).await.status, 200);
    let url = ground.api("/api/v1/query");
    // Whoever has a connection during the stop still gets an answer on it.
    let asked = tokio::spawn(async move { query(&url, "select 1").await });
    assert_eq!(asked.await.expect("an answer"), [[json!(1)]]);
    ground.server.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_its_deadline() {
    let (ports, evidence) = receivers(&config()).await;
    let mut stream = tokio::net::TcpStream::connect(ports.otlp_http).await.expect("a port");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("a socket");
    // Another request on a connection of its own: once it is answered, the first one was read.
    let body = framed(0, &sample::traces(1, 5, 2));
    assert_eq!(call(ports.otlp_grpc, TRACES, "identity", &body).await.code, 0);
    ports.stop(Duration::from_millis(100)).await;
    assert_eq!(rows(&evidence, Table::Spans), 5);
}
