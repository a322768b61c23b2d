//! A made-up shop whose requests fail for known reasons, as batches of spans. Everything comes
//! from the seed.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod cascade;
pub(crate) mod plans;
pub(crate) mod rows;
pub(crate) mod told;

use std::collections::BTreeMap;

use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

use rows::{Span, Value};

/// When the window of every shop begins: 2026-11-20T14:00:00Z.
pub(crate) const BEGIN_NS: i64 = 1_795_183_200 * SECOND_NS;

/// Length of the window.
pub(crate) const WINDOW_S: i64 = 600;

/// Pods of every service.
pub(crate) const PODS: usize = 3;

/// A small generator with a seed (S. Vigna, splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        ((self.next() >> 11) as f64 / (1_u64 << 53) as f64) < share
    }
}

/// What is true of one request before anything happens to it.
pub(crate) struct Visit {
    /// Seconds since the begin of the window.
    pub(crate) second: f64,
    pub(crate) checkout: bool,
    pub(crate) tenant: usize,
    pub(crate) region: &'static str,
    pub(crate) gift_card: bool,
    pub(crate) cart_items: usize,
    /// The pod that each service takes it with.
    pub(crate) pods: BTreeMap<&'static str, usize>,
    /// Whatever chance a fault needs: 0 to 1.
    pub(crate) luck: f64,
}

impl Visit {
    pub(crate) fn pod(&self, service: &str) -> usize {
        // No dice of their own: what happens elsewhere is the same with and without vouchers.
        let vouchers = || (self.luck * 1e6) as usize % PODS;
        self.pods.get(service).copied().unwrap_or_else(vouchers)
    }
}

/// What goes wrong in a request.
#[derive(Clone)]
pub(crate) struct Fault {
    /// The service in which it goes wrong.
    pub(crate) service: &'static str,
    /// The service that it calls in vain, for a call that fails on the caller's side.
    pub(crate) calling: Option<&'static str>,
    pub(crate) reason: String,
    pub(crate) lasts_ms: i64,
    /// Whether it fails; else it only takes so much longer.
    pub(crate) fails: bool,
}

impl Fault {
    pub(crate) fn inside(service: &'static str, reason: &str) -> Option<Fault> {
        Some(Fault { service, calling: None, reason: reason.into(), lasts_ms: 5, fails: true })
    }

    pub(crate) fn timeout(service: &'static str, calling: &'static str, ms: i64) -> Option<Fault> {
        let reason = format!("timed out waiting for {calling}");
        Some(Fault { service, calling: Some(calling), reason, lasts_ms: ms, fails: true })
    }

    /// Nothing fails: the service, or its call of another one, takes so much longer.
    pub(crate) fn delay(
        service: &'static str,
        calling: Option<&'static str>,
        ms: i64,
    ) -> Option<Fault> {
        Some(Fault { service, calling, reason: String::new(), lasts_ms: ms, fails: false })
    }
}

/// The services of the shop, callers first. The card gateway sends no spans.
pub(crate) const SERVICES: [&str; 7] =
    ["gateway", "checkout", "inventory", "pricing", "payment", "catalog", "recommendation"];

pub(crate) type FaultRule = Box<dyn Fn(&Visit) -> Option<Fault>>;
pub(crate) type VersionRule = Box<dyn Fn(&str, usize, f64) -> &'static str>;

pub(crate) struct Shop {
    pub(crate) seed: u64,
    pub(crate) requests: usize,
    /// Share of requests that fail for no reason, anywhere.
    pub(crate) background: f64,
    pub(crate) fault: FaultRule,
    /// Version by service, pod and second.
    pub(crate) version: VersionRule,
    /// Whether payment asks the service of vouchers about gift cards, and only then.
    pub(crate) vouchers: bool,
    /// How many spans each request stands for.
    pub(crate) weight: Option<f64>,
}

impl Shop {
    pub(crate) fn new(seed: u64) -> Shop {
        Shop {
            seed,
            requests: 2_500,
            background: 0.002,
            fault: Box::new(|_| None),
            version: Box::new(|_, _, _| "1.4.0"),
            vouchers: false,
            weight: None,
        }
    }

    pub(crate) fn failing(mut self, rule: impl Fn(&Visit) -> Option<Fault> + 'static) -> Shop {
        self.fault = Box::new(rule);
        self
    }

    pub(crate) fn versions(
        mut self,
        rule: impl Fn(&str, usize, f64) -> &'static str + 'static,
    ) -> Shop {
        self.version = Box::new(rule);
        self
    }

    pub(crate) fn window(&self) -> TimeRange {
        let begin = UnixNanos(BEGIN_NS);
        TimeRange { from: begin, to: begin.shifted(WINDOW_S * SECOND_NS) }
    }

    /// All spans of all requests.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut dice = Dice(self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut spans = Vec::new();
        for number in 0..self.requests {
            let second = WINDOW_S as f64 * number as f64 / self.requests as f64;
            let visit = visit(&mut dice, second);
            let fault = if dice.chance(self.background) {
                let service = SERVICES[dice.below(SERVICES.len())];
                Fault::inside(service, "unexpected end of file")
            } else {
                (self.fault)(&visit)
            };
            let trace = u128::from(dice.next()) << 64 | u128::from(dice.next());
            let mut request =
                Request { shop: self, visit: &visit, fault, trace, spans: Vec::new() };
            request.enter(&mut dice);
            spans.append(&mut request.spans);
        }
        spans
    }
}

fn visit(dice: &mut Dice, second: f64) -> Visit {
    Visit {
        second,
        checkout: dice.chance(0.7),
        tenant: dice.below(12),
        region: ["eu-west-1", "us-east-1", "ap-south-1"][dice.below(3)],
        gift_card: dice.chance(0.15),
        cart_items: 1 + dice.below(60),
        pods: SERVICES.into_iter().map(|service| (service, dice.below(PODS))).collect(),
        luck: (dice.next() >> 11) as f64 / (1_u64 << 53) as f64,
    }
}

struct Request<'s> {
    shop: &'s Shop,
    visit: &'s Visit,
    fault: Option<Fault>,
    trace: u128,
    spans: Vec<Span>,
}

impl Request<'_> {
    fn enter(&mut self, dice: &mut Dice) {
        let at = BEGIN_NS + (self.visit.second * 1e9) as i64;
        let (route, calls): (&str, &[&str]) = if self.visit.checkout {
            ("POST /checkout", &["checkout"])
        } else {
            ("GET /product", &["catalog", "recommendation"])
        };
        let user = format!("user-{}", dice.next());
        let attributes = vec![
            ("span.app.tenant", Value::Text(format!("tenant-{}", self.visit.tenant))),
            ("span.app.region", Value::Text(self.visit.region.into())),
            ("span.user.id", Value::Text(user)),
        ];
        self.serve("gateway", route, 0, at, attributes, calls, dice);
    }

    /// A server span of a service with the calls it makes; gives its end and whether it failed.
    #[allow(clippy::too_many_arguments)]
    fn serve(
        &mut self,
        service: &'static str,
        name: &str,
        parent: u64,
        at: i64,
        attributes: Vec<(&'static str, Value)>,
        calls: &[&'static str],
        dice: &mut Dice,
    ) -> (i64, bool) {
        let id = dice.next() | 1;
        let own = self.spans.len();
        let mut span = self.span(service, name, "server", id, parent, at);
        span.attributes.extend(attributes);
        self.spans.push(span);
        let mut now = at + 1_000_000 + dice.below(2_000_000) as i64;
        let mut failed = None;
        for callee in calls.iter().copied() {
            let (end, bad) = self.call(service, callee, id, now, dice);
            now = end + 100_000;
            if bad {
                failed = Some(format!("{callee} failed"));
                break;
            }
        }
        let mine = self.fault.clone().filter(|f| f.service == service && f.calling.is_none());
        if let (Some(fault), None) = (mine, &failed) {
            now += fault.lasts_ms * 1_000_000;
            failed = fault.fails.then_some(fault.reason);
        }
        now += 500_000 + dice.below(1_000_000) as i64;
        let span = &mut self.spans[own];
        span.duration = Some(now - at);
        let status = if failed.is_some() { 500 } else { 200 };
        span.attributes.push(("span.http.response.status_code", Value::Int(status)));
        if let Some(reason) = &failed {
            span.status = "error";
            span.message = Some(reason.clone());
            span.attributes.push(("span.error.type", Value::Text("500".into())));
        }
        (now, failed.is_some())
    }

    fn call(
        &mut self,
        service: &'static str,
        callee: &'static str,
        parent: u64,
        at: i64,
        dice: &mut Dice,
    ) -> (i64, bool) {
        let id = dice.next() | 1;
        let own = self.spans.len();
        let mut span = self.span(service, &format!("call {callee}"), "client", id, parent, at);
        span.attributes.push(("span.service.peer.name", Value::Text(callee.into())));
        self.spans.push(span);
        let hit = |fault: &Fault| fault.service == service && fault.calling == Some(callee);
        let fault = self.fault.clone().filter(hit);
        let (end, bad) = match fault {
            Some(fault) => {
                self.spans[own].message = fault.fails.then_some(fault.reason);
                (at + fault.lasts_ms * 1_000_000 + dice.below(3_000_000) as i64, fault.fails)
            }
            None if callee == "card-gateway" => (at + 20_000_000, false),
            None => {
                let calls: &[&str] = match callee {
                    "checkout" => &["inventory", "pricing", "payment"],
                    "payment" if self.shop.vouchers && self.visit.gift_card => {
                        &["vouchers", "card-gateway"]
                    }
                    "payment" => &["card-gateway"],
                    _ => &[],
                };
                let attributes = self.attributes_of(callee);
                self.serve(callee, &format!("{callee}/handle"), id, at, attributes, calls, dice)
            }
        };
        let span = &mut self.spans[own];
        span.duration = Some(end + 100_000 - at);
        if bad {
            span.status = "error";
        }
        (end + 100_000, bad)
    }

    fn attributes_of(&self, service: &str) -> Vec<(&'static str, Value)> {
        match service {
            "payment" => vec![("span.app.gift_card", Value::Bool(self.visit.gift_card))],
            "checkout" => vec![("span.cart.items", Value::Int(self.visit.cart_items as i64))],
            _ => Vec::new(),
        }
    }

    fn span(
        &self,
        service: &'static str,
        name: &str,
        kind: &'static str,
        id: u64,
        parent: u64,
        start: i64,
    ) -> Span {
        let pod = self.visit.pod(service);
        let version = (self.shop.version)(service, pod, self.visit.second);
        let text = |text: String| Value::Text(text);
        Span {
            trace: self.trace,
            id,
            parent,
            start,
            duration: Some(0),
            service: service.into(),
            name: name.into(),
            kind,
            status: "unset",
            message: None,
            weight: self.shop.weight,
            attributes: vec![
                ("resource.service.version", text(version.into())),
                ("resource.k8s.pod.name", text(format!("{service}-{version}-{pod}"))),
                ("resource.service.instance.id", text(format!("{service}/{version}/{pod}"))),
                ("resource.host.name", text(format!("node-{service}-{version}-{pod}"))),
                ("resource.telemetry.sdk.language", text("rust".into())),
            ],
        }
    }
}
