//! The till: takes an order through all that has to happen.

use std::sync::Arc;

use axum::Router;
use http::{Method, StatusCode};
use opentelemetry::logs::Severity;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced;
use crate::order::{ChargeReply, ChargeRequest, Done, Flow, Order, Quote, Stock, Tender};

pub(super) fn routes(node: &Arc<Node>) -> Router {
    let orders = |flow: Flow| {
        traced(node, Method::POST, flow.orders(), move |act, order| place(act, order, flow))
    };
    Router::new()
        .route(Flow::Standard.orders(), orders(Flow::Standard))
        .route(Flow::Express.orders(), orders(Flow::Express))
}

async fn place(act: Act, order: Order, flow: Flow) -> Result<Done, Failure> {
    act.set("order.id", order.id.clone());
    act.set("order.pieces", order.lines.iter().map(|line| i64::from(line.pieces)).sum::<i64>());
    act.set("order.coupon", order.coupon.clone().unwrap_or_else(|| "none".to_owned()));
    act.set_tender(&order.tender);
    validate(&act, &order, flow).await?;
    let path = format!("/carts/{}", order.cart);
    let _: Done = act.get("cart", "/carts/{id}", &path).await?;
    let (quote, stock) = tokio::join!(
        act.ask::<_, Quote>("pricing", flow.quotes(), &order),
        act.post::<_, Stock>("inventory", "/reservations", &order),
    );
    let (quote, stock) = (quote?, stock?);
    act.set("order.total_cents", quote.cents as i64);
    act.set("warehouse.id", stock.warehouse);
    pay(&act, &order, &quote, flow).await?;
    let label: Done = act.post("shipping", "/labels", &order).await?;
    let mail: Result<Done, _> = act.post("mailer", "/mails", &order).await;
    if let Err(error) = mail {
        let body = format!("the receipt of {} is sent later: {}", order.id, error.message);
        act.log(Severity::Warn, body, &[("error.type", &error.kind)]);
    }
    act.log(Severity::Info, format!("order {} placed, label {}", order.id, label.id), &[]);
    Ok(Done { id: order.id })
}

async fn validate(act: &Act, order: &Order, flow: Flow) -> Result<(), Failure> {
    let step = act.step("validate order");
    step.work("validate order", 0, 2).await;
    let outcome = match &order.tender {
        Tender::GiftCard { code } => act.read_gift_card(flow, code).map(|_card| ()),
        _ => Ok(()),
    };
    step.end(outcome)
}

async fn pay(act: &Act, order: &Order, quote: &Quote, flow: Flow) -> Result<(), Failure> {
    let mut request = ChargeRequest {
        order_id: order.id.clone(),
        cents: quote.cents,
        currency: "EUR".to_owned(),
        ..ChargeRequest::default()
    };
    match &order.tender {
        Tender::Card { network } => request.card_network.clone_from(network),
        Tender::GiftCard { code } => request.gift_card.clone_from(code),
        Tender::Wallet { provider } => request.wallet.clone_from(provider),
        Tender::Invoice => {}
    }
    let reply: ChargeReply = act.rpc("payment", flow.charge(), request).await?;
    act.set("payment.declined", reply.declined);
    if reply.declined {
        return Err(Failure::answer(StatusCode::PAYMENT_REQUIRED, "the bank declined"));
    }
    Ok(())
}
