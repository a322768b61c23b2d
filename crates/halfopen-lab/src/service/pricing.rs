//! Prices, discounts, and what a gift card takes off.

use std::sync::Arc;

use axum::Router;
use http::Method;

use crate::act::{Act, Node};
use crate::chance::digest;
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{Flow, Order, Price, Quote, Tender};

pub(super) fn routes(node: &Arc<Node>) -> Router {
    let quotes = |flow: Flow| {
        traced(node, Method::POST, flow.quotes(), move |act, order| quote(act, order, flow))
    };
    Router::new()
        .route(Flow::Standard.quotes(), quotes(Flow::Standard))
        .route(Flow::Express.quotes(), quotes(Flow::Express))
        .route("/prices/{sku}", traced(node, Method::GET, "/prices/{sku}", price))
}

fn price_of(sku: &str) -> u64 {
    199 + digest(&[sku]) % 9_800
}

async fn price(act: Act, _: ()) -> Result<Price, Failure> {
    act.work("look up price", 1, 2).await;
    Ok(Price { cents: price_of(act.last_segment()) })
}

async fn quote(act: Act, order: Order, flow: Flow) -> Result<Quote, Failure> {
    act.set("pricing.lines", order.lines.len() as i64);
    let full: u64 =
        order.lines.iter().map(|line| price_of(&line.sku) * u64::from(line.pieces)).sum();
    let step = act.step("apply discounts");
    step.set("pricing.coupon", order.coupon.is_some());
    step.work("apply discounts", 1, 4).await;
    let off_percent = if order.coupon.is_some() { 10 } else { 0 };
    let cents = full - full * off_percent / 100;
    let gift_cents = match &order.tender {
        Tender::GiftCard { code } => {
            act.set_tender(&order.tender);
            act.read_gift_card(flow, code).map(|card| card.cents.min(cents))
        }
        _ => Ok(0),
    };
    let gift_cents = step.end(gift_cents)?;
    Ok(Quote { cents, gift_cents })
}
