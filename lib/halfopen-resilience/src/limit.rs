//! Load shedding by adaptive concurrency: how many calls may be under way is learned from how
//! long they take.
//!
//! The rule is Gradient2 of Netflix's concurrency-limits, built anew from its description: a long
//! average of the times is what is normal; when recent times rise above it by more than a
//! tolerance, work is queueing somewhere and the limit shrinks in proportion; otherwise it grows
//! by a small allowance for a queue. A limit that is not used does not grow.

mod gradient;

pub use gradient::LimitSettings;

use crate::call::{Call, CallError, Refusal, RefusalReason};
use crate::telemetry::{Event, Meter};
use gradient::Gradient;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// An adaptive limit. Clones share it.
#[derive(Clone, Debug)]
pub struct Limit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// Taken only by `try_lock`: a sample that comes while another is worked in is left out.
    gradient: Mutex<Gradient>,
    meter: Meter,
}

impl Limit {
    /// With the limit that the settings begin with.
    pub fn new(settings: LimitSettings, meter: Meter) -> Limit {
        let gradient = Gradient::new(settings);
        let limit = AtomicU32::new(gradient.limit());
        let gradient = Mutex::new(gradient);
        Limit(Arc::new(Shared { limit, in_flight: AtomicU32::new(0), gradient, meter }))
    }

    /// Calls that may be under way now.
    pub fn limit(&self) -> u32 {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Calls that are under way.
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    fn enter(&self, at: Instant) -> Option<Inside> {
        let limit = self.limit();
        let join = |inside: u32| (inside < limit).then_some(inside + 1);
        let joined = self.0.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, join);
        joined.is_ok().then(|| Inside { limit: self.clone(), at })
    }
}

/// A call under way.
#[derive(Debug)]
struct Inside {
    limit: Limit,
    at: Instant,
}

impl Inside {
    /// A call took its time and came back: the only kind of end that says how long work takes.
    fn learn(&self) {
        let shared = &self.limit.0;
        let took = Instant::now().saturating_duration_since(self.at);
        let in_flight = self.limit.in_flight();
        let Ok(mut gradient) = shared.gradient.try_lock() else { return };
        let limit = gradient.sample(took, in_flight);
        drop(gradient);
        if shared.limit.swap(limit, Ordering::Relaxed) != limit {
            shared.meter.note(&Event::LimitChanged { limit });
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.limit.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Puts a [`Limit`] around a service.
#[derive(Clone, Debug)]
pub struct LimitLayer(Option<Limit>);

impl LimitLayer {
    /// With this limit; `None` lets everything pass.
    pub fn new(limit: Option<Limit>) -> LimitLayer {
        LimitLayer(limit)
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitService { inner, limit: self.0.clone() }
    }
}

/// A service behind an adaptive limit.
#[derive(Clone, Debug)]
pub struct LimitService<S> {
    inner: S,
    limit: Option<Limit>,
}

impl<S, R, A, E> Service<Call<R>> for LimitService<S>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = LimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let Some(limit) = &self.limit else {
            let inner = self.inner.call(call);
            return LimitFuture { stage: Stage::Running { inner, inside: None } };
        };
        match limit.enter(call.at) {
            Some(inside) => {
                let inner = self.inner.call(call);
                LimitFuture { stage: Stage::Running { inner, inside: Some(inside) } }
            }
            None => {
                let reason = RefusalReason::Overloaded;
                limit.0.meter.note(&Event::Refused { reason });
                let peer = limit.0.meter.peer().clone();
                let refusal = Some(Refusal { peer, reason, retry_after: None });
                LimitFuture { stage: Stage::Refused { refusal } }
            }
        }
    }
}

pin_project! {
    /// A call behind an adaptive limit.
    pub struct LimitFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        Running { #[pin] inner: F, inside: Option<Inside> },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F, A, E> Future for LimitFuture<F>
where
    F: Future<Output = Result<A, CallError<E>>>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, inside) = match self.project().stage.project() {
            StageProjection::Running { inner, inside } => (inner, inside),
            StageProjection::Refused { refusal } => {
                let Some(refusal) = refusal.take() else { return Poll::Pending };
                return Poll::Ready(Err(refusal.into()));
            }
        };
        let result = ready!(inner.poll(cx));
        if let Some(inside) = inside.take()
            && !matches!(result, Err(CallError::Refused(_)))
        {
            inside.learn();
        }
        Poll::Ready(result)
    }
}
