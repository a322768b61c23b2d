//! Realistic requests from a seed, for benchmarks and for the tests of other rooms.
//!
//! **Invariant:** the same arguments always yield the same bytes.

use std::convert::Infallible;

use crate::wire::Writer;

pub mod shop;

/// Spans that one service sends in a row, as an exporter's batch would.
const SPANS_PER_SERVICE: usize = 256;
/// Spans of one trace that stand in one batch.
const SPANS_PER_TRACE: u64 = 4;
/// When the first span starts: 2026-11-20T14:30:00Z.
pub const START_NS: u64 = 1_795_185_000_000_000_000;
/// From the start of one span to that of the next.
const STEP_NS: u64 = 1_000_000;

const SERVICES: [&str; 6] = ["gateway", "checkout", "payment", "inventory", "pricing", "mail"];
const ROUTES: [&str; 6] =
    ["/checkout", "/cart/{id}", "/orders/{id}", "/stock/{sku}", "/price", "/health"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const AGENTS: [&str; 3] =
    ["Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "okhttp/5.1.0", "python-httpx/0.28.1"];
const REGIONS: [&str; 3] = ["eu-west-1", "eu-central-1", "us-east-1"];

/// Numbers that look random and follow from a seed (the generator is SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}

/// An `ExportTraceServiceRequest` with `spans` spans of `attributes` attributes each: HTTP calls
/// of a few services, one in fifty of them failing.
pub fn traces(seed: u64, spans: usize, attributes: usize) -> Vec<u8> {
    requests(seed, spans, attributes, false)
}

/// The same, and the first span of each trace carries the id of its request: a UUID in the header
/// `x-request-id`. [`ids_of`] tells which.
pub fn traces_with_ids(seed: u64, spans: usize, attributes: usize) -> Vec<u8> {
    requests(seed, spans, attributes, true)
}

/// Trace id and request id of a trace that [`traces_with_ids`] makes; number 0 is the first.
pub fn ids_of(seed: u64, number: usize) -> ([u8; 16], String) {
    let mut dice = dice_of_trace(seed, number as u64);
    let trace_id = (u128::from(dice.next()) << 64) | u128::from(dice.next());
    (trace_id.to_be_bytes(), request_id(&trace_id.to_be_bytes()))
}

fn dice_of_trace(seed: u64, number: u64) -> Dice {
    Dice(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d))
}

/// A UUID that follows from the trace, and does not look like it.
fn request_id(trace_id: &[u8]) -> String {
    let seed = trace_id.iter().fold(0_u64, |sum, byte| sum.rotate_left(9) ^ u64::from(*byte));
    let mut dice = Dice(!seed);
    let hex = format!("{:016x}{:016x}", dice.next(), dice.next());
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

fn requests(seed: u64, spans: usize, attributes: usize, with_ids: bool) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut request = Writer::new();
    let mut written = 0;
    while written < spans {
        let batch = (spans - written).min(SPANS_PER_SERVICE);
        let service = SERVICES[(written / SPANS_PER_SERVICE) % SERVICES.len()];
        message(&mut request, 1, |resource_spans| {
            message(resource_spans, 1, |resource| write_resource(resource, service));
            message(resource_spans, 2, |scope_spans| {
                message(scope_spans, 1, |scope| {
                    scope.bytes(1, b"opentelemetry-instrumentation-http");
                    scope.bytes(2, b"1.31.0");
                });
                for index in written..written + batch {
                    message(scope_spans, 2, |span| {
                        write_span(span, &mut dice, seed, index as u64, attributes);
                        if with_ids && (index as u64).is_multiple_of(SPANS_PER_TRACE) {
                            let (_, id) = ids_of(seed, index / SPANS_PER_TRACE as usize);
                            text(span, 9, "http.request.header.x-request-id", &id);
                        }
                    });
                }
            });
        });
        written += batch;
    }
    request.into_bytes()
}

fn message(writer: &mut Writer, field: u32, fill: impl FnOnce(&mut Writer)) {
    let filled = writer.message(field, |inner| {
        fill(inner);
        Ok::<(), Infallible>(())
    });
    match filled {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

fn write_resource(resource: &mut Writer, service: &str) {
    text(resource, 1, "service.name", service);
    text(resource, 1, "service.namespace", "shop");
    text(resource, 1, "service.version", "2.3.0");
    text(resource, 1, "service.instance.id", &format!("{service}-7c9f8d5b6-x2x8k"));
    text(resource, 1, "k8s.pod.name", &format!("{service}-7c9f8d5b6-x2x8k"));
    text(resource, 1, "k8s.namespace.name", "shop");
    text(resource, 1, "host.name", "node-3.internal");
    text(resource, 1, "telemetry.sdk.language", "rust");
    text(resource, 1, "telemetry.sdk.name", "opentelemetry");
    text(resource, 1, "telemetry.sdk.version", "0.33.0");
}

fn write_span(span: &mut Writer, dice: &mut Dice, seed: u64, index: u64, attributes: usize) {
    let mut trace = dice_of_trace(seed, index / SPANS_PER_TRACE);
    let trace_id = [trace.next().to_be_bytes(), trace.next().to_be_bytes()].concat();
    let span_id = (dice.next() | 1).to_be_bytes();
    let is_root = index.is_multiple_of(SPANS_PER_TRACE);
    let failed = dice.next().is_multiple_of(50);
    let start_ns = START_NS + index * STEP_NS;
    let duration_ns = 200_000 + dice.next() % 50_000_000;
    let method = dice.pick(&METHODS);
    let route = dice.pick(&ROUTES);
    span.bytes(1, &trace_id);
    span.bytes(2, &span_id);
    if !is_root {
        span.bytes(4, &(trace.next() | 1).to_be_bytes());
    }
    span.bytes(5, format!("{method} {route}").as_bytes());
    span.varint(6, if is_root { 2 } else { 3 });
    span.fixed64(7, start_ns);
    span.fixed64(8, start_ns + duration_ns);
    for position in 0..attributes {
        write_attribute(span, dice, position, (method, route, failed));
    }
    if failed {
        message(span, 15, |status| {
            status.bytes(2, b"upstream timed out");
            status.varint(3, 2);
        });
    }
    span.fixed32(16, 0x101);
}

/// The first six have columns of their own, the next six do not, and so on for ever.
fn write_attribute(
    span: &mut Writer,
    dice: &mut Dice,
    position: usize,
    (method, route, failed): (&str, &str, bool),
) {
    match position {
        0 => text(span, 9, "http.request.method", method),
        1 => text(span, 9, "http.route", route),
        2 => int(span, 9, "http.response.status_code", if failed { 504 } else { 200 }),
        3 => text(span, 9, "server.address", "payment.shop.internal"),
        4 => int(span, 9, "server.port", 8_080),
        5 => text(span, 9, "user_agent.original", dice.pick(&AGENTS)),
        6 => text(span, 9, "shop.customer.id", &format!("c-{:05}", dice.next() % 20_000)),
        7 => text(span, 9, "shop.region", dice.pick(&REGIONS)),
        8 => text(span, 9, "shop.order.id", &format!("o-{:012x}", dice.next() >> 16)),
        9 => int(span, 9, "shop.items", 1 + dice.next() % 9),
        10 => text(span, 9, "shop.flag.new_prices", if failed { "on" } else { "off" }),
        11 => int(span, 9, "shop.shard", dice.next() % 64),
        _ => text(span, 9, &format!("shop.extra.{position}"), dice.pick(&REGIONS)),
    }
}

fn text(writer: &mut Writer, field: u32, key: &str, value: &str) {
    message(writer, field, |pair| {
        pair.bytes(1, key.as_bytes());
        message(pair, 2, |any| any.bytes_always(1, value.as_bytes()));
    });
}

fn int(writer: &mut Writer, field: u32, key: &str, value: u64) {
    message(writer, field, |pair| {
        pair.bytes(1, key.as_bytes());
        message(pair, 2, |any| any.varint_always(3, value));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    #[test]
    fn the_first_span_of_a_trace_carries_the_id_of_the_request() {
        let bytes = traces_with_ids(7, 12, 3);
        let request = ExportTraceServiceRequest::decode(&*bytes).expect("OTLP");
        let spans = &request.resource_spans[0].scope_spans[0].spans;
        let (trace_id, request_id) = ids_of(7, 2);
        assert_eq!((&spans[8].trace_id[..], request_id.len()), (&trace_id[..], 36));
        assert!(format!("{:?}", spans[8].attributes).contains(&request_id));
        assert_eq!(spans[9].attributes.len(), 3);
    }

    #[test]
    fn an_official_server_reads_as_many_spans_as_were_asked_for() {
        let bytes = traces(7, 600, 12);
        assert_eq!(bytes, traces(7, 600, 12));
        let request = ExportTraceServiceRequest::decode(&*bytes).expect("OTLP");
        let services = request.resource_spans.iter();
        let spans: Vec<_> =
            services.flat_map(|service| &service.scope_spans).flat_map(|s| &s.spans).collect();
        assert_eq!((request.resource_spans.len(), spans.len()), (3, 600));
        assert!(spans.iter().all(|span| span.attributes.len() == 12 && span.trace_id.len() == 16));
    }
}
