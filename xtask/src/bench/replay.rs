//! How fast the write-ahead log is read back after a crash.

use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_ingest::sample::{self, shop};
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::{Clock, UnixNanos, WriteEvidence};
use halfopen_store::{Store, StoreConfig};

use super::{Figure, median, thousands};

/// Requests of the shop: some 430,000 spans.
const REQUESTS: u64 = 48_000;
const REQUESTS_PER_EXPORT: u64 = 60;
const EXPORTS_PER_WRITE: u64 = 4;
const SEED: u64 = 2026;
const ROUNDS: usize = 5;
const TARGET_MB_PER_S: f64 = 200.0;
/// Nothing is sealed: everything stays in the log.
const HOT_BYTES_MAX: usize = 8 << 30;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(sample::START_NS as i64)
    }
}

fn settings(folder: &std::path::Path) -> StoreConfig {
    StoreConfig {
        hot_bytes_max: HOT_BYTES_MAX,
        seal_bytes: HOT_BYTES_MAX,
        seal_rows: usize::MAX,
        seal_after_s: 100_000,
        wal_bytes_max: u64::MAX,
        compact: false,
        ..StoreConfig::in_folder(folder)
    }
}

async fn fill(folder: &std::path::Path) -> Result<(), String> {
    let opened = Store::open(settings(folder), Arc::new(Fixed)).await;
    let (store, _) = opened.map_err(|error| error.to_string())?;
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    for first in (0..REQUESTS).step_by(REQUESTS_PER_EXPORT as usize) {
        let bytes = shop::traces(SEED, first..first + REQUESTS_PER_EXPORT);
        builder.decode(Signal::Traces, Encoding::Protobuf, &bytes, &arrival);
        if (first / REQUESTS_PER_EXPORT + 1).is_multiple_of(EXPORTS_PER_WRITE) {
            store.write(builder.finish()).await.map_err(|error| error.to_string())?;
        }
    }
    store.write(builder.finish()).await.map_err(|error| error.to_string())?;
    // As after a crash: nothing is sealed.
    store.close(Duration::ZERO).await;
    Ok(())
}

/// Reading all files of the log, nothing else.
fn plain(folder: &std::path::Path) -> Result<f64, String> {
    let began = Instant::now();
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder.join("wal")).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        bytes += std::fs::read(path).map_err(|error| error.to_string())?.len();
    }
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}

/// Megabytes of the log in a second.
pub(super) fn replay() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let folder = super::server::folder()?;
    let data = folder.path().join("data");
    runtime.block_on(fill(&data))?;
    let (mut rates, mut reads, mut rows, mut megabytes) = (Vec::new(), Vec::new(), 0, 0.0);
    for _ in 0..ROUNDS {
        let opened = Store::open_read_only(settings(&data), Arc::new(Fixed));
        let (store, report) = runtime.block_on(opened).map_err(|error| error.to_string())?;
        rows = report.replayed_rows;
        megabytes = report.replayed_bytes as f64 / 1e6;
        rates.push(megabytes / report.took.as_secs_f64());
        runtime.block_on(store.close(Duration::ZERO));
        drop(store);
        reads.push(plain(&data)?);
    }
    let rate = median(rates);
    Ok(vec![Figure {
        what: format!("replay of the log, {megabytes:.0} MB, {} rows", thousands(rows as f64)),
        measured: format!("{rate:.0} MB/s"),
        target: format!(">= {TARGET_MB_PER_S} MB/s"),
        reached: rate >= TARGET_MB_PER_S,
        beside: format!(
            "{} rows/s; reading the files alone {:.0} MB/s",
            thousands(rows as f64 * rate / megabytes),
            median(reads)
        ),
    }])
}
