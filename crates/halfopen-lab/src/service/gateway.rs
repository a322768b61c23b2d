//! The edge: customers call it, it makes request ids and passes on what it is asked.

use std::sync::Arc;

use axum::Router;
use http::Method;
use opentelemetry::logs::Severity;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Addition, Done, Flow, Order, Price, Stock};

pub(super) fn routes(node: &Arc<Node>) -> Router {
    let checkout = |flow: Flow| {
        traced(node, Method::POST, flow.edge(), move |act, order| checkout(act, order, flow))
    };
    Router::new()
        .route(Flow::Standard.edge(), checkout(Flow::Standard))
        .route(Flow::Express.edge(), checkout(Flow::Express))
        .route("/cart/items", traced(node, Method::POST, "/cart/items", add))
        .route("/products/{sku}", traced(node, Method::GET, "/products/{sku}", show))
}

async fn checkout(act: Act, order: Order, flow: Flow) -> Result<Done, Failure> {
    act.set_customer(&order.customer);
    act.set("order.id", order.id.clone());
    act.set("cart.size", order.lines.len() as i64);
    act.work("authenticate", 0, 2).await;
    let done: Result<Done, _> = act.post("checkout", flow.orders(), &order).await;
    if let Err(error) = &done
        && error.status != Some(402)
    {
        let body = format!("checkout did not take order {}", order.id);
        act.log(Severity::Warn, body, &[("error.type", &error.kind)]);
    }
    Ok(done?)
}

async fn add(act: Act, addition: Addition) -> Result<Done, Failure> {
    act.set_customer(&addition.customer);
    act.work("authenticate", 0, 2).await;
    Ok(act.post("cart", "/items", &addition).await?)
}

async fn show(act: Act, _: ()) -> Result<Price, Failure> {
    let sku = act.last_segment().to_owned();
    act.set("product.sku", sku.clone());
    let stock: Stock = act.get("inventory", "/stock/{sku}", &format!("/stock/{sku}")).await?;
    act.set("product.available", stock.pieces > 0);
    Ok(act.get("pricing", "/prices/{sku}", &format!("/prices/{sku}")).await?)
}
