//! What a shop of ten services sends in an hour: requests with ids of their own, users that come
//! back, routes, pods, versions, statements, durations over several orders of magnitude.

use std::collections::BTreeMap;

use super::{Dice, START_NS, int, message, text};
use crate::wire::Writer;

/// From one request of the shop to the next, on average: 40 a second.
pub const REQUEST_EVERY_NS: u64 = 25_000_000;
const USERS: u64 = 50_000;
const PODS: u64 = 3;
/// One request in so many fails.
const FAILS_PART: u64 = 60;

/// A call of a request: who makes it, what it is, which call it belongs to.
struct Call {
    service: &'static str,
    name: &'static str,
    /// `SpanKind` of OTLP.
    kind: u64,
    parent: Option<usize>,
    what: What,
    /// Its own time, without that of its children, in microseconds.
    own_us: u64,
}

#[derive(Clone, Copy)]
enum What {
    Http(&'static str, &'static str),
    Db(&'static str, &'static str),
    Queue(&'static str),
    Inside,
}

const fn call(
    service: &'static str,
    name: &'static str,
    kind: u64,
    parent: Option<usize>,
    what: What,
    own_us: u64,
) -> Call {
    Call { service, name, kind, parent, what, own_us }
}

use What::{Db, Http, Inside, Queue};

const BROWSE: &[Call] = &[
    call("gateway", "GET /products/{id}", 2, None, Http("GET", "/products/{id}"), 900),
    call("gateway", "GET", 3, Some(0), Http("GET", "/catalog/{id}"), 300),
    call("catalog", "GET /catalog/{id}", 2, Some(1), Http("GET", "/catalog/{id}"), 1_500),
    call("catalog", "SELECT products", 3, Some(2), Db("SELECT", "products"), 2_200),
    call("gateway", "GET", 3, Some(0), Http("GET", "/recommend"), 300),
    call("recommend", "GET /recommend", 2, Some(4), Http("GET", "/recommend"), 8_000),
];

const CHECKOUT: &[Call] = &[
    call("gateway", "POST /checkout", 2, None, Http("POST", "/checkout"), 1_100),
    call("gateway", "POST", 3, Some(0), Http("POST", "/orders"), 300),
    call("checkout", "POST /orders", 2, Some(1), Http("POST", "/orders"), 3_000),
    call("checkout", "GET", 3, Some(2), Http("GET", "/cart/{user}"), 200),
    call("cart", "GET /cart/{user}", 2, Some(3), Http("GET", "/cart/{user}"), 800),
    call("cart", "GET cart", 3, Some(4), Db("GET", "cart"), 300),
    call("checkout", "POST", 3, Some(2), Http("POST", "/price"), 200),
    call("pricing", "POST /price", 2, Some(6), Http("POST", "/price"), 2_400),
    call("checkout", "PUT", 3, Some(2), Http("PUT", "/stock/{sku}"), 200),
    call("inventory", "PUT /stock/{sku}", 2, Some(8), Http("PUT", "/stock/{sku}"), 900),
    call("inventory", "UPDATE stock", 3, Some(9), Db("UPDATE", "stock"), 4_000),
    call("checkout", "POST", 3, Some(2), Http("POST", "/charge"), 200),
    call("payment", "POST /charge", 2, Some(11), Http("POST", "/charge"), 2_000),
    call("payment", "authorize card", 1, Some(12), Inside, 60_000),
    call("payment", "INSERT payments", 3, Some(12), Db("INSERT", "payments"), 3_000),
    call("checkout", "orders publish", 4, Some(2), Queue("orders"), 700),
    call("shipping", "orders process", 5, Some(15), Queue("orders"), 9_000),
    call("mail", "orders process", 5, Some(15), Queue("orders"), 40_000),
];

/// One request of the shop.
struct Request {
    number: u64,
    calls: &'static [Call],
    dice: Dice,
    start_ns: u64,
    failed: bool,
    user: u64,
}

/// One call of it.
struct Span {
    place: usize,
    id: u64,
    start_ns: u64,
    duration_ns: u64,
}

/// An `ExportTraceServiceRequest` with the spans of the requests `numbers`. Neighbouring numbers
/// are neighbours in time.
pub fn traces(seed: u64, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let requests: Vec<Request> = numbers.map(|number| Request::new(seed, number)).collect();
    let mut by_pod: BTreeMap<(&str, u64), Vec<(usize, Span)>> = BTreeMap::new();
    for (place, request) in requests.iter().enumerate() {
        let mut dice = Dice(request.dice.0);
        for span in request.spans(&mut dice) {
            let service = request.calls[span.place].service;
            let pod = (request.number * 7 + span.place as u64 / 4) % PODS;
            by_pod.entry((service, pod)).or_default().push((place, span));
        }
    }
    let mut export = Writer::new();
    for ((service, pod), spans) in &by_pod {
        message(&mut export, 1, |resource_spans| {
            message(resource_spans, 1, |resource| write_resource(resource, service, *pod));
            message(resource_spans, 2, |scope_spans| {
                message(scope_spans, 1, |scope| {
                    scope.bytes(1, b"opentelemetry-instrumentation-http");
                    scope.bytes(2, b"1.31.0");
                });
                for (place, span) in spans {
                    message(scope_spans, 2, |writer| requests[*place].write(writer, span));
                }
            });
        });
    }
    export.into_bytes()
}

/// Spans of the requests `numbers`.
pub fn spans(seed: u64, numbers: std::ops::Range<u64>) -> usize {
    numbers.map(|number| Request::new(seed, number).calls.len()).sum()
}

fn uuid(dice: &mut Dice) -> String {
    let (high, low) = (dice.next(), dice.next());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
}

impl Request {
    fn new(seed: u64, number: u64) -> Request {
        let mut dice = Dice(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let calls = if dice.next().is_multiple_of(4) { CHECKOUT } else { BROWSE };
        let start_ns = START_NS + number * REQUEST_EVERY_NS + dice.next() % REQUEST_EVERY_NS;
        let failed = dice.next().is_multiple_of(FAILS_PART);
        // A few users come often.
        let user = (dice.next() % USERS).min(dice.next() % USERS);
        Request { number, calls, dice, start_ns, failed, user }
    }

    fn trace_id(&self) -> [u8; 16] {
        let mut dice = Dice(self.dice.0 ^ 0x5a5a);
        let halves = [dice.next().to_be_bytes(), dice.next().to_be_bytes()];
        std::array::from_fn(|byte| halves[byte / 8][byte % 8])
    }

    /// Spans with their times: children one after the other, inside their parent.
    fn spans(&self, dice: &mut Dice) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::with_capacity(self.calls.len());
        let own = |dice: &mut Dice, call: &Call| {
            // Between half of and, seldom, twenty times the usual.
            let tail = dice.next() % 1_000;
            let stretch = 500 + dice.next() % 1_000 + if tail > 985 { tail * 18 } else { 0 };
            call.own_us * stretch + dice.next() % 1_000
        };
        let owns: Vec<u64> = self.calls.iter().map(|call| own(dice, call)).collect();
        let mut totals = owns.clone();
        for (place, call) in self.calls.iter().enumerate().rev() {
            if let Some(parent) = call.parent {
                totals[parent] += totals[place];
            }
        }
        let mut used = vec![0; self.calls.len()];
        for (place, call) in self.calls.iter().enumerate() {
            let start_ns = match call.parent {
                None => self.start_ns,
                Some(parent) => {
                    let begin = spans[parent].start_ns + owns[parent] / 3 + used[parent];
                    used[parent] += totals[place];
                    begin
                }
            };
            let id = dice.next() | 1;
            spans.push(Span { place, id, start_ns, duration_ns: totals[place] });
        }
        spans
    }

    fn write(&self, writer: &mut Writer, span: &Span) {
        let call = &self.calls[span.place];
        let failed =
            self.failed && matches!(call.what, Http(_, "/charge" | "/orders" | "/checkout"));
        writer.bytes(1, &self.trace_id());
        writer.bytes(2, &span.id.to_be_bytes());
        if let Some(parent) = call.parent {
            let mut dice = Dice(self.dice.0);
            let parent = self.spans(&mut dice)[parent].id;
            writer.bytes(4, &parent.to_be_bytes());
        }
        writer.bytes(5, call.name.as_bytes());
        writer.varint(6, call.kind);
        writer.fixed64(7, span.start_ns);
        writer.fixed64(8, span.start_ns + span.duration_ns);
        self.attributes(writer, call, failed);
        if failed {
            message(writer, 15, |status| {
                status.bytes(2, b"upstream timed out after 3000 ms");
                status.varint(3, 2);
            });
        }
        writer.fixed32(16, 0x101);
    }

    fn attributes(&self, span: &mut Writer, call: &Call, failed: bool) {
        let mut dice = Dice(self.dice.0 ^ 0x00a1_1ce5);
        let (request, session, order) = (uuid(&mut dice), uuid(&mut dice), uuid(&mut dice));
        let sku = dice.next() % 9_000;
        let id = match call.name {
            name if name.contains("{user}") => format!("{}", self.user),
            name if name.contains("{sku}") => format!("sku-{sku}"),
            _ => format!("{}", 100_000 + sku),
        };
        match call.what {
            Http(method, route) => {
                text(span, 9, "http.request.method", method);
                text(span, 9, "http.route", route);
                let path = route.replace("{user}", &id).replace("{sku}", &id).replace("{id}", &id);
                text(span, 9, "url.path", &path);
                int(span, 9, "http.response.status_code", if failed { 504 } else { 200 });
                text(span, 9, "server.address", &format!("{}.shop.svc", call.service));
                int(span, 9, "server.port", 8_080);
                text(span, 9, "network.protocol.version", "1.1");
                text(span, 9, "http.request.header.x-request-id", &request);
            }
            Db(operation, table) => {
                text(span, 9, "db.system.name", "postgresql");
                text(span, 9, "db.namespace", "shop");
                text(span, 9, "db.operation.name", operation);
                text(span, 9, "db.collection.name", table);
                let statement = format!("{operation} * FROM {table} WHERE id = $1 LIMIT $2");
                text(span, 9, "db.query.text", &statement);
                int(span, 9, "db.rows", 1 + sku % 7);
            }
            Queue(topic) => {
                text(span, 9, "messaging.system", "kafka");
                text(span, 9, "messaging.destination.name", topic);
                text(span, 9, "messaging.message.conversation_id", &request);
                int(span, 9, "messaging.kafka.offset", self.number);
            }
            Inside => text(span, 9, "card.scheme", ["visa", "mc", "amex"][sku as usize % 3]),
        }
        if call.parent.is_none() {
            text(span, 9, "user_agent.original", super::AGENTS[sku as usize % 3]);
            text(span, 9, "session.id", &session);
            text(span, 9, "client.address", &format!("10.{}.{}.7", sku % 200, self.user % 250));
        }
        if call.kind == 2 {
            text(span, 9, "user.id", &format!("user-{}", self.user));
            text(span, 9, "shop.region", super::REGIONS[self.user as usize % 3]);
            text(span, 9, "thread.name", &format!("worker-{}", dice.next() % 16));
        }
        if self.calls.len() > 6 && call.kind == 2 {
            text(span, 9, "shop.order.id", &order);
            int(span, 9, "shop.items", 1 + sku % 9);
            text(
                span,
                9,
                "feature.new_prices",
                if self.user.is_multiple_of(10) { "on" } else { "off" },
            );
        }
    }
}

fn write_resource(resource: &mut Writer, service: &str, pod: u64) {
    let name = format!("{service}-7c9f8d5b6-x{pod}x8k");
    text(resource, 1, "service.name", service);
    text(resource, 1, "service.namespace", "shop");
    text(resource, 1, "service.version", if pod == 0 { "2.4.0" } else { "2.3.1" });
    text(resource, 1, "service.instance.id", &name);
    text(resource, 1, "k8s.pod.name", &name);
    text(resource, 1, "k8s.namespace.name", "shop");
    text(resource, 1, "k8s.node.name", &format!("node-{pod}.internal"));
    text(resource, 1, "deployment.environment.name", "production");
    text(resource, 1, "telemetry.sdk.language", "rust");
    text(resource, 1, "telemetry.sdk.name", "opentelemetry");
    text(resource, 1, "telemetry.sdk.version", "0.33.0");
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    #[test]
    fn a_request_is_one_trace_whose_children_lie_inside_their_parents() {
        let bytes = traces(7, 0..40);
        assert_eq!(bytes, traces(7, 0..40));
        let request = ExportTraceServiceRequest::decode(&*bytes).expect("OTLP");
        let all: Vec<_> = request
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans)
            .collect();
        assert_eq!(all.len(), spans(7, 0..40));
        for span in &all {
            let Some(parent) = all.iter().find(|other| other.span_id == span.parent_span_id) else {
                assert!(span.parent_span_id.is_empty());
                continue;
            };
            assert_eq!(parent.trace_id, span.trace_id);
            assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
            assert!(span.end_time_unix_nano <= parent.end_time_unix_nano);
        }
    }
}
