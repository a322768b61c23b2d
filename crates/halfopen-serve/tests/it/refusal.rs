//! What a sender is told when nothing can be taken now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::client::{PROTOBUF, TRACES, call, framed, send};
use crate::fixture::{config, receivers, receivers_over, rows};
use halfopen_ingest::sample;
use halfopen_model::memory::MemoryEvidence;
use halfopen_model::port::{Refusal, Written};
use halfopen_model::{Batch, Table, WriteEvidence};
use halfopen_serve::Config;
use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;

/// A store that refuses, a number of times.
#[derive(Clone)]
struct Refusing {
    refusal: Refusal,
    times: Arc<AtomicU32>,
    evidence: MemoryEvidence,
}

impl Refusing {
    fn new(refusal: Refusal, times: u32) -> Refusing {
        let times = Arc::new(AtomicU32::new(times));
        Refusing { refusal, times, evidence: MemoryEvidence::new() }
    }
}

impl WriteEvidence for Refusing {
    async fn write(&self, batches: Vec<Batch>) -> Result<Written, Refusal> {
        let left =
            self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(self.refusal.clone());
        }
        self.evidence.write(batches).await
    }
}

/// Settings of a server that refuses at once.
fn at_once() -> Config {
    let mut config = config();
    config.serve.patience_seconds_max = 0;
    config
}

fn later(seconds: f64) -> Refusal {
    let after = Duration::from_secs_f64(seconds);
    Refusal::Later { reason: "memory is full".to_owned(), after }
}

#[tokio::test]
async fn a_full_store_says_when_to_come_back() {
    let ports = receivers_over(&at_once(), Refusing::new(later(2.5), u32::MAX)).await;
    let body = sample::traces(1, 3, 1);
    let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &body)).await;
    assert_eq!((called.code, called.message.as_str()), (8, "not taken now: memory is full"));
    let status = called.status.expect("details");
    assert_eq!((status.code, status.retry_after_seconds()), (8, Some(2.5)));

    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let reply = send(Method::POST, &url, &PROTOBUF, &body).await;
    assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].as_bytes()), (429, &b"3"[..]));
    assert_eq!(reply.status_message().retry_after_seconds(), Some(2.5));
}

#[tokio::test]
async fn a_sender_that_comes_back_loses_nothing() {
    let store = Refusing::new(later(0.1), 2);
    let ports = receivers_over(&at_once(), store.clone()).await;
    let url = format!("http://{}", ports.otlp_grpc);
    let request = ExportTraceServiceRequest::decode(&*sample::traces(7, 20, 3)).expect("a sample");
    let mut client = TraceServiceClient::connect(url).await.expect("a port");
    let mut refused = 0;
    while client.export(request.clone()).await.is_err() {
        refused += 1;
    }
    assert_eq!((refused, rows(&store.evidence, Table::Spans)), (2, 20));
}

#[tokio::test]
async fn a_store_that_is_full_for_a_moment_is_not_noticed() {
    let store = Refusing::new(later(0.1), 3);
    let ports = receivers_over(&config(), store.clone()).await;
    let frames = framed(0, &sample::traces(7, 20, 3));
    assert_eq!(call(ports.otlp_grpc, TRACES, "identity", &frames).await.code, 0);
    assert_eq!(rows(&store.evidence, Table::Spans), 20);
}

#[tokio::test]
async fn a_store_that_is_closed_is_unavailable_and_one_that_never_takes_it_is_an_error() {
    let ports = receivers_over(&config(), Refusing::new(Refusal::Closed, u32::MAX)).await;
    let body = sample::traces(1, 3, 1);
    let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &body)).await;
    let retry = called.status.and_then(|status| status.retry_after_seconds());
    assert_eq!((called.code, retry), (14, Some(1.0)));
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let reply = send(Method::POST, &url, &PROTOBUF, &body).await;
    assert_eq!((reply.status.as_u16(), reply.headers.contains_key("retry-after")), (503, true));

    let never = Refusal::Never { reason: "no such column".to_owned() };
    let ports = receivers_over(&config(), Refusing::new(never, u32::MAX)).await;
    let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &body)).await;
    let retry = called.status.and_then(|status| status.retry_after_seconds());
    assert_eq!((called.code, retry), (13, None));
}

/// Never becomes durable: groups pile up behind it.
#[derive(Clone)]
struct Stuck;

impl WriteEvidence for Stuck {
    async fn write(&self, _batches: Vec<Batch>) -> Result<Written, Refusal> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn rows_that_wait_are_bounded() {
    let mut config = config();
    config.serve.lanes = 1;
    config.serve.waiting_bytes_max = 256 << 10;
    let ports = receivers_over(&config, Stuck).await;
    let address = ports.otlp_grpc;
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..40 {
        let frames = framed(0, &sample::traces(seed, 100, 12));
        tasks.spawn(async move { call(address, TRACES, "identity", &frames).await });
    }
    // Those that wait never end; those above the bound are told to come back.
    let refused = tasks.join_next().await.expect("a task").expect("an answer");
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.message.contains("fill their bound of 262144 bytes"), "{refused:?}");
    assert!(refused.status.and_then(|status| status.retry_after_seconds()).is_some());
}

#[tokio::test]
async fn bodies_in_memory_are_bounded() {
    let mut config = config();
    config.serve.message_bytes_max = 64 << 10;
    config.serve.bodies_bytes_max = 64 << 10;
    config.serve.lanes = 1;
    let (ports, _) = receivers(&config).await;
    // One sender announces a large body and is slow to send it: its room is taken.
    let mut slow = tokio::net::TcpStream::connect(ports.otlp_http).await.expect("a port");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/x-protobuf\r\ncontent-length: 65000\r\n\r\n\x0a";
    tokio::io::AsyncWriteExt::write_all(&mut slow, head.as_bytes()).await.expect("a socket");
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let body = sample::traces(1, 20, 4);
    loop {
        let reply = send(Method::POST, &url, &PROTOBUF, &body).await;
        if reply.status == 429 {
            assert!(reply.headers.contains_key("retry-after"));
            break;
        }
        assert_eq!(reply.status, 200, "the slow one has not begun yet");
    }
    drop(slow);
    while send(Method::POST, &url, &PROTOBUF, &body).await.status != 200 {}
}
