//! Input that is wrong on purpose, on every port: an error or a reject, and the server goes on.

use std::net::SocketAddr;

use crate::client::{PROTOBUF, TRACES, call, framed, get, post_json, send};
use crate::fixture::{Ground, config, receivers, rows};
use halfopen_ingest::sample;
use halfopen_model::Table;
use http::Method;
use serde_json::json;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A stream of numbers from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Sends bytes as they are, and reads until the other side closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a port");
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn noise_on_every_port_harms_nobody() {
    let ground = Ground::start().await;
    let addresses = ground.server.addresses();
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let noise = chance.bytes(1 + (seed as usize * 97) % 3_000);
        for address in [addresses.otlp_grpc, addresses.otlp_http, addresses.http] {
            raw(address, &noise).await;
        }
        let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &noise].concat();
        raw(addresses.otlp_grpc, &preface).await;
        let head = format!("POST /v1/traces HTTP/1.1\r\ncontent-length: {}\r\n\r\n", noise.len());
        let request = [head.as_bytes(), &noise].concat();
        raw(addresses.otlp_http, &request).await;
        let called = call(addresses.otlp_grpc, TRACES, "identity", &framed(0, &noise)).await;
        assert!(matches!(called.code, 0 | 3), "seed {seed}: {called:?}");
        for headers in [PROTOBUF, JSON] {
            let reply = send(Method::POST, &ground.otlp("/v1/logs"), &headers, &noise).await;
            assert!(matches!(reply.status.as_u16(), 200 | 400), "seed {seed}: {reply:?}");
        }
    }
    assert_eq!(get(&ground.api("/healthz")).await.status, 200);
}

#[tokio::test]
async fn exports_that_are_cut_or_changed_anywhere_are_taken_in_part_or_refused() {
    let (ports, evidence) = receivers(&config()).await;
    let whole = sample::traces(5, 4, 6);
    let mut chance = Chance(11);
    for round in 0..200 {
        let mut body = whole.clone();
        let at = chance.next() as usize % body.len();
        if round % 2 == 0 {
            body.truncate(at);
        } else {
            body[at] ^= 1 << (chance.next() % 8);
        }
        let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &body)).await;
        assert!(matches!(called.code, 0 | 3), "round {round} at {at}: {called:?}");
    }
    assert!(rows(&evidence, Table::Rejects) > 0);
    let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &whole)).await;
    assert_eq!(called.code, 0);
}

/// An attribute value that holds itself, so many levels deep (`AnyValue` in `ArrayValue`).
fn nested_protobuf(levels: usize) -> Vec<u8> {
    let wrap = |field: u8, inner: Vec<u8>| {
        let mut out = vec![field << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(inner);
        out
    };
    let mut value = wrap(1, b"deep".to_vec());
    for _ in 0..levels {
        value = wrap(5, wrap(1, value));
    }
    let attribute = [wrap(1, b"nested".to_vec()), wrap(2, value)].concat();
    let ids = [wrap(1, vec![1; 16]), wrap(2, vec![2; 8])].concat();
    let span = [ids, wrap(5, b"span".to_vec()), wrap(9, attribute)].concat();
    wrap(1, wrap(2, wrap(2, span)))
}

#[tokio::test]
async fn nesting_without_end_is_bounded() {
    let (ports, evidence) = receivers(&config()).await;
    for levels in [1, 30, 1_000, 20_000] {
        let body = nested_protobuf(levels);
        let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &body)).await;
        assert!(matches!(called.code, 0 | 3), "{levels} levels: {called:?}");
    }
    assert!(rows(&evidence, Table::Spans) > 0);
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let reply = send(Method::POST, &url, &JSON, "[".repeat(100_000).as_bytes()).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let body = "{\"resourceSpans\":[".repeat(100_000);
    let reply = send(Method::POST, &url, &JSON, body.as_bytes()).await;
    assert!(reply.text().contains("nested too deeply"), "{}", reply.text());
}

#[tokio::test]
async fn what_inflates_without_end_is_cut_at_the_bound() {
    let mut config = config();
    config.serve.message_bytes_max = 1 << 20;
    let (ports, evidence) = receivers(&config).await;
    let zeros = vec![0; 64 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).expect("to memory");
    let gzip = gzip.finish().expect("to memory");
    let zstd = zstd::encode_all(&zeros[..], 1).expect("to memory");
    drop(zeros);
    for (encoding, bomb) in [("gzip", gzip), ("zstd", zstd)] {
        assert!(bomb.len() < 1 << 20, "a bomb is small");
        let called = call(ports.otlp_grpc, TRACES, encoding, &framed(1, &bomb)).await;
        assert_eq!(called.code, 3, "{called:?}");
        assert!(called.message.contains("holds more than 1048576 bytes"), "{called:?}");
        let url = format!("http://{}/v1/traces", ports.otlp_http);
        let headers = [PROTOBUF[0], ("content-encoding", encoding)];
        let reply = send(Method::POST, &url, &headers, &bomb).await;
        assert_eq!(reply.status, 413, "{}", reply.text());
    }
    assert_eq!(rows(&evidence, Table::Rejects), 4);
}

#[tokio::test]
async fn what_is_larger_than_the_bound_is_refused_however_it_is_announced() {
    let mut config = config();
    config.serve.message_bytes_max = 1 << 20;
    let (ports, evidence) = receivers(&config).await;
    let large = vec![0; 3 << 20];
    let called = call(ports.otlp_grpc, TRACES, "identity", &framed(0, &large)).await;
    assert_eq!(called.code, 3, "{called:?}");
    // Four gigabytes are announced, and never come.
    let called = call(ports.otlp_grpc, TRACES, "identity", b"\0\xff\xff\xff\xff....").await;
    assert_eq!(called.code, 3, "{called:?}");
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    assert_eq!(send(Method::POST, &url, &PROTOBUF, &large).await.status, 413);
    let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        content-type: application/x-protobuf\r\ncontent-length: 99999999999\r\n\r\n";
    let answer = raw(ports.otlp_http, head.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "no success");
    assert_eq!(rows(&evidence, Table::Spans), 0);
}

#[tokio::test]
async fn questions_that_make_no_sense_are_told_why() {
    let ground = Ground::start().await;
    let url = ground.api("/api/v1/query");
    let deep = format!("{{\"sql\": {}", "[".repeat(100_000));
    for body in [&b""[..], b"{", b"\xff\xfe", b"{\"sql\": 7}", deep.as_bytes()] {
        let reply = send(Method::POST, &url, &JSON, body).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(reply.json()["error"]["fact"], "the body is no question");
    }
    let large = vec![b' '; 2 << 20];
    let reply = send(Method::POST, &url, &JSON, &large).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    let nested = format!("select {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    for sql in ["", "select", "drop table spans", "select 'a\0b' from", &nested] {
        let reply = post_json(&url, &json!({ "sql": sql })).await;
        assert!(reply.status.is_client_error(), "{:.80}: {}", sql, reply.text());
        assert!(reply.json()["error"]["fact"].is_string());
    }
    for path in ["/api/v1/find", "/api/v1/find?id=a&colour=red", "/api/v1/why?from=soon"] {
        assert_eq!(get(&ground.api(path)).await.status, 400, "{path}");
    }
    assert_eq!(get(&ground.api("/healthz")).await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut config = config();
    config.serve.body_seconds_max = 1;
    let (ports, _) = receivers(&config).await;
    let mut stream = TcpStream::connect(ports.otlp_http).await.expect("a port");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.expect("a socket");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer, then the end");
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let mut config = config();
    config.serve.idle_seconds_max = 1;
    config.serve.header_seconds_max = 1;
    let (ports, _) = receivers(&config).await;
    let mut answer = Vec::new();
    for half_a_header in ["", "POST /v1/traces HTTP/1.1\r\nhost: loc", "PRI * HTTP/2.0\r\n\r\nSM"] {
        for address in [ports.otlp_grpc, ports.otlp_http] {
            let mut stream = TcpStream::connect(address).await.expect("a port");
            stream.write_all(half_a_header.as_bytes()).await.expect("a socket");
            // Ends only when the server closes.
            let _ = stream.read_to_end(&mut answer).await;
        }
    }
}
