//! Missing correlation: logs that nobody can put together. Alone in its process, because the
//! subscriber of `tracing` is one for all threads.

#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "simulation/network.rs"]
mod network;

use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use network::{Network, get, handler, pass_on, status};
use std::io;
use std::sync::{Arc, Mutex};
use tower::{Layer, ServiceExt};
use tracing_subscriber::fmt::MakeWriter;

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

/// The lines that two hosts log for one request called `order-7-abc`.
async fn logged(lines: &Lines, is_protected: bool) -> Vec<String> {
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
    let text = String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();
    text.lines().filter(|line| line.contains("ing ")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn every_line_on_every_host_carries_the_id_and_none_without() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let without = logged(&lines, false).await;
    assert_eq!(without.len(), 2, "{without:?}");
    assert!(without.iter().all(|line| !line.contains("order-7-abc")), "{without:?}");
    let with = logged(&lines, true).await;
    assert_eq!(with.len(), 2, "{with:?}");
    assert!(with.iter().all(|line| line.contains("order-7-abc")), "{with:?}");
}
