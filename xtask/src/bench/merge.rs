//! Whether rows come as fast while segments are merged as they do otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::{Clock, UnixNanos, WriteEvidence};
use halfopen_store::{Store, StoreConfig};

use super::{Figure, median, thousands};

const SPANS: usize = 512;
const ATTRIBUTES: usize = 12;
const REQUESTS_PER_BATCH: usize = 16;
const BATCHES: usize = 40;
/// Batches after which rows are sealed: some 40,000 spans.
const BATCHES_PER_SEAL: usize = 5;
const ROUNDS: usize = 3;
const TARGET_RATIO: f64 = 0.7;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(1_795_186_000_000_000_000)
    }
}

/// Spans per second, and rows that were merged meanwhile.
async fn rate(round: usize, merging: bool) -> Result<(f64, u64), String> {
    let folder = super::server::folder()?;
    let config = StoreConfig {
        seal_after_s: 100_000,
        compact: false,
        ..StoreConfig::in_folder(folder.path().join("data"))
    };
    let text = |error: halfopen_store::StoreError| error.to_string();
    let (store, _) = Store::open(config, Arc::new(Fixed)).await.map_err(text)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (merger, ended) = (store.clone(), Arc::clone(&stop));
    let task = tokio::spawn(async move {
        while merging && !ended.load(Ordering::Relaxed) {
            // What is there is merged again and again: more than is ever due.
            if merger.compact().await.is_err() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    let mut took = 0.0;
    let mut spans = 0;
    for batch in 0..BATCHES {
        let seed = |request: usize| ((round * 2 + usize::from(merging)) * 100_000 + request) as u64;
        let payloads: Vec<_> = (0..REQUESTS_PER_BATCH)
            .map(|n| sample::traces(seed(batch * REQUESTS_PER_BATCH + n), SPANS, ATTRIBUTES))
            .collect();
        let began = Instant::now();
        for payload in &payloads {
            let outcome = builder.decode(Signal::Traces, Encoding::Protobuf, payload, &arrival);
            spans += outcome.accepted;
        }
        store.write(builder.finish()).await.map_err(|error| error.to_string())?;
        if (batch + 1).is_multiple_of(BATCHES_PER_SEAL) {
            store.seal().await.map_err(text)?;
        }
        took += began.elapsed().as_secs_f64();
    }
    stop.store(true, Ordering::Relaxed);
    let _ = task.await;
    let rows = store.stats().compacted_rows;
    store.close(std::time::Duration::from_secs(30)).await;
    Ok((spans as f64 / took, rows))
}

/// The rate of ingest while segments are merged, by that without.
pub(super) fn merge() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let (mut alone, mut beside, mut rows) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        alone.push(runtime.block_on(rate(round, false))?.0);
        let (rate, merged) = runtime.block_on(rate(round, true))?;
        beside.push(rate);
        rows += merged;
    }
    let (alone, beside) = (median(alone), median(beside));
    let ratio = beside / alone;
    Ok(vec![Figure {
        what: "ingest while segments are merged all the time".to_owned(),
        measured: format!("{:.0} % of the rate without", ratio * 100.0),
        target: format!(">= {:.0} %", TARGET_RATIO * 100.0),
        reached: ratio >= TARGET_RATIO,
        beside: format!(
            "{} spans/s, alone {}; {} rows merged meanwhile",
            thousands(beside),
            thousands(alone),
            thousands(rows as f64)
        ),
    }])
}
