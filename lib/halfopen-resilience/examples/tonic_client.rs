//! A protected gRPC client over tonic: generated clients take it in place of a channel.
//!
//! Bodies of unary calls are held, so that they can be sent again. A method that may be called
//! twice says so by [`Repeatable`]; any other is retried only when it certainly was not begun.

use halfopen_resilience::CallError;
use halfopen_resilience::body::{HoldBodyError, HoldBodyLayer, WholeBody};
use halfopen_resilience::protocol::{Http, Repeatable};
use halfopen_resilience::stack::{Stack, StackError};
use http::{Request, Response};
use std::error::Error;
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{self, Channel, Endpoint};
use tower::ServiceBuilder;

/// Larger messages are not worth being held for a retry.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Generated clients make `UNKNOWN` of errors that they do not know: this keeps what they mean.
fn status(error: HoldBodyError<Status, CallError<transport::Error>>) -> Status {
    match error {
        HoldBodyError::Call(error) => Status::new(error.grpc_code().into(), error.to_string()),
        HoldBodyError::Body(error) => Status::internal(error.to_string()),
    }
}

fn protect(
    channel: Channel,
) -> Result<impl GrpcService<Body, ResponseBody = Body, Future: Send> + Clone, StackError> {
    let layers = Stack::client("payments", Http).deadline(Duration::from_secs(5)).build()?;
    Ok(ServiceBuilder::new()
        .map_err(status)
        .map_request(|mut request: Request<Body>| {
            if request.uri().path().starts_with("/payments.Payments/Get") {
                request.extensions_mut().insert(Repeatable);
            }
            request
        })
        .layer(HoldBodyLayer::new(MESSAGE_BYTES_MAX))
        .layer(layers)
        .map_request(|request: Request<WholeBody>| request.map(Body::new))
        .service(channel))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let channel = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
    let mut service = protect(channel)?;
    // `PaymentsClient::new(service)` in real life; here the call that it would make.
    let request = Request::post("/payments.Payments/GetBalance")
        .header("content-type", "application/grpc")
        .body(Body::default())?;
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    let answer: Result<Response<Body>, _> = service.call(request).await;
    let said = answer.map_err(Into::into).map(|answer| answer.status());
    tracing::info!(?said, "answered");
    Ok(())
}
