//! What stands on the stage: a server of ours in this process, the shop, its customers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use halfopen_lab::{Drive, LoadReport, Scenario, Shop, ShopSettings, Truth, WallClock};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Clock, TimeRange, UnixNanos};
use halfopen_serve::{Addresses, Config, Server};
use tempfile::TempDir;

use super::ask::Question;
use crate::verb::serve::of_start;
use crate::{Failure, Session};

/// What the server may take to finish when the demo ends.
const STOP_S_MAX: u64 = 20;

/// Everything that runs. [`Stage::clear`] ends it.
pub(super) struct Stage {
    pub(super) scenario: &'static Scenario,
    pub(super) shop: Arc<Shop>,
    pub(super) addresses: Addresses,
    pub(super) folder: PathBuf,
    server: Server,
    drive: Option<Drive>,
    report: LoadReport,
    begun: UnixNanos,
    temporary: Option<TempDir>,
}

impl Stage {
    /// Starts the server on free ports, and the shop, which sends its telemetry there.
    pub(super) async fn set(
        scenario: &'static Scenario,
        seed: u64,
        data: Option<&Path>,
        session: &Session,
    ) -> Result<Stage, Failure> {
        let (folder, temporary) = folder(data)?;
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config::default();
        config.serve.otlp_grpc = any_port;
        config.serve.otlp_http = any_port;
        config.serve.http = any_port;
        config.store.folder.clone_from(&folder);
        let server = halfopen_serve::start(config, Arc::clone(&session.clock)).await;
        let server = server.map_err(|error| of_start(&error))?;
        let addresses = server.addresses();
        let settings = ShopSettings {
            otlp_endpoint: format!("http://{}", addresses.otlp_grpc),
            clock: wall_clock(Arc::clone(&session.clock)),
        };
        let shop = Shop::start(scenario.plan(seed), settings).await;
        let shop =
            shop.map_err(|error| Failure::environment("the shop did not start").cause(&error))?;
        Ok(Stage {
            scenario,
            shop: Arc::new(shop),
            addresses,
            folder,
            server,
            drive: None,
            report: LoadReport::default(),
            begun: session.clock.now(),
            temporary,
        })
    }

    /// What is wrong.
    pub(super) fn truth(&self) -> &Truth {
        &self.shop.plan().truth
    }

    /// Whether the data goes away when the demo ends.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Where questions are answered.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addresses.http)
    }

    /// Lets the customers in.
    pub(super) fn open(&mut self) {
        self.drive = Some(self.shop.open());
    }

    /// Waits until the shop has run for as long as it is planned.
    pub(super) async fn planned_end(&self) {
        if let Some(drive) = &self.drive {
            drive.planned_end().await;
        }
    }

    /// What customers got to see up to now.
    pub(super) fn report(&self) -> LoadReport {
        self.drive.as_ref().map_or_else(|| self.report.clone(), Drive::report)
    }

    /// Lets nobody in any more and waits for those who are inside, and for work that goes on
    /// without them.
    pub(super) async fn close(&mut self) {
        if let Some(drive) = self.drive.take() {
            self.report = drive.close().await;
            self.shop.settle().await;
        }
    }

    /// Sends all telemetry that waits; says what could not be sent.
    pub(super) async fn flush(&self) -> Vec<String> {
        self.shop.flush().await
    }

    /// The question about this run, and about no other that the folder may hold.
    pub(super) fn question(&self, now: UnixNanos) -> Question {
        let whole_seconds = |time: UnixNanos| UnixNanos(time.0 - time.0.rem_euclid(SECOND_NS));
        let window = TimeRange {
            from: whole_seconds(self.begun),
            to: whole_seconds(now.shifted(SECOND_NS)),
        };
        Question::new(self.url(), window)
    }

    /// Ends everything, in order; gives what did not go well.
    pub(super) async fn clear(mut self) -> Vec<String> {
        self.close().await;
        let trouble = self.shop.stop().await;
        let _report = self.server.stop(Duration::from_secs(STOP_S_MAX)).await;
        trouble
    }
}

/// The data folder, and what removes it in the end.
fn folder(data: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), Failure> {
    if let Some(data) = data {
        return Ok((data.to_owned(), None));
    }
    let made = TempDir::with_prefix("halfopen-demo-");
    let made = made.map_err(|error| {
        Failure::environment("could not make a temporary folder")
            .cause(&error)
            .hint("name a folder with --data DIR")
    })?;
    Ok((made.path().to_owned(), Some(made)))
}

/// Our clock in the form that the lab takes, which knows nothing of ours.
fn wall_clock(clock: Arc<dyn Clock>) -> WallClock {
    Arc::new(move || {
        UNIX_EPOCH + Duration::from_nanos(u64::try_from(clock.now().0).unwrap_or_default())
    })
}
