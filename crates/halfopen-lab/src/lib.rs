//! A small shop of real services on loopback that fail in known ways: `halfopen demo` shows it,
//! tests hold halfopen against it.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use halfopen_lab::{SCENARIOS, Shop, ShopSettings};
//! # let clock: halfopen_lab::WallClock = std::sync::Arc::new(|| std::time::UNIX_EPOCH);
//! let plan = SCENARIOS[0].plan(7);
//! let settings = ShopSettings { otlp_endpoint: "http://127.0.0.1:4317".into(), clock };
//! let shop = std::sync::Arc::new(Shop::start(plan, settings).await?);
//! let drive = shop.open();
//! drive.planned_end().await;
//! let report = drive.close().await;
//! shop.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `scenario` | the ways to fail, one file each, and what is known about each run |
//! | `shop`, `load` | the running shop; customers at its door |
//! | `fleet`, `traffic`, `vocabulary` | who runs, who comes, what things are called: by the seed |
//! | `service` | the services, one file each |
//! | `frame`, `act`, `wire` | what makes a handler and a call traced, timed and logged |
//! | `protect` | deadlines, retries, breakers and bulkheads of all services |
//! | `patience`, `pool` | how long services wait, and for what besides answers |
//! | `behaviour`, `gift_card` | what tells one version from another |
//!
//! **Invariant:** no telemetry is made up. Every span, log record and point comes out of the
//! official SDK in code that really ran; a fault is another path through that code.
//!
//! **Invariant:** everything that is drawn comes from the seed. What a run's plan says and which
//! visits it makes does not depend on the machine; times of spans and ids of traces do.
//!
//! **Invariant:** nothing here knows halfopen. The shop knows an OTLP endpoint and no more.

mod act;
mod behaviour;
mod chance;
mod directory;
mod failure;
mod fleet;
mod frame;
mod gift_card;
mod load;
mod order;
mod patience;
mod pool;
mod protect;
mod scenario;
mod service;
mod shop;
mod telemetry;
mod traffic;
mod vocabulary;
mod wire;

use std::sync::Arc;
use std::time::SystemTime;

pub use load::{Drive, FailedVisit, LoadReport};
pub use scenario::{Changed, Plan, SCENARIOS, Scenario, Truth};
pub use shop::{Rolled, Running, Shop, ShopSettings};

/// Tells the time, given by whoever starts the shop.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Why the shop does not run.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No port.
    #[error("could not listen on the loopback for service \"{service}\"")]
    Listen {
        /// For which service.
        service: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No exporter.
    #[error("could not set up the telemetry of service \"{service}\"")]
    Telemetry {
        /// For which service.
        service: &'static str,
        /// Why not.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
}
