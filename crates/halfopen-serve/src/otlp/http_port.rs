//! The HTTP port: `POST /v1/traces`, `/v1/logs` and `/v1/metrics` with protobuf or JSON.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use halfopen_ingest::{Encoding, Outcome, Signal, answer};
use halfopen_model::WriteEvidence;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::proto::{self, Code};
use super::{Failure, FailureKind, Receiver, sender};
use crate::api::origin;
use crate::body::Framing;
use crate::guard::audit::Port;
use crate::guard::{Denied, Scope, whole_seconds};
use crate::intake::Export;
use crate::listen::Handler;
use crate::meter::Protocol;

const PAGE: &str = "\
This is the OTLP/HTTP port of halfopen.

It takes traces, logs and metrics from OpenTelemetry SDKs as protobuf or JSON:
  OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST

  POST /v1/traces    POST /v1/logs    POST /v1/metrics
  content-type:      application/x-protobuf or application/json
  content-encoding:  none, gzip, zstd or deflate
";

/// The handler of the port.
pub(crate) struct HttpPort<W>(pub(crate) Arc<Receiver<W>>);

impl<W> Clone for HttpPort<W> {
    fn clone(&self) -> Self {
        HttpPort(Arc::clone(&self.0))
    }
}

impl<W: WriteEvidence + 'static> Handler for HttpPort<W> {
    const PORT: Port = Port::OtlpHttp;

    fn need(_: &Request<Incoming>) -> Option<Scope> {
        Some(Scope::Write)
    }

    fn refuse(&self, request: &Request<Incoming>, denied: &Denied) -> Response<Body> {
        let encoding = encoding(request.headers()).unwrap_or(Encoding::Json);
        let message = format!("{}; {}", denied.fact(), denied.hint());
        let code = Code::of_denied(denied);
        refusal_with(denied.status(), code, &message, encoding, denied.retry_after())
    }

    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let encoding = encoding(request.headers());
        let answers_in = encoding.unwrap_or(Encoding::Json);
        let Some(signal) = Signal::from_path(request.uri().path()) else {
            return elsewhere(&request, answers_in);
        };
        if request.method() != Method::POST {
            let message = format!("{} takes POST only", request.uri().path());
            let mut response =
                refusal(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, &message, answers_in);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let stranger = origin::foreign_origin(request.headers());
        if let Some(stranger) = stranger.filter(|_| !self.0.has_tokens) {
            origin::refused(request.extensions());
            let message = format!("pages of {stranger} may not send telemetry here");
            let code = Code::PermissionDenied;
            return refusal(StatusCode::FORBIDDEN, code, &message, answers_in);
        }
        let Some(encoding) = encoding else {
            let message = "the content type must be application/x-protobuf or application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return refusal(status, Code::InvalidArgument, message, answers_in);
        };
        let meter = self.0.meter.export(Protocol::Http, signal);
        meter.requests.add(1);
        match export(&self.0, signal, encoding, request, peer).await {
            Ok(outcome) if outcome.unreadable => {
                let message = outcome.problem.as_deref();
                let message = message.unwrap_or("the body could not be read");
                refusal(StatusCode::BAD_REQUEST, Code::InvalidArgument, message, encoding)
            }
            Ok(outcome) => taken(signal, &outcome, encoding),
            Err(failure) => {
                meter.refused.add(1);
                failed(&failure, encoding)
            }
        }
    }
}

async fn export<W: WriteEvidence + 'static>(
    receiver: &Receiver<W>,
    signal: Signal,
    encoding: Encoding,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Outcome, Failure> {
    let compression = super::compression(request.headers(), "content-encoding")?;
    let sender = sender(request.headers(), peer);
    let body = receiver.body(request, Framing::Plain).await?;
    let export = Export { signal, encoding, compression, body, sender };
    receiver.take(Protocol::Http, export).await
}

/// The encoding that the content type names.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    Encoding::from_content_type(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
}

fn taken(signal: Signal, outcome: &Outcome, encoding: Encoding) -> Response<Body> {
    let body = match encoding {
        Encoding::Protobuf => answer::protobuf(outcome),
        Encoding::Json => answer::json(signal, outcome).into_bytes(),
    };
    with_type(Response::new(Body::from(body)), encoding)
}

fn with_type(mut response: Response<Body>, encoding: Encoding) -> Response<Body> {
    let value = HeaderValue::from_static(encoding.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

fn failed(failure: &Failure, encoding: Encoding) -> Response<Body> {
    let (status, code, retry_after) = match failure.kind {
        FailureKind::Wrong => (StatusCode::BAD_REQUEST, Code::InvalidArgument, None),
        FailureKind::Unsupported => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, None)
        }
        FailureKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidArgument, None),
        FailureKind::Slow => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, None),
        FailureKind::Full(after) => {
            (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted, Some(after))
        }
        FailureKind::Unavailable(after) => {
            (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, Some(after))
        }
        FailureKind::Broken => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, None),
    };
    let mut response = refusal_with(status, code, &failure.message, encoding, retry_after);
    let headers = response.headers_mut();
    if let Some(after) = retry_after {
        headers.insert(header::RETRY_AFTER, whole_seconds(after));
    }
    if failure.kind == FailureKind::Unsupported {
        let known = HeaderValue::from_static("gzip, zstd, deflate");
        headers.insert(header::ACCEPT_ENCODING, known);
    }
    response
}

fn refusal(status: StatusCode, code: Code, message: &str, encoding: Encoding) -> Response<Body> {
    refusal_with(status, code, message, encoding, None)
}

fn refusal_with(
    status: StatusCode,
    code: Code,
    message: &str,
    encoding: Encoding,
    retry_after: Option<Duration>,
) -> Response<Body> {
    let body = match encoding {
        Encoding::Protobuf => proto::status(code, message, retry_after),
        Encoding::Json => proto::status_json(code, message, retry_after),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    with_type(response, encoding)
}

/// Another path: the page for people at the root, else a hint.
fn elsewhere(request: &Request<Incoming>, encoding: Encoding) -> Response<Body> {
    let page = PAGE.replace("HOST", super::host(request).unwrap_or("127.0.0.1:4318"));
    if request.uri().path() == "/" && request.method() == Method::GET {
        let mut response = Response::new(Body::from(page));
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        return response;
    }
    let message = format!(
        "there is nothing at {}; this port takes POST /v1/traces, /v1/logs and /v1/metrics",
        request.uri().path()
    );
    refusal(StatusCode::NOT_FOUND, Code::NotFound, &message, encoding)
}
