//! What is in stock, and where.

use std::sync::Arc;

use axum::Router;
use http::{Method, StatusCode};

use crate::act::{Act, Node};
use crate::chance::digest;
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Order, Stock};

/// One order in so many finds the shelf empty.
const SOLD_OUT: f64 = 0.004;

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Router::new()
        .route("/reservations", traced(node, Method::POST, "/reservations", reserve))
        .route("/stock/{sku}", traced(node, Method::GET, "/stock/{sku}", stock))
}

/// Where the shop keeps things.
pub(crate) const WAREHOUSES: [&str; 5] = ["ams-1", "ams-2", "muc-1", "vie-1", "waw-3"];

/// The warehouse of a product, or of a region.
pub(crate) fn warehouse(name: &str) -> String {
    WAREHOUSES[(digest(&[name]) % WAREHOUSES.len() as u64) as usize].to_owned()
}

async fn stock(act: Act, _: ()) -> Result<Stock, Failure> {
    act.work("count stock", 1, 2).await;
    let sku = act.last_segment();
    let warehouse = warehouse(sku);
    act.set("warehouse.id", warehouse.clone());
    let pieces = act.count(&warehouse, sku).await?;
    Ok(Stock { warehouse, pieces })
}

async fn reserve(act: Act, order: Order) -> Result<Stock, Failure> {
    let step = act.step("pick warehouse");
    let nearest = warehouse(&order.customer.region);
    step.set("warehouse.id", nearest.clone());
    step.work("pick warehouse", 1, 4).await;
    step.end(Ok(()))?;
    if let Some(line) = order.lines.first() {
        // What is reserved must be there, wherever it lies.
        act.count(&warehouse(&line.sku), &line.sku).await?;
    }
    if act.fate("sold out") < SOLD_OUT {
        return Err(Failure::answer(StatusCode::CONFLICT, "sold out"));
    }
    Ok(Stock { warehouse: nearest, pieces: order.lines.len() as u32 })
}
