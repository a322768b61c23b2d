//! Two hundred senders at once, good, slow and broken ones: what was acknowledged is there, nobody
//! waits for the slow ones, and the bounds hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::client::{PROTOBUF, TRACES, call, framed, get, post_json, query, send};
use crate::fixture::{Ground, config};
use halfopen_ingest::sample;
use halfopen_serve::Addresses;
use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

const SENDERS: u64 = 200;
/// Every kind of sender comes so often.
const EACH: u64 = SENDERS / 8;
const EXPORTS: u64 = 4;
const SPANS: usize = 25;
/// Below what the senders hold together, so that the bounds are met.
const BOUND_BYTES: usize = 1 << 20;

/// The export that a sender makes in a round; the same number makes the same spans.
fn export(sender: u64, round: u64) -> (u64, Vec<u8>) {
    let seed = sender << 8 | round;
    (seed, sample::traces(seed, SPANS, 4))
}

/// How many exports of good senders were acknowledged. Slow ones go on when it grows, or when the
/// good ones are done.
type Progress = Arc<watch::Sender<u64>>;

async fn good_over_grpc(addresses: Addresses, sender: u64, progress: Progress) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for round in 0..EXPORTS {
        let (seed, body) = export(sender, round);
        let frames = framed(0, &body);
        loop {
            match call(addresses.otlp_grpc, TRACES, "identity", &frames).await.code {
                0 => break acknowledged.push(seed),
                // Told to come back.
                8 => {}
                other => panic!("sender {sender} got {other}"),
            }
        }
        progress.send_modify(|acknowledged| *acknowledged += 1);
    }
    acknowledged
}

async fn good_over_http(addresses: Addresses, sender: u64, progress: Progress) -> Vec<u64> {
    let url = format!("http://{}/v1/traces", addresses.otlp_http);
    let mut acknowledged = Vec::new();
    for round in 0..EXPORTS {
        let (seed, body) = export(sender, round);
        loop {
            let reply = send(Method::POST, &url, &PROTOBUF, &body).await;
            match reply.status.as_u16() {
                200 => break acknowledged.push(seed),
                // Told to come back.
                429 => {}
                other => panic!("sender {sender} got {other}: {}", reply.text()),
            }
        }
        progress.send_modify(|acknowledged| *acknowledged += 1);
    }
    acknowledged
}

async fn open(addresses: Addresses, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(addresses.otlp_http).await.expect("a port");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a socket");
    stream
}

/// The status of the answer, if one comes.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(answer.get(9..12)?).parse().ok()
}

/// Sends its body in ten pieces; before each but the first somebody else is served.
async fn slow(addresses: Addresses, sender: u64, mut others: watch::Receiver<u64>) -> Vec<u64> {
    let (seed, body) = export(sender, 0);
    let mut stream = open(addresses, body.len()).await;
    for piece in body.chunks(body.len().div_ceil(10)) {
        // Refused in the middle: the answer says so.
        let _ = stream.write_all(piece).await;
        // An error when nobody else is left to be served.
        let _ = others.changed().await;
    }
    match status(&mut stream).await {
        Some(200) => vec![seed],
        Some(408 | 429) | None => Vec::new(),
        other => panic!("sender {sender} got {other:?}"),
    }
}

/// Never sends the end of its body.
async fn endless(addresses: Addresses, sender: u64) -> Vec<u64> {
    loop {
        let mut stream = open(addresses, 10_000).await;
        stream.write_all(b"\x0a").await.expect("a socket");
        match status(&mut stream).await {
            Some(408) => return Vec::new(),
            // There was no room for it at the moment.
            Some(429) => {}
            other => panic!("sender {sender} got {other:?}"),
        }
    }
}

/// Goes away in the middle of its body, with a reset.
async fn resetting(addresses: Addresses, sender: u64) -> Vec<u64> {
    for round in 0..EXPORTS {
        let (_, body) = export(sender, round);
        let mut stream = open(addresses, body.len()).await;
        stream.write_all(&body[..body.len() / 2]).await.expect("a socket");
        stream.set_zero_linger().expect("a socket");
    }
    Vec::new()
}

/// Sends protobuf that was cut off.
async fn truncated(addresses: Addresses, sender: u64) -> Vec<u64> {
    for round in 0..EXPORTS {
        let (_, body) = export(sender, round);
        let frames = framed(0, &body[..body.len() * 2 / 3]);
        let called = call(addresses.otlp_grpc, TRACES, "identity", &frames).await;
        assert!(matches!(called.code, 0 | 3 | 8), "sender {sender} got {called:?}");
    }
    Vec::new()
}

/// Sends with a content type that means nothing.
async fn mistaken(addresses: Addresses, sender: u64) -> Vec<u64> {
    let url = format!("http://{}/v1/traces", addresses.otlp_http);
    for round in 0..EXPORTS {
        let (_, body) = export(sender, round);
        let reply = send(Method::POST, &url, &[("content-type", "text/html")], &body).await;
        assert_eq!(reply.status, 415, "sender {sender}: {}", reply.text());
    }
    Vec::new()
}

/// Speaks no protocol at all.
async fn noisy(addresses: Addresses, sender: u64) -> Vec<u64> {
    for round in 0..EXPORTS {
        let (_, body) = export(sender, round);
        for address in [addresses.otlp_grpc, addresses.otlp_http, addresses.http] {
            let mut stream = TcpStream::connect(address).await.expect("a port");
            let _ = stream.write_all(&body).await;
            let _ = stream.shutdown().await;
            status(&mut stream).await;
        }
    }
    Vec::new()
}

async fn broken(addresses: Addresses, number: u64) -> Vec<u64> {
    match number % 8 {
        3 => endless(addresses, number).await,
        4 => resetting(addresses, number).await,
        5 => truncated(addresses, number).await,
        6 => mistaken(addresses, number).await,
        _ => noisy(addresses, number).await,
    }
}

/// Spans of each trace that these exports hold.
fn sent(seeds: impl IntoIterator<Item = u64>) -> BTreeMap<String, usize> {
    let mut traces = BTreeMap::new();
    for seed in seeds {
        let body = sample::traces(seed, SPANS, 4);
        let request = ExportTraceServiceRequest::decode(&*body).expect("a sample");
        let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            let hex = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            *traces.entry(hex).or_default() += 1;
        }
    }
    traces
}

/// Spans of each trace that are there.
async fn kept(ground: &Ground) -> BTreeMap<String, usize> {
    let sql = "select trace_id, count(*) from spans group by 1";
    let question = json!({ "sql": sql, "rows_max": 100_000 });
    let answer = post_json(&ground.api("/api/v1/query"), &question).await.json();
    let rows: Vec<(String, usize)> = serde_json::from_value(answer["rows"].clone()).expect("rows");
    rows.into_iter().collect()
}

/// The value of a metric without labels.
fn metric(page: &str, name: &str) -> usize {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
}

/// Asks until it is told to stop: every question has an answer, and no bound is passed.
async fn ask_meanwhile(ground: &Ground, mut stop: tokio::sync::oneshot::Receiver<()>) -> usize {
    let mut asked = 0;
    while stop.try_recv().is_err() {
        let count = query(&ground.api("/api/v1/query"), "select count(*) from spans").await;
        assert!(count[0][0].is_u64());
        let page = get(&ground.api("/metrics")).await.text();
        assert!(metric(&page, "halfopen_bodies_bytes") <= BOUND_BYTES);
        // A single group always passes, however large it is.
        assert!(metric(&page, "halfopen_waiting_bytes") <= 2 * BOUND_BYTES);
        asked += 1;
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_senders_with_slow_and_broken_ones_lose_nothing() {
    let mut config = config();
    config.serve.body_seconds_max = 2;
    config.serve.message_bytes_max = BOUND_BYTES;
    config.serve.bodies_bytes_max = BOUND_BYTES;
    config.serve.waiting_bytes_max = BOUND_BYTES;
    let ground = Ground::with(config).await;
    let addresses = ground.server.addresses();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let sending = async {
        let mut senders = JoinSet::new();
        let progress: Progress = Arc::new(watch::Sender::new(0));
        for number in 0..SENDERS {
            match number % 8 {
                0 => senders.spawn(good_over_grpc(addresses, number, Arc::clone(&progress))),
                1 => senders.spawn(good_over_http(addresses, number, Arc::clone(&progress))),
                2 => senders.spawn(slow(addresses, number, progress.subscribe())),
                _ => senders.spawn(broken(addresses, number)),
            };
        }
        drop(progress);
        let acknowledged: Vec<u64> = senders.join_all().await.into_iter().flatten().collect();
        let _ = stop.send(());
        acknowledged
    };
    let (acknowledged, asked) = tokio::join!(sending, ask_meanwhile(&ground, stopped));
    assert!(acknowledged.len() as u64 >= 2 * EACH * EXPORTS, "the good ones all got through");
    assert!(asked > 0);
    let refusals = get(&ground.api("/api/v1/refusals")).await.json();
    let counts = refusals["counts"].as_array().expect("a list");
    let slow = counts.iter().find(|count| count["reason"] == "slow_body").expect("slow ones");
    assert!(slow["count"].as_u64() >= Some(EACH), "{counts:?}");

    let expected = sent(acknowledged);
    let (before, ground) = (kept(&ground).await, ground.again().await);
    let after = kept(&ground).await;
    assert_eq!(before, after, "a restart changes nothing");
    for (trace, spans) in &expected {
        assert_eq!(after.get(trace), Some(spans), "trace {trace} was acknowledged");
    }
    let page: Vec<Vec<Value>> =
        query(&ground.api("/api/v1/query"), "select count(*) from rejects").await;
    assert!(page[0][0].as_u64() > Some(0), "what was cut off is kept as rejects");
}
