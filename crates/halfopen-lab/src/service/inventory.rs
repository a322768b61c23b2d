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

fn warehouse(name: &str) -> String {
    let warehouses = ["ams-1", "ams-2", "muc-1", "vie-1", "waw-3"];
    warehouses[(digest(&[name]) % warehouses.len() as u64) as usize].to_owned()
}

async fn stock(act: Act, _: ()) -> Result<Stock, Failure> {
    act.work("count stock", 1, 2).await;
    let warehouse = warehouse(act.last_segment());
    act.set("warehouse.id", warehouse.clone());
    Ok(Stock { warehouse, pieces: (act.fate("pieces") * 100.0) as u32 })
}

async fn reserve(act: Act, order: Order) -> Result<Stock, Failure> {
    let step = act.step("pick warehouse");
    let nearest = warehouse(&order.customer.region);
    step.set("warehouse.id", nearest.clone());
    step.work("pick warehouse", 1, 4).await;
    step.end(Ok(()))?;
    if act.fate("sold out") < SOLD_OUT {
        return Err(Failure::answer(StatusCode::CONFLICT, "sold out"));
    }
    Ok(Stock { warehouse: nearest, pieces: order.lines.len() as u32 })
}
