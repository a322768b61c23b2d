//! A clock that jumps by an hour, forwards and backwards, while telemetry comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::client::{TRACES, call, framed, get, post_json, query};
use crate::fixture::{NOW, config};
use halfopen_ingest::sample;
use halfopen_model::{Clock, UnixNanos};
use serde_json::json;

const HOUR_NS: i64 = 3_600_000_000_000;
const SPANS: u64 = 25;

/// A clock that somebody else sets.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_an_hour_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.store.folder = folder.path().join("data");
    config.store.retention_days = 1;
    config.store.seal_rows = 40;
    let clock = Arc::new(SetClock(AtomicI64::new(NOW.0)));
    let given: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let start = |config: halfopen_serve::Config| {
        let clock = Arc::clone(&given);
        async move { halfopen_serve::start(config, clock).await.expect("the folder") }
    };
    let mut server = start(config.clone()).await;
    for (round, step_hours) in (1_u64..).zip([0, 1, -1, -1, 1, 1, 1, -2, 0]) {
        clock.0.fetch_add(step_hours * HOUR_NS, Ordering::SeqCst);
        let addresses = server.addresses();
        let api = |path: &str| format!("http://{}{path}", addresses.http);
        let frames = framed(0, &sample::traces(round, SPANS as usize, 3));
        // Once more, as a sender does that lost the acknowledgement: it is there once.
        for _ in 0..2 {
            let called = call(addresses.otlp_grpc, TRACES, "identity", &frames).await;
            assert_eq!(called.code, 0, "{called:?}");
        }
        // A length of which nothing follows; the same bytes twice would be kept once.
        let broken = framed(0, &[0x0a, 0xff, round as u8]);
        assert_eq!(call(addresses.otlp_grpc, TRACES, "identity", &broken).await.code, 3);
        let change = json!({ "kind": "deploy", "service": "cart", "version": round.to_string() });
        let told = post_json(&api("/api/v1/changes"), &change).await;
        assert_eq!(told.status, 200, "{}", told.text());
        server.store().compact_due().await.expect("a merge");
        server.store().retain().await.expect("retention");
        for path in ["/api/v1/why", "/api/v1/map", "/api/v1/changes", "/api/v1/status"] {
            let reply = get(&api(path)).await;
            assert_eq!(reply.status, 200, "round {round} {path}: {}", reply.text());
        }
        let expected = [("spans", round * SPANS), ("changes", round), ("rejects", round)];
        for (table, rows) in expected {
            let sql = format!("select count(*) from {table}");
            let found = query(&api("/api/v1/query"), &sql).await;
            assert_eq!(found, [[json!(rows)]], "round {round}: {table}");
        }
        if round % 3 == 0 {
            server.stop(Duration::from_secs(20)).await;
            server = start(config.clone()).await;
        }
    }
}
