//! OTLP over HTTP.

use crate::client::{PROTOBUF, get, send};
use crate::fixture::{config, receivers, rows};
use halfopen_ingest::sample;
use halfopen_model::Table;
use http::Method;
use serde_json::json;
use std::io::Write;

#[tokio::test]
async fn protobuf_and_json_are_taken_plain_and_compressed() {
    let (ports, evidence) = receivers(&config()).await;
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let reply = send(Method::POST, &url, &PROTOBUF, &sample::traces(1, 5, 2)).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    assert_eq!(reply.headers["content-type"], "application/x-protobuf");

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&sample::traces(2, 5, 2)).expect("to memory");
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let body = gzip.finish().expect("to memory");
    assert_eq!(send(Method::POST, &url, &headers, &body).await.status, 200);

    let record = json!({ "timeUnixNano": "1795185000000000000", "body": { "stringValue": "hi" } });
    let logs = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] });
    let headers =
        [("content-type", "application/json; charset=utf-8"), ("content-encoding", "zstd")];
    let body = zstd::encode_all(logs.to_string().as_bytes(), 1).expect("to memory");
    let url = format!("http://{}/v1/logs", ports.otlp_http);
    let reply = send(Method::POST, &url, &headers, &body).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "{}"));
    assert_eq!((rows(&evidence, Table::Spans), rows(&evidence, Table::Logs)), (10, 1));
}

#[tokio::test]
async fn a_part_that_cannot_be_read_is_named_and_the_rest_is_kept() {
    let (ports, evidence) = receivers(&config()).await;
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let good = json!({ "traceId": id, "spanId": "00f067aa0ba902b7", "name": "a",
        "startTimeUnixNano": "1795185000000000000" });
    let odd = json!({ "traceId": "no hex at all", "spanId": 7, "name": { "a": 1 } });
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [good, odd] }] }] });
    let headers = [("content-type", "application/json")];
    let reply = send(Method::POST, &url, &headers, body.to_string().as_bytes()).await;
    assert_eq!(reply.status, 200);
    let partial = &reply.json()["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "1", "64-bit numbers are texts in JSON");
    assert!(partial["errorMessage"].as_str().is_some_and(|text| !text.is_empty()));
    assert_eq!((rows(&evidence, Table::Spans), rows(&evidence, Table::Rejects)), (1, 1));
}

#[tokio::test]
async fn what_is_wrong_is_answered_in_the_encoding_of_the_request() {
    let (ports, _) = receivers(&config()).await;
    let base = format!("http://{}", ports.otlp_http);
    let traces = format!("{base}/v1/traces");
    let json_type = [("content-type", "application/json")];

    let reply = send(Method::POST, &traces, &json_type, b"{\"resourceSpans\": [").await;
    assert_eq!((reply.status.as_u16(), reply.json()["code"].as_u64()), (400, Some(3)));
    let reply = send(Method::POST, &traces, &PROTOBUF, b"\x07\xff\xff").await;
    assert_eq!((reply.status.as_u16(), reply.status_message().code), (400, 3));
    assert!(!reply.status_message().message.is_empty());

    let reply = send(Method::POST, &traces, &[("content-type", "text/plain")], b"hello").await;
    assert_eq!(reply.status, 415);
    assert!(reply.json()["message"].as_str().is_some_and(|m| m.contains("application/x-protobuf")));
    let headers = [("content-type", "application/json"), ("content-encoding", "br")];
    let reply = send(Method::POST, &traces, &headers, b"{}").await;
    assert_eq!(reply.status, 415);
    assert_eq!(reply.headers["accept-encoding"], "gzip, zstd, deflate");
    let reply = send(Method::POST, &format!("{base}/v1/spans"), &PROTOBUF, b"").await;
    assert_eq!(reply.status, 404);
    assert!(reply.status_message().message.contains("/v1/traces"));
    let reply = get(&traces).await;
    assert_eq!((reply.status.as_u16(), reply.headers["allow"].as_bytes()), (405, &b"POST"[..]));
}

#[tokio::test]
async fn pages_of_other_machines_may_not_send() {
    let (ports, evidence) = receivers(&config()).await;
    let url = format!("http://{}/v1/traces", ports.otlp_http);
    let body = sample::traces(1, 1, 1);
    let mut headers = vec![PROTOBUF[0], ("origin", "https://evil.example")];
    assert_eq!(send(Method::POST, &url, &headers, &body).await.status, 403);
    assert_eq!(rows(&evidence, Table::Spans), 0);
    headers[1].1 = "http://localhost:3000";
    assert_eq!(send(Method::POST, &url, &headers, &body).await.status, 200);
}

#[tokio::test]
async fn a_browser_at_the_port_reads_what_it_is() {
    let (ports, _) = receivers(&config()).await;
    let reply = get(&format!("http://{}/", ports.otlp_http)).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("POST /v1/traces"), "{}", reply.text());
}
