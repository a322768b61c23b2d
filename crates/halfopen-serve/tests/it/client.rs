//! What a sender sees: plain requests over HTTP, and unary calls of gRPC, frame by frame.

use std::net::SocketAddr;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use serde_json::Value;

pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// A `google.rpc.Status` in protobuf.
    pub(crate) fn status_message(&self) -> RpcStatus {
        RpcStatus::decode(self.body.clone()).expect("a google.rpc.Status")
    }
}

/// Sends one request.
pub(crate) async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Reply { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn get(url: &str) -> Reply {
    send(Method::GET, url, &[], b"").await
}

pub(crate) async fn post_json(url: &str, body: &Value) -> Reply {
    let body = body.to_string();
    send(Method::POST, url, &[("content-type", "application/json")], body.as_bytes()).await
}

/// Rows that a query over HTTP returns.
pub(crate) async fn query(url: &str, sql: &str) -> Vec<Vec<Value>> {
    let reply = post_json(url, &serde_json::json!({ "sql": sql })).await;
    assert_eq!(reply.status, StatusCode::OK, "{sql}: {}", reply.text());
    serde_json::from_value(reply.json()["rows"].clone()).expect("rows")
}

pub(crate) const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];

/// What came back from a unary call.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) status: Option<RpcStatus>,
    pub(crate) body: Bytes,
}

/// A message with its five bytes in front.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Makes one unary call with exactly these bytes.
pub(crate) async fn call(address: SocketAddr, path: &str, encoding: &str, frames: &[u8]) -> Called {
    call_with(address, path, &[("grpc-encoding", encoding)], frames).await
}

/// The same with these headers.
pub(crate) async fn call_with(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    frames: &[u8],
) -> Called {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = unary(&format!("http://{address}{path}"), headers, frames);
    let response = client.request(request).await.expect("an answer");
    called(response).await
}

/// The request of a unary call.
pub(crate) fn unary(url: &str, headers: &[(&str, &str)], frames: &[u8]) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let with = |request: http::request::Builder, (name, value): &(&str, &str)| {
        request.header(*name, *value)
    };
    let request = headers.iter().fold(request, with);
    request.body(Full::new(Bytes::copy_from_slice(frames))).expect("a request")
}

/// What came back from a unary call.
pub(crate) async fn called(response: http::Response<hyper::body::Incoming>) -> Called {
    assert_eq!(response.status(), StatusCode::OK, "gRPC speaks in trailers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let field = |name: &str| {
        let value = parts.headers.get(name).or(trailers.get(name))?;
        Some(value.to_str().expect("printable").to_owned())
    };
    let details = field("grpc-status-details-bin").map(|text| {
        let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
        let bytes = engine.decode(text).expect("base64");
        RpcStatus::decode(&*bytes).expect("a google.rpc.Status")
    });
    Called {
        code: field("grpc-status").expect("a status").parse().expect("a number"),
        message: field("grpc-message").unwrap_or_default(),
        status: details,
        body: body.to_bytes(),
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl RpcStatus {
    /// Seconds to wait, where the status says that the call may be made again.
    pub(crate) fn retry_after_seconds(&self) -> Option<f64> {
        let any = self.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
        let info = RetryInfo::decode(&*any.value).expect("a RetryInfo");
        let delay = info.delay.expect("a delay");
        Some(delay.seconds as f64 + f64::from(delay.nanos) / 1e9)
    }
}
