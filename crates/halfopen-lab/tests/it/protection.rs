//! What the services of the shop pass on to each other, and what they refuse.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::json;

use crate::receiver::{Seen, text};
use crate::shop::{order_with, start};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// The span that `service` answered with.
#[track_caller]
fn served<'a>(spans: &'a [Seen], service: &str) -> &'a Seen {
    let mut found =
        spans.iter().filter(|seen| seen.service() == service && seen.span.kind == SERVER);
    let first = found.next().expect("it was called");
    assert!(found.next().is_none(), "{service} was called once");
    first
}

fn remaining_ms(seen: &Seen) -> u64 {
    let remaining = seen.get("halfopen.deadline.remaining_ms").expect("each hop knows it");
    remaining.parse().expect("a number")
}

/// Name, peer and reason of the decisions that stand in a span.
fn decisions(seen: &Seen) -> Vec<String> {
    let events = seen.span.events.iter().filter(|event| event.name.starts_with("halfopen."));
    events
        .map(|event| {
            let get = |key| text(&event.attributes, key).unwrap_or_default();
            format!("{} {} {}", event.name, get("halfopen.peer"), get("halfopen.reason"))
        })
        .collect()
}

#[tokio::test]
async fn the_deadline_travels_through_the_shop_and_only_shrinks() {
    let (shop, receiver) = start(1).await;
    let tender = json!({"GiftCard": {"code": "GC:acme:1-2:5000"}});
    let deadline = HeaderMap::from_iter([(
        http::HeaderName::from_static("halfopen-context"),
        http::HeaderValue::from_static("d=9000;a=1;b=2"),
    )]);
    let answer = order_with(&shop, tender, deadline).await;
    assert_eq!(answer.status, 200);
    shop.stop().await;

    let spans = receiver.spans();
    let path = ["gateway", "checkout", "payment", "gift-card"];
    let left: Vec<u64> = path.iter().map(|hop| remaining_ms(served(&spans, hop))).collect();
    assert!(left[0] <= 9_000, "{left:?}");
    // A twentieth is kept for the way back at each hop, whatever the time on the way.
    for hop in 1..path.len() {
        assert!(left[hop] * 20 <= left[hop - 1] * 19 + 20, "{path:?} {left:?}");
    }
    assert!(left[3] > 0);
    // The budget for retries travels too, and each hop lends at most half of what it has.
    let lent = |hop: &str| served(&spans, hop).get("halfopen.retry.budget_remaining");
    assert_eq!(lent("gateway").as_deref(), Some("2"));
    assert_eq!(lent("checkout").as_deref(), Some("1"));
    assert_eq!(lent("payment").as_deref(), Some("0"));
    assert_eq!(answer.headers["halfopen-returned"], "2", "nothing was spent");
}

#[tokio::test]
async fn the_customers_own_id_is_the_id_at_every_hop() {
    let (shop, receiver) = start(3).await;
    let id = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-request-id"),
        http::HeaderValue::from_static("basket-4711"),
    )]);
    let answer = order_with(&shop, json!({"Card": {"network": "visa"}}), id).await;
    assert_eq!(answer.headers["x-request-id"], "basket-4711");
    shop.stop().await;

    let mut hops: BTreeMap<String, usize> = BTreeMap::new();
    for seen in receiver.spans().iter().filter(|seen| [SERVER, CLIENT].contains(&seen.span.kind)) {
        let id = seen.get("http.request.header.x-request-id");
        assert_eq!(id.as_deref(), Some("basket-4711"), "{} in {}", seen.span.name, seen.service());
        *hops.entry(seen.service()).or_default() += 1;
    }
    assert!(hops.len() >= 8, "{hops:?}");
    for (_, body, _, id) in receiver.logs() {
        assert_eq!(id, "basket-4711", "{body}");
    }
}

#[tokio::test]
async fn work_that_nobody_waits_for_is_refused_at_the_door() {
    let (shop, receiver) = start(1).await;
    let spent = HeaderMap::from_iter([(
        http::HeaderName::from_static("halfopen-context"),
        http::HeaderValue::from_static("d=0;a=1;b=0"),
    )]);
    let answer = order_with(&shop, json!({"Card": {"network": "visa"}}), spent).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.headers["halfopen-refused"], "deadline_spent");
    shop.stop().await;

    let spans = receiver.spans();
    assert_eq!(spans.len(), 1, "nobody else was bothered");
    let refused = served(&spans, "gateway");
    assert_eq!(decisions(refused), ["halfopen.deadline.refused gateway deadline_spent"]);
    assert_eq!(refused.get("http.response.status_code").as_deref(), Some("504"));
    assert_eq!(refused.get("error.type").as_deref(), Some("504"));
}

/// Retries would multiply the failure in every statistic, and cure nothing.
#[tokio::test]
async fn an_unreadable_gift_card_is_tried_once_and_the_spans_say_why() {
    let (shop, receiver) = start(2).await;
    let tender = json!({"GiftCard": {"code": "nonsense"}});
    assert_eq!(order_with(&shop, tender, HeaderMap::new()).await.status, 502);
    shop.stop().await;

    let spans = receiver.spans();
    let checkout = served(&spans, "checkout");
    assert_eq!(checkout.get("halfopen.retry.attempt").as_deref(), Some("1"));
    let denied = ["halfopen.retry.denied checkout not_retryable"];
    assert_eq!(decisions(served(&spans, "gateway")), denied);
    let calls = spans.iter().filter(|seen| seen.span.kind == CLIENT).count();
    assert_eq!(calls, 1, "one attempt, from the gateway to checkout");
}
