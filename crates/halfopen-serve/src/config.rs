//! Settings: one struct per room, read in layers, later ones win:
//!
//! 1. the defaults,
//! 2. a TOML file: the one that was named, else `halfopen/config.toml` below the user's
//!    configuration home, where it exists,
//! 3. the environment: `HALFOPEN_<ROOM>_<KEY>`, for example `HALFOPEN_SERVE_HTTP`,
//! 4. flags of the command line.
//!
//! **Invariant:** a key that nobody knows is an error in every layer, with the name that was
//! probably meant.
//!
//! **Invariant:** `docs/halfopen.example.toml` is the list of all keys; a test holds it equal to
//! the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use halfopen_ingest::IngestSettings;
use halfopen_store::StoreConfig;
use serde::Deserialize;

use crate::desk::{DeskSettings, WHY_SPANS_MAX_DEFAULT};

mod check;
mod layers;
#[cfg(test)]
mod tests;

pub use layers::{ConfigError, Environment, Overrides};

/// The settings of every room.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The server: addresses and bounds of its ports.
    pub serve: ServeConfig,
    /// Reading telemetry.
    pub ingest: IngestConfig,
    /// Keeping evidence.
    pub store: StoreConfig,
    /// Answering questions.
    pub explain: ExplainConfig,
}

/// Settings of the server.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeConfig {
    /// Where OTLP over gRPC is taken; port 0 picks a free one.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP over HTTP is taken.
    pub otlp_http: SocketAddr,
    /// Where questions are answered.
    pub http: SocketAddr,
    /// Who may do what: `NAME SCOPE[+SCOPE] sha256:HEX`, as `halfopen token new` makes them. With
    /// any, all ports ask for one.
    pub tokens: Vec<String>,
    /// File with more of them, one in a line; it is read again when it changes. Empty: none.
    pub tokens_file: PathBuf,
    /// PEM file of the certificate and its chain; with it all ports speak TLS. Empty: none do.
    pub tls_certificate: PathBuf,
    /// PEM file of its key.
    pub tls_key: PathBuf,
    /// Connections that one sender holds at a time; more are refused.
    pub sender_connections_max: usize,
    /// Requests of one sender that are received or answered at a time; more are refused.
    pub sender_requests_max: usize,
    /// Bytes that one sender may send each second; 0: no bound.
    pub sender_bytes_per_second_max: u64,
    /// Connections that one port holds at a time; more wait to be accepted.
    pub connections_max: usize,
    /// Seconds in which an HTTP/1 connection must bring a whole header, counted from its opening
    /// or from the answer before: so long may it lie idle between two requests.
    pub header_seconds_max: u64,
    /// Seconds for the body of a request to arrive.
    pub body_seconds_max: u64,
    /// Seconds in which an answer must be read.
    pub answer_seconds_max: u64,
    /// Seconds that a connection may be silent before it is closed.
    pub idle_seconds_max: u64,
    /// Bytes of one export, as sent and again when decompressed.
    pub message_bytes_max: usize,
    /// Bytes of all bodies that are being received or read at one time.
    pub bodies_bytes_max: usize,
    /// Bytes of rows that wait to become durable.
    pub waiting_bytes_max: usize,
    /// Groups of rows that form side by side.
    pub lanes: usize,
    /// Seconds that an export waits for a store that is full, before its sender is refused.
    pub patience_seconds_max: u64,
    /// What a refused sender is told to wait, in seconds.
    pub retry_after_seconds: u64,
    /// Bytes of the body of a question.
    pub question_bytes_max: usize,
    /// Seconds for a question to be answered.
    pub question_seconds_max: u64,
    /// Questions that are answered at one time; more are refused.
    pub questions_max: usize,
    /// Seconds for a stop to finish what was begun.
    pub stop_seconds_max: u64,
}

/// Loopback ports of OTLP as the specification names them, and our own.
const OTLP_GRPC_DEFAULT: SocketAddr = loopback(4317);
const OTLP_HTTP_DEFAULT: SocketAddr = loopback(4318);
const HTTP_DEFAULT: SocketAddr = loopback(7070);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

impl Default for ServeConfig {
    fn default() -> ServeConfig {
        ServeConfig {
            otlp_grpc: OTLP_GRPC_DEFAULT,
            otlp_http: OTLP_HTTP_DEFAULT,
            http: HTTP_DEFAULT,
            tokens: Vec::new(),
            tokens_file: PathBuf::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            sender_connections_max: 128,
            sender_requests_max: 128,
            sender_bytes_per_second_max: 64 << 20,
            connections_max: 256,
            header_seconds_max: 90,
            body_seconds_max: 30,
            answer_seconds_max: 120,
            idle_seconds_max: 180,
            message_bytes_max: 16 << 20,
            bodies_bytes_max: 64 << 20,
            waiting_bytes_max: 64 << 20,
            lanes: 2,
            patience_seconds_max: 3,
            retry_after_seconds: 1,
            question_bytes_max: 1 << 20,
            question_seconds_max: 60,
            questions_max: 8,
            stop_seconds_max: 20,
        }
    }
}

impl ServeConfig {
    /// Whether other machines can reach a port.
    pub(crate) fn is_reachable(&self) -> bool {
        [self.otlp_grpc, self.otlp_http, self.http].iter().any(|at| !at.ip().is_loopback())
    }

    /// The files of certificate and key, where ports speak TLS.
    pub(crate) fn tls(&self) -> Option<(&Path, &Path)> {
        let is_set = !self.tls_certificate.as_os_str().is_empty();
        is_set.then_some((&self.tls_certificate, &self.tls_key))
    }

    /// The time for a body to arrive.
    pub fn body_max(&self) -> Duration {
        Duration::from_secs(self.body_seconds_max)
    }

    /// How long an export waits for a store that is full.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds_max)
    }

    /// What a refused sender is told to wait.
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs(self.retry_after_seconds)
    }

    /// The time for a question to be answered.
    pub fn question_max(&self) -> Duration {
        Duration::from_secs(self.question_seconds_max)
    }

    /// The time for a stop to finish what was begun.
    pub fn stop_max(&self) -> Duration {
        Duration::from_secs(self.stop_seconds_max)
    }
}

/// Settings of reading telemetry.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// Names of attributes that carry a correlation id, beside the known ones.
    pub id_names: Vec<String>,
    /// Bytes that are kept of what could not be read.
    pub reject_raw_bytes_max: usize,
    /// Levels to which values may be nested.
    pub depth_max: usize,
    /// Rows that one export may bring.
    pub items_max: usize,
}

impl Default for IngestConfig {
    fn default() -> IngestConfig {
        let settings = IngestSettings::default();
        IngestConfig {
            id_names: settings.id_names,
            reject_raw_bytes_max: settings.reject_raw_bytes_max,
            depth_max: settings.depth_max,
            items_max: settings.items_max,
        }
    }
}

impl IngestConfig {
    /// The settings in the form that the room takes.
    pub fn settings(&self) -> IngestSettings {
        IngestSettings {
            id_names: self.id_names.clone(),
            reject_raw_bytes_max: self.reject_raw_bytes_max,
            depth_max: self.depth_max,
            items_max: self.items_max,
            ..IngestSettings::default()
        }
    }
}

/// Settings of answering questions.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExplainConfig {
    /// Spans that `why` looks at; of more it looks at a fair part of the traces.
    pub why_spans_max: usize,
}

impl Default for ExplainConfig {
    fn default() -> ExplainConfig {
        ExplainConfig { why_spans_max: WHY_SPANS_MAX_DEFAULT }
    }
}

impl Config {
    /// The bounds of answers.
    pub fn desk(&self) -> DeskSettings {
        DeskSettings { query: self.store.query_limits(), why_spans_max: self.explain.why_spans_max }
    }
}
