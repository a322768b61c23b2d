//! The real binary as a process of its own, with senders on the same machine.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use halfopen_ingest::sample;
use halfopen_serve::{Scope, TokenEntry};
use tonic::Code;

use super::client::Sender;
use super::fsync::Probe;
use super::{Figure, median, millis, quantile, thousands};

const SPANS: usize = 512;
const ATTRIBUTES: usize = 12;
const CONNECTIONS: usize = 16;
const THROUGHPUT_TIME: Duration = Duration::from_secs(10);
const THROUGHPUT_TARGET: f64 = 100_000.0;
const GUARDED_TIME: Duration = Duration::from_secs(5);
const GUARDED_ROUNDS: usize = 5;
const GUARDED_SHARE_MIN: f64 = 0.95;
const EXPORTS_ALONE: usize = 1_000;
/// A busy service: 25,600 spans per second. SDKs export when a batch is full.
const EXPORT_PAUSE: Duration = Duration::from_millis(20);
const LATENCY_ABOVE_FSYNC_MAX: Duration = Duration::from_millis(5);
const START_MAX: Duration = Duration::from_millis(300);
const STARTS: usize = 9;
const IDLE_MB_MAX: f64 = 100.0;
const MEMORY_TIME: Duration = Duration::from_secs(30);
/// The server's default bound for rows in memory, and what a process needs besides.
const MEMORY_MB_MAX: f64 = 512.0;

/// A running server.
struct Server {
    child: Child,
    grpc: String,
    ready_after: Duration,
}

impl Server {
    fn start(folder: &Path) -> Result<Server, String> {
        Server::start_with(folder, &[])
    }

    /// One that asks for a token, where there are entries of some.
    fn start_with(folder: &Path, entries: &[String]) -> Result<Server, String> {
        let binary = binary()?;
        let began = Instant::now();
        let mut child = Command::new(binary)
            .env("HALFOPEN_SERVE_TOKENS", entries.join(","))
            .args(["serve", "--json", "--otlp-grpc", "127.0.0.1:0"])
            .args(["--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("could not start the server: {error}"))?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let ready_after = began.elapsed();
        let ready: serde_json::Value =
            serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"))?;
        let grpc = ready["otlp_grpc"].as_str().ok_or("no otlp_grpc in the ready line")?;
        Ok(Server { child, grpc: grpc.to_owned(), ready_after })
    }

    /// Resident memory in MB (Linux).
    fn memory_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kb.unwrap_or(f64::NAN) / 1024.0
    }

    fn stop(mut self) -> Result<(), String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
        self.child.wait().map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the binary in our own profile and says where it lies.
fn binary() -> Result<PathBuf, String> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "halfopen"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err("the binary does not build".to_owned());
    }
    let ours = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(ours.with_file_name("halfopen"))
}

pub(super) fn folder() -> Result<tempfile::TempDir, String> {
    // Beside the build, not on a memory file system: fsync must be a real one.
    let ours = std::env::current_exe().map_err(|error| error.to_string())?;
    let parent = ours.parent().ok_or("no folder")?;
    tempfile::tempdir_in(parent).map_err(|error| error.to_string())
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

/// Spans acknowledged and refused by many senders until the time is over.
async fn load(address: &str, time: Duration) -> Result<(u64, u64), String> {
    load_with(address, time, &[]).await
}

/// The same, each connection with one of the tokens, if there are any.
async fn load_with(address: &str, time: Duration, tokens: &[String]) -> Result<(u64, u64), String> {
    let (sent, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for connection in 0..CONNECTIONS {
        let mut sender = Sender::connect(address).await?;
        if let Some(token) = tokens.get(connection % tokens.len().max(1)) {
            sender = sender.bearing(token)?;
        }
        let (sent, refused, stop) = (sent.clone(), refused.clone(), stop.clone());
        senders.push(async move {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let seed = (connection as u64) << 40 | number;
                number += 1;
                let body = Bytes::from(sample::traces(seed, SPANS, ATTRIBUTES));
                match sender.export(body).await {
                    Ok(()) => sent.fetch_add(SPANS as u64, Ordering::Relaxed),
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        refused.fetch_add(SPANS as u64, Ordering::Relaxed)
                    }
                    Err(status) => return Err(status.to_string()),
                };
            }
            Ok(())
        });
    }
    let all = tokio::task::JoinSet::from_iter(senders).join_all();
    let over = async {
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (results, ()) = tokio::join!(all, over);
    results.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok((sent.load(Ordering::Relaxed), refused.load(Ordering::Relaxed)))
}

/// 16 connections, batches of 512 spans: spans per second that are durable.
pub(super) fn throughput() -> Result<Vec<Figure>, String> {
    let folder = folder()?;
    let server = Server::start(&folder.path().join("data"))?;
    let began = Instant::now();
    let (sent, refused) = runtime()?.block_on(load(&server.grpc, THROUGHPUT_TIME))?;
    let rate = sent as f64 / began.elapsed().as_secs_f64();
    server.stop()?;
    Ok(vec![Figure {
        what: format!("OTLP/gRPC to durable, {CONNECTIONS} connections, {SPANS} spans each"),
        measured: format!("{} spans/s", thousands(rate)),
        target: format!("{} spans/s", thousands(THROUGHPUT_TARGET)),
        reached: rate >= THROUGHPUT_TARGET,
        beside: format!(
            "sender on the same cores makes its payloads meanwhile; {} spans refused",
            thousands(refused as f64)
        ),
    }])
}

/// Spans per second of senders that bear tokens and have bounds of their own, by those of senders
/// without; by turns, each with a new server.
pub(super) fn guarded() -> Result<Vec<Figure>, String> {
    let made = (0..CONNECTIONS).map(|sender| {
        let (token, entry) = TokenEntry::generate(&format!("sender-{sender}"), &[Scope::Write])?;
        Ok((token, entry.to_string()))
    });
    let (tokens, entries): (Vec<String>, Vec<String>) =
        made.collect::<Result<Vec<_>, String>>()?.into_iter().unzip();
    let runtime = runtime()?;
    let rate = |tokens: &[String], entries: &[String]| {
        let folder = folder()?;
        let server = Server::start_with(&folder.path().join("data"), entries)?;
        let loading = load_with(&server.grpc, GUARDED_TIME, tokens);
        let (sent, refused) = runtime.block_on(loading)?;
        server.stop()?;
        Ok::<_, String>((sent as f64 / GUARDED_TIME.as_secs_f64(), refused))
    };
    let (mut open, mut guarded, mut refusals) = (Vec::new(), Vec::new(), 0);
    for _ in 0..GUARDED_ROUNDS {
        open.push(rate(&[], &[])?.0);
        let (spans, refused) = rate(&tokens, &entries)?;
        guarded.push(spans);
        refusals += refused;
    }
    let shares = guarded.iter().zip(&open).map(|(guarded, open)| guarded / open).collect();
    let share = median(shares);
    Ok(vec![Figure {
        what: format!("ingest with {CONNECTIONS} tokens and bounds of each sender"),
        measured: format!("{:.0} % of the rate without", share * 1e2),
        target: format!(">= {:.0} %", GUARDED_SHARE_MIN * 1e2),
        reached: share >= GUARDED_SHARE_MIN,
        beside: format!(
            "{} and {} spans/s, medians of {GUARDED_ROUNDS}; {refusals} spans refused",
            thousands(median(guarded)),
            thousands(median(open))
        ),
    }])
}

/// Times of one sender's exports to their acknowledgement, and of the disk, sorted.
struct Alone {
    exports: Vec<Duration>,
    disk: Vec<Duration>,
}

impl Alone {
    /// How far a quantile of the exports lies above that of the disk.
    fn above(&self, q: f64) -> Duration {
        quantile(&self.exports, q).saturating_sub(quantile(&self.disk, q))
    }
}

/// One sender, one export after the other. With `pace` one begins whenever so much time has
/// passed, without it as soon as the one before is done. Before each one the disk is asked by
/// itself: while the server works beside it an fsync takes longer than on a disk that does nothing.
async fn alone(server: &Server, folder: &Path, pace: Option<Duration>) -> Result<Alone, String> {
    let mut sender = Sender::connect(&server.grpc).await?;
    let mut probe = Probe::begin(folder, sample::traces(0, SPANS, ATTRIBUTES).len() / 4)?;
    let mut times = Alone { exports: Vec::new(), disk: Vec::new() };
    let mut turn = pace.map(tokio::time::interval);
    for seed in 0..EXPORTS_ALONE as u64 {
        let seed = seed | u64::from(pace.is_some()) << 32;
        let body = Bytes::from(sample::traces(seed, SPANS, ATTRIBUTES));
        times.disk.push(probe.append()?);
        if let Some(turn) = &mut turn {
            turn.tick().await;
        }
        let began = Instant::now();
        sender.export(body).await.map_err(|status| status.to_string())?;
        times.exports.push(began.elapsed());
    }
    times.exports.sort();
    times.disk.sort();
    Ok(times)
}

/// One sender alone, as a busy SDK exports, and beside it as fast as it can.
pub(super) fn latency() -> Result<Vec<Figure>, String> {
    let folder = folder()?;
    let server = Server::start(&folder.path().join("data"))?;
    let runtime = runtime()?;
    let paced = runtime.block_on(alone(&server, folder.path(), Some(EXPORT_PAUSE)))?;
    let closed = runtime.block_on(alone(&server, folder.path(), None))?;
    server.stop()?;
    let p99 = paced.above(0.99);
    Ok(vec![Figure {
        what: format!(
            "one sender alone, {SPANS} spans every {} ms, acknowledged: p99 above the disk's fsync",
            EXPORT_PAUSE.as_millis()
        ),
        measured: millis(p99),
        target: format!("≤ {}", millis(LATENCY_ABOVE_FSYNC_MAX)),
        reached: p99 <= LATENCY_ABOVE_FSYNC_MAX,
        beside: format!(
            "p50 {} above it; one right after the other p50 {} p99 {}; disk p50 {} p99 {}",
            millis(paced.above(0.5)),
            millis(closed.above(0.5)),
            millis(closed.above(0.99)),
            millis(quantile(&paced.disk, 0.5)),
            millis(quantile(&paced.disk, 0.99)),
        ),
    }])
}

/// Start after a clean stop, and memory without work.
pub(super) fn start() -> Result<Vec<Figure>, String> {
    let folder = folder()?;
    let data = folder.path().join("data");
    let first = Server::start(&data)?;
    runtime()?.block_on(load(&first.grpc, Duration::from_secs(2)))?;
    first.stop()?;
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let server = Server::start(&data)?;
        times.push(server.ready_after);
        memory.push(server.memory_mb());
        server.stop()?;
    }
    times.sort();
    let (typical, idle_mb) = (quantile(&times, 0.5), median(memory));
    Ok(vec![
        Figure {
            what: "start after a clean stop, process begun to ready line, median".to_owned(),
            measured: millis(typical),
            target: format!("≤ {}", millis(START_MAX)),
            reached: typical <= START_MAX,
            beside: format!("slowest of {STARTS}: {}", millis(quantile(&times, 1.0))),
        },
        Figure {
            what: "memory without work (resident)".to_owned(),
            measured: format!("{idle_mb:.0} MB"),
            target: format!("≤ {IDLE_MB_MAX:.0} MB"),
            reached: idle_mb <= IDLE_MB_MAX,
            beside: "the binary itself is mapped, too".to_owned(),
        },
    ])
}

/// Memory while spans come in without end.
pub(super) fn memory() -> Result<Vec<Figure>, String> {
    let folder = folder()?;
    let server = Server::start(&folder.path().join("data"))?;
    let (address, mut most_mb) = (server.grpc.clone(), 0.0_f64);
    let (sent, refused) = runtime()?.block_on(async {
        let watch = async {
            loop {
                most_mb = most_mb.max(server.memory_mb());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! { done = load(&address, MEMORY_TIME) => done, () = watch => Ok((0, 0)) }
    })?;
    server.stop()?;
    Ok(vec![Figure {
        what: "memory while ingesting without end (most resident)".to_owned(),
        measured: format!("{most_mb:.0} MB"),
        target: format!("≤ {MEMORY_MB_MAX:.0} MB"),
        reached: most_mb <= MEMORY_MB_MAX,
        beside: format!(
            "{} spans taken, {} refused in {} s",
            thousands(sent as f64),
            thousands(refused as f64),
            MEMORY_TIME.as_secs()
        ),
    }])
}
