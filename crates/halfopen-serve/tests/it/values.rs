//! Values of every kind come back through SQL as they were sent.

use crate::client::{PROTOBUF, query, send};
use crate::fixture::Ground;
use http::Method;
use serde_json::json;

/// A span with one attribute, in protobuf that prost would not write: the text need not be UTF-8.
fn span_with(id: u8, value: &[u8]) -> Vec<u8> {
    let wrap = |field: u8, inner: &[u8]| {
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
    let attribute = [wrap(1, b"odd.value"), wrap(2, &wrap(1, value))].concat();
    let time = [vec![7 << 3 | 1], 1_795_185_000_000_000_000_u64.to_le_bytes().to_vec()].concat();
    let ids = [wrap(1, &[id; 16]), wrap(2, &[id; 8])].concat();
    let span = [ids, wrap(5, b"odd"), time, wrap(9, &attribute)].concat();
    wrap(1, &wrap(2, &wrap(2, &span)))
}

#[tokio::test]
async fn odd_values_come_back_as_they_were() {
    let ground = Ground::start().await;
    let megabyte = "half-open \u{1f6aa} ".repeat(80_000);
    let values = [
        "O'Brien said \"no\"",
        "two\nlines\r\nand a tab\t",
        "\0 \u{1} \u{7f} \u{85} control",
        "{\"json\": [1, 2",
        "\u{202e}right to left\u{200b}",
        "",
        &megabyte,
    ];
    for (index, value) in values.iter().enumerate() {
        let body = span_with(index as u8 + 1, value.as_bytes());
        let reply = send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let sql = "select attributes from spans order by trace_id";
    let check = async |ground: &Ground| {
        let found = query(&ground.api("/api/v1/query"), sql).await;
        assert_eq!(found.len(), values.len());
        for (row, value) in found.iter().zip(values) {
            assert!(row[0]["span.odd.value"] == *value, "{value:.40?} came back as something else");
        }
    };
    check(&ground).await;
    // Once more out of segments.
    check(&ground.again().await).await;
}

#[tokio::test]
async fn text_that_is_no_utf8_is_kept_as_its_bytes() {
    let ground = Ground::start().await;
    let body = span_with(1, b"caf\xe9 \xff\xfe");
    let reply = send(Method::POST, &ground.otlp("/v1/traces"), &PROTOBUF, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let found = query(&ground.api("/api/v1/query"), "select attributes from spans").await;
    let text = found[0][0].to_string();
    assert!(text.contains("Y2Fm6SD//g"), "the bytes in base64: {text}");
}

#[tokio::test]
async fn large_integers_keep_every_digit() {
    let ground = Ground::start().await;
    let attribute = |key: &str, int: &str| json!({ "key": key, "value": { "intValue": int } });
    let span = json!({ "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": "00f067aa0ba902b7", "name": "a", "startTimeUnixNano": "1795185000000000001",
        "attributes": [attribute("most", "9223372036854775807"),
            attribute("least", "-9223372036854775808")] });
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] });
    let headers = [("content-type", "application/json")];
    let url = ground.otlp("/v1/traces");
    let reply = send(Method::POST, &url, &headers, body.to_string().as_bytes()).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "{}"));
    let sql = "select attributes, start_time from spans";
    let found = query(&ground.api("/api/v1/query"), sql).await;
    assert_eq!(found[0][0]["span.most"], json!(i64::MAX));
    assert_eq!(found[0][0]["span.least"], json!(i64::MIN));
    assert_eq!(found[0][1], "2026-11-20T14:30:00.000000001Z");
}
