//! Latency quantiles of every service, beside DuckDB and chDB over the same files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_ingest::sample::{self, shop};
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::{Clock, Table, UnixNanos, WriteEvidence};
use halfopen_store::{QueryLimits, Store, StoreConfig};

use super::{Figure, cores, lookup, median, thousands};

const SPANS: usize = 5_000_000;
/// A segment as merging leaves it: rows of an hour.
const SPANS_PER_SEGMENT: u64 = 500_000;
const REQUESTS_PER_EXPORT: u64 = 60;
const EXPORTS_PER_WRITE: u64 = 20;
const SEED: u64 = 2026;
const ROUNDS: usize = 7;
const TARGET_RATIO: f64 = 1.3;
const HOT_BYTES_MAX: usize = 8 << 30;

const SQL: &str = "SELECT service, count(*), approx_percentile_cont(duration_ns, 0.5), \
    approx_percentile_cont(duration_ns, 0.95), approx_percentile_cont(duration_ns, 0.99) \
    FROM spans GROUP BY service ORDER BY service";

/// Peers, and what they are to be asked with.
const PEERS: [&str; 2] = ["duckdb", "chdb"];
const SCRIPT: &str = include_str!("quantiles.py");

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(sample::START_NS as i64)
    }
}

async fn fill(folder: &Path, spans: u64) -> Result<Store, String> {
    let config = StoreConfig {
        hot_bytes_max: HOT_BYTES_MAX,
        seal_bytes: HOT_BYTES_MAX,
        seal_rows: usize::MAX,
        seal_after_s: 100_000,
        wal_bytes_max: u64::MAX,
        compact: false,
        ..StoreConfig::in_folder(folder)
    };
    let opened = Store::open(config, Arc::new(Fixed)).await;
    let (store, _) = opened.map_err(|error| error.to_string())?;
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    let (mut written, mut hot, mut export) = (0, 0, 0);
    while written < spans {
        let first = export * REQUESTS_PER_EXPORT;
        let bytes = shop::traces(SEED, first..first + REQUESTS_PER_EXPORT);
        let outcome = builder.decode(Signal::Traces, Encoding::Protobuf, &bytes, &arrival);
        (written, hot, export) = (written + outcome.accepted, hot + outcome.accepted, export + 1);
        if export.is_multiple_of(EXPORTS_PER_WRITE) || written >= spans {
            let mut batches = builder.finish();
            batches.retain(|batch| batch.table == Table::Spans);
            store.write(batches).await.map_err(|error| error.to_string())?;
        }
        if hot >= SPANS_PER_SEGMENT || written >= spans {
            store.seal().await.map_err(|error| error.to_string())?;
            hot = 0;
        }
    }
    Ok(store)
}

async fn ours(store: &Store) -> Result<Vec<f64>, String> {
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let limits = QueryLimits { time_max: Duration::from_secs(300), ..QueryLimits::default() };
        store.query(SQL, limits).await.map_err(|error| error.to_string())?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// A Python with the peers in it, installed from PyPI when it is not there.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = cache.or(home)?.join("halfopen/clients/bench");
    let python = folder.join("bin/python");
    let has_peers = |python: &Path| {
        let mut ask = Command::new(python);
        ask.args(["-c", "import duckdb, chdb"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !has_peers(&python) {
        let venv = Command::new("python3").args(["-m", "venv"]).arg(&folder).status().ok()?;
        let pip = folder.join("bin/pip");
        let install = Command::new(pip).args(["install", "--quiet", "duckdb", "chdb"]).status();
        if !venv.success() || !install.ok()?.success() || !has_peers(&python) {
            return None;
        }
    }
    Some(python)
}

fn peer(python: &Path, name: &str, files: &Path) -> Result<Vec<f64>, String> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, name]).arg(files);
    let output = command.args([ROUNDS.to_string(), cores().to_string()]).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| line.parse().map_err(|_| format!("{name} says {line}"))).collect()
}

/// Our time by that of the faster peer.
pub(super) fn quantiles() -> Result<Vec<Figure>, String> {
    let spans = lookup::spans_wanted(SPANS)? as u64;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let folder = super::server::folder()?;
    let data = folder.path().join("data");
    let store = runtime.block_on(fill(&data, spans))?;
    let ours = median(runtime.block_on(ours(&store))?);
    runtime.block_on(store.close(Duration::from_secs(10)));
    let files = data.join("segments/spans");
    let mut peers = Vec::new();
    let Some(python) = python() else {
        let skipped = "SKIPPED: DuckDB and chDB could not be installed from PyPI".to_owned();
        return Ok(vec![figure(spans, format!("{ours:.2} s"), false, skipped)]);
    };
    for name in PEERS {
        peers.push((name, median(peer(&python, name, &files)?)));
    }
    let best = peers.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    let ratio = ours / best;
    let each = |(name, seconds): &(&str, f64)| format!("{name} {seconds:.2} s");
    let beside = peers.iter().map(each).collect::<Vec<_>>().join(", ");
    let measured = format!("{ours:.2} s, {ratio:.2} x the better");
    Ok(vec![figure(spans, measured, ratio <= TARGET_RATIO, beside)])
}

fn figure(spans: u64, measured: String, reached: bool, beside: String) -> Figure {
    Figure {
        what: format!("latency quantiles by service, {} spans", thousands(spans as f64)),
        measured,
        target: format!("<= {TARGET_RATIO} x the better peer"),
        reached,
        beside,
    }
}
