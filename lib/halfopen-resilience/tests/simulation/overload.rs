//! Cascading timeout and unbounded queue: a slow part, or too much load, takes everything down.

use crate::network::{Network, get, handler, status};
use halfopen_resilience::bulkhead::BulkheadSettings;
use halfopen_resilience::degrade::{Degrade, DegradeSettings, Fallback, Level, Part};
use halfopen_resilience::limit::LimitSettings;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::telemetry::{Meter, Name};
use halfopen_resilience::{Chance, wire};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// How long each request took and how it ended.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<(Duration, u16)>>>);

impl Ends {
    /// Good answers within `bound`.
    fn good(&self, bound: Duration) -> usize {
        self.count(|(took, code)| *code == 200 && *took <= bound)
    }

    fn count(&self, which: impl Fn(&&(Duration, u16)) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(which).count()
    }

    fn slowest(&self) -> Duration {
        self.0.lock().unwrap().iter().map(|(took, _)| *took).max().unwrap()
    }
}

/// Sends `count` requests, one each `gap`, and waits for all answers.
async fn load(network: &Network, host: &'static str, count: usize, gap: Duration) -> Ends {
    let ends = Ends::default();
    let mut running = Vec::new();
    for _ in 0..count {
        let (client, ends) = (network.client(host), ends.clone());
        running.push(tokio::spawn(async move {
            let start = Instant::now();
            let code =
                client.oneshot(get("/")).await.map_or(502, |answer| answer.status().as_u16());
            ends.0.lock().unwrap().push((start.elapsed(), code));
        }));
        tokio::time::sleep(gap).await;
    }
    for request in running {
        request.await.unwrap();
    }
    ends
}

/// Product details are fast; inventory, which a page can do without, takes 25 s.
fn shop() -> Network {
    let network = Network::default();
    network.host(
        "product",
        handler(|_| async {
            tokio::time::sleep(MS(10)).await;
            status(200)
        }),
    );
    network.host(
        "inventory",
        handler(|_| async {
            tokio::time::sleep(MS(25_000)).await;
            status(200)
        }),
    );
    network
}

#[tokio::test(start_paused = true)]
async fn without_layers_one_slow_part_takes_the_page_down() {
    let network = shop();
    let threads = Arc::new(Semaphore::new(50));
    let (product, inventory) = (network.client("product"), network.client("inventory"));
    network.host(
        "page",
        handler(move |_| {
            let (threads, product, inventory) =
                (threads.clone(), product.clone(), inventory.clone());
            async move {
                let _thread = threads.acquire().await.unwrap();
                let _ = product.oneshot(get("/")).await;
                let _ = tokio::time::timeout(MS(30_000), inventory.oneshot(get("/"))).await;
                status(200)
            }
        }),
    );
    let ends = load(&network, "page", 400, MS(50)).await;
    assert_eq!(ends.good(MS(5_000)), 0);
    assert!(ends.slowest() > MS(100_000), "they queue: {:?}", ends.slowest());
}

#[tokio::test(start_paused = true)]
async fn with_them_the_page_comes_without_its_slow_part() {
    let network = shop();
    let threads = Arc::new(Semaphore::new(50));
    let client = |peer: &'static str| {
        let layers = Stack::client(peer, Http).chance(Chance::seeded(1)).build().unwrap();
        layers.layer(network.client(peer))
    };
    let (product, inventory) = (client("product"), client("inventory"));
    let parts = vec![Part::new("inventory", Level::Full).within(MS(500))];
    let degrade = Degrade::new(parts, DegradeSettings::default(), Meter::new("page"));
    let watched = degrade.clone();
    let page = handler(move |_| {
        let (threads, product, inventory) = (threads.clone(), product.clone(), inventory.clone());
        let page = degrade.page();
        async move {
            let _thread = threads.acquire().await.unwrap();
            let _ = product.oneshot(get("/")).await;
            page.part("inventory", Fallback::Skip, inventory.oneshot(get("/"))).await;
            let mut answer = status(200);
            page.write(answer.headers_mut());
            answer
        }
    });
    network.host("page", Stack::server("page").limit(None).build().unwrap().layer(page));
    let ends = load(&network, "page", 400, MS(50)).await;
    assert_eq!(ends.good(MS(1_000)), 400, "every page comes");
    assert_eq!(watched.level(), Level::Minimal, "its only optional part is failing");
    let answer = network.client("page").oneshot(get("/")).await.unwrap();
    assert_eq!(answer.headers()["halfopen-degraded"], "minimal;inventory=skipped");
}

/// A host that works on one request at a time, a tenth of a second each; twice as many come.
fn one_at_a_time() -> impl Service<
    crate::network::Req,
    Response = crate::network::Res,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static {
    let worker = Arc::new(Semaphore::new(1));
    handler(move |_| {
        let worker = worker.clone();
        async move {
            let _turn = worker.acquire().await.unwrap();
            tokio::time::sleep(MS(100)).await;
            status(200)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_the_queue_grows_until_no_answer_is_of_use() {
    let network = Network::default();
    network.host("orders", one_at_a_time());
    let ends = load(&network, "orders", 600, MS(50)).await;
    assert!(ends.good(MS(1_000)) < 30, "{}", ends.good(MS(1_000)));
    assert!(ends.slowest() > MS(25_000), "{:?}", ends.slowest());
}

#[tokio::test(start_paused = true)]
async fn with_a_bound_half_is_served_in_time_and_half_refused_at_once() {
    let network = Network::default();
    let bulkhead = BulkheadSettings { calls_max: 1, queue_max: 3, queue_time: MS(500) };
    let layers = Stack::server("orders").limit(None).bulkhead(bulkhead).build().unwrap();
    network.host("orders", layers.layer(one_at_a_time()));
    let ends = load(&network, "orders", 600, MS(50)).await;
    assert!(ends.good(MS(500)) > 290, "{}", ends.good(MS(500)));
    assert_eq!(ends.good(MS(500)) + ends.count(|(_, code)| *code == 503), 600);
    assert!(ends.slowest() <= MS(510), "{:?}", ends.slowest());
    assert!(layers.meter().count(Name::BulkheadRejected) > 250);
}

#[tokio::test(start_paused = true)]
async fn the_adaptive_limit_finds_the_bound_by_itself() {
    let network = Network::default();
    let limit = LimitSettings { least: 1, queue: 1, ..LimitSettings::default() };
    let layers = Stack::server("orders").limit(limit).build().unwrap();
    network.host("orders", layers.layer(one_at_a_time()));
    // Load that fits, so that it learns what is normal; then twice too much.
    let calm = load(&network, "orders", 50, MS(150)).await;
    assert_eq!(calm.good(MS(300)), 50);
    let ends = load(&network, "orders", 600, MS(50)).await;
    let slow_at_first = 40;
    assert!(ends.good(MS(1_000)) > 300 - slow_at_first, "{}", ends.good(MS(1_000)));
    assert!(ends.slowest() < MS(2_500), "{:?}", ends.slowest());
    assert!(layers.meter().count(Name::LimitChanged) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_that_nothing_was_done_so_even_a_post_is_sent_again() {
    let network = Network::default();
    let bulkhead = BulkheadSettings { calls_max: 1, queue_max: 0, queue_time: MS(1) };
    let layers = Stack::server("orders").limit(None).bulkhead(bulkhead).build().unwrap();
    network.host("orders", layers.layer(one_at_a_time()));
    let stack = Stack::client("orders", Http).chance(Chance::seeded(1));
    let client = stack.build().unwrap().layer(network.client("orders"));
    let first = tokio::spawn(client.clone().oneshot(crate::network::post("/")));
    tokio::time::sleep(MS(50)).await;
    let second = client.oneshot(crate::network::post("/")).await.unwrap();
    assert_eq!(second.status(), 200);
    assert!(!second.headers().contains_key(&wire::REFUSED));
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}
