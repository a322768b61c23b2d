//! Connections to the warehouses' own system: a few for each instance, as pools have it. Who gets
//! none waits.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::act::{Act, fate_of};
use crate::failure::Failure;
use crate::order::Stock;
use crate::patience::Patience;

/// Connections of one instance.
pub(crate) const CONNECTIONS: usize = 4;
/// The service behind them.
pub(crate) const WAREHOUSE: &str = "warehouse";
/// A warehouse that hangs answers after this time.
pub(crate) const HANG_MS: u64 = 3_300;

/// How the stock of a product is counted.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Counting {
    /// How long `inventory` waits for the count of a warehouse before it takes the last one that
    /// it knows; `None` where warehouses have no system of their own.
    pub(crate) wait_ms: Option<u64>,
    /// At `warehouse`: where some counts hang.
    pub(crate) hang: Option<Hang>,
}

/// A warehouse in which some counts hang.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Hang {
    pub(crate) warehouse: &'static str,
    /// Share of its counts.
    pub(crate) share: f64,
}

impl Hang {
    /// Whether the count for a request hangs.
    pub(crate) fn befalls(&self, request_id: &str, warehouse: &str) -> bool {
        warehouse == self.warehouse && fate_of(request_id, WAREHOUSE, "hang") < self.share
    }
}

impl Counting {
    /// How long the service waits for warehouses.
    pub(crate) fn patience(&self) -> Option<Patience> {
        self.wait_ms.map(|wait_ms| Patience::once(wait_ms, false))
    }
}

/// The connections of one instance.
#[derive(Debug)]
pub(crate) struct Connections(Semaphore);

impl Default for Connections {
    fn default() -> Connections {
        Connections(Semaphore::new(CONNECTIONS))
    }
}

impl Connections {
    async fn lease(&self, act: &Act) -> Result<SemaphorePermit<'_>, Failure> {
        let step = act.step("lease connection");
        step.set("pool.name", WAREHOUSE);
        step.set("pool.size", CONNECTIONS as i64);
        let lease = self.0.acquire().await;
        step.end(lease.map_err(|_| Failure::exception("PoolClosed", "no pool".to_owned())))
    }
}

impl Act {
    /// The pieces of a product in a warehouse: as its system counts them, else as they were
    /// counted last. Where warehouses have no system it is known here.
    pub(crate) async fn count(&self, warehouse: &str, sku: &str) -> Result<u32, Failure> {
        let known = (self.fate("pieces") * 100.0) as u32;
        if self.node.behaviour.counting.wait_ms.is_none() {
            return Ok(known);
        }
        let _lease = self.node.connections.lease(self).await?;
        let path = format!("/warehouses/{warehouse}/stock/{sku}");
        match self.get::<Stock>(WAREHOUSE, "/warehouses/{id}/stock/{sku}", &path).await {
            Ok(stock) => {
                self.set("stock.counted", true);
                Ok(stock.pieces)
            }
            Err(error) => {
                self.set("stock.counted", false);
                let body = format!("{sku} in {warehouse}: the last count is taken");
                let fields = [("error.type", error.kind.as_str())];
                self.log(opentelemetry::logs::Severity::Warn, body, &fields);
                Ok(known)
            }
        }
    }

    /// Counts in a warehouse; where it hangs, that takes its time.
    pub(crate) async fn count_shelf(&self, warehouse: &str) {
        self.work("count shelf", 2, 6).await;
        let hang = &self.node.behaviour.counting.hang;
        if hang.is_some_and(|hang| hang.befalls(&self.request_id, warehouse)) {
            tokio::time::sleep(Duration::from_millis(HANG_MS)).await;
        }
    }
}
