//! Assumed success, and logs that nobody can put together.

use crate::network::{Fate, Network, Req, get, handler, pass_on, post, status};
use halfopen_resilience::call::CallError;
use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::telemetry::Name;
use halfopen_resilience::{Chance, wire};
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::{Layer, ServiceExt};
use tracing_subscriber::fmt::MakeWriter;

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

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

/// The lines that two hosts and a client log for one request called `order-7-abc`.
async fn logged(is_protected: bool) -> Vec<String> {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let network = Network::default();
    let stock = handler(|_| async {
        tracing::info!("reserving stock");
        status(200)
    });
    if is_protected {
        network.host("stock", Stack::server("stock").build().unwrap().layer(stock));
        let client = Stack::client("stock", Http).build().unwrap().layer(network.client("stock"));
        let shop = handler(move |_| {
            let client = client.clone();
            async move {
                tracing::info!("placing order");
                pass_on(client.oneshot(get("/reserve")).await)
            }
        });
        network.host("shop", Stack::server("shop").build().unwrap().layer(shop));
    } else {
        network.host("stock", stock);
        let client = network.client("stock");
        network.host(
            "shop",
            handler(move |_| {
                let client = client.clone();
                async move {
                    tracing::info!("placing order");
                    pass_on(client.oneshot(get("/reserve")).await)
                }
            }),
        );
    }
    let mut request = get("/order");
    request.headers_mut().insert("x-request-id", "order-7-abc".parse().unwrap());
    network.client("shop").oneshot(request).await.unwrap();
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().filter(|line| line.contains("ing ")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_context_lines_of_one_request_have_nothing_in_common() {
    let lines = logged(false).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("order-7-abc")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn with_it_every_line_on_every_host_carries_the_id() {
    let lines = logged(true).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("order-7-abc")), "{lines:?}");
}
