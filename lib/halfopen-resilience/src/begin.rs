//! The outermost layer of a client: every call has a context and a deadline.
//!
//! The context is the one of the request that this task works for
//! ([`RequestContext::current`]), or begins here. The deadline is the earlier of the asker's and
//! this client's own. There is no timer here: each layer beneath that waits, waits no longer than
//! the deadline, and one timer fewer per call is what that is worth.

use crate::Chance;
use crate::call::{Call, CallError, Refusal, RefusalReason};
use crate::context::RequestContext;
use crate::grant::Grant;
use crate::telemetry::{Event, Meter};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

/// Gives every call a context and a deadline.
#[derive(Clone, Debug)]
pub struct BeginLayer {
    /// The longest a call may take, all attempts together.
    pub deadline: Duration,
    /// Retries granted to a request that begins here, when hedges must be able to take from
    /// them as well; otherwise the retry layer keeps the account by itself.
    pub shared_grant: Option<u32>,
    /// Who is told.
    pub meter: Meter,
    /// Where new ids come from.
    pub chance: Chance,
}

impl<S> Layer<S> for BeginLayer {
    type Service = BeginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BeginService { inner, layer: self.clone() }
    }
}

/// A client whose calls have a context and a deadline.
#[derive(Clone, Debug)]
pub struct BeginService<S> {
    inner: S,
    layer: BeginLayer,
}

impl<S, R, A, E> Service<R> for BeginService<S>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = BeginFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let at = Instant::now();
        let layer = &self.layer;
        let context = RequestContext::current().unwrap_or_else(|| {
            let grant = layer.shared_grant.map(Grant::new);
            RequestContext::begin(&layer.chance).granted(grant)
        });
        let context = context.as_attempt(1).until(at + layer.deadline);
        let until = context.deadline().unwrap_or(at + layer.deadline);
        let span = context.span(layer.meter.peer());
        if until <= at {
            return BeginFuture { stage: Stage::Refused { refusal: Some(layer.refuse()) }, span };
        }
        let entered = span.enter();
        let inner = self.inner.call(Call { request, context, granted: 0, at });
        drop(entered);
        BeginFuture { stage: Stage::Running { inner }, span }
    }
}

impl BeginLayer {
    fn refuse(&self) -> Refusal {
        let reason = RefusalReason::DeadlineSpent;
        self.meter.note(&Event::Refused { reason });
        Refusal { peer: self.meter.peer().clone(), reason, retry_after: None }
    }
}

pin_project! {
    /// A call until its deadline.
    pub struct BeginFuture<F> {
        #[pin]
        stage: Stage<F>,
        span: Span,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        Running { #[pin] inner: F },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F, A, E> Future for BeginFuture<F>
where
    F: Future<Output = Result<A, CallError<E>>>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        match this.stage.project() {
            StageProjection::Running { inner } => inner.poll(cx),
            StageProjection::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Err(refusal.into())),
                None => Poll::Pending,
            },
        }
    }
}
