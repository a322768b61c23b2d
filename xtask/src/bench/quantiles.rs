//! Latency quantiles of every service, beside DuckDB and chDB over the same files.
//!
//! All three approximate: ours by a sketch that names its error, DuckDB and chDB by t-digests that
//! name none. What DuckDB takes for exact quantiles stands beside, and how far ours are from them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_ingest::sample::{self, shop};
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::batch::Cells;
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

const SQL: &str = "SELECT service, count(*), quantile(duration_ns, 0.5) AS \"0.5\", \
    quantile(duration_ns, 0.95) AS \"0.95\", quantile(duration_ns, 0.99) AS \"0.99\" \
    FROM spans GROUP BY service ORDER BY service";
const SHARES: [&str; 3] = ["0.5", "0.95", "0.99"];

/// Peers that approximate, and what they do it with.
const PEERS: [(&str, &str); 2] = [("duckdb", "approx_quantile"), ("chdb", "quantilesTDigest")];
/// The peer whose quantiles are exact; its last line holds them.
const EXACT: &str = "exact";
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

/// Seconds of each round, and the quantiles in the order of services.
async fn ours(store: &Store) -> Result<(Vec<f64>, Vec<f64>), String> {
    let (mut seconds, mut quantiles) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let limits = QueryLimits { time_max: Duration::from_secs(300), ..QueryLimits::default() };
        let answer = store.query(SQL, limits).await.map_err(|error| error.to_string())?;
        seconds.push(began.elapsed().as_secs_f64());
        quantiles.clear();
        for cells in answer.batches.iter().map(Cells::new) {
            let rows = 0..cells.len();
            let each = rows.flat_map(|row| SHARES.map(|share| cells.double(share, row)));
            quantiles.extend(each.flatten());
        }
    }
    Ok((seconds, quantiles))
}

/// The largest part of an exact quantile by which ours differ.
fn error(ours: &[f64], exact: &[f64]) -> Result<f64, String> {
    if ours.len() != exact.len() || ours.is_empty() {
        return Err(format!("{} quantiles, and {} exact ones", ours.len(), exact.len()));
    }
    let off = ours.iter().zip(exact).map(|(ours, exact)| (ours - exact).abs() / exact.max(1.0));
    Ok(off.fold(0.0, f64::max))
}

/// A Python with the peers in it, installed from PyPI when it is not there.
pub(super) fn python() -> Option<PathBuf> {
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

/// Lines of numbers: the seconds of each round, and the quantiles of the one that is exact.
fn peer(python: &Path, name: &str, files: &Path) -> Result<Vec<Vec<f64>>, String> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, name]).arg(files);
    let output = command.args([ROUNDS.to_string(), cores().to_string()]).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |word: &str| word.parse().map_err(|_| format!("{name} says {word}"));
    text.lines().map(|line| line.split_whitespace().map(number).collect()).collect()
}

/// Our time by that of the faster peer.
pub(super) fn quantiles() -> Result<Vec<Figure>, String> {
    let spans = lookup::spans_wanted(SPANS)? as u64;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let folder = super::server::folder()?;
    let data = folder.path().join("data");
    let store = runtime.block_on(fill(&data, spans))?;
    let (seconds, quantiles) = runtime.block_on(ours(&store))?;
    let ours = median(seconds);
    runtime.block_on(store.close(Duration::from_secs(10)));
    let files = data.join("segments/spans");
    let Some(python) = python() else {
        let skipped = "SKIPPED: DuckDB and chDB could not be installed from PyPI".to_owned();
        return Ok(vec![figure(spans, format!("{ours:.3} s"), false, skipped)]);
    };
    let mut best = f64::INFINITY;
    let mut beside = Vec::new();
    for (name, function) in PEERS {
        let seconds = median(peer(&python, name, &files)?.concat());
        best = best.min(seconds);
        beside.push(format!("{name} {function} {seconds:.3} s"));
    }
    let mut lines = peer(&python, EXACT, &files)?;
    let exact = lines.pop().unwrap_or_default();
    beside.push(format!("duckdb quantile_disc (exact) {:.3} s", median(lines.concat())));
    beside.push(format!("ours are off by {:.2} % at most", error(&quantiles, &exact)? * 1e2));
    let ratio = ours / best;
    let measured = format!("{ours:.3} s, {ratio:.2} x the better");
    Ok(vec![figure(spans, measured, ratio <= TARGET_RATIO, beside.join(", "))])
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
