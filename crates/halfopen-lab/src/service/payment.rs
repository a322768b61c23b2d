//! Payments, by gRPC: a card or a wallet goes to the card gateway, a gift card to its service.

use std::sync::Arc;

use axum::Router;
use opentelemetry::logs::Severity;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::frame::traced_rpc;
use crate::order::{CardCharge, ChargeReply, ChargeRequest, Done, Flow, Redemption, Tender};

pub(super) fn routes(node: &Arc<Node>) -> Router {
    Flow::ALL.into_iter().fold(Router::new(), |router, flow| {
        let method =
            traced_rpc(node, flow.charge(), move |act, request| charge(act, request, flow));
        router.route(&format!("/{}", flow.charge()), method)
    })
}

async fn charge(act: Act, request: ChargeRequest, flow: Flow) -> Result<ChargeReply, Failure> {
    let tender = request.tender();
    act.set_tender(&tender);
    act.set("payment.currency", request.currency.clone());
    split(&act, &tender, flow).await?;
    let cents = request.cents;
    let receipt = match tender {
        Tender::Card { network } => card(&act, CardCharge { cents, network }).await?,
        Tender::Wallet { provider } => card(&act, CardCharge { cents, network: provider }).await?,
        Tender::GiftCard { code } => {
            let redemption = Redemption { code, cents };
            let done: Done = act.post("gift-card", flow.redemptions(), &redemption).await?;
            Some(done.id)
        }
        Tender::Invoice => Some(format!("invoice-{}", request.order_id)),
    };
    let declined = receipt.is_none();
    let body = if declined { "payment declined" } else { "payment taken" };
    act.log(Severity::Info, format!("{body} for order {}", request.order_id), &[]);
    Ok(ChargeReply { receipt: receipt.unwrap_or_default(), declined })
}

/// Who pays which part: a gift card up to its worth, the customer the rest.
async fn split(act: &Act, tender: &Tender, flow: Flow) -> Result<(), Failure> {
    let step = act.step("split tender");
    step.work("split tender", 1, 3).await;
    let outcome = match tender {
        Tender::GiftCard { code } => act.read_gift_card(flow, code).map(|_card| ()),
        _ => Ok(()),
    };
    step.end(outcome)
}

/// The receipt, or none when the bank declined.
async fn card(act: &Act, charge: CardCharge) -> Result<Option<String>, Failure> {
    act.set("payment.network", charge.network.clone());
    match act.post::<_, Done>("card-gateway", "/v1/charges", &charge).await {
        Ok(done) => Ok(Some(done.id)),
        Err(error) if error.status == Some(402) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
