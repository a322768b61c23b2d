//! The bound of one attempt: fixed, or learned per route; never later than the deadline minus
//! what the way back needs.
//!
//! The bound is written into the context of the attempt before the request goes out, so the peer
//! knows how long its answer is waited for.

mod quantile;

pub use quantile::{Adaptive, RouteTimeouts};

use crate::Reserve;
use crate::call::{Call, CallError, Refusal, RefusalReason, TimeoutKind};
use crate::protocol::Protocol;
use crate::telemetry::{Event, Meter};
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
    P: Protocol<R, A, E>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = TimeoutFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call<R>) -> Self::Future {
        let shared = self.shared.clone();
        let at = call.at;
        let route = shared.routes.as_ref().map(|_| self.protocol.route(&call.request));
        let own = match (&shared.routes, route) {
            (Some(routes), Some(route)) => routes.timeout(route, at),
            _ => shared.longest,
        };
        let Some(after) = call.context.child_timeout(own, &shared.reserve, at) else {
            return TimeoutFuture::new(None, None, None, at, Duration::ZERO, shared);
        };
        call.context = call.context.until(at + after);
        let inner = self.inner.call(call);
        TimeoutFuture::new(Some(inner), None, route, at, after, shared)
    }
}

pin_project! {
    /// An attempt that is bounded.
    pub struct TimeoutFuture<F, R> {
        #[pin]
        inner: Option<F>,
        // Made only when the answer is not there at once: a timer costs more than all else here.
        #[pin]
        sleep: Option<Sleep>,
        route: Option<&'static str>,
        at: Instant,
        after: Duration,
        shared: Arc<Shared>,
        request: PhantomData<fn(R)>,
    }
}

impl<F, R> TimeoutFuture<F, R> {
    fn new(
        inner: Option<F>,
        sleep: Option<Sleep>,
        route: Option<&'static str>,
        at: Instant,
        after: Duration,
        shared: Arc<Shared>,
    ) -> TimeoutFuture<F, R> {
        TimeoutFuture { inner, sleep, route, at, after, shared, request: PhantomData }
    }
}

impl<F, R, A, E> Future for TimeoutFuture<F, R>
where
    F: Future<Output = Result<A, CallError<E>>>,
{
    type Output = Result<A, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (shared, at) = (&*this.shared, *this.at);
        let learn = |took: Duration| {
            if let (Some(routes), Some(route)) = (&shared.routes, *this.route) {
                routes.record(route, took, at + took);
            }
        };
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            let reason = RefusalReason::DeadlineSpent;
            shared.meter.note(&Event::Refused { reason });
            let peer = shared.meter.peer().clone();
            return Poll::Ready(Err(CallError::Refused(Refusal {
                peer,
                reason,
                retry_after: None,
            })));
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            if shared.routes.is_some() && result.is_ok() {
                learn(Instant::now().saturating_duration_since(at));
            }
            return Poll::Ready(result);
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep_until(at + *this.after)));
        }
        let Some(sleep) = this.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        if sleep.poll(cx).is_pending() {
            return Poll::Pending;
        }
        // The attempt would have taken longer still: what is learned is that the bound is short.
        learn(*this.after);
        // Whoever is beneath stops now.
        this.inner.set(None);
        let (kind, after) = (TimeoutKind::Attempt, *this.after);
        shared.meter.note(&Event::TimedOut { kind, after });
        let peer = shared.meter.peer().clone();
        Poll::Ready(Err(CallError::TimedOut { peer, kind, after }))
    }
}
