//! Old hops that do not know the context between new ones, and networks that fail at random.

use crate::network::{Fate, Network, Req, get, handler, pass_on, status};
use crate::retry_storm::layers;
use halfopen_resilience::breaker::State;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::retry::RetrySettings;
use halfopen_resilience::stack::{ClientLayers, Stack};
use halfopen_resilience::telemetry::Name;
use halfopen_resilience::{Chance, RequestContext};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::{Layer, ServiceExt};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hop {
    New,
    /// Makes a new request and passes nothing on.
    Forgets,
    /// Passes all headers on as they came.
    Copies,
}

/// A chain of hops before a leaf that answers by chance; the client layers of the new ones.
fn chain(
    network: &Network,
    hops: &[Hop],
    leaf: impl Fn() -> u16 + Clone + Send + Sync + 'static,
) -> Vec<ClientLayers<Http>> {
    const NAMES: [&str; 5] = ["leaf", "d", "c", "b", "a"];
    network.host(
        "leaf",
        handler(move |_| {
            let code = leaf();
            async move { status(code) }
        }),
    );
    let mut all = Vec::new();
    for (depth, hop) in hops.iter().rev().enumerate() {
        let (next, name) = (NAMES[depth], NAMES[depth + 1]);
        let plain = network.client(next);
        match hop {
            Hop::New => {
                let layers = layers(next, 3);
                let client = layers.layer(plain);
                all.push(layers);
                let work = handler(move |_| {
                    let client = client.clone();
                    async move { pass_on(client.oneshot(get("/")).await) }
                });
                network.host(name, Stack::server(name).build().unwrap().layer(work));
            }
            Hop::Forgets => network.host(
                name,
                handler(move |_| {
                    let plain = plain.clone();
                    async move { pass_on(plain.oneshot(get("/")).await) }
                }),
            ),
            Hop::Copies => network.host(
                name,
                handler(move |request: Req| {
                    let plain = plain.clone();
                    async move { pass_on(plain.oneshot(request).await) }
                }),
            ),
        }
    }
    all
}

fn made(all: &[ClientLayers<Http>]) -> u64 {
    all.iter().map(|layers| layers.meter().count(Name::RetryMade)).sum()
}

#[tokio::test(start_paused = true)]
async fn old_hops_lose_the_context_or_pass_it_on_without_harm() {
    for middle in [Hop::Forgets, Hop::Copies] {
        let network = Network::default();
        let mut all = chain(&network, &[Hop::New, middle, Hop::New], || 503);
        let edge = layers("b", 3);
        let client = edge.layer(network.client("b"));
        all.push(edge);
        let answer = client.oneshot(get("/")).await.unwrap();
        assert!(answer.status().is_server_error());
        // A hop that forgets makes its successor an edge of its own, with a budget of its own.
        let most = if middle == Hop::Copies { 3 } else { 3 + 4 * 3 };
        assert!(made(&all) <= most, "{middle:?}: {}", made(&all));
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_survives_hops_that_copy() {
    let network = Network::default();
    chain(&network, &[Hop::Copies, Hop::Copies], || 200);
    let seen = Arc::new(Mutex::new(None));
    let saw = seen.clone();
    network.host(
        "leaf",
        Stack::server("leaf").build().unwrap().layer(handler(move |_| {
            *saw.lock().unwrap() =
                RequestContext::current().map(|context| context.id().to_string());
            async { status(200) }
        })),
    );
    let context = RequestContext::begin(&Chance::seeded(9));
    let id = context.id().to_string();
    let client = layers("c", 3).layer(network.client("c"));
    context.scope(client.oneshot(get("/"))).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(id));
}

/// Hops, fates and answers by chance: whatever happens, no more retries than were granted.
#[tokio::test(start_paused = true)]
async fn no_network_makes_more_retries_than_the_edge_granted() {
    for seed in 0..150 {
        let chance = Chance::seeded(seed);
        let network = Network::default();
        let dice = chance.clone();
        let hops: Vec<Hop> = (0..1 + chance.bits() % 3)
            .map(|_| if chance.bits().is_multiple_of(4) { Hop::Copies } else { Hop::New })
            .collect();
        let all = chain(&network, &hops, move || [200, 500, 503, 503][dice.bits() as usize % 4]);
        let fates =
            [Fate::Arrives, Fate::Arrives, Fate::RequestLost, Fate::AnswerLost, Fate::Refused];
        for name in ["leaf", "d", "c", "b"] {
            let drawn: Vec<Fate> =
                (0..30).map(|_| fates[chance.bits() as usize % fates.len()]).collect();
            network.fates(name, &drawn);
        }
        let top = ["leaf", "d", "c", "b"][hops.len()];
        let grant = (chance.bits() % 6) as u32;
        let edge = layers(top, grant);
        let client = edge.layer(network.client(top));
        let _ = client.oneshot(get("/")).await;
        // What was lost on the way may still be under way.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let total = made(&all) + edge.meter().count(Name::RetryMade);
        assert!(total <= u64::from(grant), "seed {seed}: {total} retries of {grant}, {hops:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_opens_the_breaker_and_its_end_closes_it() {
    let network = Network::default();
    network.host("a", handler(|_| async { status(200) }));
    let stack = Stack::client("a", Http).retry(RetrySettings::never());
    let layers = stack.chance(Chance::seeded(5)).build().unwrap();
    let client = layers.layer(network.client("a"));
    let state = || layers.breaker().unwrap().state();
    network.fates("a", &[Fate::RequestLost]);
    let calls: Vec<_> = (0..30).map(|_| tokio::spawn(client.clone().oneshot(get("/")))).collect();
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
    assert_eq!(state(), State::Open);
    let arrived = network.arrived("a");
    assert!(client.clone().oneshot(get("/")).await.unwrap_err().refusal().is_some());
    assert_eq!(network.arrived("a"), arrived, "an open breaker sends nothing");
    network.fates("a", &[Fate::Arrives]);
    tokio::time::sleep(Duration::from_secs(25)).await;
    for _ in 0..600 {
        let _ = client.clone().oneshot(get("/")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(state(), State::Closed);
}
