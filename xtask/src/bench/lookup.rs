//! Lookups by id in many segments: a trace by its id, and whatever else people paste into `find`.
//!
//! Warm: in one process, after a first round. Cold: a store that was opened for this one lookup,
//! with none of its files in the page cache.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::port::{Match, Scan};
use halfopen_model::{Clock, ReadEvidence, Table, TimeRange, TraceId, UnixNanos, WriteEvidence};
use halfopen_store::{Store, StoreConfig};
use halfopen_trace::find::{self, IdRows, Lookup, Question};
use rustix::fs::{Advice, fadvise};

use super::{Figure, millis, quantile, thousands};

/// How many spans there are unless asked for otherwise.
const SPANS: usize = 10_000_000;
/// The option that says otherwise.
pub(super) const SPANS_FLAG: &str = "--spans";
const SEGMENTS: usize = 200;
const SPANS_PER_TRACE: usize = 4;
const ATTRIBUTES: usize = 6;
/// Spans of a write: an export, coalesced.
const WRITE_SPANS: usize = 10_000;
const WARM_ROUNDS: usize = 400;
const COLD_ROUNDS: usize = 60;
const ROWS_MAX: usize = 50_000;

const TRACE_WARM: Duration = Duration::from_millis(10);
const TRACE_COLD: Duration = Duration::from_millis(50);
const FIND_WARM: Duration = Duration::from_millis(20);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(1_795_000_000_000_000_000)
    }
}

/// What is in the store.
#[derive(Clone, Copy)]
struct Filled {
    segment_spans: usize,
    took: Duration,
}

impl Filled {
    /// The trace and the request of one round, spread over all segments.
    fn ids(&self, round: usize) -> (TraceId, String) {
        let mixed = (round as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seed = mixed % SEGMENTS as u64;
        let traces = self.segment_spans / SPANS_PER_TRACE;
        let (trace_id, request_id) =
            sample::ids_of(seed * SEED_STEP, (mixed >> 20) as usize % traces);
        (TraceId(trace_id), request_id)
    }
}

/// Seeds of segments lie far apart, so that they have no trace in common.
const SEED_STEP: u64 = 0x0001_0000_0001;

async fn fill(folder: &Path, spans: usize) -> Result<Filled, String> {
    let segment_spans = (spans / SEGMENTS).next_multiple_of(SPANS_PER_TRACE);
    let began = Instant::now();
    let store = open(folder, false).await?;
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    for segment in 0..SEGMENTS as u64 {
        let mut builder = EvidenceBuilder::new(IngestSettings::default());
        let bytes = sample::traces_with_ids(segment * SEED_STEP, segment_spans, ATTRIBUTES);
        let outcome = builder.decode(Signal::Traces, Encoding::Protobuf, &bytes, &arrival);
        if outcome.accepted as usize != segment_spans {
            return Err(format!("{} of {segment_spans} spans were taken", outcome.accepted));
        }
        for batch in builder.finish() {
            for begin in (0..batch.rows.num_rows()).step_by(WRITE_SPANS) {
                let rows = (batch.rows.num_rows() - begin).min(WRITE_SPANS);
                let mut part = batch.clone();
                part.rows = batch.rows.slice(begin, rows);
                part.fingerprints = batch.fingerprints[begin..begin + rows].to_vec();
                store.write(vec![part]).await.map_err(|error| error.to_string())?;
            }
        }
        store.seal().await.map_err(|error| error.to_string())?;
    }
    store.close(Duration::from_secs(60)).await;
    Ok(Filled { segment_spans, took: began.elapsed() })
}

async fn open(folder: &Path, read_only: bool) -> Result<Store, String> {
    // Merging is asked for where it is meant.
    let config = StoreConfig { compact: false, ..StoreConfig::in_folder(folder) };
    let opened = match read_only {
        true => Store::open_read_only(config, Arc::new(Fixed)).await,
        false => Store::open(config, Arc::new(Fixed)).await,
    };
    opened.map(|(store, _)| store).map_err(|error| error.to_string())
}

async fn read(
    store: &Store,
    table: Table,
    matching: Match,
) -> Result<halfopen_model::port::Rows, String> {
    let scan = Scan { matching, ..Scan::all(table, TimeRange::ALL, ROWS_MAX) };
    store.read(scan).await.map_err(|error| error.to_string())
}

/// All spans and log records of a trace.
async fn trace(store: &Store, trace_id: TraceId) -> Result<(), String> {
    let spans = read(store, Table::Spans, Match::Traces(vec![trace_id])).await?.len();
    read(store, Table::Logs, Match::Traces(vec![trace_id])).await?;
    match spans {
        SPANS_PER_TRACE => Ok(()),
        other => Err(format!("trace {trace_id} has {other} spans")),
    }
}

/// What `find` reads: which ids and traces the text stands for, and the rows of those traces.
async fn find(store: &Store, text: &str) -> Result<(), String> {
    let question = Question::read(text);
    let mut found = IdRows::default();
    for lookup in question.lookups() {
        let column = "id".to_owned();
        let matching = match lookup {
            Lookup::Exact(value) => Match::Text { column, value },
            Lookup::Prefix(prefix) => Match::TextPrefix { column, prefix },
        };
        found.ids.extend(read(store, Table::Ids, matching).await?.batches);
    }
    let mut by_key = Vec::new();
    by_key.extend(question.span.map(Match::Span));
    by_key.extend(question.trace.map(|id| Match::Traces(vec![id])));
    by_key.extend(question.trace_range.map(|(first, last)| Match::TraceRange(first, last)));
    for matching in by_key {
        for table in [Table::Spans, Table::Logs] {
            let mut scan = Scan::all(table, TimeRange::ALL, ROWS_MAX);
            scan.matching = matching.clone();
            scan.columns = Some(vec!["trace_id".into(), table.time_column().into()]);
            let rows = store.read(scan).await.map_err(|error| error.to_string())?;
            let of =
                if question.span.is_some() { &mut found.of_span } else { &mut found.of_traces };
            of.extend(rows.batches.into_iter().map(|batch| (table, batch)));
        }
    }
    let choice = find::choose(&question, &found);
    if choice.traces.is_empty() {
        return Err(format!("nothing carries \"{text}\""));
    }
    let of_traces = Match::Traces(choice.traces);
    read(store, Table::Spans, of_traces.clone()).await?;
    read(store, Table::Logs, of_traces).await?;
    Ok(())
}

/// The texts of one round, by what they are.
async fn texts(
    store: &Store,
    filled: &Filled,
    round: usize,
) -> Result<[(&'static str, String); 4], String> {
    let (trace_id, request_id) = filled.ids(round);
    let rows = read(store, Table::Spans, Match::Traces(vec![trace_id])).await?;
    let cells = rows.batches.first().map(halfopen_model::batch::Cells::new);
    let span_id = cells.and_then(|cells| cells.span_id("span_id", 0)).ok_or("no span")?;
    Ok([
        ("beginning of a request id", request_id[..13].to_owned()),
        ("request id", request_id),
        ("span id", span_id.to_string()),
        ("beginning of a trace id", trace_id.to_string()[..12].to_owned()),
    ])
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort();
    times
}

/// Takes all files of the folder out of the page cache.
fn forget(folder: &Path) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            forget(&path)?;
            continue;
        }
        let file = File::open(&path).map_err(|error| error.to_string())?;
        file.sync_all().map_err(|error| error.to_string())?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn warm(folder: &Path, filled: &Filled) -> Result<Vec<Figure>, String> {
    let store = open(folder, true).await?;
    let mut traces = Vec::new();
    for round in 0..2 * WARM_ROUNDS {
        let (trace_id, _) = filled.ids(round % WARM_ROUNDS);
        let began = Instant::now();
        trace(&store, trace_id).await?;
        traces.push(began.elapsed());
    }
    let traces = sorted(traces.split_off(WARM_ROUNDS));
    let stats = store.stats();
    let opened = stats.lookup_opened as f64 / (2 * WARM_ROUNDS) as f64;
    let mut finds: Vec<(&str, Vec<Duration>)> = Vec::new();
    for round in 0..2 * WARM_ROUNDS {
        for (kind, text) in texts(&store, filled, round % WARM_ROUNDS).await? {
            let began = Instant::now();
            find(&store, &text).await?;
            if round < WARM_ROUNDS {
                continue;
            }
            match finds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, times)) => times.push(began.elapsed()),
                None => finds.push((kind, vec![began.elapsed()])),
            }
        }
    }
    store.close(Duration::ZERO).await;
    let mut figures = vec![figure(
        "trace by id, warm".to_owned(),
        &traces,
        TRACE_WARM,
        format!(
            "{opened:.2} segments opened by a lookup; filters {:.1} MB in memory",
            stats.filter_bytes as f64 / 1e6
        ),
    )];
    for (kind, times) in finds {
        figures.push(figure(
            format!("find by {kind}, warm"),
            &sorted(times),
            FIND_WARM,
            String::new(),
        ));
    }
    Ok(figures)
}

fn figure(what: String, times: &[Duration], target: Duration, beside: String) -> Figure {
    let p99 = quantile(times, 0.99);
    let p50 = millis(quantile(times, 0.5));
    let beside = if beside.is_empty() { beside } else { format!("; {beside}") };
    Figure {
        what,
        measured: format!("p99 {}", millis(p99)),
        target: format!("≤ {}", millis(target)),
        reached: p99 <= target,
        beside: format!("p50 {p50}{beside}"),
    }
}

async fn cold(folder: &Path, filled: &Filled) -> Result<Figure, String> {
    let (mut traces, mut opens) = (Vec::new(), Vec::new());
    for round in 0..COLD_ROUNDS {
        forget(folder)?;
        let (trace_id, _) = filled.ids(WARM_ROUNDS + round);
        let began = Instant::now();
        let store = open(folder, true).await?;
        opens.push(began.elapsed());
        let began = Instant::now();
        trace(&store, trace_id).await?;
        traces.push(began.elapsed());
        store.close(Duration::ZERO).await;
    }
    let open =
        format!("opening the store before it p99 {}", millis(quantile(&sorted(opens), 0.99)));
    Ok(figure("trace by id, cold".to_owned(), &sorted(traces), TRACE_COLD, open))
}

fn bytes_of(folder: &Path, ending: &str) -> Result<u64, String> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.path().is_dir() {
            bytes += bytes_of(&entry.path(), ending)?;
        } else if entry.path().to_string_lossy().ends_with(ending) {
            bytes += entry.metadata().map_err(|error| error.to_string())?.len();
        }
    }
    Ok(bytes)
}

/// What the option says, else `default`.
pub(super) fn spans_wanted(default: usize) -> Result<usize, String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != SPANS_FLAG);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(number)) => number
            .replace('_', "")
            .parse()
            .map_err(|_| format!("{SPANS_FLAG} takes a number, not \"{number}\"")),
        (Some(_), None) => Err(format!("{SPANS_FLAG} takes a number")),
        _ => Ok(default),
    }
}

/// All lookups, of segments that are described so.
async fn measured(
    folder: &Path,
    filled: &Filled,
    spans: usize,
    segments: &str,
) -> Result<Vec<Figure>, String> {
    let filters = bytes_of(&folder.join("segments"), ".filter")? as f64;
    let all = bytes_of(&folder.join("segments"), "")? as f64;
    let mut figures = warm(folder, filled).await?;
    figures.push(cold(folder, filled).await?);
    for figure in &mut figures {
        figure.what += &format!(", {} spans in {segments}", thousands(spans as f64));
    }
    if let Some(figure) = figures.first_mut() {
        figure.beside += &format!(
            "; filters {:.2} of {:.1} bytes per span on disk",
            filters / spans as f64,
            all / spans as f64
        );
    }
    Ok(figures)
}

/// Merges everything; how many segments of spans are left.
async fn merge(folder: &Path) -> Result<(u64, Duration), String> {
    let began = Instant::now();
    let store = open(folder, false).await?;
    store.compact().await.map_err(|error| error.to_string())?;
    store.delete_unserved(Duration::ZERO).await;
    let left = store.stats().tables[Table::Spans as usize].segments;
    store.close(Duration::from_secs(60)).await;
    Ok((left, began.elapsed()))
}

/// Measures lookups in a store of segments as they are sealed, and again when they are merged.
pub(super) fn lookup() -> Result<Vec<Figure>, String> {
    let spans = spans_wanted(SPANS)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let folder = super::server::folder()?;
    let folder = folder.path().join("data");
    runtime.block_on(async {
        let filled = fill(&folder, spans).await?;
        let mut figures =
            measured(&folder, &filled, spans, &format!("{SEGMENTS} segments")).await?;
        let (left, took) = merge(&folder).await?;
        let mut merged =
            measured(&folder, &filled, spans, &format!("{left} merged segments")).await?;
        for (figure, what, took) in
            [(figures.first_mut(), "filled", filled.took), (merged.first_mut(), "merged", took)]
        {
            if let Some(figure) = figure {
                figure.beside += &format!("; {what} in {:.0} s", took.as_secs_f64());
            }
        }
        figures.append(&mut merged);
        Ok(figures)
    })
}
