//! Thundering herd: two hundred breakers close at one moment, and what has piled up behind them
//! falls on a service that has just come back.

use crate::network::{Network, get, handler, status};
use halfopen_resilience::breaker::{BreakerSettings, State};
use halfopen_resilience::protocol::Http;
use halfopen_resilience::retry::RetrySettings;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::{CallError, Chance};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

const MS: fn(u64) -> Duration = Duration::from_millis;
const CLIENTS: u64 = 200;
/// Each client makes ten calls a second: two hundred arrive each 100 ms.
pub(crate) const STEADY_PER_SLOT: u32 = 200;
pub(crate) const OUTAGE: std::ops::Range<u64> = 20_000..40_000;
const END_MS: u64 = 120_000;
/// What a client keeps of calls that were refused, to make them later.
const BACKLOG_MAX: u32 = 50;

#[derive(Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Arrivals {
    pub(crate) fn peak_after(&self, ms: u64) -> u32 {
        let slots = self.0.lock().unwrap();
        slots.range(ms / 100..).map(|(_, count)| *count).max().unwrap_or(0)
    }

    fn mean(&self, range_ms: std::ops::Range<u64>) -> u32 {
        let slots = self.0.lock().unwrap();
        let range = range_ms.start / 100..range_ms.end / 100;
        let length = (range.end - range.start) as u32;
        slots.range(range).map(|(_, count)| *count).sum::<u32>() / length
    }
}

/// All clients through an outage; the arrivals, and how many breakers are closed at the end.
pub(crate) async fn outage(breaker: BreakerSettings) -> (Arrivals, usize) {
    let (network, arrivals, start) = (Network::default(), Arrivals::default(), Instant::now());
    let is_down = Arc::new(AtomicBool::new(false));
    let (seen, down) = (arrivals.clone(), is_down.clone());
    network.host(
        "inventory",
        handler(move |_| {
            let slot = start.elapsed().as_millis() as u64 / 100;
            *seen.0.lock().unwrap().entry(slot).or_default() += 1;
            let code = if down.load(Ordering::Relaxed) { 503 } else { 200 };
            async move { status(code) }
        }),
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| tokio::spawn(client(network.clone(), breaker.clone(), seed, start)))
        .collect();
    tokio::time::sleep_until(start + MS(OUTAGE.start)).await;
    is_down.store(true, Ordering::Relaxed);
    tokio::time::sleep_until(start + MS(OUTAGE.end)).await;
    is_down.store(false, Ordering::Relaxed);
    let mut closed = 0;
    for client in clients {
        closed += usize::from(client.await.unwrap() == State::Closed);
    }
    (arrivals, closed)
}

/// Ten calls a second; what the breaker refused is made again with the next ones.
async fn client(network: Network, breaker: BreakerSettings, seed: u64, start: Instant) -> State {
    let stack = Stack::client("inventory", Http).breaker(breaker).retry(RetrySettings::never());
    let layers = stack.chance(Chance::seeded(seed)).build().unwrap();
    let client = layers.layer(network.client("inventory"));
    let mut backlog = 0u32;
    // Clients are not in step.
    let mut at = start + MS(seed % 100);
    while at < start + MS(END_MS) {
        tokio::time::sleep_until(at).await;
        at += MS(100);
        let mut due = 1 + backlog;
        backlog = 0;
        while due > 0 {
            due -= 1;
            let result = client.clone().oneshot(get("/")).await;
            if matches!(result, Err(CallError::Refused(_))) {
                backlog = (due + 1).min(BACKLOG_MAX);
                break;
            }
        }
    }
    layers.breaker().unwrap().state()
}

pub(crate) fn usual() -> BreakerSettings {
    BreakerSettings { window: Duration::from_secs(5), ..BreakerSettings::default() }
}

/// What a breaker of the usual kind does: a fixed pause, then everything.
pub(crate) fn fixed() -> BreakerSettings {
    BreakerSettings { jitter: 1e-9, ramp: Duration::ZERO, ..usual() }
}

#[tokio::test(start_paused = true)]
async fn without_jitter_and_slow_start_they_all_return_at_once() {
    let (arrivals, closed) = outage(fixed()).await;
    assert_eq!(closed, CLIENTS as usize);
    assert_eq!(arrivals.mean(5_000..15_000), STEADY_PER_SLOT);
    let peak = arrivals.peak_after(OUTAGE.end);
    assert!(peak > 10 * STEADY_PER_SLOT, "{peak}");
}

#[tokio::test(start_paused = true)]
async fn with_them_the_peak_stays_below_twice_the_steady_rate() {
    let (arrivals, closed) = outage(usual()).await;
    assert_eq!(closed, CLIENTS as usize, "all have recovered");
    let peak = arrivals.peak_after(OUTAGE.end);
    assert!(peak <= 2 * STEADY_PER_SLOT, "{peak}");
    assert_eq!(arrivals.mean(110_000..119_000), STEADY_PER_SLOT, "and load is what it was");
}
