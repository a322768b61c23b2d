//! Parcels.

use std::sync::Arc;

use axum::Router;
use http::{Method, StatusCode};

use crate::act::{Act, Node};
use crate::chance::digest;
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Done, Order};

/// Share of orders for which the carrier does not answer: noise.
const NO_CARRIER: f64 = 0.001;

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Router::new().route("/labels", traced(node, Method::POST, "/labels", label))
}

async fn label(act: Act, order: Order) -> Result<Done, Failure> {
    let carriers = ["gelb", "brun", "orange"];
    let region = digest(&[&order.customer.region]);
    let carrier = carriers[(region % carriers.len() as u64) as usize];
    act.set("shipping.carrier", carrier);
    act.set("shipping.express", order.customer.tier != "free");
    act.work("print label", 1, 4).await;
    if act.fate("no carrier") < NO_CARRIER {
        let message = format!("carrier {carrier} does not answer");
        return Err(Failure::answer(StatusCode::SERVICE_UNAVAILABLE, &message));
    }
    Ok(Done { id: format!("label-{}", order.id) })
}
