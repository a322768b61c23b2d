//! What a span costs on disk: telemetry of a shop, every file of the folder counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use halfopen_ingest::sample::{self, shop};
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::{Clock, UnixNanos, WriteEvidence};
use halfopen_store::{Store, StoreConfig};

use super::{Figure, thousands};

/// Requests of the shop: an hour of it, some 650,000 spans.
const REQUESTS: u64 = 72_000;
const REQUESTS_PER_EXPORT: u64 = 60;
const EXPORTS_PER_BATCH: u64 = 20;
/// Batches after which rows are sealed, as time would have it: every five minutes.
const BATCHES_PER_SEAL: u64 = 5;
const SEED: u64 = 2026;
const TARGET_BYTES_PER_SPAN: f64 = 50.0;

/// A clock that goes with the telemetry.
struct Moving(AtomicI64);

impl Clock for Moving {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.0.load(Ordering::Relaxed))
    }
}

/// Bytes of all files below a folder.
pub(super) fn folder_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => folder_bytes(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

struct Sizes {
    spans: u64,
    sealed: u64,
    merged: u64,
    merge: Duration,
    rewritten: u64,
    shares: String,
}

async fn measure() -> Result<Sizes, String> {
    let folder = super::server::folder()?;
    let data = folder.path().join("data");
    let config = StoreConfig {
        seal_after_s: 100_000,
        // Merging is asked for below, where it is measured.
        compact: false,
        ..StoreConfig::in_folder(&data)
    };
    let text = |error: halfopen_store::StoreError| error.to_string();
    let begin = sample::START_NS as i64;
    let clock = Arc::new(Moving(AtomicI64::new(begin)));
    let given: Arc<dyn Clock> = Arc::<Moving>::clone(&clock);
    let (store, _) = Store::open(config, given).await.map_err(text)?;
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: clock.now() };
    let mut spans = 0;
    let mut batches = 0;
    for first in (0..REQUESTS).step_by(REQUESTS_PER_EXPORT as usize) {
        let bytes = shop::traces(SEED, first..first + REQUESTS_PER_EXPORT);
        spans += builder.decode(Signal::Traces, Encoding::Protobuf, &bytes, &arrival).accepted;
        if !(first / REQUESTS_PER_EXPORT + 1).is_multiple_of(EXPORTS_PER_BATCH) {
            continue;
        }
        store.write(builder.finish()).await.map_err(|error| error.to_string())?;
        batches += 1;
        clock.0.store(begin + (first * shop::REQUEST_EVERY_NS) as i64, Ordering::Relaxed);
        if batches % BATCHES_PER_SEAL == 0 {
            store.seal().await.map_err(text)?;
        }
    }
    store.write(builder.finish()).await.map_err(|error| error.to_string())?;
    store.seal().await.map_err(text)?;
    let sealed = folder_bytes(&data.join("segments"));
    // An hour later nobody sends the same again.
    clock.0.fetch_add(3_600_000_000_000, Ordering::Relaxed);
    let began = Instant::now();
    let report = store.compact().await.map_err(text)?;
    let merge = began.elapsed();
    store.delete_unserved(Duration::ZERO).await;
    store.close(Duration::from_secs(60)).await;
    let share = |name: &str| {
        let bytes = folder_bytes(&data.join(name)) as f64 / spans as f64;
        format!("{name} {bytes:.1}")
    };
    let shares = ["segments/spans", "segments/ids", "seen", "wal"].map(share).join(", ");
    Ok(Sizes {
        spans,
        sealed,
        merged: folder_bytes(&data),
        merge,
        rewritten: report.input_rows,
        shares,
    })
}

/// Bytes per span after merging, everything in the folder counted.
pub(super) fn size() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let sizes = runtime.block_on(measure())?;
    let each = |bytes: u64| bytes as f64 / sizes.spans as f64;
    let after = each(sizes.merged);
    let rate = sizes.rewritten as f64 / sizes.merge.as_secs_f64();
    Ok(vec![Figure {
        what: format!("size of a span, {} spans, all files", thousands(sizes.spans as f64)),
        measured: format!("{after:.1} B"),
        target: format!("<= {TARGET_BYTES_PER_SPAN} B"),
        reached: after <= TARGET_BYTES_PER_SPAN,
        beside: format!(
            "before merging {:.1} B in segments; {}; merged {} rows/s",
            each(sizes.sealed),
            sizes.shares,
            thousands(rate)
        ),
    }])
}
