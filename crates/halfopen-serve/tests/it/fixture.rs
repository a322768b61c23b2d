//! Servers to talk to: one over evidence in memory for the ports alone, one over a real store.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use halfopen_model::memory::MemoryEvidence;
use halfopen_model::port::{Scan, WriteEvidence};
use halfopen_model::{Clock, Table, TimeRange, UnixNanos};
use halfopen_serve::{Config, Receivers, Server};
use tempfile::TempDir;

/// 2026-11-20T14:30:00Z, and it stays so.
pub(crate) const NOW: UnixNanos = UnixNanos(1_795_185_000_000_000_000);

/// A clock that stands still.
pub(crate) struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> UnixNanos {
        NOW
    }
}

/// Settings on free ports.
pub(crate) fn config() -> Config {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::default();
    (config.serve.otlp_grpc, config.serve.otlp_http, config.serve.http) = (free, free, free);
    config
}

/// Both OTLP ports over `writer`.
pub(crate) async fn receivers_over<W: WriteEvidence + 'static>(
    config: &Config,
    writer: W,
) -> Receivers<W> {
    Receivers::start(config, Arc::new(writer), Arc::new(StillClock)).await.expect("free ports")
}

/// Both OTLP ports over evidence in memory.
pub(crate) async fn receivers(config: &Config) -> (Receivers<MemoryEvidence>, MemoryEvidence) {
    let evidence = MemoryEvidence::new();
    (receivers_over(config, evidence.clone()).await, evidence)
}

/// Rows of a table in memory.
pub(crate) fn rows(evidence: &MemoryEvidence, table: Table) -> usize {
    evidence.get(&Scan::all(table, TimeRange::ALL, usize::MAX)).expect("a known table").len()
}

/// A whole server in a folder of its own.
pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

impl Ground {
    pub(crate) async fn start() -> Ground {
        Ground::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Ground {
        let folder = tempfile::tempdir().expect("a folder");
        let server = start_in(&folder, config).await;
        Ground { server, folder }
    }

    /// Stops, and starts again over the same folder.
    pub(crate) async fn again(self) -> Ground {
        self.server.stop(Duration::from_secs(20)).await;
        let server = start_in(&self.folder, config()).await;
        Ground { server, folder: self.folder }
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().http)
    }

    pub(crate) fn otlp(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().otlp_http)
    }
}

async fn start_in(folder: &TempDir, mut config: Config) -> Server {
    config.store.folder = folder.path().join("data");
    halfopen_serve::start(config, Arc::new(StillClock)).await.expect("a free port and a new folder")
}
