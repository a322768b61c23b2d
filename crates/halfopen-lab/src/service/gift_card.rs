//! Gift cards: takes money from them.

use std::sync::Arc;

use axum::Router;
use http::Method;
use opentelemetry::logs::Severity;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Done, Flow, Redemption};

pub(super) fn routes(node: &Arc<Node>) -> Router {
    let redemptions = |flow: Flow| {
        traced(node, Method::POST, flow.redemptions(), move |act, question| {
            redeem(act, question, flow)
        })
    };
    Router::new()
        .route(Flow::Standard.redemptions(), redemptions(Flow::Standard))
        .route(Flow::Express.redemptions(), redemptions(Flow::Express))
}

async fn redeem(act: Act, redemption: Redemption, flow: Flow) -> Result<Done, Failure> {
    let step = act.step("take money");
    step.work("take money", 1, 3).await;
    let card = step.end(act.read_gift_card(flow, &redemption.code))?;
    let taken = card.cents.min(redemption.cents);
    act.set("gift_card.taken", taken as i64);
    act.log(Severity::Info, format!("{taken} cents taken from card {}", card.serial), &[]);
    Ok(Done { id: format!("gift-{}", card.serial) })
}
