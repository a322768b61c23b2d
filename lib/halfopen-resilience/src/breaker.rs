//! The circuit breaker: stops calls to a peer that fails or crawls, and lets load return slowly.
//!
//! It trips on two signals over one window of time, once there were enough calls to judge: the
//! share of failures, and the share of calls slower than a bound (a peer that crawls holds up its
//! callers longer than one that fails). After a pause with jitter, so that a fleet does not come
//! back in step, a few probes decide. When they return well, load returns over a ramp, in
//! proportion to what it was before the trouble.
//!
//! **Invariant:** refusals of other layers, and calls that were given up, say nothing about the
//! peer and do not count.

mod machine;

use crate::Chance;
use crate::call::{Call, CallError, Refusal};
use crate::protocol::{self, Protocol, Verdict};
use crate::telemetry::{Event, Meter};
use machine::{Change, Machine, Permit};
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// When a breaker trips and how it recovers.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    /// How far back it looks.
    pub window: Duration,
    /// Fewer calls in the window are too few to judge.
    pub calls_min: u32,
    /// Share of failed calls that trips it.
    pub failure_ratio: f64,
    /// Share of slow calls that trips it; above 1 never.
    pub slow_ratio: f64,
    /// A call that takes this long is slow. `None` in a stack: two thirds of the timeout of an
    /// attempt; elsewhere: no call is slow.
    pub slow: Option<Duration>,
    /// Pause after the first trip; it doubles with each recovery that failed.
    pub pause: Duration,
    /// No pause is longer, jitter apart.
    pub pause_max: Duration,
    /// Up to this share of the pause is added by chance.
    pub jitter: f64,
    /// Calls that try out whether the peer has recovered.
    pub probes: u32,
    /// How long load takes to return; zero lets all of it return at once.
    pub ramp: Duration,
    /// Share of the steady rate that passes at the begin of the ramp.
    pub ramp_from: f64,
    /// Share of the steady rate that passes at its end.
    pub ramp_to: f64,
    /// Calls a second that are taken as steady when there were fewer.
    pub ramp_rate_min: f64,
}

impl Default for BreakerSettings {
    fn default() -> BreakerSettings {
        BreakerSettings {
            window: Duration::from_secs(10),
            calls_min: 20,
            failure_ratio: 0.5,
            slow_ratio: 0.8,
            slow: None,
            pause: Duration::from_secs(15),
            pause_max: Duration::from_secs(120),
            jitter: 0.33,
            probes: 3,
            ramp: Duration::from_secs(10),
            ramp_from: 0.1,
            ramp_to: 1.5,
            ramp_rate_min: 1.0,
        }
    }
}

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Every call passes.
    Closed,
    /// No call passes.
    Open,
    /// A few calls try out whether the peer has recovered.
    HalfOpen,
    /// The peer has recovered, load returns slowly.
    Returning,
}

impl State {
    /// As telemetry names it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
            State::Returning => "returning",
        }
    }
}

/// A breaker. Clones share its state: one for each peer, whoever calls it.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    machine: Machine,
    meter: Meter,
    chance: Chance,
    origin: Instant,
    /// Beyond every call when no call is slow.
    slow_ns: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings, meter: Meter, chance: Chance) -> Breaker {
        let slow_ns = settings.slow.map_or(u64::MAX, |slow| slow.as_nanos() as u64);
        let machine = Machine::new(settings);
        let origin = Instant::now();
        Breaker(Arc::new(Shared { machine, meter, chance, origin, slow_ns }))
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.0.machine.state()
    }

    #[inline]
    fn admit(&self, now: Instant) -> Result<Pass, Refusal> {
        let now_ns = self.0.since_origin(now);
        let (answer, change) = self.0.machine.admit(now_ns);
        self.0.tell(change);
        match answer {
            Ok(permit) => {
                Ok(Pass { breaker: self.clone(), permit: Some(permit), started_ns: now_ns })
            }
            Err(refused) => {
                self.0.meter.note(&Event::Refused { reason: refused.reason });
                let peer = self.0.meter.peer().clone();
                let (reason, retry_after) = (refused.reason, refused.retry_after);
                Err(Refusal { peer, reason, retry_after })
            }
        }
    }
}

impl Shared {
    #[inline]
    fn since_origin(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_nanos() as u64
    }

    fn is_slow(&self, took_ns: u64) -> bool {
        took_ns >= self.slow_ns
    }

    fn tell(&self, change: Option<Change>) {
        let Some(Change { from, to, sums }) = change else { return };
        self.meter.note(&Event::BreakerChanged {
            from: from.as_str(),
            to: to.as_str(),
            failures: sums.failure_ratio(),
            slow: sums.slow_ratio(),
            calls: sums.calls,
        });
    }
}

/// A call that was let in; dropped without a result it frees its place.
#[derive(Debug)]
struct Pass {
    breaker: Breaker,
    permit: Option<Permit>,
    started_ns: u64,
}

impl Pass {
    #[inline]
    fn finish(&mut self, failed: bool) {
        let Some(permit) = self.permit.take() else { return };
        let shared = &self.breaker.0;
        let now_ns = shared.since_origin(Instant::now());
        let slow = shared.is_slow(now_ns.saturating_sub(self.started_ns));
        shared.tell(shared.machine.finish(permit, failed, slow, now_ns, &shared.chance));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(permit) = self.permit else { return };
        let shared = &self.breaker.0;
        // A call that was given up after a long wait was slow, whatever would have come.
        let now_ns = shared.since_origin(Instant::now());
        if shared.is_slow(now_ns.saturating_sub(self.started_ns)) {
            self.finish(false);
        } else {
            shared.machine.forget(permit);
        }
    }
}

/// Puts a [`Breaker`] around a service.
#[derive(Clone, Debug)]
pub struct BreakerLayer<P> {
    breaker: Option<Breaker>,
    protocol: P,
}

impl<P> BreakerLayer<P> {
    /// With this breaker; `None` lets everything pass.
    pub fn new(breaker: Option<Breaker>, protocol: P) -> BreakerLayer<P> {
        BreakerLayer { breaker, protocol }
    }
}

impl<S, P: Clone> Layer<S> for BreakerLayer<P> {
    type Service = BreakerService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService { inner, breaker: self.breaker.clone(), protocol: self.protocol.clone() }
    }
}

/// A service behind a breaker.
#[derive(Clone, Debug)]
pub struct BreakerService<S, P> {
    inner: S,
    breaker: Option<Breaker>,
    protocol: P,
}

impl<S, P, R, A, E> Service<Call<R>> for BreakerService<S, P>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
    P: Protocol<R, A, E>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = BreakerFuture<S::Future, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let admitted = self.breaker.as_ref().map(|breaker| breaker.admit(call.at)).transpose();
        let stage = match admitted {
            Ok(pass) => Stage::Running { inner: self.inner.call(call), pass },
            Err(refusal) => Stage::Refused { refusal: Some(refusal) },
        };
        BreakerFuture { stage, protocol: self.protocol.clone(), request: PhantomData }
    }
}

pin_project! {
    /// A call behind a breaker.
    pub struct BreakerFuture<F, P, R> {
        #[pin]
        stage: Stage<F>,
        protocol: P,
        request: PhantomData<fn(R)>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        Running { #[pin] inner: F, pass: Option<Pass> },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F, P, R, A, E> Future for BreakerFuture<F, P, R>
where
    F: Future<Output = Result<A, CallError<E>>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (inner, pass) = match this.stage.project() {
            StageProjection::Running { inner, pass } => (inner, pass),
            StageProjection::Refused { refusal } => {
                let Some(refusal) = refusal.take() else { return Poll::Pending };
                return Poll::Ready(Err(CallError::Refused(refusal)));
            }
        };
        let result = ready!(inner.poll(cx));
        if let Some(mut pass) = pass.take() {
            match protocol::verdict(this.protocol, &result) {
                Some(verdict) => pass.finish(matches!(verdict, Verdict::Bad(_))),
                None => drop(pass),
            }
        }
        Poll::Ready(result)
    }
}
