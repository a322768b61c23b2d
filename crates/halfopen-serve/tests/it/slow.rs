//! Senders that trickle and readers that do not read: cut within their bound, counted, and nobody
//! else notices.

use std::net::SocketAddr;

use crate::client::{TRACES, call, framed, get};
use crate::fixture::{Ground, config};
use halfopen_ingest::sample;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What `refusals` counts for a reason.
async fn refusals(ground: &Ground, reason: &str) -> u64 {
    let listed = get(&ground.api("/api/v1/refusals")).await.json();
    let counts = listed["counts"].as_array().expect("a list").clone();
    let of = counts.iter().filter(|count| count["reason"] == reason);
    of.filter_map(|count| count["count"].as_u64()).sum()
}

#[tokio::test]
async fn a_body_that_trickles_is_cut() {
    let mut config = config();
    config.serve.body_seconds_max = 1;
    let ground = Ground::with(config).await;
    let address = ground.server.addresses().otlp_http;
    let mut stream = TcpStream::connect(address).await.expect("a port");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/x-protobuf\r\ncontent-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("a socket");
    let (mut reading, mut writing) = stream.into_split();
    let health = ground.api("/healthz");
    let trickling = tokio::spawn(async move {
        // Between two bytes somebody else is served.
        while writing.write_all(b"\x0a").await.is_ok() {
            assert_eq!(get(&health).await.status, 200);
        }
    });
    let mut answer = [0; 12];
    reading.read_exact(&mut answer).await.expect("an answer while it still sends");
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(refusals(&ground, "slow_body").await, 1);
    drop(reading);
    trickling.await.expect("the connection is gone, so it ends");
}

/// Reads what comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> usize {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer.len()
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_given_up() {
    let mut config = config();
    config.serve.answer_seconds_max = 1;
    let ground = Ground::with(config).await;
    let addresses = ground.server.addresses();
    let body = framed(0, &sample::traces(1, 32, 2));
    assert_eq!(call(addresses.otlp_grpc, TRACES, "identity", &body).await.code, 0);
    // More than the buffers of two sockets take.
    let question = json!({ "sql": "select repeat('x', 1000000) from spans" }).to_string();
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{question}",
        question.len()
    );
    let mut stream = TcpStream::connect(addresses.http).await.expect("a port");
    stream.write_all(head.as_bytes()).await.expect("a socket");
    while refusals(&ground, "slow_reader").await == 0 {}
    // Its memory is given back.
    while !get(&ground.api("/metrics")).await.text().contains("halfopen_answers_bytes 0\n") {}
    let came = rest(&mut stream).await;
    assert!((1..32_000_000).contains(&came), "{came} bytes");
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// Opens an HTTP/2 connection that gives answers no room, asks 20 times, and keeps itself busy
/// with pings until it is closed.
async fn stall(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.expect("a port");
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    opening.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    // GET, http, / of the static table, and `:authority: localhost` as a literal (RFC 7541).
    let head = [&[0x82, 0x86, 0x84, 0x01, 9][..], b"localhost"].concat();
    for number in 0..20 {
        opening.extend(frame(1, 5, 2 * number + 1, &head));
    }
    stream.write_all(&opening).await.expect("a socket");
    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    // One ping for each piece that comes, until nothing comes any more.
    while stream.write_all(&frame(6, 0, 0, &[7; 8])).await.is_ok() {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
        }
    }
    assert!(!String::from_utf8_lossy(&answer).contains("halfopen"), "no answer had room");
}

#[tokio::test]
async fn streams_that_stall_do_not_stay_because_of_pings() {
    let mut config = config();
    config.serve.answer_seconds_max = 1;
    let ground = Ground::with(config).await;
    stall(ground.server.addresses().http).await;
    assert_eq!(refusals(&ground, "slow_reader").await, 1);
    assert_eq!(get(&ground.api("/healthz")).await.status, 200);
}
