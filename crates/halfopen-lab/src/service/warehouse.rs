//! The warehouses' own system: counts what lies on a shelf. One of them hangs now and then, and
//! always has.

use std::sync::Arc;

use axum::Router;
use http::Method;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::Stock;

const STOCK: &str = "/warehouses/{id}/stock/{sku}";

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Router::new().route(STOCK, traced(node, Method::GET, STOCK, stock))
}

async fn stock(act: Act, _: ()) -> Result<Stock, Failure> {
    let warehouse = act.path.split('/').nth(2).unwrap_or_default().to_owned();
    act.set("warehouse.id", warehouse.clone());
    act.count_shelf(&warehouse).await;
    Ok(Stock { warehouse, pieces: (act.fate("pieces") * 100.0) as u32 })
}
