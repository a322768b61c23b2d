//! Assumed success: no error was seen, so it must have worked.

use crate::network::{Fate, Network, Req, get, handler, post, status};
use halfopen_resilience::call::CallError;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::telemetry::Name;
use halfopen_resilience::{Chance, wire};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::{Layer, ServiceExt};

/// A bank that charges once for each idempotency key, and each time without one.
fn bank(network: &Network) -> Arc<Mutex<u32>> {
    let charged = Arc::new(Mutex::new(0));
    let (count, seen) = (charged.clone(), Arc::new(Mutex::new(HashSet::new())));
    network.host(
        "bank",
        handler(move |request: Req| {
            let key = request.headers().get(&wire::IDEMPOTENCY_KEY).cloned();
            if key.is_none_or(|key| seen.lock().unwrap().insert(key)) {
                *count.lock().unwrap() += 1;
            }
            async { status(200) }
        }),
    );
    // The first answer is lost, though the money is gone.
    network.fates("bank", &[Fate::AnswerLost, Fate::Arrives]);
    charged
}

#[tokio::test(start_paused = true)]
async fn without_layers_a_lost_answer_charges_twice() {
    let network = Network::default();
    let charged = bank(&network);
    for _ in 0..2 {
        let call = network.client("bank").oneshot(post("/charge"));
        if tokio::time::timeout(Duration::from_secs(3), call).await.is_ok() {
            break;
        }
    }
    assert_eq!(*charged.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_them_what_is_not_known_is_neither_success_nor_done_again() {
    let network = Network::default();
    let charged = bank(&network);
    let layers = Stack::client("bank", Http).chance(Chance::seeded(1)).build().unwrap();
    let client = layers.layer(network.client("bank"));
    let error = client.oneshot(post("/charge")).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    assert_eq!(*charged.lock().unwrap(), 1);
    assert_eq!(layers.meter().count(Name::RetryDenied), 1);
}

#[tokio::test(start_paused = true)]
async fn with_a_key_it_is_done_again_and_once() {
    let network = Network::default();
    let charged = bank(&network);
    let layers = Stack::client("bank", Http).chance(Chance::seeded(1)).build().unwrap();
    let client = layers.layer(network.client("bank"));
    let mut request = post("/charge");
    request.headers_mut().insert(wire::IDEMPOTENCY_KEY.clone(), "order-7".parse().unwrap());
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
    assert_eq!((*charged.lock().unwrap(), network.arrived("bank")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_never_arrived_may_be_sent_again_only_if_that_is_safe() {
    let network = Network::default();
    bank(&network);
    network.fates("bank", &[Fate::Refused, Fate::Arrives]);
    let layers = Stack::client("bank", Http).chance(Chance::seeded(1)).build().unwrap();
    let client = layers.layer(network.client("bank"));
    assert_eq!(client.oneshot(get("/balance")).await.unwrap().status(), 200);
}
