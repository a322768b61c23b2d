//! The customers: who they are and what they want, one visit after the other, from the seed.

use std::time::Duration;

use crate::chance::Chance;
use crate::gift_card::BRANDS;
use crate::order::{Addition, Customer, Flow, Line, Order, Tender};

/// Visits per second of all customers together, on average. Two busy cores carry it in a build
/// that is not optimised, and ten seconds of it are enough to tell one per cent from none.
const VISITS_PER_SECOND: f64 = 170.0;
/// Products of the shop.
const PRODUCTS: u64 = 400;

/// One customer's call.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Visit {
    /// When, after the first one could have come.
    pub(crate) after: Duration,
    /// What the device sends as `idempotency-key`.
    pub(crate) key: String,
    /// What the device says it is.
    pub(crate) agent: &'static str,
    pub(crate) wish: Wish,
}

/// What a customer wants.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Wish {
    Show { sku: String },
    Add(Box<Addition>),
    Checkout(Flow, Box<Order>),
}

/// How the customers of one run are made up.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mix {
    visits_per_second: f64,
    express_share: f64,
    coupon_share: f64,
    flagged_share: f64,
    tenders: [(Kind, u32); 4],
    brands: Vec<(&'static str, u32)>,
    tiers: [(&'static str, u32); 4],
    regions: [(&'static str, u32); 5],
    tenants: [(&'static str, u32); 4],
    devices: [(Device, u32); 4],
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Card,
    GiftCard,
    Wallet,
    Invoice,
}

/// Name and user agent.
type Device = (&'static str, &'static str);

const DEVICES: [Device; 4] = [
    ("desktop", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("phone", "shop-app/7.4 (Android 16)"),
    ("tablet", "shop-app/7.4 (iPadOS 19)"),
    ("kiosk", "shop-kiosk/1.9"),
];
/// Nearly every fault of the shop needs gift cards: their share is never small.
const GIFT_CARD_WEIGHT: (u64, u64) = (30, 40);

impl Mix {
    /// The customers of this seed. `busy` is the flow that more than half of the orders take,
    /// `liked` the brand of a third or more of the gift cards.
    pub(crate) fn of_seed(seed: u64, busy: Flow, liked: Option<&str>) -> Mix {
        let mut chance = Chance::new(seed, "mix");
        let busy_share = 0.55 + 0.15 * chance.unit();
        let gift_cards = chance.between(GIFT_CARD_WEIGHT.0, GIFT_CARD_WEIGHT.1) as u32;
        let mut weigh = |low, high| chance.between(low, high) as u32;
        Mix {
            visits_per_second: VISITS_PER_SECOND,
            express_share: if busy == Flow::Express { busy_share } else { 1.0 - busy_share },
            tenders: [
                (Kind::Card, 100 - gift_cards - 22),
                (Kind::GiftCard, gift_cards),
                (Kind::Wallet, 15),
                (Kind::Invoice, 7),
            ],
            brands: BRANDS
                .map(|brand| (brand, if liked == Some(brand) { 70 } else { weigh(15, 30) }))
                .into(),
            tiers: [("free", weigh(30, 50)), ("silver", 30), ("gold", 15), ("staff", 3)],
            regions: ["de", "fr", "nl", "at", "pl"].map(|region| (region, weigh(10, 40))),
            tenants: ["fashion", "garden", "books", "toys"].map(|t| (t, weigh(10, 40))),
            devices: DEVICES.map(|device| (device, weigh(5, 40))),
            coupon_share: f64::from(weigh(10, 30)) / 100.0,
            flagged_share: f64::from(weigh(20, 80)) / 100.0,
        }
    }

    /// The same customers, of whom so many come in a second.
    pub(crate) fn at_rate(self, visits_per_second: f64) -> Mix {
        Mix { visits_per_second, ..self }
    }
}

/// All visits of one run; it never ends.
///
/// **Invariant:** the same seed makes the same visits at the same times.
pub(crate) struct Traffic {
    chance: Chance,
    mix: Mix,
    at_s: f64,
    count: u64,
}

impl Traffic {
    pub(crate) fn new(seed: u64, mix: Mix) -> Traffic {
        Traffic { chance: Chance::new(seed, "traffic"), mix, at_s: 0.0, count: 0 }
    }

    fn customer(&mut self, device: &'static str) -> Customer {
        let chance = &mut self.chance;
        Customer {
            id: format!("u-{}", chance.below(5_000)),
            tier: (chance.weighted(&self.mix.tiers)).to_owned(),
            region: (chance.weighted(&self.mix.regions)).to_owned(),
            tenant: (chance.weighted(&self.mix.tenants)).to_owned(),
            device: device.to_owned(),
            flagged: chance.happens(self.mix.flagged_share),
        }
    }

    fn line(&mut self) -> Line {
        let sku = format!("sku-{:04}", self.chance.below(PRODUCTS));
        Line { sku, pieces: self.chance.weighted(&[(1, 70), (2, 20), (3, 8), (12, 2)]) }
    }

    fn tender(&mut self) -> Tender {
        let chance = &mut self.chance;
        match chance.weighted(&self.mix.tenders) {
            Kind::Card => {
                let network = chance.weighted(&[("visa", 50), ("mastercard", 40), ("amex", 10)]);
                Tender::Card { network: network.to_owned() }
            }
            Kind::GiftCard => {
                let brand = chance.weighted(&self.mix.brands);
                let serial = format!("{:04}-{:04}", chance.below(10_000), chance.below(10_000));
                let cents = chance.pick(&[1_000, 2_500, 5_000, 10_000]);
                Tender::GiftCard { code: format!("GC:{brand}:{serial}:{cents}") }
            }
            Kind::Wallet => {
                let provider = chance.weighted(&[("paypal", 60), ("applepay", 40)]);
                Tender::Wallet { provider: provider.to_owned() }
            }
            Kind::Invoice => Tender::Invoice,
        }
    }

    fn wish(&mut self, device: &'static str) -> Wish {
        let cart = format!("cart-{}", self.chance.hex(8));
        match self.chance.weighted(&[(0, 28), (1, 17), (2, 55)]) {
            0 => Wish::Show { sku: self.line().sku },
            1 => {
                let (customer, line) = (self.customer(device), self.line());
                Wish::Add(Box::new(Addition { cart, customer, line }))
            }
            _ => {
                let express = self.chance.happens(self.mix.express_share);
                let flow = if express { Flow::Express } else { Flow::Standard };
                Wish::Checkout(flow, Box::new(self.order(device, cart)))
            }
        }
    }

    fn order(&mut self, device: &'static str, cart: String) -> Order {
        let customer = self.customer(device);
        let lines = (0..self.chance.between(1, 5)).map(|_| self.line()).collect();
        let has_coupon = self.chance.happens(self.mix.coupon_share);
        let coupon =
            has_coupon.then(|| (self.chance.pick(&["SPRING", "WELCOME10", "STAFF"])).to_owned());
        let id = format!("o-{:07}", self.count);
        Order { id, cart, customer, lines, coupon, tender: self.tender() }
    }
}

impl Iterator for Traffic {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        self.at_s += self.chance.wait(1.0 / self.mix.visits_per_second);
        self.count += 1;
        let (device, agent) = self.chance.weighted(&self.mix.devices);
        let wish = self.wish(device);
        let key = format!("{}-{}", self.count, self.chance.hex(12));
        Some(Visit { after: Duration::from_secs_f64(self.at_s), key, agent, wish })
    }
}

impl Wish {
    /// What is called at the edge: method, path, body.
    pub(crate) fn call(&self) -> (http::Method, String, Vec<u8>) {
        let write =
            |body: serde_json::Result<Vec<u8>>| body.expect("messages of the shop have text keys");
        match self {
            Wish::Show { sku } => (http::Method::GET, format!("/products/{sku}"), Vec::new()),
            Wish::Add(addition) => {
                (http::Method::POST, "/cart/items".to_owned(), write(serde_json::to_vec(addition)))
            }
            Wish::Checkout(flow, order) => {
                (http::Method::POST, flow.edge().to_owned(), write(serde_json::to_vec(order)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits(seed: u64) -> Vec<Visit> {
        let mix = Mix::of_seed(seed, Flow::Express, Some("crème"));
        Traffic::new(seed, mix).take(2_000).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_visits_in_the_same_order() {
        assert_eq!(visits(5), visits(5));
        assert_ne!(visits(5), visits(6));
    }

    #[test]
    fn customers_come_as_often_and_pay_as_they_should() {
        let visits = visits(5);
        let seconds = visits[visits.len() - 1].after.as_secs_f64();
        let rate = visits.len() as f64 / seconds;
        assert!((rate / VISITS_PER_SECOND - 1.0).abs() < 0.1, "{rate} visits per second");
        let orders: Vec<_> = visits
            .iter()
            .filter_map(|visit| match &visit.wish {
                Wish::Checkout(flow, order) => Some((flow, order)),
                _ => None,
            })
            .collect();
        let share = |found: usize| found as f64 / orders.len() as f64;
        let express = share(orders.iter().filter(|(flow, _)| **flow == Flow::Express).count());
        assert!((0.5..0.8).contains(&express), "{express} of orders are express");
        let liked = |order: &Order| match &order.tender {
            Tender::GiftCard { code } => code.contains("crème"),
            _ => false,
        };
        let gifts = share(orders.iter().filter(|(_, order)| liked(order)).count());
        assert!((0.08..0.25).contains(&gifts), "{gifts} of orders with the brand in question");
    }
}
