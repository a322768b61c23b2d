//! An axum server whose handlers know the context of their requests.
//!
//! Each handler runs until the asker's deadline and no longer, load that the server cannot carry
//! is refused at once, and every log line carries the correlation id.

use axum::Router;
use axum::routing::get;
use halfopen_resilience::degrade::{Degrade, DegradeSettings, Fallback, Level, Part};
use halfopen_resilience::telemetry::Meter;
use halfopen_resilience::{RequestContext, Stack};
use std::error::Error;
use std::io;
use std::time::Duration;

async fn product(degrade: Degrade) -> String {
    let page = degrade.page();
    let reviews = async { Err::<String, _>(io::Error::other("the review service is away")) };
    let reviews = page.part("reviews", Fallback::Skip, reviews).await;
    let id = RequestContext::current().map(|context| context.id().to_string());
    tracing::info!("this line carries the id by itself");
    format!("request {id:?}, reviews {:?}, stood in {:?}\n", reviews.value, page.stood_in())
}

fn shop() -> Result<Router, Box<dyn Error>> {
    let layers = Stack::server("shop").longest(Duration::from_secs(10)).build()?;
    let parts = vec![Part::new("reviews", Level::Full).within(Duration::from_millis(300))];
    let degrade = Degrade::new(parts, DegradeSettings::default(), Meter::new("shop"));
    Ok(Router::new().route("/product", get(move || product(degrade.clone()))).layer(layers))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let stop = tokio::time::sleep(Duration::from_millis(100));
    axum::serve(listener, shop()?).with_graceful_shutdown(stop).await?;
    Ok(())
}
