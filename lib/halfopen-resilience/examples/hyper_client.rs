//! A protected HTTP client over hyper.

use halfopen_resilience::body::WholeBody;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::timeout::AttemptTimeout;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::time::Duration;
use tower::{Layer, Service, ServiceExt};

const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let plain = Client::builder(TokioExecutor::new()).build::<_, WholeBody>(connector);
    let layers = Stack::client("payments", Http)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(AttemptTimeout::Fixed(Duration::from_millis(500)))
        .deadline(Duration::from_secs(2))
        .build()?;
    let mut payments = layers.layer(plain);

    let request = Request::get("http://127.0.0.1:9/balance").body(WholeBody::default())?;
    match payments.ready().await?.call(request).await {
        Ok(answer) => tracing::info!(status = %answer.status(), "answered"),
        Err(error) => tracing::warn!(%error, "not answered"),
    }
    for (name, count) in layers.meter().counts().filter(|(_, count)| *count > 0) {
        tracing::info!(name = name.as_str(), count, "counted");
    }
    Ok(())
}
