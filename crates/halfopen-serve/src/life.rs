//! The life of a server: all ports are bound before anything else, requests are taken once the
//! store is open, and a stop finishes what was begun.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use halfopen_model::time::show_duration;
use halfopen_model::{Clock, WriteEvidence};
use halfopen_store::{CloseReport, OpenReport, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::api::{Api, ApiPort, Parts};
use crate::body::BodyBudget;
use crate::config::{Config, ConfigError};
use crate::desk::Desk;
use crate::guard::tls::RELOAD_PAUSE;
use crate::guard::{Guard, TlsError};
use crate::intake::Intake;
use crate::listen::{self, Phase, PortContext};
use crate::meter::Meter;
use crate::otlp::Receiver;
use crate::otlp::grpc::GrpcPort;
use crate::otlp::http_port::HttpPort;
use crate::task;

/// Where a server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// Questions.
    pub http: SocketAddr,
    /// Whether all of them speak TLS.
    pub tls: bool,
}

impl Addresses {
    /// `http`, or `https` where TLS is spoken.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings do not fit together.
    #[error(transparent)]
    Settings(ConfigError),
    /// Certificate or key cannot be used.
    #[error("could not prepare TLS")]
    Tls(#[source] TlsError),
    /// A port could not be had.
    #[error("could not listen on {address} for {purpose}")]
    Bind {
        /// What the port is for.
        purpose: &'static str,
        /// The flag that names another one.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The data folder could not be opened.
    #[error("could not open the data folder")]
    Store(#[source] StoreError),
}

impl ServeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ServeError::Bind { flag, source, address, .. } => Some(match source.kind() {
                std::io::ErrorKind::AddrInUse => format!(
                    "something else listens there, perhaps another halfopen or a collector; \
                     choose another port with {flag} {}:0",
                    address.ip()
                ),
                _ => format!("choose another address with {flag}"),
            }),
            ServeError::Store(error) => error.hint(),
            ServeError::Settings(error) => Some(error.hint()),
            ServeError::Tls(_) => Some(
                "serve.tls_certificate and serve.tls_key name PEM files: the certificate with \
                 its chain, and its unencrypted key"
                    .to_owned(),
            ),
        }
    }
}

struct Listeners {
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    http: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<(Listeners, Addresses), ServeError> {
        let serve = &config.serve;
        let otlp_grpc = bind("OTLP over gRPC", "--otlp-grpc", serve.otlp_grpc).await?;
        let otlp_http = bind("OTLP over HTTP", "--otlp-http", serve.otlp_http).await?;
        let http = bind("questions", "--http", serve.http).await?;
        let addresses = Addresses {
            otlp_grpc: otlp_grpc.1,
            otlp_http: otlp_http.1,
            http: http.1,
            tls: serve.tls().is_some(),
        };
        let listeners = Listeners { otlp_grpc: otlp_grpc.0, otlp_http: otlp_http.0, http: http.0 };
        Ok((listeners, addresses))
    }
}

async fn bind(
    purpose: &'static str,
    flag: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { purpose, flag, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The part of a server that receives: both OTLP ports and the intake behind them.
struct Receiving<W> {
    intake: Arc<Intake<W>>,
    committers: Vec<JoinHandle<()>>,
    budget: BodyBudget,
    meter: Arc<Meter>,
    phase: watch::Sender<Phase>,
    context: PortContext,
    guard: Arc<Guard>,
    gone: mpsc::Receiver<Infallible>,
}

/// The guard of a server with these settings.
fn guard(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<Guard>, ServeError> {
    config.check().map_err(ServeError::Settings)?;
    let tokens = config.serve.read_tokens().map_err(ServeError::Settings)?;
    let guard = Guard::new(&config.serve, tokens, Arc::clone(clock)).map_err(ServeError::Tls)?;
    if guard.has_tokens() && guard.tls().is_none() && config.serve.is_reachable() {
        warn!("tokens and telemetry cross the network unencrypted: serve.tls_certificate");
    }
    Ok(Arc::new(guard))
}

/// Reads certificate and tokens again when they have changed, until the server stops.
async fn refresh(guard: Arc<Guard>, mut phase: watch::Receiver<Phase>) {
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => return,
            () = tokio::time::sleep(RELOAD_PAUSE) => guard.refresh(),
        }
    }
}

impl<W: WriteEvidence + 'static> Receiving<W> {
    fn start(
        config: &Config,
        guard: Arc<Guard>,
        writer: Arc<W>,
        clock: Arc<dyn Clock>,
    ) -> Receiving<W> {
        let meter = Arc::new(Meter::new(clock.now()));
        let (phase, phases) = watch::channel(Phase::Serving);
        let (alive, gone) = mpsc::channel(1);
        task::spawn("refresh", refresh(Arc::clone(&guard), phases.clone()));
        let guarding = Arc::clone(&guard);
        let context = PortContext::new(&config.serve, guarding, phases, Arc::clone(&meter), alive);
        let (intake, committers) = Intake::start(writer, config, clock, Arc::clone(&meter));
        let budget = BodyBudget::new(config.serve.bodies_bytes_max);
        Receiving { intake, committers, budget, meter, phase, context, guard, gone }
    }

    fn listen(&self, config: &Config, otlp_grpc: TcpListener, otlp_http: TcpListener) {
        let (intake, budget) = (Arc::clone(&self.intake), self.budget.clone());
        let receiver = Receiver::new(intake, config, budget, Arc::clone(&self.meter));
        let receiver = Arc::new(receiver);
        let (grpc, http) = (GrpcPort(Arc::clone(&receiver)), HttpPort(receiver));
        task::spawn("otlp grpc", listen::accept(otlp_grpc, grpc, self.context.clone()));
        task::spawn("otlp http", listen::accept(otlp_http, http, self.context.clone()));
    }

    /// Finishes the requests that were begun, then the groups that formed. Gives the numbers of
    /// requests that were finished and cut.
    async fn stop(self, deadline: Instant) -> (u64, u64) {
        let Receiving { intake, committers, meter, phase, context, mut gone, .. } = self;
        let begun = meter.requests_in_flight();
        phase.send_replace(Phase::Draining);
        drop(context);
        let mut cut = 0;
        if timeout_at(deadline, gone.recv()).await.is_err() {
            cut = meter.requests_in_flight();
            warn!(requests = cut, "requests were cut at the deadline of the stop");
            phase.send_replace(Phase::Cut);
        }
        intake.stop();
        for committer in committers {
            if let Err(error) = committer.await {
                warn!(%error, "a task of the intake ended early");
            }
        }
        (begun.saturating_sub(cut), cut)
    }
}

/// A running server.
pub struct Server {
    receiving: Receiving<Store>,
    store: Store,
    addresses: Addresses,
    opened: OpenReport,
}

/// Starts a server: binds its ports, opens its store, then takes requests.
///
/// # Errors
/// When the settings do not fit, a port is taken or the data folder cannot be opened.
pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Server, ServeError> {
    let guard = guard(&config, &clock)?;
    let (listeners, addresses) = Listeners::bind(&config).await?;
    let opened = Store::open(config.store.clone(), Arc::clone(&clock)).await;
    let (store, opened) = opened.map_err(ServeError::Store)?;
    let writer = Arc::new(store.clone());
    let receiving = Receiving::start(&config, guard, writer, Arc::clone(&clock));
    let parts = Parts {
        desk: Desk::new(store.clone(), Arc::clone(&clock), config.desk()),
        store: store.clone(),
        intake: Arc::clone(&receiving.intake),
        meter: Arc::clone(&receiving.meter),
        clock,
        budget: receiving.budget.clone(),
        addresses,
        phase: receiving.phase.subscribe(),
        guard: Arc::clone(&receiving.guard),
        ingest: config.ingest.settings(),
    };
    let api = ApiPort::new(Api::new(parts, config.serve.clone()));
    receiving.listen(&config, listeners.otlp_grpc, listeners.otlp_http);
    task::spawn("http", listen::accept(listeners.http, api, receiving.context.clone()));
    info!(
        otlp_grpc = %addresses.otlp_grpc,
        otlp_http = %addresses.otlp_http,
        http = %addresses.http,
        "ready"
    );
    Ok(Server { receiving, store, addresses, opened })
}

impl Server {
    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What was found when the store was opened.
    pub fn opened(&self) -> &OpenReport {
        &self.opened
    }

    /// Its store, for who asks from inside the process.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes nothing more, finishes what was begun and seals, within `deadline`.
    pub async fn stop(self, deadline: Duration) -> StopReport {
        let begun = Instant::now();
        let until = begun + deadline;
        let (requests_finished, requests_cut) = self.receiving.stop(until).await;
        let left = until.saturating_duration_since(Instant::now());
        let store = self.store.close(left).await;
        StopReport { took: begun.elapsed(), requests_finished, requests_cut, store }
    }
}

/// What a stop did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopReport {
    /// How long it took.
    pub took: Duration,
    /// Requests that were being answered, and were finished.
    pub requests_finished: u64,
    /// Requests that were not finished in time. Nobody was told that their rows were kept.
    pub requests_cut: u64,
    /// What the store did.
    pub store: CloseReport,
}

impl fmt::Display for StopReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took_ns = i64::try_from(self.took.as_nanos()).unwrap_or(i64::MAX);
        write!(
            formatter,
            "stopped in {}: {} finished, {} sealed into {}",
            show_duration(took_ns),
            counted(self.requests_finished, "request"),
            counted(self.store.sealed.rows, "row"),
            counted(self.store.sealed.segments, "segment"),
        )?;
        if self.store.rows_in_wal > 0 {
            let rows = counted(self.store.rows_in_wal, "row");
            write!(formatter, ", {rows} left in the log for the next start")?;
        }
        if self.requests_cut > 0 {
            let cut = counted(self.requests_cut, "request");
            write!(formatter, ", {cut} cut off unacknowledged")?;
        }
        write!(formatter, ", nothing lost")?;
        self.store.notes.iter().try_for_each(|note| write!(formatter, "; {note}"))
    }
}

/// A number with its noun: `1 row`, `12,400 rows`.
fn counted(count: u64, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let plural = if count == 1 { "" } else { "s" };
    format!("{grouped} {noun}{plural}")
}

/// Memory that the process holds, where the system tells.
pub(crate) fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The receiving half of a server over any evidence, for tests of its ports.
pub struct Receivers<W> {
    receiving: Receiving<W>,
    /// Where OTLP over gRPC is taken.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP over HTTP is taken.
    pub otlp_http: SocketAddr,
}

impl<W: WriteEvidence + 'static> Receivers<W> {
    /// Binds both OTLP ports and writes what arrives to `writer`.
    ///
    /// # Errors
    /// When the settings do not fit or a port is taken.
    pub async fn start(
        config: &Config,
        writer: Arc<W>,
        clock: Arc<dyn Clock>,
    ) -> Result<Receivers<W>, ServeError> {
        let guard = guard(config, &clock)?;
        let (grpc, grpc_address) =
            bind("OTLP over gRPC", "--otlp-grpc", config.serve.otlp_grpc).await?;
        let (http, http_address) =
            bind("OTLP over HTTP", "--otlp-http", config.serve.otlp_http).await?;
        let receiving = Receiving::start(config, guard, writer, clock);
        receiving.listen(config, grpc, http);
        Ok(Receivers { receiving, otlp_grpc: grpc_address, otlp_http: http_address })
    }

    /// Finishes what was begun, within `deadline`; gives the requests finished and cut.
    pub async fn stop(self, deadline: Duration) -> (u64, u64) {
        self.receiving.stop(Instant::now() + deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(999, "row"), "999 rows");
        assert_eq!(counted(12_400, "row"), "12,400 rows");
        assert_eq!(counted(1_234_567, "row"), "1,234,567 rows");
    }

    #[test]
    fn the_system_tells_our_memory() {
        assert!(memory_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
