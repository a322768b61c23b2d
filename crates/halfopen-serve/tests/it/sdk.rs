//! Real clients: the OpenTelemetry SDKs of Python and Node, as users install them, export all
//! three signals over gRPC and HTTP; refused exports come again, and nothing is lost. They find a
//! server with a token and TLS by the variables that OpenTelemetry defines.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::fixture::{config, receivers_over, rows};
use crate::guard::bearer;
use crate::tls::identity;
use halfopen_model::memory::MemoryEvidence;
use halfopen_model::port::{Refusal, Written};
use halfopen_model::{Batch, Table, WriteEvidence};
use halfopen_serve::Scope;
use tokio::process::Command;

/// What each script sends of each signal.
const ROWS: usize = 25;
/// Longer than the longest pause between the tries of an SDK.
const SCRIPT_MAX: Duration = Duration::from_secs(120);

const PYTHON: &str = include_str!("sdk/export.py");
const NODE: &str = include_str!("sdk/export.js");

/// Refuses the first writes, then keeps all.
#[derive(Clone, Default)]
struct RefusesFirst {
    refusals_left: Arc<AtomicU32>,
    evidence: MemoryEvidence,
}

impl WriteEvidence for RefusesFirst {
    async fn write(&self, batches: Vec<Batch>) -> Result<Written, Refusal> {
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        let left = self.refusals_left.fetch_update(set, fetch, |left| left.checked_sub(1));
        if left.is_ok() {
            let after = Duration::from_millis(200);
            return Err(Refusal::Later { reason: "the test says so".to_owned(), after });
        }
        self.evidence.write(batches).await
    }
}

/// Where `.ci/install-clients` put the SDKs.
fn clients() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HALFOPEN_CLIENTS") {
        return Some(PathBuf::from(folder));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    cache.map(|cache| cache.join("halfopen/clients"))
}

/// Runs a script against both ports: taken at once, refused first, and with a token over TLS.
async fn check(name: &str, program: &str, script: &str, ready: &str) {
    let folder = clients().filter(|folder| folder.join(ready).exists());
    let Some(folder) = folder else {
        eprintln!("SKIPPED: the OpenTelemetry SDK of {name} is not there: run .ci/install-clients");
        return;
    };
    let (identity, bearer) = (identity(), bearer("sdk", &[Scope::Write]));
    let header = format!("authorization=Bearer%20{}", bearer.token);
    let plain = [("grpc", 0, false), ("http", 0, false), ("grpc", 2, false), ("http", 2, false)];
    let secured = [("grpc", 0, true), ("http", 0, true)];
    for (protocol, refusals, secure) in plain.into_iter().chain(secured) {
        let store = RefusesFirst::default();
        store.refusals_left.store(refusals, Ordering::SeqCst);
        let mut config = config();
        // The gRPC exporter of Node never comes back; the server's patience stands in for it.
        if (name, protocol) != ("Node", "grpc") {
            config.serve.patience_seconds_max = 0;
        }
        if secure {
            identity.secure(&mut config);
            config.serve.tokens = vec![bearer.entry.clone()];
        }
        let ports = receivers_over(&config, store.clone()).await;
        let address = if protocol == "grpc" { ports.otlp_grpc } else { ports.otlp_http };
        let mut command = Command::new(folder.join(program));
        if secure {
            command
                .env("OTEL_EXPORTER_OTLP_HEADERS", &header)
                .env("OTEL_EXPORTER_OTLP_CERTIFICATE", &identity.authority)
                // The library below Python's HTTP exporter believes these more than the exporter.
                .env_remove("REQUESTS_CA_BUNDLE")
                .env_remove("CURL_CA_BUNDLE")
                // The HTTP exporters of Node trust what Node trusts.
                .env("NODE_EXTRA_CA_CERTS", &identity.authority);
        }
        let scheme = if secure { "https" } else { "http" };
        let running = command
            .args([if name == "Node" { "-e" } else { "-c" }, script])
            .env("PROTOCOL", protocol)
            .env("ENDPOINT", format!("{scheme}://{address}"))
            .env("ROWS", ROWS.to_string())
            .env("NODE_PATH", folder.join("node/node_modules"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(SCRIPT_MAX, running).await.expect("it ends in time");
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} over {protocol}: {said}");
        let found = [Table::Spans, Table::Logs, Table::Metrics].map(|t| rows(&store.evidence, t));
        assert_eq!(found, [ROWS; 3], "{name} over {protocol}, {refusals} refusals: {said}");
        assert_eq!(rows(&store.evidence, Table::Rejects), 0, "{name} over {protocol}");
        assert_eq!(store.refusals_left.load(Ordering::SeqCst), 0, "{name} over {protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_exports_and_comes_back_when_refused() {
    check("Python", "python/bin/python", PYTHON, "python.ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_exports_and_comes_back_when_refused() {
    let node = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|p| p.join("node")).find(|p| p.exists()));
    let node = node.map_or_else(|| "node".to_owned(), |node| node.display().to_string());
    check("Node", &node, NODE, "node.ready").await;
}
