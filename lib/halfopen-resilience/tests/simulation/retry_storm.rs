//! Retry storm: three layers with three tries each make twenty-seven calls out of one.

use crate::network::{Network, Req, Res, get, handler, pass_on, status};
use halfopen_resilience::protocol::Http;
use halfopen_resilience::retry::RetrySettings;
use halfopen_resilience::stack::{ClientLayers, Stack};
use halfopen_resilience::telemetry::{DenyReason, Event, Name, Observer};
use halfopen_resilience::{Chance, RetryBudget};
use std::sync::{Arc, Mutex};
use tower::{Layer, Service, ServiceExt};

async fn three_times<S>(client: S) -> Res
where
    S: Service<Req, Response = Res> + Clone,
{
    for _ in 0..2 {
        let result = client.clone().oneshot(get("/")).await;
        if result.as_ref().is_ok_and(|answer| answer.status().is_success()) {
            return pass_on(result);
        }
    }
    pass_on(client.oneshot(get("/")).await)
}

/// One request through the three layers with retries, a, b and c; the leaf always fails.
pub(crate) async fn unprotected() -> Network {
    let network = Network::default();
    network.host("leaf", handler(|_| async { status(503) }));
    for (host, next) in [("c", "leaf"), ("b", "c"), ("a", "b")] {
        let client = network.client(next);
        network.host(host, handler(move |_| three_times(client.clone())));
    }
    pass_on(network.client("a").oneshot(get("/")).await);
    network
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_one_request_becomes_twenty_seven() {
    assert_eq!(unprotected().await.arrived("leaf"), 27);
}

pub(crate) fn layers(peer: &str, grant: u32) -> ClientLayers<Http> {
    let generous = RetryBudget { burst_max: 1_000, ..RetryBudget::default() };
    let retry = RetrySettings { grant, budget: generous, ..RetrySettings::default() };
    let stack = Stack::client(peer, Http).retry(retry).breaker(None);
    stack.chance(Chance::seeded(1)).build().unwrap()
}

/// The network of the storm, each hop with the layers; the leaf always fails.
pub(crate) fn protected(grant: u32) -> (Network, [ClientLayers<Http>; 3]) {
    let network = Network::default();
    network.host("leaf", handler(|_| async { status(503) }));
    let all = [("c", "leaf"), ("b", "c")].map(|(host, next)| {
        let layers = layers(next, grant);
        let client = layers.layer(network.client(next));
        let work = handler(move |_| {
            let client = client.clone();
            async move { pass_on(client.oneshot(get("/")).await) }
        });
        let server = Stack::server(host).chance(Chance::seeded(2)).build().unwrap();
        network.host(host, server.layer(work));
        layers
    });
    let [to_leaf, to_c] = all;
    (network, [to_leaf, to_c, layers("b", grant)])
}

#[tokio::test(start_paused = true)]
async fn the_travelling_budget_holds_it_at_four() {
    let (network, all) = protected(3);
    let client = all[2].layer(network.client("b"));
    let answer = client.oneshot(get("/")).await.unwrap();
    assert!(answer.status().is_server_error());
    let made: u64 = all.iter().map(|layers| layers.meter().count(Name::RetryMade)).sum();
    assert_eq!((network.arrived("leaf"), made), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn any_grant_bounds_the_calls_at_the_leaf() {
    for grant in 0..12 {
        let (network, all) = protected(grant);
        let client = all[2].layer(network.client("b"));
        let _ = client.oneshot(get("/")).await;
        let made: u64 = all.iter().map(|layers| layers.meter().count(Name::RetryMade)).sum();
        assert!(made <= u64::from(grant), "{made} retries of {grant}");
        assert!(network.arrived("leaf") <= grant + 1, "grant {grant}");
    }
}

#[derive(Default)]
struct Denials(Mutex<Vec<(u32, DenyReason)>>);

impl Observer for Denials {
    fn on(&self, _peer: &str, event: &Event<'_>) {
        if let Event::RetryDenied { attempt, reason, .. } = event {
            self.0.lock().unwrap().push((*attempt, *reason));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_retry_not_made_has_its_reason() {
    let network = Network::default();
    network.host(
        "leaf",
        handler(|request| async move { status(request.uri().path()[1..].parse().unwrap()) }),
    );
    let denials = Arc::new(Denials::default());
    let client = |retry: RetrySettings| {
        let stack = Stack::client("leaf", Http).retry(retry).breaker(None);
        let layers = stack.observer(denials.clone()).chance(Chance::seeded(1)).build().unwrap();
        layers.layer(network.client("leaf"))
    };
    let default = RetrySettings::default;
    let broke = RetryBudget { ratio: 0.0, floor_per_second: 0.0, burst_max: 0 };
    let post = || crate::network::post("/503");
    let cases: [(RetrySettings, Req, DenyReason); 5] = [
        (default(), get("/501"), DenyReason::NotRetryable),
        (default(), post(), DenyReason::NotRepeatable),
        (default(), get("/503"), DenyReason::AttemptsSpent),
        (RetrySettings { grant: 0, ..default() }, get("/503"), DenyReason::TravellingBudget),
        (RetrySettings { budget: broke, ..default() }, get("/503"), DenyReason::ClientBudget),
    ];
    for (retry, request, expected) in cases {
        let _ = client(retry).oneshot(request).await;
        let last = denials.0.lock().unwrap().last().map(|(_, reason)| *reason);
        assert_eq!(last, Some(expected));
    }
}
