//! `halfopen serve`: takes telemetry in and answers questions until it is told to stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use halfopen_serve::config::{ConfigError, Environment, Overrides};
use halfopen_serve::{Addresses, Config, ServeError, Server, StopReport};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen serve                         on 127.0.0.1:4317, :4318 and :7070
  halfopen serve --data ./evidence       keep everything in this folder
  halfopen serve --otlp-grpc 0 --otlp-http 0 --http 0 --json
                                         on free ports, named in one line of JSON
  halfopen serve --otlp-grpc 0.0.0.0:4317
                                         for other machines too, with tokens: docs/security.md";

/// What is logged unless `HALFOPEN_LOG` says otherwise.
const LOG_DEFAULT: &str = "warn,halfopen=info";

/// What a shell reports for a process that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// Flags of `serve`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ServeArgs {
    /// Keep evidence in this folder [default: halfopen in the user's data home]; its catalogue
    /// may be in PostgreSQL: set store.catalogue, see docs/store.md
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Take OTLP over gRPC here; port 0 picks a free one [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR", value_parser = read_address)]
    otlp_grpc: Option<SocketAddr>,

    /// Take OTLP over HTTP here [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR", value_parser = read_address)]
    otlp_http: Option<SocketAddr>,

    /// Answer questions here [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR", value_parser = read_address)]
    http: Option<SocketAddr>,

    /// Read settings from this file [default: $HALFOPEN_CONFIG, else halfopen/config.toml in the
    /// user's configuration home]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// An address with its port, `localhost:PORT`, or the port alone.
fn read_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix("localhost:").or(text.strip_prefix(':')).unwrap_or(text);
    match port.parse() {
        Ok(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) => Err("write an address with its port, for example 127.0.0.1:7070".to_owned()),
    }
}

impl ServeArgs {
    fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::default();
        let addresses =
            [("otlp_grpc", self.otlp_grpc), ("otlp_http", self.otlp_http), ("http", self.http)];
        for (key, address) in addresses {
            if let Some(address) = address {
                overrides.set("serve", key, address.to_string());
            }
        }
        if let Some(folder) = &self.data {
            overrides.set("store", "folder", folder.display().to_string());
        }
        overrides
    }
}

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn run(args: ServeArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let environment = Environment::of_process();
    start_log(&environment)?;
    let config = Config::load(args.config.as_deref(), &environment, &args.overrides());
    let config = config.map_err(|error| of_config(&error))?;
    let stop_max = config.serve.stop_max();
    let folder = config.store.folder.clone();
    // Asked for before the ports are open: from then on a signal means a graceful stop.
    let mut signals = Signals::new()?;
    let clock = std::sync::Arc::clone(&session.clock);
    let server = tokio::select! {
        started = halfopen_serve::start(config, clock) => started.map_err(|e| of_start(&e))?,
        name = signals.next() => {
            session.terminal.note(format!("stopped by {name} before it was ready"));
            return Ok(Outcome::Clean);
        }
    };
    report_opened(&server);
    let ready = ready_line(&server.addresses(), &folder, session.terminal.is_json());
    // A reader of the ready line that went away is no reason to stop serving.
    if session.terminal.line(ready).and_then(|()| session.terminal.flush()).is_err() {
        warn!("nobody reads the ready line");
    }
    let name = signals.next().await;
    session.terminal.note(format!("{name}: finishing what was begun; once more ends at once"));
    let report = stop(server, stop_max, &mut signals).await;
    if session.terminal.is_json() {
        let _ = session.terminal.line(stopped_line(&report));
    }
    session.terminal.note(report);
    Ok(Outcome::Clean)
}

/// Stops, unless a second signal ends the process at once. What was acknowledged is in the log.
async fn stop(server: Server, deadline: Duration, signals: &mut Signals) -> StopReport {
    tokio::select! {
        report = server.stop(deadline) => report,
        name = signals.next() => {
            // Nothing can be said when stderr itself is gone.
            let text = format!("{name} again: ended at once; the next start reads the log\n");
            let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
            std::process::exit(EXIT_INTERRUPTED);
        }
    }
}

fn ready_line(addresses: &Addresses, folder: &std::path::Path, as_json: bool) -> String {
    let Addresses { otlp_grpc, otlp_http, http, .. } = addresses;
    let url = format!("{}://{http}", addresses.scheme());
    if !as_json {
        return format!(
            "ready: OTLP/gRPC on {otlp_grpc}, OTLP/HTTP on {otlp_http}, questions on {url}"
        );
    }
    json!({
        "v": 1,
        "event": "ready",
        "otlp_grpc": otlp_grpc.to_string(),
        "otlp_http": otlp_http.to_string(),
        "http": http.to_string(),
        "url": url,
        "data": folder.display().to_string(),
        "pid": std::process::id(),
    })
    .to_string()
}

fn stopped_line(report: &StopReport) -> String {
    json!({
        "v": 1,
        "event": "stopped",
        "took_ms": report.took.as_millis() as u64,
        "requests_finished": report.requests_finished,
        "requests_cut": report.requests_cut,
        "rows_sealed": report.store.sealed.rows,
        "segments": report.store.sealed.segments,
        "rows_in_wal": report.store.rows_in_wal,
    })
    .to_string()
}

fn report_opened(server: &Server) {
    let opened = server.opened();
    for note in &opened.notes {
        warn!("{note}");
    }
    tracing::info!(
        segments = opened.segments,
        rows = opened.segment_rows,
        replayed_rows = opened.replayed_rows,
        took_ms = opened.took.as_millis() as u64,
        "the data folder is open"
    );
}

/// Log lines go to stderr. `HALFOPEN_LOG` takes the filters of `tracing`, for example `debug`.
fn start_log(environment: &Environment) -> Result<(), Failure> {
    let wanted = environment.get("HALFOPEN_LOG").unwrap_or(LOG_DEFAULT);
    let filter = tracing_subscriber::EnvFilter::try_new(wanted).map_err(|error| {
        Failure::usage(format!("HALFOPEN_LOG is \"{wanted}\", which is no filter"))
            .cause(&error)
            .hint("write for example info, or warn,halfopen=debug")
    })?;
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
    if started.is_err() {
        warn!("a log was started before; HALFOPEN_LOG has no effect");
    }
    Ok(())
}

pub(crate) fn of_config(error: &ConfigError) -> Failure {
    let mut failure = Failure::usage(error.to_string()).hint(error.hint());
    if let Some(source) = std::error::Error::source(error) {
        failure = failure.cause(source);
    }
    failure
}

pub(super) fn of_start(error: &ServeError) -> Failure {
    let mut failure = Failure::environment(error.to_string());
    if let Some(source) = std::error::Error::source(error) {
        failure = failure.cause(source);
    }
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The signals that end what runs until it is told to stop.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Signals, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::environment("could not listen to signals").cause(&error))
        };
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Signals { interrupt, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one and gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "asked to stop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_their_short_forms() {
        for text in ["127.0.0.1:7070", "localhost:7070", ":7070", "7070"] {
            assert_eq!(
                read_address(text).map(|address| address.to_string()).as_deref(),
                Ok("127.0.0.1:7070")
            );
        }
        assert!(read_address("somewhere").is_err());
        assert_eq!(read_address("[::1]:0").map(|address| address.is_ipv6()), Ok(true));
    }
}
