//! The gRPC port: unary `Export` calls of the three services of OTLP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use halfopen_ingest::inflate::Compression;
use halfopen_ingest::{Encoding, Outcome, Signal};
use halfopen_model::WriteEvidence;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::proto::{self, Code};
use super::{Failure, FailureKind, Receiver, sender};
use crate::body::{Framing, GRPC_HEADER_BYTES};
use crate::guard::audit::Port;
use crate::guard::{Denied, Scope};
use crate::intake::Export;
use crate::listen::Handler;
use crate::meter::Protocol;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");

/// Messages in headers are cut here: some clients refuse headers of more than 8 KiB in all.
const MESSAGE_BYTES_MAX: usize = 1_024;

const PATHS: [(&str, Signal); 3] = [
    ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", Signal::Traces),
    ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", Signal::Logs),
    ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", Signal::Metrics),
];

const PAGE: &str = "\
This is the OTLP/gRPC port of halfopen.

It takes traces, logs and metrics from OpenTelemetry SDKs over gRPC (HTTP/2):
  OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST

OTLP over HTTP has a port of its own (4318 unless configured otherwise).
";

/// The handler of the port.
pub(crate) struct GrpcPort<W>(pub(crate) Arc<Receiver<W>>);

impl<W> Clone for GrpcPort<W> {
    fn clone(&self) -> Self {
        GrpcPort(Arc::clone(&self.0))
    }
}

impl<W: WriteEvidence + 'static> Handler for GrpcPort<W> {
    const PORT: Port = Port::OtlpGrpc;

    fn need(_: &Request<Incoming>) -> Option<Scope> {
        Some(Scope::Write)
    }

    fn refuse(&self, request: &Request<Incoming>, denied: &Denied) -> Response<Body> {
        if is_grpc(request) {
            let message = format!("{}; {}", denied.fact(), denied.hint());
            return refusal(Code::of_denied(denied), &message, denied.retry_after());
        }
        let mut response = Response::new(Body::from(format!("{}\n", denied.fact())));
        *response.status_mut() = denied.status();
        response
    }

    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if !is_grpc(&request) {
            return for_people(&request);
        }
        let found = PATHS.iter().find(|(path, _)| *path == request.uri().path());
        let Some((_, signal)) = found else {
            let message = format!(
                "there is no method {}: this port takes opentelemetry.proto.collector \
                 {{trace,logs,metrics}}.v1 Export",
                request.uri().path()
            );
            return refusal(Code::Unimplemented, &message, None);
        };
        let meter = self.0.meter.export(Protocol::Grpc, *signal);
        meter.requests.add(1);
        match export(&self.0, *signal, request, peer).await {
            Ok(outcome) if outcome.unreadable => {
                let message = outcome.problem.as_deref();
                let message = message.unwrap_or("the message could not be read");
                refusal(Code::InvalidArgument, message, None)
            }
            Ok(outcome) => answer(&outcome),
            Err(failure) => {
                meter.refused.add(1);
                failed(&failure)
            }
        }
    }
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let named = content_type(request.headers()).starts_with(b"application/grpc");
    named && request.version() == Version::HTTP_2
}

fn content_type(headers: &HeaderMap) -> &[u8] {
    headers.get(header::CONTENT_TYPE).map_or(b"", HeaderValue::as_bytes)
}

async fn export<W: WriteEvidence + 'static>(
    receiver: &Receiver<W>,
    signal: Signal,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Outcome, Failure> {
    let wrong = |message: String| Failure { kind: FailureKind::Wrong, message };
    let json = content_type(request.headers()).starts_with(b"application/grpc+json");
    let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
    let named = super::compression(request.headers(), "grpc-encoding")?;
    let sender = sender(request.headers(), peer);
    let held = receiver.body(request, Framing::Grpc).await?;
    let Some((prefix, message)) = held.bytes.split_at_checked(GRPC_HEADER_BYTES) else {
        return Err(wrong(format!(
            "a gRPC message begins with {GRPC_HEADER_BYTES} bytes, only {} came",
            held.bytes.len()
        )));
    };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if length != message.len() {
        let came = message.len();
        return Err(wrong(format!("the message should have {length} bytes, {came} came")));
    }
    let compression = match prefix[0] {
        0 => Compression::None,
        1 => named,
        flag => return Err(wrong(format!("a message has the flag 0 or 1, this one has {flag}"))),
    };
    let body = held.without_first(GRPC_HEADER_BYTES);
    let export = Export { signal, encoding, compression, body, sender };
    receiver.take(Protocol::Grpc, export).await
}

fn answer(outcome: &Outcome) -> Response<Body> {
    let message = halfopen_ingest::answer::protobuf(outcome);
    let mut framed = Vec::with_capacity(GRPC_HEADER_BYTES + message.len());
    framed.push(0);
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response.headers_mut().insert("grpc-accept-encoding", ENCODINGS);
    response
}

fn failed(failure: &Failure) -> Response<Body> {
    let (code, retry_after) = match failure.kind {
        FailureKind::Wrong | FailureKind::TooLarge => (Code::InvalidArgument, None),
        FailureKind::Unsupported => (Code::Unimplemented, None),
        FailureKind::Slow => (Code::DeadlineExceeded, None),
        FailureKind::Full(after) => (Code::ResourceExhausted, Some(after)),
        FailureKind::Unavailable(after) => (Code::Unavailable, Some(after)),
        FailureKind::Broken => (Code::Internal, None),
    };
    refusal(code, &failure.message, retry_after)
}

/// A call that failed: headers only, no message.
fn refusal(code: Code, message: &str, retry_after: Option<std::time::Duration>) -> Response<Body> {
    let message = shortened(message, MESSAGE_BYTES_MAX);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert("grpc-accept-encoding", ENCODINGS);
    headers.insert("grpc-status", HeaderValue::from(code as u16));
    if let Ok(value) = HeaderValue::from_str(&percent_encoded(message)) {
        headers.insert("grpc-message", value);
    }
    let details = proto::status_header(code, message, retry_after);
    if let Ok(value) = HeaderValue::from_str(&details) {
        headers.insert("grpc-status-details-bin", value);
    }
    response
}

fn shortened(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// As gRPC wants its messages: printable ASCII but `%` stays, everything else becomes `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Somebody looked at the port with a browser or with another protocol.
fn for_people(request: &Request<Incoming>) -> Response<Body> {
    let page = PAGE.replace("HOST", super::host(request).unwrap_or("127.0.0.1:4317"));
    let mut response = Response::new(Body::from(page));
    if request.method() != Method::GET && request.method() != Method::HEAD {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    } else if request.uri().path() != "/" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_headers() {
        assert_eq!(percent_encoded("50 % of \"ü\"\n"), "50 %25 of \"%C3%BC\"%0A");
        assert_eq!(shortened("übel", 1), "");
    }
}
