//! The way to the banks. They decline some cards, and now and then one is not there.

use std::sync::Arc;

use axum::Router;
use http::{Method, StatusCode};

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{CardCharge, Done};

/// Share of payments that a bank declines: everyday life, no failure.
const DECLINED: f64 = 0.015;
/// Share of payments for which no bank answers: noise that has no cause inside the shop.
const NO_BANK: f64 = 0.003;

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Router::new().route("/v1/charges", traced(node, Method::POST, "/v1/charges", charge))
}

async fn charge(act: Act, charge: CardCharge) -> Result<Done, Failure> {
    act.set("payment.network", charge.network.clone());
    act.work("ask the bank", 3, 12).await;
    if act.fate("no bank") < NO_BANK {
        let message = format!("no bank of {} answers", charge.network);
        return Err(Failure::answer(StatusCode::SERVICE_UNAVAILABLE, &message));
    }
    if act.fate("declined") < DECLINED {
        return Err(Failure::answer(StatusCode::PAYMENT_REQUIRED, "declined"));
    }
    Ok(Done { id: format!("receipt-{}", charge.cents) })
}
