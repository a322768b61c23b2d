//! The services of the shop. Each is a set of traced handlers; what tells its versions apart is
//! in [`crate::behaviour::Behaviour`].
//!
//! ```text
//! customer -> gateway -> checkout -> cart
//!                |          |------> pricing, inventory
//!                |          |------> payment (gRPC) -> card-gateway | gift-card
//!                |          |------> shipping, mailer (may fail)
//!                |-> cart -> pricing
//!                |-> inventory, pricing
//! inventory -> warehouse (in some scenarios)
//! ```

mod card_gateway;
mod cart;
mod checkout;
mod gateway;
mod gift_card;
pub(crate) mod inventory;
mod mailer;
mod payment;
mod pricing;
mod shipping;
mod warehouse;

use std::sync::Arc;

use axum::Router;

use crate::act::{Act, Node};
use crate::failure::Failure;
use crate::gift_card::GiftCard;
use crate::order::{Customer, Flow, Tender};
use crate::pool::WAREHOUSE;

/// A service: its name and its routes.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) routes: fn(&Arc<Node>) -> Router,
}

/// The service that customers call.
pub(crate) const EDGE: &str = "gateway";

/// The services of every scenario, the edge first.
pub(crate) const SERVICES: [Service; 10] = [
    Service { name: EDGE, routes: gateway::routes },
    Service { name: "cart", routes: cart::routes },
    Service { name: "checkout", routes: checkout::routes },
    Service { name: "pricing", routes: pricing::routes },
    Service { name: "inventory", routes: inventory::routes },
    Service { name: "payment", routes: payment::routes },
    Service { name: "card-gateway", routes: card_gateway::routes },
    Service { name: "gift-card", routes: gift_card::routes },
    Service { name: "shipping", routes: shipping::routes },
    Service { name: "mailer", routes: mailer::routes },
];

/// Services that only some scenarios need. The fleets of the others may not change with them: a
/// seed means what it meant.
pub(crate) const MORE_SERVICES: [Service; 1] =
    [Service { name: WAREHOUSE, routes: warehouse::routes }];

/// Every service that there can be.
pub(crate) fn all() -> impl Iterator<Item = &'static Service> {
    const BASE: &[Service] = &SERVICES;
    const MORE: &[Service] = &MORE_SERVICES;
    BASE.iter().chain(MORE)
}

/// Services that read gift cards.
pub(crate) const GIFT_CARD_READERS: [&str; 4] = ["checkout", "pricing", "payment", "gift-card"];

/// Services that do not.
pub(crate) const BYSTANDERS: [&str; 5] =
    ["cart", "inventory", "shipping", "mailer", "card-gateway"];

impl Act {
    /// Records who buys.
    fn set_customer(&self, customer: &Customer) {
        let words = &self.node.vocabulary;
        self.set("user.id", customer.id.clone());
        self.set(words.tier, customer.tier.clone());
        self.set(words.tenant, customer.tenant.clone());
        self.set(words.flag, customer.flagged);
        self.set("customer.region", customer.region.clone());
        self.set("device.type", customer.device.clone());
    }

    /// Records how an order is paid.
    fn set_tender(&self, tender: &Tender) {
        let words = &self.node.vocabulary;
        self.set(words.method, words.method_of(tender));
    }

    /// Reads a gift card the way this version of the service does. There is no span for it: the
    /// step that needs the card is a step of other orders too.
    fn read_gift_card(&self, flow: Flow, code: &str) -> Result<GiftCard, Failure> {
        if let Some(brand) = code.split(':').nth(1) {
            // The brand is known before the code is read in full, also where that fails.
            self.set(self.node.vocabulary.brand, brand.to_owned());
        }
        let card = self.node.behaviour.reader(flow).read(code)?;
        self.set("gift_card.value", i64::try_from(card.cents).unwrap_or(i64::MAX));
        Ok(card)
    }
}
