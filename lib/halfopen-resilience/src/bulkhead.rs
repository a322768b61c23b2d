//! The bulkhead: a bounded number of calls at a time, a bounded queue before them, a bounded
//! time in the queue. What does not fit is refused at once, while its asker can still do
//! something else.

use crate::call::{Call, CallError, Refusal, RefusalReason};
use crate::telemetry::{Event, Meter};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

/// The sizes of a bulkhead.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkheadSettings {
    /// Calls under way at a time.
    pub calls_max: u32,
    /// Calls waiting for a place.
    pub queue_max: u32,
    /// How long a call waits for a place; never past its deadline.
    pub queue_time: Duration,
}

impl Default for BulkheadSettings {
    fn default() -> BulkheadSettings {
        let queue_time = Duration::from_millis(100);
        BulkheadSettings { calls_max: 64, queue_max: 64, queue_time }
    }
}

/// A bulkhead. Clones share its places.
#[derive(Clone, Debug)]
pub struct Bulkhead(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: BulkheadSettings,
    places: Arc<Semaphore>,
    queued: AtomicU32,
    meter: Meter,
}

impl Bulkhead {
    /// With all places free.
    pub fn new(settings: BulkheadSettings, meter: Meter) -> Bulkhead {
        let places = Arc::new(Semaphore::new(settings.calls_max as usize));
        Bulkhead(Arc::new(Shared { settings, places, queued: AtomicU32::new(0), meter }))
    }

    /// Calls that wait now.
    pub fn queued(&self) -> u32 {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// Places that are free now.
    pub fn free(&self) -> usize {
        self.0.places.available_permits()
    }

    fn refuse(&self, reason: RefusalReason) -> Refusal {
        self.0.meter.note(&Event::Refused { reason });
        Refusal { peer: self.0.meter.peer().clone(), reason, retry_after: None }
    }

    /// A place in the queue, if there is one.
    fn queue(&self) -> Option<Queued> {
        let join = |queued: u32| (queued < self.0.settings.queue_max).then_some(queued + 1);
        let joined = self.0.queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, join);
        joined.is_ok().then(|| Queued(self.clone()))
    }
}

/// A place in the queue, given up when dropped.
#[derive(Debug)]
struct Queued(Bulkhead);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.0.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Puts a [`Bulkhead`] around a service.
#[derive(Clone, Debug)]
pub struct BulkheadLayer(Option<Bulkhead>);

impl BulkheadLayer {
    /// With this bulkhead; `None` lets everything pass.
    pub fn new(bulkhead: Option<Bulkhead>) -> BulkheadLayer {
        BulkheadLayer(bulkhead)
    }
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = BulkheadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BulkheadService { inner, bulkhead: self.0.clone() }
    }
}

/// A service behind a bulkhead.
#[derive(Clone, Debug)]
pub struct BulkheadService<S> {
    inner: S,
    bulkhead: Option<Bulkhead>,
}

impl<S, R, A, E> Service<Call<R>> for BulkheadService<S>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>> + Clone,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = BulkheadFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let Some(bulkhead) = &self.bulkhead else {
            return BulkheadFuture { stage: running(self.inner.call(call), None) };
        };
        if let Ok(permit) = bulkhead.0.places.clone().try_acquire_owned() {
            return BulkheadFuture { stage: running(self.inner.call(call), Some(permit)) };
        }
        let Some(queued) = bulkhead.queue() else {
            let refusal = Some(bulkhead.refuse(RefusalReason::QueueFull));
            return BulkheadFuture { stage: Stage::Refused { refusal } };
        };
        let settings = &bulkhead.0.settings;
        let until = call.at + settings.queue_time;
        let until = call.context.deadline().map_or(until, |deadline| deadline.min(until));
        let sleep = tokio::time::sleep_until(until);
        let acquire: Acquire = Box::pin(bulkhead.0.places.clone().acquire_owned());
        // The clone takes the readiness that was waited for along.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let call = Some((inner, call));
        let waiting = Box::pin(Waiting { acquire, sleep, queued, call });
        BulkheadFuture { stage: Stage::Waiting { waiting } }
    }
}

type Acquire =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, tokio::sync::AcquireError>> + Send>>;

fn running<S, R, F>(running: F, permit: Option<OwnedSemaphorePermit>) -> Stage<S, R, F> {
    Stage::Running { running, permit }
}

pin_project! {
    /// A call behind a bulkhead. Its place is free again once the answer is there (for HTTP: its
    /// head), or when it is dropped.
    pub struct BulkheadFuture<S, R>
    where
        S: Service<Call<R>>,
    {
        #[pin]
        stage: Stage<S, R, S::Future>,
    }
}

pin_project! {
    /// A call in the queue. On the heap, so that calls that find a place do not carry it.
    struct Waiting<S, R> {
        acquire: Acquire,
        #[pin]
        sleep: Sleep,
        queued: Queued,
        call: Option<(S, Call<R>)>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, R, F> {
        Running { #[pin] running: F, permit: Option<OwnedSemaphorePermit> },
        Waiting { waiting: Pin<Box<Waiting<S, R>>> },
        Refused { refusal: Option<Refusal> },
    }
}

impl<S, R, A, E> Future for BulkheadFuture<S, R>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProjection::Running { running, permit } => {
                    let result = ready!(running.poll(cx));
                    drop(permit.take());
                    return Poll::Ready(result);
                }
                StageProjection::Refused { refusal } => {
                    let Some(refusal) = refusal.take() else { return Poll::Pending };
                    return Poll::Ready(Err(refusal.into()));
                }
                StageProjection::Waiting { waiting } => {
                    let waiting = waiting.as_mut().project();
                    let Poll::Ready(permit) = waiting.acquire.as_mut().poll(cx) else {
                        ready!(waiting.sleep.poll(cx));
                        let refusal = waiting.queued.0.refuse(RefusalReason::QueueTime);
                        return Poll::Ready(Err(refusal.into()));
                    };
                    let Some((mut inner, mut call)) = waiting.call.take() else {
                        return Poll::Pending;
                    };
                    let now = Instant::now();
                    let waited = now.saturating_duration_since(call.at);
                    waiting.queued.0.0.meter.note(&Event::BulkheadQueued { waited });
                    call.at = now;
                    let running = inner.call(call);
                    stage.set(Stage::Running { running, permit: permit.ok() });
                }
            }
        }
    }
}
