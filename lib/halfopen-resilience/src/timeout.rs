//! The bound of one attempt: fixed, or learned per route; never later than the deadline minus
//! what the way back needs. Here an attempt ends, in time or not, and is counted.
//!
//! The bound is written into the context of the attempt before the request goes out, so the peer
//! knows how long its answer is waited for.

mod quantile;

pub use quantile::{Adaptive, RouteTimeouts};

use crate::Reserve;
use crate::call::{Call, CallError, Refusal, RefusalReason, TimeoutKind};
use crate::protocol::{self, Protocol};
use crate::telemetry::{Event, Meter};
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

/// How long an attempt may take.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptTimeout {
    /// Always this long.
    Fixed(Duration),
    /// Learned from how long attempts took.
    Adaptive(Adaptive),
}

impl AttemptTimeout {
    /// The longest it can be.
    pub fn longest(&self) -> Duration {
        match self {
            AttemptTimeout::Fixed(timeout) => *timeout,
            AttemptTimeout::Adaptive(adaptive) => adaptive.ceiling,
        }
    }
}

/// Bounds each attempt of a service.
#[derive(Clone, Debug)]
pub struct TimeoutLayer<P> {
    shared: Arc<Shared>,
    protocol: P,
}

#[derive(Debug)]
struct Shared {
    longest: Duration,
    routes: Option<RouteTimeouts>,
    reserve: Reserve,
    meter: Meter,
}

impl<P> TimeoutLayer<P> {
    /// With this bound and this reserve for the way back.
    pub fn new(
        timeout: AttemptTimeout,
        reserve: Reserve,
        protocol: P,
        meter: Meter,
    ) -> TimeoutLayer<P> {
        let longest = timeout.longest();
        let routes = match timeout {
            AttemptTimeout::Fixed(_) => None,
            AttemptTimeout::Adaptive(adaptive) => {
                Some(RouteTimeouts::new(adaptive, Instant::now()))
            }
        };
        TimeoutLayer { shared: Arc::new(Shared { longest, routes, reserve, meter }), protocol }
    }
}

impl<S, P: Clone> Layer<S> for TimeoutLayer<P> {
    type Service = TimeoutService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        TimeoutService { inner, shared: self.shared.clone(), protocol: self.protocol.clone() }
    }
}

/// A service whose attempts are bounded.
#[derive(Clone, Debug)]
pub struct TimeoutService<S, P> {
    inner: S,
    shared: Arc<Shared>,
    protocol: P,
}

impl<S, P, R, A, E> Service<Call<R>> for TimeoutService<S, P>
where
    S: Service<Call<R>, Response = A, Error = E>,
    P: Protocol<R, A, E>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = TimeoutFuture<S::Future, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let failed = |source| self.shared.failed(source);
        self.inner.poll_ready(cx).map_err(failed)
    }

    #[inline]
    fn call(&mut self, mut call: Call<R>) -> Self::Future {
        let shared = &self.shared;
        let at = call.at;
        let route = shared.routes.as_ref().map(|_| self.protocol.route(&call.request));
        let own = match (&shared.routes, route) {
            (Some(routes), Some(route)) => routes.timeout(route, at),
            _ => shared.longest,
        };
        let Some(after) = call.context.child_timeout(own, &shared.reserve, at) else {
            let stage = Stage::Refused { refusal: Some(shared.refuse()) };
            return TimeoutFuture { stage, request: PhantomData };
        };
        call.context = call.context.until(at + after);
        let (attempt, shared) = (call.context.attempt(), shared.clone());
        let ending = Ending { route, at, after, attempt, shared, protocol: self.protocol.clone() };
        let inner = self.inner.call(call);
        let stage = Stage::Running { inner, sleep: None, ending };
        TimeoutFuture { stage, request: PhantomData }
    }
}

impl Shared {
    fn failed<E>(&self, source: E) -> CallError<E> {
        CallError::Failed { peer: self.meter.peer().clone(), source }
    }

    fn refuse(&self) -> Refusal {
        let reason = RefusalReason::DeadlineSpent;
        self.meter.note(&Event::Refused { reason });
        Refusal { peer: self.meter.peer().clone(), reason, retry_after: None }
    }
}

/// What is needed when an attempt ends.
struct Ending<P> {
    route: Option<&'static str>,
    at: Instant,
    after: Duration,
    attempt: u32,
    shared: Arc<Shared>,
    protocol: P,
}

impl<P> Ending<P> {
    fn learn(&self, took: Duration) {
        if let (Some(routes), Some(route)) = (&self.shared.routes, self.route) {
            routes.record(route, took, self.at + took);
        }
    }

    /// The clock is read only for those who want to know.
    fn in_time<R, A, E>(&self, result: Result<A, E>) -> Result<A, CallError<E>>
    where
        P: Protocol<R, A, E>,
    {
        let (meter, attempt) = (&self.shared.meter, self.attempt);
        if !meter.is_observed() && self.shared.routes.is_none() {
            meter.tick(&Event::AttemptEnded { attempt, outcome: "", took: Duration::ZERO });
            return result.map_err(|source| self.shared.failed(source));
        }
        let took = Instant::now().saturating_duration_since(self.at);
        if result.is_ok() {
            self.learn(took);
        }
        let outcome = protocol::outcome(Some(self.protocol.judge(result.as_ref())));
        meter.tick(&Event::AttemptEnded { attempt, outcome, took });
        result.map_err(|source| self.shared.failed(source))
    }

    fn too_late<E>(&self) -> CallError<E> {
        let (meter, attempt, after) = (&self.shared.meter, self.attempt, self.after);
        // The attempt would have taken longer still: what is learned is that the bound is short.
        self.learn(after);
        let kind = TimeoutKind::Attempt;
        meter.note(&Event::TimedOut { kind, after });
        meter.tick(&Event::AttemptEnded { attempt, outcome: "timeout", took: after });
        CallError::TimedOut { peer: meter.peer().clone(), kind, after }
    }
}

pin_project! {
    /// An attempt that is bounded.
    pub struct TimeoutFuture<F, P, R> {
        #[pin]
        stage: Stage<F, P>,
        request: PhantomData<fn(R)>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, P> {
        Running {
            #[pin]
            inner: F,
            // Made only when the answer is not there at once: a timer costs more than all else.
            #[pin]
            sleep: Option<Sleep>,
            ending: Ending<P>,
        },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F, P, R, A, E> Future for TimeoutFuture<F, P, R>
where
    F: Future<Output = Result<A, E>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        let error = match stage.as_mut().project() {
            StageProjection::Running { inner, mut sleep, ending } => {
                if let Poll::Ready(result) = inner.poll(cx) {
                    return Poll::Ready(ending.in_time(result));
                }
                if sleep.is_none() {
                    sleep.set(Some(tokio::time::sleep_until(ending.at + ending.after)));
                }
                let Some(sleep) = sleep.as_pin_mut() else { return Poll::Pending };
                ready!(sleep.poll(cx));
                ending.too_late()
            }
            StageProjection::Refused { refusal } => {
                let Some(refusal) = refusal.take() else { return Poll::Pending };
                return Poll::Ready(Err(refusal.into()));
            }
        };
        // Whoever is beneath stops now.
        stage.set(Stage::Refused { refusal: None });
        Poll::Ready(Err(error))
    }
}
