//! What travels through the shop: orders, and the messages that services send each other.

use serde::{Deserialize, Serialize};

/// The two ways to the till. They share services but not routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// Through the basket.
    Standard,
    /// With one click, paid as the time before.
    Express,
}

/// The gRPC method of payment in the ordinary checkout.
const CHARGE: &str = "shop.payment.v1.Payments/Charge";
/// The gRPC method of payment in the express checkout.
const CHARGE_STORED: &str = "shop.payment.v1.Payments/ChargeStored";

impl Flow {
    /// Both.
    pub(crate) const ALL: [Flow; 2] = [Flow::Standard, Flow::Express];

    /// The route at the gateway: what customers call.
    pub(crate) fn edge(self) -> &'static str {
        match self {
            Flow::Standard => "/checkout",
            Flow::Express => "/checkout/express",
        }
    }

    /// The route of the service `checkout`.
    pub(crate) fn orders(self) -> &'static str {
        match self {
            Flow::Standard => "/orders",
            Flow::Express => "/orders/express",
        }
    }

    /// The route of the service `pricing`.
    pub(crate) fn quotes(self) -> &'static str {
        match self {
            Flow::Standard => "/quotes",
            Flow::Express => "/quotes/express",
        }
    }

    /// The method of the service `payment`.
    pub(crate) fn charge(self) -> &'static str {
        match self {
            Flow::Standard => CHARGE,
            Flow::Express => CHARGE_STORED,
        }
    }

    /// The route of the service `gift-card`.
    pub(crate) fn redemptions(self) -> &'static str {
        match self {
            Flow::Standard => "/redemptions",
            Flow::Express => "/redemptions/stored",
        }
    }
}

/// How an order is paid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Tender {
    Card { network: String },
    GiftCard { code: String },
    Wallet { provider: String },
    Invoice,
}

/// Who buys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) tier: String,
    pub(crate) region: String,
    pub(crate) tenant: String,
    pub(crate) device: String,
    /// Whether the customer sees what a feature flag shows.
    pub(crate) flagged: bool,
}

/// Some pieces of one product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) pieces: u32,
}

/// What a customer sends to the till.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) cart: String,
    pub(crate) customer: Customer,
    pub(crate) lines: Vec<Line>,
    pub(crate) coupon: Option<String>,
    pub(crate) tender: Tender,
}

/// What a customer puts into the basket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Addition {
    pub(crate) cart: String,
    pub(crate) customer: Customer,
    pub(crate) line: Line,
}

/// What an order costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Quote {
    pub(crate) cents: u64,
    /// Of which a gift card pays so much.
    pub(crate) gift_cents: u64,
}

/// What one piece costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Price {
    pub(crate) cents: u64,
}

/// How many pieces there are, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Stock {
    pub(crate) warehouse: String,
    pub(crate) pieces: u32,
}

/// A short answer: it is done, under this name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) id: String,
}

/// A payment to make with a card or a wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CardCharge {
    pub(crate) cents: u64,
    pub(crate) network: String,
}

/// A gift card to take money from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Redemption {
    pub(crate) code: String,
    pub(crate) cents: u64,
}

/// What `payment` is asked, by gRPC.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChargeRequest {
    #[prost(string, tag = "1")]
    pub(crate) order_id: String,
    #[prost(uint64, tag = "2")]
    pub(crate) cents: u64,
    #[prost(string, tag = "3")]
    pub(crate) currency: String,
    #[prost(string, tag = "4")]
    pub(crate) card_network: String,
    #[prost(string, tag = "5")]
    pub(crate) wallet: String,
    #[prost(string, tag = "6")]
    pub(crate) gift_card: String,
}

/// What `payment` answers.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChargeReply {
    #[prost(string, tag = "1")]
    pub(crate) receipt: String,
    /// The bank said no: the customer's trouble, not the shop's.
    #[prost(bool, tag = "2")]
    pub(crate) declined: bool,
}

impl ChargeRequest {
    /// The tender as it was before it went over the wire.
    pub(crate) fn tender(&self) -> Tender {
        if !self.gift_card.is_empty() {
            Tender::GiftCard { code: self.gift_card.clone() }
        } else if !self.wallet.is_empty() {
            Tender::Wallet { provider: self.wallet.clone() }
        } else if !self.card_network.is_empty() {
            Tender::Card { network: self.card_network.clone() }
        } else {
            Tender::Invoice
        }
    }
}
