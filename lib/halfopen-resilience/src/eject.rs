//! Outlier ejection: several endpoints of one service, and those that fail more than the others
//! are left out for a while.
//!
//! Two signals: failures in a row (an endpoint that is gone), and a share of successes well below
//! that of the others (one that is half broken). When too many would be left out, none more is:
//! then it is not the endpoints that are wrong.
//!
//! **Invariant:** there is always an endpoint to ask.

use crate::protocol::{Protocol, Verdict};
use crate::telemetry::{Event, Meter};
use crate::window::Window;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tower_service::Service;

/// When an endpoint is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct EjectSettings {
    /// Failures in a row that are enough.
    pub consecutive: u32,
    /// How far back shares of success look.
    pub window: Duration,
    /// Fewer calls to an endpoint in the window are too few to compare.
    pub calls_min: u32,
    /// Left out when its share of failures is this much above the mean of the others.
    pub worse_by: f64,
    /// For how long the first time; each further time as much again.
    pub pause: Duration,
    /// No pause is longer.
    pub pause_max: Duration,
    /// Of all endpoints at most this share is left out, and never all.
    pub share_max: f64,
}

impl Default for EjectSettings {
    fn default() -> EjectSettings {
        EjectSettings {
            consecutive: 5,
            window: Duration::from_secs(10),
            calls_min: 20,
            worse_by: 0.3,
            pause: Duration::from_secs(30),
            pause_max: Duration::from_secs(300),
            share_max: 0.5,
        }
    }
}

/// The endpoints of one service, asked in turn. Clones share what is known of them.
#[derive(Clone, Debug)]
pub struct Endpoints<S, P> {
    services: Vec<S>,
    shared: Arc<Shared>,
    protocol: P,
}

#[derive(Debug)]
struct Shared {
    settings: EjectSettings,
    origin: Instant,
    known: Vec<Known>,
    turn: AtomicUsize,
    meter: Meter,
}

/// What is known of one endpoint.
#[derive(Debug)]
struct Known {
    name: String,
    in_a_row: AtomicU32,
    window: Window,
    /// Zero while it is asked.
    out_until_ms: AtomicU64,
    times_out: AtomicU32,
}

impl<S, P> Endpoints<S, P> {
    /// With these endpoints; `None` when there is not one.
    pub fn new(
        endpoints: Vec<(String, S)>,
        settings: EjectSettings,
        protocol: P,
        meter: Meter,
    ) -> Option<Endpoints<S, P>> {
        let (names, services): (Vec<String>, Vec<S>) = endpoints.into_iter().unzip();
        if services.is_empty() {
            return None;
        }
        let window_ns = settings.window.as_nanos() as u64;
        let known = |name| Known {
            name,
            in_a_row: AtomicU32::new(0),
            window: Window::new(window_ns),
            out_until_ms: AtomicU64::new(0),
            times_out: AtomicU32::new(0),
        };
        let known = names.into_iter().map(known).collect();
        let (origin, turn) = (Instant::now(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { settings, origin, known, turn, meter });
        Some(Endpoints { services, shared, protocol })
    }

    /// The names of those that are left out now.
    pub fn ejected(&self) -> Vec<&str> {
        let now_ms = self.shared.ms(Instant::now());
        let out = self.shared.known.iter().filter(|known| known.is_out(now_ms));
        out.map(|known| known.name.as_str()).collect()
    }
}

impl Known {
    fn is_out(&self, now_ms: u64) -> bool {
        self.out_until_ms.load(Ordering::Acquire) > now_ms
    }
}

impl Shared {
    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_millis() as u64
    }

    /// The next in turn that is not left out; the next in turn when all are.
    fn choose(&self, now: Instant) -> usize {
        let now_ms = self.ms(now);
        let count = self.known.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        let in_turn = (0..count).map(|step| (first + step) % count);
        let mut asked = in_turn.filter(|index| !self.known[*index].is_out(now_ms));
        let index = asked.next().unwrap_or(first);
        self.readmit(index, now_ms);
        index
    }

    fn readmit(&self, index: usize, now_ms: u64) {
        let known = &self.known[index];
        let until = known.out_until_ms.load(Ordering::Acquire);
        let is_over = until != 0 && until <= now_ms;
        let swap = |to| {
            known.out_until_ms.compare_exchange(until, to, Ordering::AcqRel, Ordering::Acquire)
        };
        if is_over && swap(0).is_ok() {
            known.in_a_row.store(0, Ordering::Relaxed);
            known.window.clear();
            self.meter.note(&Event::OutlierReadmitted { endpoint: &known.name });
        }
    }

    fn learn(&self, index: usize, failed: bool, now: Instant) {
        let known = &self.known[index];
        let now_ns = now.saturating_duration_since(self.origin).as_nanos() as u64;
        known.window.record(now_ns, failed, false);
        if !failed {
            known.in_a_row.store(0, Ordering::Relaxed);
            return;
        }
        let in_a_row = known.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if in_a_row >= self.settings.consecutive.max(1) {
            self.eject(index, "consecutive_failures", now);
        } else if self.is_worse_than_others(index, now_ns) {
            self.eject(index, "failure_ratio", now);
        }
    }

    fn is_worse_than_others(&self, index: usize, now_ns: u64) -> bool {
        let ratio = |known: &Known| {
            let sums = known.window.sums(now_ns);
            (sums.calls >= self.settings.calls_min).then(|| sums.failure_ratio())
        };
        let Some(own) = ratio(&self.known[index]) else { return false };
        let others = self.known.iter().enumerate().filter(|(other, _)| *other != index);
        let others: Vec<f64> = others.filter_map(|(_, known)| ratio(known)).collect();
        let mean = others.iter().sum::<f64>() / others.len().max(1) as f64;
        !others.is_empty() && own - mean >= self.settings.worse_by
    }

    fn eject(&self, index: usize, cause: &'static str, now: Instant) {
        let now_ms = self.ms(now);
        let known = &self.known[index];
        if known.is_out(now_ms) {
            return;
        }
        let out = self.known.iter().filter(|other| other.is_out(now_ms)).count() + 1;
        let allowed = self.known.len() as f64 * self.settings.share_max.clamp(0.0, 1.0);
        if out as f64 > allowed || out >= self.known.len() {
            // Said once for each run of failures, not for each failure.
            if known.in_a_row.load(Ordering::Relaxed) == self.settings.consecutive.max(1) {
                self.meter.note(&Event::OutlierKept { endpoint: &known.name, cause });
            }
            return;
        }
        let times = known.times_out.fetch_add(1, Ordering::Relaxed) + 1;
        let pause = self.settings.pause.saturating_mul(times).min(self.settings.pause_max);
        let until_ms = now_ms + (pause.as_millis() as u64).max(1);
        known.out_until_ms.store(until_ms, Ordering::Release);
        self.meter.note(&Event::OutlierEjected { endpoint: &known.name, cause, pause });
    }
}

impl<S, P, R> Service<R> for Endpoints<S, P>
where
    S: Service<R> + Clone,
    P: Protocol<R, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = EndpointFuture<S, P, R>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Which endpoint is asked is decided per call: its readiness is waited for there.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let index = self.shared.choose(Instant::now());
        EndpointFuture {
            stage: Stage::Readying {
                service: self.services[index].clone(),
                request: Some(request),
            },
            index,
            shared: self.shared.clone(),
            protocol: self.protocol.clone(),
        }
    }
}

pin_project! {
    /// A call to one of several endpoints.
    pub struct EndpointFuture<S, P, R>
    where
        S: Service<R>,
    {
        #[pin]
        stage: Stage<S, R, S::Future>,
        index: usize,
        shared: Arc<Shared>,
        protocol: P,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, R, F> {
        Readying { service: S, request: Option<R> },
        Running { #[pin] running: F },
    }
}

impl<S, P, R> Future for EndpointFuture<S, P, R>
where
    S: Service<R>,
    P: Protocol<R, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.stage.as_mut().project() {
                StageProjection::Readying { service, request } => {
                    match ready!(service.poll_ready(cx)) {
                        Err(error) => Err(error),
                        Ok(()) => {
                            let Some(request) = request.take() else { return Poll::Pending };
                            let running = service.call(request);
                            this.stage.set(Stage::Running { running });
                            continue;
                        }
                    }
                }
                StageProjection::Running { running } => ready!(running.poll(cx)),
            };
            let verdict = this.protocol.judge(result.as_ref());
            let failed = matches!(verdict, Verdict::Bad(_));
            this.shared.learn(*this.index, failed, Instant::now());
            return Poll::Ready(result);
        }
    }
}
