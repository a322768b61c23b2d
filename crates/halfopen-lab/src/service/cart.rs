//! Baskets.

use std::sync::Arc;

use axum::Router;
use http::Method;
use opentelemetry::logs::Severity;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Addition, Done, Price};

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Router::new()
        .route("/items", traced(node, Method::POST, "/items", add))
        .route("/carts/{id}", traced(node, Method::GET, "/carts/{id}", load))
}

async fn add(act: Act, addition: Addition) -> Result<Done, Failure> {
    let sku = &addition.line.sku;
    act.set("product.sku", sku.clone());
    act.set("cart.pieces", i64::from(addition.line.pieces));
    let price: Price = act.get("pricing", "/prices/{sku}", &format!("/prices/{sku}")).await?;
    act.set("cart.added_cents", price.cents as i64);
    act.work("store basket", 1, 3).await;
    act.log(Severity::Info, format!("{sku} put into basket {}", addition.cart), &[]);
    Ok(Done { id: addition.cart })
}

async fn load(act: Act, _: ()) -> Result<Done, Failure> {
    act.work("load basket", 1, 3).await;
    Ok(Done { id: act.last_segment().to_owned() })
}
