//! Hedging, adaptive timeouts, outlier ejection.

use crate::network::{ConnectionRefused, Network, Req, Res, get, handler, status};
use halfopen_resilience::eject::{EjectSettings, Endpoints};
use halfopen_resilience::hedge::HedgeSettings;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::retry::RetrySettings;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::telemetry::{Meter, Name};
use halfopen_resilience::timeout::{Adaptive, AttemptTimeout};
use halfopen_resilience::{Chance, RetryBudget};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Every tenth call takes two seconds, the others ten milliseconds.
fn tail() -> Network {
    let network = Network::default();
    let calls = std::sync::Arc::new(AtomicU64::new(0));
    network.host(
        "search",
        handler(move |_| {
            let is_slow = calls.fetch_add(1, Ordering::Relaxed) % 10 == 9;
            async move {
                tokio::time::sleep(if is_slow { MS(2_000) } else { MS(10) }).await;
                status(200)
            }
        }),
    );
    network
}

async fn slowest(network: &Network, hedge: Option<HedgeSettings>) -> (Duration, u64) {
    let stack = Stack::client("search", Http).hedge(hedge).breaker(None);
    let layers = stack.chance(Chance::seeded(1)).build().unwrap();
    let client = layers.layer(network.client("search"));
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(client.clone().oneshot(get("/")).await.unwrap().status(), 200);
        slowest = slowest.max(start.elapsed());
    }
    (slowest, layers.meter().count(Name::HedgeWon))
}

#[tokio::test(start_paused = true)]
async fn a_second_request_cuts_the_tail() {
    let (without, _) = slowest(&tail(), None).await;
    assert!(without >= MS(2_000), "{without:?}");
    let budget = RetryBudget { ratio: 0.2, ..RetryBudget::default() };
    let hedge = HedgeSettings { delay: MS(50), budget };
    let (with, won) = slowest(&tail(), Some(hedge)).await;
    assert!(with < MS(100), "{with:?}");
    assert!(won >= 9, "{won}");
}

#[tokio::test(start_paused = true)]
async fn hedges_stop_with_their_budget() {
    let network = Network::default();
    network.host(
        "search",
        handler(|_| async {
            tokio::time::sleep(MS(1_000)).await;
            status(200)
        }),
    );
    let hedge = HedgeSettings { delay: MS(50), ..HedgeSettings::default() };
    let (_, _) = slowest(&network, Some(hedge)).await;
    // A call a second: half a hedge from time, a twentieth from traffic, five saved up.
    let hedges = network.arrived("search") - 100;
    assert!((40..=65).contains(&hedges), "{hedges}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_learned_and_sent_along() {
    let network = Network::default();
    let seen = std::sync::Arc::new(AtomicU64::new(0));
    let saw = seen.clone();
    network.host(
        "search",
        handler(move |request: Req| {
            let header = request.headers()["halfopen-context"].to_str().unwrap().to_owned();
            let ms = header[2..].split(';').next().unwrap().parse().unwrap();
            saw.store(ms, Ordering::Relaxed);
            async {
                tokio::time::sleep(MS(30)).await;
                status(200)
            }
        }),
    );
    let adaptive = Adaptive { ceiling: MS(4_000), ..Adaptive::default() };
    let stack = Stack::client("search", Http).timeout(AttemptTimeout::Adaptive(adaptive));
    let client = stack.chance(Chance::seeded(1)).build().unwrap().layer(network.client("search"));
    for _ in 0..1_000 {
        client.clone().oneshot(get("/")).await.unwrap();
    }
    let ms = seen.load(Ordering::Relaxed);
    assert!((60..90).contains(&ms), "twice what it takes: {ms} ms");
}

type Endpoint = BoxCloneSyncService<Req, Res, ConnectionRefused>;

/// Three endpoints of one service; the second fails `failing` of ten calls.
async fn answers(failing: u64, settings: EjectSettings) -> (u32, u32, u64) {
    let network = Network::default();
    for name in ["one", "two", "three"] {
        let calls = AtomicU64::new(0);
        let calls = std::sync::Arc::new(calls);
        network.host(
            name,
            handler(move |_| {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                let code = if name == "two" && call % 10 < failing { 500 } else { 200 };
                async move { status(code) }
            }),
        );
    }
    let endpoint = |name| (String::from(name), Endpoint::new(network.client(name)));
    let meter = Meter::new("search");
    let endpoints = ["one", "two", "three"].map(endpoint).into();
    let endpoints = Endpoints::new(endpoints, settings, Http, meter.clone()).unwrap();
    let stack = Stack::client("search", Http).breaker(None).retry(RetrySettings::never());
    let client = stack.chance(Chance::seeded(1)).build().unwrap().layer(endpoints.clone());
    let mut good = 0;
    for _ in 0..300 {
        tokio::time::sleep(MS(10)).await;
        good += u32::from(client.clone().oneshot(get("/")).await.unwrap().status() == 200);
    }
    (good, network.arrived("two"), meter.count(Name::OutlierEjected))
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_left_out() {
    let (good, asked, ejected) = answers(10, EjectSettings::default()).await;
    assert_eq!((good, asked, ejected), (295, 5, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_half_broken_is_left_out_too() {
    let (good, _, ejected) = answers(4, EjectSettings::default()).await;
    assert!(good > 285, "{good}");
    assert_eq!(ejected, 1);
}

#[tokio::test(start_paused = true)]
async fn never_are_too_many_left_out() {
    let nobody = EjectSettings { share_max: 0.2, ..EjectSettings::default() };
    let (good, asked, ejected) = answers(10, nobody).await;
    assert_eq!((good, asked, ejected), (200, 100, 0));
}
