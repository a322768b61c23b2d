//! Receipts by mail. Orders go through without it: its errors stand in traces of requests that
//! are healthy.

use std::sync::Arc;

use axum::Router;
use http::{Method, StatusCode};

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Done, Order};

/// Share of mails that have to wait.
const BUSY: f64 = 0.01;

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Router::new().route("/mails", traced(node, Method::POST, "/mails", send))
}

async fn send(act: Act, order: Order) -> Result<Done, Failure> {
    act.set("mail.template", "receipt");
    act.work("hand over mail", 0, 2).await;
    if act.fate("busy") < BUSY {
        return Err(Failure::answer(StatusCode::SERVICE_UNAVAILABLE, "the queue is full"));
    }
    Ok(Done { id: format!("mail-{}", order.id) })
}
