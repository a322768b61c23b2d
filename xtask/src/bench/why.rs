//! From the question `why` to its answer, over a store: spans are read, compared, told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_ingest::sample::shop;
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::{Clock, UnixNanos, WriteEvidence as _};
use halfopen_serve::desk::{Desk, DeskSettings, WhyAsk};
use halfopen_store::{Store, StoreConfig};

use super::{Figure, millis, quantile, thousands};

const SPANS: usize = 50_000;
const ROUNDS: usize = 9;
const TARGET: Duration = Duration::from_secs(1);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(1_900_000_000_000_000_000)
    }
}

/// The whole of `why` over 50,000 spans, page cache warm.
pub(super) fn why() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let opened = Store::open(StoreConfig::in_folder(folder.path()), Arc::new(Fixed)).await;
    let (store, _) = opened.map_err(|error| error.to_string())?;
    let mut requests = 0_u64;
    while shop::spans(1, 0..requests) < SPANS {
        requests += 100;
    }
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    let bytes = shop::traces(1, 0..requests);
    builder.decode(Signal::Traces, Encoding::Protobuf, &bytes, &arrival);
    store.write(builder.finish()).await.map_err(|error| error.to_string())?;
    store.seal().await.map_err(|error| error.to_string())?;
    let desk = Desk::new(store.clone(), Arc::new(Fixed), DeskSettings::default());
    let (mut took, mut spans) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let answer = desk.why(WhyAsk::default()).await.map_err(|error| error.to_string())?;
        took.push(began.elapsed());
        spans = answer.spans;
    }
    store.close(Duration::from_secs(60)).await;
    if spans < SPANS as u64 {
        return Err(format!("{spans} of {SPANS} spans were looked at"));
    }
    took.sort();
    let median = quantile(&took, 0.5);
    Ok(vec![Figure {
        what: format!("whole why over {} spans, in segments", thousands(spans as f64)),
        measured: format!("{} (longest {})", millis(median), millis(quantile(&took, 1.0))),
        target: millis(TARGET),
        reached: median <= TARGET,
        beside: format!("{} requests", thousands(requests as f64)),
    }])
}
