//! Callers that give up from the outside in, while those whom they wait for go on working.

use halfopen_model::time::SECOND_NS;

use super::rows::{Span, Value};
use super::{Fault, Shop};

/// How long each caller waits, in nanoseconds; the gateway calls first, so its time ends first.
pub(crate) const WAIT_NS: i64 = SECOND_NS;

/// One pod of pricing gets another configuration at 300 s; from then on it waits for a lock, as
/// most of its requests do, for three seconds.
pub(crate) fn locked(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        let new = visit.pod("pricing") == 1 && visit.second >= 300.0;
        let hit = visit.checkout && new && visit.luck < 0.8;
        hit.then(|| Fault::delay("pricing", None, 3_000)).flatten()
    })
}

/// The spans of [`locked`] as they are when nobody waits longer than a second.
pub(crate) fn spans(shop: &Shop) -> Vec<Span> {
    let spans = shop.spans();
    let mut told = Vec::with_capacity(spans.len());
    for trace in spans.chunk_by(|a, b| a.trace == b.trace) {
        let mut trace = trace.to_vec();
        let from_ns = super::BEGIN_NS + 300 * SECOND_NS;
        for span in trace.iter_mut().filter(|span| span.service == "pricing") {
            let pod = format!("pricing-{}-1", "1.4.0");
            let is_pod = span.attributes.contains(&("resource.k8s.pod.name", Value::Text(pod)));
            let hash = if is_pod && span.start >= from_ns { "hash-b" } else { "hash-a" };
            span.attributes.push(("resource.config.hash", Value::Text(hash.into())));
        }
        let slow = |span: &Span| span.duration.is_some_and(|ns| ns > 2 * SECOND_NS);
        let handle = trace.iter().find(|span| span.name == "pricing/handle").cloned();
        trace.extend(handle.iter().flat_map(inside));
        match handle.filter(slow) {
            Some(handle) => told.extend(given_up(trace, &handle)),
            None => told.extend(trace),
        }
    }
    told
}

/// One request whose callers gave up.
fn given_up(mut trace: Vec<Span>, handle: &Span) -> Vec<Span> {
    let asked_ns = trace.iter().find(|span| span.id == handle.parent).expect("its call").start;
    let end = |span: &Span| match span.name.as_str() {
        "call pricing" => asked_ns + WAIT_NS,
        "checkout/handle" => asked_ns + WAIT_NS + 1_000_000,
        "call checkout" => span.start + WAIT_NS,
        _ => span.start,
    };
    let gateway_ns = trace.iter().find(|span| span.name == "call checkout").map(&end);
    trace.retain(|span| span.start <= asked_ns || span.service == "pricing");
    for span in &mut trace {
        let (until, message) = match span.name.as_str() {
            "call pricing" | "call checkout" => (end(span), "timeout: no answer in time"),
            "checkout/handle" => (end(span), "pricing did not answer"),
            "POST /checkout" => (gateway_ns.expect("it was called") + 500_000, "no checkout"),
            _ => continue,
        };
        span.duration = Some(until - span.start);
        span.status = "error";
        span.message = Some(message.into());
        span.attributes.retain(|(name, _)| *name != "span.http.response.status_code");
    }
    trace
}

/// What pricing does: it asks a cache that is not there, which it can do without, then it waits
/// for a lock.
fn inside(handle: &Span) -> [Span; 2] {
    let whole_ns = handle.duration.unwrap_or_default();
    let inner = |id: u64, name: &str, from_ns: i64, lasts_ns: i64| Span {
        id: handle.id ^ id,
        parent: handle.id,
        start: handle.start + from_ns,
        duration: Some(lasts_ns),
        name: name.into(),
        kind: "internal",
        status: "unset",
        message: None,
        ..handle.clone()
    };
    let mut cache = inner(0x5000, "ask cache", 1_000, 100_000);
    (cache.status, cache.message) = ("error", Some("no cache".into()));
    [cache, inner(0xa000, "wait for lock", 200_000, whole_ns - 400_000)]
}
