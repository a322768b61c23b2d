//! The running shop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use halfopen_lab::{Scenario, Shop, ShopSettings};

use crate::receiver::{Receiver, Seen, text};

/// A fixed time: the lab never asks the system.
fn settings(otlp_endpoint: String) -> ShopSettings {
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_185_000);
    ShopSettings { otlp_endpoint, clock: Arc::new(move || time) }
}

pub(crate) async fn start(seed: u64) -> (Shop, Receiver) {
    start_of("gift-card", seed).await
}

pub(crate) async fn start_of(scenario: &str, seed: u64) -> (Shop, Receiver) {
    let (receiver, endpoint) = Receiver::start().await;
    let plan = Scenario::named(scenario).expect("it exists").plan(seed);
    let shop = Shop::start(plan, settings(endpoint)).await.expect("free ports");
    (shop, receiver)
}

/// What a customer gets to see.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

async fn order(shop: &Shop, tender: serde_json::Value) -> (u16, String) {
    let answer = order_with(shop, tender, HeaderMap::new()).await;
    (answer.status, answer.headers["x-request-id"].to_str().expect("text").to_owned())
}

/// An order that comes with more headers than those of a browser. Its key is always the same:
/// what becomes of it (sold out, declined) is drawn from that, else from a random trace id.
pub(crate) async fn order_with(
    shop: &Shop,
    tender: serde_json::Value,
    headers: HeaderMap,
) -> Answer {
    let order = json!({
        "id": "o-1", "cart": "cart-1", "coupon": null, "tender": tender,
        "customer": {
            "id": "u-1", "tier": "gold", "region": "de", "tenant": "books",
            "device": "phone", "flagged": true,
        },
        "lines": [{ "sku": "sku-0001", "pieces": 2 }],
    });
    let edge = shop.edge().expect("the edge listens");
    let mut request = http::Request::post(format!("http://{edge}/checkout"))
        .header("host", "shop.example:80")
        .header("idempotency-key", "o-1")
        .body(Full::<bytes::Bytes>::from(order.to_string()))
        .expect("a request");
    request.headers_mut().extend(headers);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request).await.expect("an answer").into_parts();
    body.collect().await.expect("a whole answer");
    Answer { status: head.status.as_u16(), headers: head.headers }
}

#[tokio::test]
async fn an_order_crosses_all_services_in_one_trace() {
    let (shop, receiver) = start(1).await;
    let (status, request_id) =
        order(&shop, json!({"GiftCard": {"code": "GC:acme:1-2:5000"}})).await;
    assert_eq!((status, &request_id[..4]), (200, "req_"));
    assert_eq!(shop.stop().await, Vec::<String>::new());

    let spans = receiver.spans();
    let services: BTreeSet<String> = spans.iter().map(Seen::service).collect();
    let crossed = [
        "cart",
        "checkout",
        "gateway",
        "gift-card",
        "inventory",
        "mailer",
        "payment",
        "pricing",
        "shipping",
    ];
    assert_eq!(services, BTreeSet::from(crossed.map(str::to_owned)));
    let by_id: BTreeMap<_, _> = spans.iter().map(|seen| (&seen.span.span_id, seen)).collect();
    for seen in &spans {
        assert_eq!(seen.span.trace_id, spans[0].span.trace_id, "one trace");
        let parent = by_id.get(&seen.span.parent_span_id);
        let is_edge = seen.service() == "gateway" && seen.span.kind == 2;
        assert_eq!(parent.is_none(), is_edge, "{} has no parent", seen.span.name);
        if seen.span.kind != 1 {
            let id = seen.get("http.request.header.x-request-id");
            assert_eq!(id.as_deref(), Some(request_id.as_str()), "{}", seen.span.name);
        }
    }
    for (_, body, trace_id, id) in receiver.logs() {
        assert_eq!((&trace_id, &id), (&spans[0].span.trace_id, &request_id), "{body}");
    }
    assert!(receiver.logs().len() >= 3);
    let metrics = receiver.metrics();
    assert!(metrics.contains(&"http.server.request.duration".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"rpc.server.call.duration".to_owned()), "{metrics:?}");
}

#[tokio::test]
async fn spans_say_what_the_conventions_ask_for() {
    let (shop, receiver) = start(2).await;
    let (status, _) = order(&shop, json!({"GiftCard": {"code": "nonsense"}})).await;
    assert_eq!(status, 502);
    shop.stop().await;

    let spans = receiver.spans();
    let server = spans
        .iter()
        .find(|seen| seen.service() == "gateway" && seen.span.kind == 2)
        .expect("the edge has a span");
    let expected = [
        ("http.request.method", "POST"),
        ("http.route", "/checkout"),
        ("http.response.status_code", "502"),
        ("url.path", "/checkout"),
        ("server.address", "shop.example"),
        ("server.port", "80"),
        ("error.type", "502"),
        ("user.id", "u-1"),
    ];
    for (key, value) in expected {
        assert_eq!(server.get(key).as_deref(), Some(value), "{key}");
    }
    let resource_keys: BTreeSet<&str> =
        server.resource.iter().map(|attribute| attribute.key.as_str()).collect();
    for key in ["service.version", "service.instance.id", "k8s.pod.name", "host.name"] {
        assert!(resource_keys.contains(key), "{key}");
    }
    let thrown = spans
        .iter()
        .find(|seen| seen.span.events.iter().any(|event| event.name == "exception"))
        .expect("the exception is recorded where it was thrown");
    assert_eq!(thrown.service(), "checkout");
    assert_eq!(thrown.get("error.type").as_deref(), Some("GiftCardFormatError"));
    let errors = receiver.logs().into_iter().filter(|(severity, ..)| severity == "ERROR").count();
    assert!(errors >= 2, "checkout and the gateway both log their failure");
}

/// The whole run in a few seconds: who fails is who meets the new version with such an order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_new_version_fails_and_only_for_such_orders() {
    let (receiver, endpoint) = Receiver::start().await;
    let plan = Scenario::named("gift-card").expect("it exists").plan(7).hurried(5);
    let truth = plan.truth.clone();
    let shop = Arc::new(Shop::start(plan, settings(endpoint)).await.expect("free ports"));
    let drive = shop.open();
    drive.planned_end().await;
    let report = drive.close().await;
    assert_eq!((shop.stop().await, &report.trouble), (Vec::new(), &Vec::new()));
    assert_eq!(report.sent, report.served + report.refused + report.failed);

    let mut rolled: Vec<_> =
        report.rolled.iter().map(|rolled| rolled.instance.service.to_owned()).collect();
    rolled.sort();
    let mut expected = [truth.service.clone(), truth.decoy.clone()];
    expected.sort();
    assert_eq!(rolled, expected);

    let (concerned, noise): (Vec<_>, Vec<_>) =
        report.failures.iter().partition(|failure| failure.concerned);
    assert!(concerned.len() >= 5, "{} failed because of the fault", concerned.len());
    assert!(concerned.iter().all(|failure| Some(&failure.operation) == truth.route.as_ref()));
    assert!(noise.len() as u64 * 50 <= report.sent, "{} of {}", noise.len(), report.sent);

    let spans = receiver.spans();
    let thrown: Vec<_> = spans
        .iter()
        .filter(|seen| seen.get("error.type").as_deref() == Some("GiftCardFormatError"))
        .collect();
    assert!(!thrown.is_empty());
    let resource = |seen: &Seen, key| text(&seen.resource, key).expect("it is set");
    for seen in thrown {
        assert_eq!(seen.service(), truth.service);
        assert_eq!(resource(seen, "service.version"), truth.change.now);
        assert_eq!(resource(seen, "k8s.pod.name"), truth.pod);
    }
    let (attribute, value) = truth.condition.expect("there is one");
    let marked = |seen: &&Seen| seen.get(&attribute).as_ref() == Some(&value);
    assert!(spans.iter().filter(marked).count() > 50, "also healthy orders carry the attribute");
}
