//! What tells failing from healthy: every value of every attribute on both sides, beside DuckDB
//! and chDB over the same files.
//!
//! Requests are compared by the stages that `why` is made of, from the files to the combination.
//! Counts of spans alone are asked by no verb: they are what the peers can do, and the measure of
//! decoding and counting without requests.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use halfopen_explain::tally::tally;
use halfopen_explain::why::stages::Stages;
use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::Scope;
use halfopen_model::port::Scan;
use halfopen_model::{Batch, Clock, ReadEvidence, Table, TimeRange, UnixNanos, WriteEvidence};
use halfopen_store::{Store, StoreConfig};

use super::{Figure, cores, lookup, median, quantiles, thousands};
use data::{ATTRIBUTES, BEGIN_NS, SPANS_PER_REQUEST};

mod data;

const SPANS: usize = 10_000_000;
/// A segment as merging leaves it.
const SPANS_PER_SEGMENT: usize = 500_000;
const ROUNDS: usize = 5;
/// Peers take minutes for requests.
const ROUNDS_OF_REQUESTS: usize = 1;
const MEMORY_BYTES_MAX: usize = 16 << 30;
/// Attributes that are counted at the level of spans, over half of all spans.
const OF_SPANS: usize = 12;
const PEERS: [&str; 2] = ["duckdb", "chdb"];
const SCRIPT: &str = include_str!("difference.py");

/// Targets in seconds, for the number of spans that they are stated for.
const SPANS_TARGET: (f64, f64) = (0.2, 5e6);
const REQUESTS_TARGET: (f64, f64) = (0.9, 10e6);
const COMBINED_TARGET: (f64, f64) = (3.0, 10e6);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(BEGIN_NS + data::HOUR_NS)
    }
}

async fn fill(folder: &Path, spans: usize) -> Result<Store, String> {
    let config = StoreConfig {
        hot_bytes_max: MEMORY_BYTES_MAX,
        seal_bytes: MEMORY_BYTES_MAX,
        seal_rows: usize::MAX,
        seal_after_s: 100_000,
        wal_bytes_max: u64::MAX,
        query_memory_bytes_max: MEMORY_BYTES_MAX,
        compact: false,
        ..StoreConfig::in_folder(folder)
    };
    let opened = Store::open(config, Arc::new(Fixed)).await;
    let (store, _) = opened.map_err(|error| error.to_string())?;
    for begin in (0..spans).step_by(SPANS_PER_SEGMENT) {
        let end = (begin + SPANS_PER_SEGMENT).min(spans);
        for from in (begin..end).step_by(data::ROWS_PER_BATCH) {
            let rows = data::batch(from..(from + data::ROWS_PER_BATCH).min(end), spans);
            let batch = Batch { table: Table::Spans, rows, fingerprints: Vec::new() };
            store.write(vec![batch]).await.map_err(|error| error.to_string())?;
        }
        store.seal().await.map_err(|error| error.to_string())?;
    }
    Ok(store)
}

/// Batches of some columns, and how long they took to read and decode.
async fn read(
    store: &Store,
    range: TimeRange,
    columns: &[&str],
) -> Result<(Vec<RecordBatch>, f64), String> {
    let mut scan = Scan::all(Table::Spans, range, usize::MAX);
    scan.columns = Some(columns.iter().map(|name| (*name).to_owned()).collect());
    let began = Instant::now();
    let rows = store.read(scan).await.map_err(|error| error.to_string())?;
    Ok((rows.batches, began.elapsed().as_secs_f64()))
}

fn side(batch: &RecordBatch) -> Vec<bool> {
    let status = batch.column_by_name("status");
    let cells = halfopen_model::batch::Cells::new(batch);
    // The dictionary has two words; which of them is "error" is asked once for each batch.
    match status.and_then(|column| data::keys_of(column, "error")) {
        Some((keys, error)) => keys.iter().map(|key| *key == error).collect(),
        None => (0..batch.num_rows()).map(|r| cells.text("status", r) == Some("error")).collect(),
    }
}

fn peer(
    python: &Path,
    name: &str,
    level: &str,
    rounds: usize,
    files: &[String],
) -> Result<f64, String> {
    let attributes = if level == "spans" { &ATTRIBUTES[..OF_SPANS] } else { &ATTRIBUTES[..] };
    let names: Vec<&str> = attributes.iter().map(|(name, _)| *name).collect();
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, name, level]);
    let arguments = [rounds.to_string(), cores().to_string(), names.join(",")];
    let output = command.args(arguments).args(files).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds: Result<Vec<f64>, _> = text.lines().map(str::parse).collect();
    seconds.map(median).map_err(|_| format!("{name} says {text}"))
}

/// What the peers take, in words, and the shortest.
fn peers(level: &str, rounds: usize, files: &[String]) -> (String, Option<f64>) {
    let Some(python) = quantiles::python() else {
        return ("SKIPPED: DuckDB and chDB could not be installed from PyPI".to_owned(), None);
    };
    let (mut words, mut best) = (Vec::new(), None::<f64>);
    for name in PEERS {
        match peer(&python, name, level, rounds, files) {
            Ok(seconds) => {
                words.push(format!("{name} {seconds:.2} s"));
                best = Some(best.map_or(seconds, |best| best.min(seconds)));
            }
            Err(error) => words.push(error.lines().next().unwrap_or_default().to_owned()),
        }
    }
    (words.join(", "), best)
}

fn files(folder: &Path, count: usize) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    // Written in order of time, named in any.
    files.sort_by_key(|path| std::fs::metadata(path).and_then(|about| about.modified()).ok());
    files.truncate(count);
    Ok(files.into_iter().map(|path| path.display().to_string()).collect())
}

/// Counts of spans and of requests, and combinations.
pub(super) fn difference() -> Result<Vec<Figure>, String> {
    let spans = lookup::spans_wanted(SPANS)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let folder = super::server::folder()?;
    let folder = folder.path().join("data");
    let began = Instant::now();
    let store = runtime.block_on(fill(&folder, spans))?;
    let filled = began.elapsed();
    let mut figures = runtime.block_on(of_spans(&store, &folder, spans))?;
    figures.extend(runtime.block_on(of_requests(&store, &folder, spans))?);
    if let Some(figure) = figures.first_mut() {
        figure.beside += &format!("; filled in {:.0} s", filled.as_secs_f64());
    }
    runtime.block_on(store.close(Duration::from_secs(10)));
    Ok(figures)
}

async fn of_spans(store: &Store, folder: &Path, spans: usize) -> Result<Vec<Figure>, String> {
    let segments = spans.div_ceil(SPANS_PER_SEGMENT);
    let half = segments.div_ceil(2);
    let looked_at = (half * SPANS_PER_SEGMENT).min(spans);
    let range = TimeRange { from: UnixNanos(0), to: data::start(looked_at, spans) };
    let names: Vec<&str> = ATTRIBUTES[..OF_SPANS].iter().map(|(name, _)| *name).collect();
    let columns = [&names[..], &["status"]].concat();
    let (mut decoded, mut counted, mut whole, mut values) = (vec![], vec![], vec![], 0);
    for _ in 0..ROUNDS {
        let (batches, took) = read(store, range, &columns).await?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows != looked_at {
            return Err(format!("{rows} of {looked_at} spans were read"));
        }
        let began = Instant::now();
        values = tally(&batches, &names, side).len();
        counted.push(began.elapsed().as_secs_f64());
        decoded.push(took);
        whole.push(took + began.elapsed().as_secs_f64());
    }
    let files = files(&folder.join("segments/spans"), half)?;
    let what = format!("spans x {OF_SPANS}: {values} values, decode included");
    let (beside, best) = peers("spans", ROUNDS, &files);
    let took = median(whole);
    let detail =
        format!("{beside}; decode {:.3} s, count {:.3} s", median(decoded), median(counted));
    Ok(vec![figure(looked_at, &what, took, SPANS_TARGET, best, detail)])
}

async fn of_requests(store: &Store, folder: &Path, spans: usize) -> Result<Vec<Figure>, String> {
    let window = TimeRange { from: UnixNanos(BEGIN_NS), to: UnixNanos(BEGIN_NS + data::HOUR_NS) };
    let all: Vec<&str> =
        data::COLUMNS.into_iter().chain(ATTRIBUTES.map(|(name, _)| name)).collect();
    let now = window.to.shifted(60 * halfopen_model::time::SECOND_NS);
    let question = WhyQuestion { scope: Scope::default(), window, baseline: None, slow: None, now };
    let mut took: [Vec<f64>; 4] = Default::default();
    let (mut values, mut named, mut whole) = (0, Vec::new(), None);
    for _ in 0..ROUNDS {
        let (spans_read, decoded) = read(store, window, &all).await?;
        let evidence = WhyEvidence { spans: spans_read, ..WhyEvidence::default() };
        let mut marks = vec![Instant::now()];
        let mut stages = Stages::load(&question, &evidence);
        marks.push(Instant::now());
        stages.count();
        marks.push(Instant::now());
        named = stages.combine();
        marks.push(Instant::now());
        let parts = marks.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64());
        let parts = std::iter::once(decoded).chain(parts);
        took.iter_mut().zip(parts).for_each(|(took, part)| took.push(part));
        values = stages.carried().len();
        drop(stages);
        if whole.is_none() {
            let began = Instant::now();
            let answer = why(&question, &evidence);
            whole = Some((began.elapsed().as_secs_f64(), answer.failing.count));
        }
    }
    let mut found: Vec<&str> = named.iter().map(|part| part.attribute.as_str()).collect();
    found.sort_unstable();
    if found != data::CAUSE.map(|(name, _)| name) {
        return Err(format!("the cause is not what was found: {named:?}"));
    }
    let (whole, failing) = whole.unwrap_or_default();
    let requests = thousands((spans / SPANS_PER_REQUEST) as f64);
    let files = files(&folder.join("segments/spans"), usize::MAX)?;
    let (beside, best) = peers("requests", ROUNDS_OF_REQUESTS, &files);
    let sum = |parts: usize| {
        let of_round = |round| took[..parts].iter().map(|took| took[round]).sum::<f64>();
        median((0..ROUNDS).map(of_round).collect())
    };
    let (counted, combined) = (sum(3), sum(4));
    let [decode, load, count, combine] = took.map(median);
    let detail = format!(
        "{beside}; decode {decode:.2} s, load {load:.2} s, count {count:.2} s; \
         {requests} requests, {failing:.0} failing"
    );
    let what =
        format!("spans x {}, by request: {values} values, decode included", ATTRIBUTES.len());
    let three = "the same with combinations of three".to_owned();
    let told = format!(
        "combine {combine:.3} s; found {}; whole why without decode {whole:.2} s",
        found.join(", ")
    );
    Ok(vec![
        figure(spans, &what, counted, REQUESTS_TARGET, best, detail),
        figure(spans, &three, combined, COMBINED_TARGET, None, told),
    ])
}

fn figure(
    spans: usize,
    what: &str,
    seconds: f64,
    (target, stated_for): (f64, f64),
    best: Option<f64>,
    beside: String,
) -> Figure {
    // Fewer spans than stated must be as fast, each.
    let target = target * (spans as f64 / stated_for).min(1.0);
    let ratio = best.map(|best| format!(", {:.3} x the better peer", seconds / best));
    Figure {
        what: format!("difference, {} {what}", thousands(spans as f64)),
        measured: format!("{seconds:.3} s{}", ratio.unwrap_or_default()),
        target: format!("<= {target:.3} s"),
        reached: seconds <= target,
        beside,
    }
}
