//! A caller may leave at any await. Nothing may stay behind: no place taken, no probe open, no
//! budget made.

use crate::network::{Network, get, handler, status};
use halfopen_resilience::breaker::{BreakerSettings, State};
use halfopen_resilience::bulkhead::BulkheadSettings;
use halfopen_resilience::hedge::HedgeSettings;
use halfopen_resilience::limit::LimitSettings;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::{ClientLayers, Stack};
use halfopen_resilience::{Chance, Grant, RequestContext};
use std::future::Future;
use std::task::Poll;
use std::time::Duration;
use tower::{Layer, ServiceExt};

const MS: fn(u64) -> Duration = Duration::from_millis;
const GRANT: u32 = 4;

/// Polls `work` at most `polls` times, then drops it; whether it had ended.
async fn left_after<T>(polls: u32, work: impl Future<Output = T>) -> bool {
    let mut work = Box::pin(work);
    let mut polled = 0;
    std::future::poll_fn(move |cx| {
        polled += 1;
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if polled >= polls { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

/// A stack with every layer, before a peer that is slow and fails.
fn everything(network: &Network) -> ClientLayers<Http> {
    network.host(
        "a",
        handler(|_| async {
            tokio::time::sleep(MS(60)).await;
            status(503)
        }),
    );
    let hedge = HedgeSettings { delay: MS(20), ..HedgeSettings::default() };
    Stack::client("a", Http)
        .hedge(hedge)
        .limit(LimitSettings::default())
        .bulkhead(BulkheadSettings { calls_max: 2, queue_max: 4, queue_time: MS(500) })
        .breaker(BreakerSettings { calls_min: 1_000, ..BreakerSettings::default() })
        .chance(Chance::seeded(1))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_behind_wherever_the_caller_leaves() {
    let mut ended = 0;
    for polls in 1..60 {
        let network = Network::default();
        let layers = everything(&network);
        let client = layers.layer(network.client("a"));
        let grant = Grant::new(GRANT);
        // Others hold the places for a while, so that leaving the queue is among the cases.
        let others: Vec<_> =
            (0..2).map(|_| tokio::spawn(client.clone().oneshot(get("/")))).collect();
        tokio::task::yield_now().await;
        let context = RequestContext::begin(&Chance::seeded(1)).granted(Some(grant.clone()));
        let call = context.scope(client.clone().oneshot(get("/")));
        ended += u32::from(left_after(polls, call).await);
        for other in others {
            let _ = other.await;
        }
        assert_eq!(layers.bulkhead().unwrap().free(), 2, "after {polls} polls");
        assert_eq!(layers.bulkhead().unwrap().queued(), 0, "after {polls} polls");
        assert_eq!(layers.limit().unwrap().in_flight(), 0, "after {polls} polls");
        assert!(grant.left() <= GRANT, "after {polls} polls");
    }
    assert!(ended > 10, "some calls were left to their end: {ended}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_leaves_its_place_to_another() {
    let network = Network::default();
    network.host(
        "a",
        handler(|_| async {
            tokio::time::sleep(MS(60)).await;
            status(200)
        }),
    );
    let breaker = BreakerSettings { calls_min: 1, probes: 1, ..BreakerSettings::default() };
    let stack = Stack::client("a", Http).breaker(breaker).chance(Chance::seeded(1));
    let layers = stack.build().unwrap();
    let client = layers.layer(network.client("a"));
    network.fates("a", &[crate::network::Fate::Refused]);
    let _ = client.clone().oneshot(crate::network::post("/")).await;
    assert_eq!(layers.breaker().unwrap().state(), State::Open);
    network.fates("a", &[crate::network::Fate::Arrives]);
    tokio::time::sleep(MS(25_000)).await;
    for polls in 1..3 {
        assert!(!left_after(polls, client.clone().oneshot(get("/"))).await);
        assert_eq!(layers.breaker().unwrap().state(), State::HalfOpen);
    }
    assert_eq!(client.oneshot(get("/")).await.unwrap().status(), 200);
    assert_eq!(layers.breaker().unwrap().state(), State::Returning);
}
