//! `trace --compare` over a real store.

use halfopen_model::TraceId;
use halfopen_model::answer::{Oddity, TraceComparison};
use halfopen_serve::desk::Beside;

use crate::shop::rows::Span;
use crate::shop::{Fault, Shop};
use crate::why_sql::Office;

/// A shop in which one pod of pricing is slow, and fails for one tenant.
fn shop() -> Shop {
    let mut shop = Shop::new(7).failing(|visit| {
        let hit = visit.checkout && visit.pod("pricing") == 2;
        match (hit, visit.tenant) {
            (true, 3) => Fault::inside("pricing", "no price"),
            (true, _) => Fault::delay("pricing", None, 300),
            _ => None,
        }
    });
    shop.requests = 1_500;
    shop
}

/// The trace of the span in the middle of those that `is` holds for.
fn trace_of(spans: &[Span], is: impl Fn(&&Span) -> bool) -> TraceId {
    let found: Vec<&Span> = spans.iter().filter(is).collect();
    TraceId(found[found.len() / 2].trace.to_be_bytes())
}

fn telling(comparison: &TraceComparison) -> (&str, &str) {
    let call = &comparison.calls[comparison.telling.expect("a call that tells")];
    (&call.service, &call.name)
}

fn is_pod_named(comparison: &TraceComparison) -> bool {
    let pod = |one: &&halfopen_model::answer::ComparedAttribute| {
        one.service == "pricing" && one.attribute == "resource.k8s.pod.name"
    };
    let told = comparison.attributes.iter().find(pod);
    told.is_some_and(|one| one.here.as_deref() == Some("pricing-1.4.0-2"))
}

#[tokio::test]
async fn a_slow_and_a_failed_request_are_told_from_their_peers() {
    let spans = shop().spans();
    let office = Office::over(&spans).await;
    let is_pricing = |span: &&Span| span.service == "pricing" && span.kind == "server";
    let slow = |span: &&Span| is_pricing(span) && span.duration.unwrap_or(0) > 300_000_000;
    let slow = trace_of(&spans, slow).to_string();
    let reply = office.desk.compare(&slow, &Beside::Peers).await.expect("an answer");
    let told = reply.comparison.expect("a comparison");
    assert_eq!(telling(&told), ("pricing", "pricing/handle"));
    assert!(!told.failed && told.peers >= 100, "{} peers", told.peers);
    assert!(told.peers_failed > 0 && told.peers_slow > 0 && is_pod_named(&told), "{told:#?}");
    let twin = told.twin.expect("a twin");
    assert!(!twin.named && twin.took_ns < Some(300_000_000));

    let failed = |span: &&Span| is_pricing(span) && span.message.as_deref() == Some("no price");
    let failed = trace_of(&spans, failed).to_string();
    let with = Beside::Trace(slow.clone());
    let reply = office.desk.compare(&failed, &with).await.expect("an answer");
    let told = reply.comparison.expect("a comparison");
    assert_eq!(telling(&told), ("pricing", "pricing/handle"));
    let call = &told.calls[told.telling.expect("a call")];
    assert!(told.failed && call.odd.contains(&Oddity::Fails), "{call:?}");
    let twin = told.twin.as_ref().expect("a twin");
    assert!(twin.named && twin.trace_id.to_string() == slow);
    // The payment that would have come next was never asked for.
    let payment = told.calls.iter().find(|call| call.name == "call payment").expect("a call");
    assert_eq!((payment.here, payment.odd.as_slice()), (None, &[Oddity::NotHere][..]));

    // An id that means nothing gets a reply about that id.
    let reply = office.desk.compare(&failed, &Beside::Trace("nothing".into())).await;
    let reply = reply.expect("an answer");
    assert_eq!((reply.id.as_str(), reply.trace, reply.comparison), ("nothing", None, None));
    office.close().await;
}
