//! Decode → Arrow → write-ahead log, in this process. What one core can do is told by processor
//! time (of all threads: decoding and log), so that waiting for the disk does not count;
//! the time on the wall stands beside it.

use std::sync::Arc;
use std::time::Instant;

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::{Clock, UnixNanos, WriteEvidence};
use halfopen_store::{Store, StoreConfig};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::{Figure, median, thousands};

const SPANS: usize = 512;
const ATTRIBUTES: usize = 12;
/// Requests that are coalesced into one batch, as the server does under load.
const REQUESTS_PER_BATCH: usize = 16;
const BATCHES: usize = 48;
const ROUNDS: usize = 5;
const TARGET_SPANS_PER_S: f64 = 400_000.0;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(1_795_000_000_000_000_000)
    }
}

/// Payloads that differ from each other, so that nothing collapses.
fn payloads(round: usize) -> Vec<Vec<u8>> {
    let count = BATCHES * REQUESTS_PER_BATCH;
    let seed = |index: usize| (round * count + index) as u64;
    (0..count).map(|index| sample::traces(seed(index), SPANS, ATTRIBUTES)).collect()
}

fn rate(spans: usize, began: Instant) -> f64 {
    spans as f64 / began.elapsed().as_secs_f64()
}

/// Ticks of processor time in a second, as Linux tells them to every process (`man 5 proc`).
const TICKS_PER_S: f64 = 100.0;

/// Processor time of this process in seconds, all threads together (Linux).
fn processor_seconds() -> Result<f64, String> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |field: usize| behind_name.split_whitespace().nth(field)?.parse::<f64>().ok();
    let user_and_system = ticks(11).zip(ticks(12)).ok_or("no times in /proc/self/stat")?;
    Ok((user_and_system.0 + user_and_system.1) / TICKS_PER_S)
}

/// Spans per second of one core, on the wall, and of decoding alone.
struct Rates {
    core: f64,
    wall: f64,
    decode: f64,
}

async fn to_log(payloads: &[Vec<u8>]) -> Result<Rates, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    // Segments are not part of the way that is measured: everything fits in memory.
    let config = StoreConfig {
        hot_bytes_max: 4 << 30,
        seal_bytes: 4 << 30,
        seal_rows: usize::MAX,
        ..StoreConfig::in_folder(folder.path().join("data"))
    };
    let (store, _) =
        Store::open(config, Arc::new(Fixed)).await.map_err(|error| error.to_string())?;
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    let (mut spans, began, processor) = (0, Instant::now(), processor_seconds()?);
    let mut decoding = 0.0;
    for group in payloads.chunks(REQUESTS_PER_BATCH) {
        let decode_began = Instant::now();
        for payload in group {
            let outcome = builder.decode(Signal::Traces, Encoding::Protobuf, payload, &arrival);
            spans += outcome.accepted as usize;
        }
        let batches = builder.finish();
        decoding += decode_began.elapsed().as_secs_f64();
        store.write(batches).await.map_err(|error| error.to_string())?;
    }
    let wall = rate(spans, began);
    let core = spans as f64 / (processor_seconds()? - processor);
    store.close(std::time::Duration::ZERO).await;
    Ok(Rates { core, wall, decode: spans as f64 / decoding })
}

fn prost_alone(payloads: &[Vec<u8>]) -> Result<f64, String> {
    let began = Instant::now();
    let mut spans = 0;
    for payload in payloads {
        let request = ExportTraceServiceRequest::decode(payload.as_slice());
        let request = request.map_err(|error| error.to_string())?;
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        spans += scopes.map(|scope| scope.spans.len()).sum::<usize>();
    }
    Ok(rate(spans, began))
}

/// Measures the whole path and, beside it, what prost needs only to make its structs.
pub(super) fn decode() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (mut rates, mut prost) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let payloads = payloads(round);
        prost.push(prost_alone(&payloads)?);
        rates.push(runtime.block_on(to_log(&payloads))?);
    }
    let of = |pick: fn(&Rates) -> f64| median(rates.iter().map(pick).collect());
    let core = of(|rates| rates.core);
    Ok(vec![Figure {
        what: format!("decode → Arrow → WAL, {ATTRIBUTES} attributes, in process, per core"),
        measured: format!("{} spans/s", thousands(core)),
        target: format!("{} spans/s", thousands(TARGET_SPANS_PER_S)),
        reached: core >= TARGET_SPANS_PER_S,
        beside: format!(
            "on the wall, one sender that waits for the disk {}; decode → Arrow alone {}; prost \
             to structs alone {}",
            thousands(of(|rates| rates.wall)),
            thousands(of(|rates| rates.decode)),
            thousands(median(prost))
        ),
    }])
}
