//! How long a query is planned over a catalogue of many segments.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Clock, UnixNanos, WriteEvidence};
use halfopen_store::{QueryLimits, Store, StoreConfig};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Figure, millis, quantile, thousands};

const SEGMENTS: i64 = 50_000;
const ROUNDS: usize = 30;
const TARGET: Duration = Duration::from_millis(20);
const HOUR_NS: i64 = 3_600 * SECOND_NS;

/// One segment for each hour before the first.
const COPIES: &str = "
WITH RECURSIVE hours (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hours WHERE n < $1)
INSERT INTO segments SELECT id + n, table_name,
    'segments/spans/spans-' || printf('%020d', 1000000 + n) || '-node-1.parquet',
    state, reason, row_count, byte_count, time_from - n * $2, time_to - n * $2,
    trace_first, trace_last, sums, schema_version, columns, node, sealed_at, snapshot, level,
    removed_at
FROM segments, hours WHERE id = 1";

const DAY: &str = "EXPLAIN SELECT service, count(*) FROM spans \
    WHERE start_time >= '2024-05-01T00:00:00Z' AND start_time < '2024-05-02T00:00:00Z' \
    GROUP BY service";
const ALL: &str = "EXPLAIN SELECT service, count(*) FROM spans GROUP BY service";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        UnixNanos(sample::START_NS as i64)
    }
}

async fn open(folder: &Path) -> Result<(Store, Duration), String> {
    let config = StoreConfig { compact: false, ..StoreConfig::in_folder(folder) };
    let began = Instant::now();
    let opened = Store::open(config, Arc::new(Fixed)).await;
    let (store, report) = opened.map_err(|error| error.to_string())?;
    match report.damaged_segments {
        0 => Ok((store, began.elapsed())),
        lost => Err(format!("{lost} segments are missing")),
    }
}

/// One real segment, and as many that say the same of other hours; their files are links to it.
/// How long the plan takes with the one alone.
async fn fill(folder: &Path) -> Result<Duration, String> {
    let text = |error: sqlx::Error| error.to_string();
    let (store, _) = open(folder).await?;
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "bench", at: Fixed.now() };
    let bytes = sample::traces(1, 100, 6);
    builder.decode(Signal::Traces, Encoding::Protobuf, &bytes, &arrival);
    let spans = builder.finish().into_iter().filter(|b| b.table == halfopen_model::Table::Spans);
    store.write(spans.collect()).await.map_err(|error| error.to_string())?;
    store.seal().await.map_err(|error| error.to_string())?;
    let alone = quantile(&times(&store, DAY).await?, 0.5);
    store.close(Duration::from_secs(10)).await;
    drop(store);
    let file = SqliteConnectOptions::new().filename(folder.join("catalogue.sqlite"));
    let mut file = file.connect().await.map_err(text)?;
    let copies = sqlx::query(COPIES).bind(SEGMENTS - 1).bind(HOUR_NS);
    copies.execute(&mut file).await.map_err(text)?;
    let ask = sqlx::query_scalar("SELECT file FROM segments ORDER BY id");
    let files: Vec<String> = ask.fetch_all(&mut file).await.map_err(text)?;
    file.close().await.map_err(text)?;
    let first = folder.join(files.first().ok_or("no segment")?);
    for (number, name) in files.iter().enumerate().skip(1) {
        // A file has some ten thousands of names at most.
        let linked = std::fs::hard_link(&first, folder.join(name));
        if linked.is_err() {
            std::fs::copy(&first, folder.join(name))
                .map_err(|error| format!("file {number}: {error}"))?;
        }
    }
    Ok(alone)
}

async fn times(store: &Store, sql: &str) -> Result<Vec<Duration>, String> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let answer = store.query(sql, QueryLimits::default()).await;
        answer.map_err(|error| error.to_string())?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times)
}

/// Plans of a query over a day of six years, and over all of it.
pub(super) fn planning() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let folder = super::server::folder()?;
    let data = folder.path().join("data");
    runtime.block_on(async {
        let alone = fill(&data).await?;
        let (store, opening) = open(&data).await?;
        let mut figures = Vec::new();
        for (what, sql) in [("one day", DAY), ("all of them", ALL)] {
            let times = times(&store, sql).await?;
            let p99 = quantile(&times, 0.99);
            let segments = thousands(SEGMENTS as f64);
            figures.push(Figure {
                what: format!("planning a query, {segments} segments in the catalogue, {what}"),
                measured: format!("p99 {}", millis(p99)),
                target: format!("<= {}", millis(TARGET)),
                reached: p99 <= TARGET,
                beside: format!(
                    "p50 {}, with one segment {}; the store opened in {}",
                    millis(quantile(&times, 0.5)),
                    millis(alone),
                    millis(opening)
                ),
            });
        }
        store.close(Duration::ZERO).await;
        Ok(figures)
    })
}
