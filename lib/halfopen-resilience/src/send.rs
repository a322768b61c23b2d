//! The innermost layer of a client: writes the context into the request and makes each attempt
//! visible.

use crate::call::{Call, CallError};
use crate::protocol::{self, Protocol};
use crate::telemetry::{Event, Meter};
use crate::wire::Outgoing;
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

/// Turns a [`Call`] into the request that the service beneath understands.
#[derive(Clone, Debug)]
pub struct SendLayer<P> {
    protocol: P,
    meter: Meter,
}

impl<P> SendLayer<P> {
    /// For this protocol.
    pub fn new(protocol: P, meter: Meter) -> SendLayer<P> {
        SendLayer { protocol, meter }
    }
}

impl<S, P: Clone> Layer<S> for SendLayer<P> {
    type Service = SendService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        SendService { inner, protocol: self.protocol.clone(), meter: self.meter.clone() }
    }
}

/// A service that understands calls.
#[derive(Clone, Debug)]
pub struct SendService<S, P> {
    inner: S,
    protocol: P,
    meter: Meter,
}

impl<S, P, R> Service<Call<R>> for SendService<S, P>
where
    S: Service<R>,
    P: Protocol<R, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = CallError<S::Error>;
    type Future = SendFuture<S::Future, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let meter = &self.meter;
        self.inner
            .poll_ready(cx)
            .map_err(|source| CallError::Failed { peer: meter.peer().clone(), source })
    }

    fn call(&mut self, call: Call<R>) -> Self::Future {
        let Call { mut request, context, granted, at } = call;
        let span = attempt_span(&self.meter, context.attempt());
        // A tracer reads the current span when it injects its own headers further down.
        let inner = span.in_scope(|| {
            self.protocol.write(&Outgoing { context: &context, granted }, &mut request, at);
            self.inner.call(request)
        });
        let (protocol, meter) = (self.protocol.clone(), self.meter.clone());
        let attempt = context.attempt();
        SendFuture { inner, protocol, meter, attempt, at, span, request: PhantomData }
    }
}

fn attempt_span(meter: &Meter, attempt: u32) -> Span {
    tracing::debug_span!(
        target: "halfopen",
        "halfopen.attempt",
        halfopen.peer = %meter.peer(),
        halfopen.retry.attempt = attempt,
        halfopen.outcome = tracing::field::Empty,
    )
}

pin_project! {
    /// One attempt.
    pub struct SendFuture<F, P, R> {
        #[pin]
        inner: F,
        protocol: P,
        meter: Meter,
        attempt: u32,
        at: Instant,
        span: Span,
        request: PhantomData<fn(R)>,
    }
}

impl<F, P, R, A, E> Future for SendFuture<F, P, R>
where
    F: Future<Output = Result<A, E>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.span.enter();
        let result = ready!(this.inner.poll(cx));
        drop(entered);
        let peer = || this.meter.peer().clone();
        let result = result.map_err(|source| CallError::Failed { peer: peer(), source });
        let is_watched = this.meter.is_observed() || !this.span.is_disabled();
        let (outcome, took) = if is_watched {
            let took = Instant::now().saturating_duration_since(*this.at);
            (protocol::outcome(protocol::verdict(this.protocol, &result)), took)
        } else {
            ("", Duration::ZERO)
        };
        this.span.record("halfopen.outcome", outcome);
        this.meter.tick(&Event::AttemptEnded { attempt: *this.attempt, outcome, took });
        Poll::Ready(result)
    }
}
