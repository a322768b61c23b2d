//! Customers at the door: visits begin when they are due, however long others take.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use halfopen_resilience::wire::{IDEMPOTENCY_KEY, REQUEST_ID};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::LabError;
use crate::directory::Directory;
use crate::scenario::{Rollout, Trigger};
use crate::service::EDGE;
use crate::shop::{Rolled, Shop};
use crate::traffic::{Traffic, Visit};

/// Visits under way at one time: several times what a machine needs that keeps up. One that does
/// not keep up leaves visits out and counts them; without the bound they would pile up, all of
/// them would time out, and the shop would fail for a reason that is none of its own.
const UNDER_WAY_MAX: usize = 64;
/// A machine that left out more than this share of the visits gets more time.
const LEFT_OUT_MAX: f64 = 0.25;
/// So much more time, at the most.
const EXTRA_MS_MAX: u64 = 15_000;
/// How often it is looked whether enough visits have come.
const EXTRA_STEP_MS: u64 = 250;
/// No customer waits longer.
const PATIENCE_MS: u64 = 30_000;
/// Failing visits that are remembered one by one; the others are counted.
const FAILED_KEPT_MAX: usize = 1_000;
/// Answers of the shop are small.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What customers got to see.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LoadReport {
    /// Visits that began.
    pub sent: u64,
    /// Answered with what was asked for.
    pub served: u64,
    /// Refused for a reason of the customer's: 4xx.
    pub refused: u64,
    /// Answered with 5xx, or not at all.
    pub failed: u64,
    /// Left out because too many were under way.
    pub skipped: u64,
    /// Some of the failed ones, the first of them.
    pub failures: Vec<FailedVisit>,
    /// New versions that appeared.
    pub rolled: Vec<Rolled>,
    /// Trouble of the lab itself.
    pub trouble: Vec<String>,
}

/// A visit that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedVisit {
    /// The id that the edge gave it.
    pub request_id: Option<String>,
    /// What was called.
    pub operation: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Whether it may have met the fault of the scenario.
    pub concerned: bool,
}

/// The load while it runs. Dropping it ends the load.
#[derive(Debug)]
pub struct Drive {
    begun: Instant,
    length: Duration,
    stop: watch::Sender<bool>,
    report: Arc<Mutex<LoadReport>>,
    visits: JoinHandle<()>,
    rollouts: JoinHandle<()>,
}

impl Shop {
    /// Lets the customers in; new versions appear as the plan says.
    pub fn open(self: &Arc<Shop>) -> Drive {
        let (stop, stopped) = watch::channel(false);
        let report = Arc::new(Mutex::new(LoadReport::default()));
        let plan = self.plan();
        let door = Door {
            client: Client::builder(TokioExecutor::new()).build_http(),
            directory: Arc::clone(&self.directory),
            trigger: plan.trigger,
            report: Arc::clone(&report),
        };
        let traffic = Traffic::new(plan.seed, plan.mix.clone());
        let begun = Instant::now();
        Drive {
            begun,
            length: plan.length,
            visits: tokio::spawn(admit(door, traffic, begun, stopped)),
            rollouts: tokio::spawn(roll_out(
                Arc::clone(self),
                plan.rollouts.clone(),
                begun,
                Arc::clone(&report),
            )),
            stop,
            report,
        }
    }
}

impl Drive {
    /// Waits until the shop has run for as long as the plan says; on a machine that could not
    /// keep up, until as many visits have come as were to come, or for a bounded time longer.
    pub async fn planned_end(&self) {
        let planned = self.begun + self.length;
        tokio::time::sleep_until(planned).await;
        let due = {
            let report = lock(&self.report);
            (report.sent + report.skipped) as f64
        };
        let last = planned + Duration::from_millis(EXTRA_MS_MAX);
        while (self.report().sent as f64) < due * (1.0 - LEFT_OUT_MAX) && Instant::now() < last {
            tokio::time::sleep(Duration::from_millis(EXTRA_STEP_MS)).await;
        }
    }

    /// What happened up to now.
    pub fn report(&self) -> LoadReport {
        lock(&self.report).clone()
    }

    /// Lets nobody in any more and waits for those who are inside.
    pub async fn close(mut self) -> LoadReport {
        self.stop.send_replace(true);
        self.rollouts.abort();
        if let Err(error) = (&mut self.visits).await {
            lock(&self.report).trouble.push(format!("the load stopped: {error}"));
        }
        self.report()
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.visits.abort();
        self.rollouts.abort();
    }
}

fn lock(report: &Mutex<LoadReport>) -> std::sync::MutexGuard<'_, LoadReport> {
    report.lock().expect("nobody panics while holding this lock")
}

async fn roll_out(
    shop: Arc<Shop>,
    rollouts: Vec<Rollout>,
    begun: Instant,
    report: Arc<Mutex<LoadReport>>,
) {
    let all = rollouts.into_iter().map(async |rollout| {
        tokio::time::sleep_until(begun + rollout.after).await;
        let rolled: Result<Rolled, LabError> = shop.replace(&rollout.slot).await;
        let mut report = lock(&report);
        match rolled {
            Ok(rolled) => report.rolled.push(rolled),
            Err(error) => report.trouble.push(format!("no new version: {error}")),
        }
    });
    futures::future::join_all(all).await;
}

/// What a visit needs.
#[derive(Clone)]
struct Door {
    client: Client<HttpConnector, Full<Bytes>>,
    directory: Arc<Directory>,
    trigger: Trigger,
    report: Arc<Mutex<LoadReport>>,
}

async fn admit(door: Door, traffic: Traffic, begun: Instant, mut stopped: watch::Receiver<bool>) {
    let mut under_way = JoinSet::new();
    for visit in traffic {
        let due = tokio::time::sleep_until(begun + visit.after);
        tokio::select! {
            // An error means that nobody can stop us any more, which is a reason to stop too.
            _ = stopped.wait_for(|stop| *stop) => break,
            () = due => {}
        }
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= UNDER_WAY_MAX {
            lock(&door.report).skipped += 1;
            continue;
        }
        lock(&door.report).sent += 1;
        under_way.spawn(door.clone().serve(visit));
    }
    under_way.join_all().await;
}

impl Door {
    async fn serve(self, visit: Visit) {
        let (method, path, body) = visit.wish.call();
        let operation = format!("{method} {path}");
        let concerned = self.trigger.concerns(&visit.wish);
        let answer = match self.directory.pick(EDGE, &visit.key) {
            Some(target) => self.ask(target.address, method, path, body, &visit).await,
            None => None,
        };
        let mut report = lock(&self.report);
        match answer {
            Some((200..=299, _)) => report.served += 1,
            Some((400..=499, _)) => report.refused += 1,
            failed => {
                report.failed += 1;
                if report.failures.len() < FAILED_KEPT_MAX {
                    let (status, request_id) = failed.unzip();
                    let request_id = request_id.flatten();
                    report.failures.push(FailedVisit { request_id, operation, status, concerned });
                }
            }
        }
    }

    /// Status and request id of the answer.
    async fn ask(
        &self,
        edge: SocketAddr,
        method: http::Method,
        path: String,
        body: Vec<u8>,
        visit: &Visit,
    ) -> Option<(u16, Option<String>)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{edge}{path}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::HOST, "shop.example:80")
            .header(http::header::USER_AGENT, HeaderValue::from_static(visit.agent))
            .header(&IDEMPOTENCY_KEY, &visit.key)
            .body(Full::new(Bytes::from(body)))
            .ok()?;
        let exchange = async {
            let answer = self.client.request(request).await.ok()?;
            let status = answer.status().as_u16();
            let id = answer.headers().get(&REQUEST_ID);
            let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
            Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.ok()?;
            Some((status, id))
        };
        tokio::time::timeout(Duration::from_millis(PATIENCE_MS), exchange).await.ok()?
    }
}
