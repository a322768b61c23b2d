//! The innermost layer of a client: writes the context into the request and opens the span of
//! the attempt, which is current while the service beneath works.

use crate::call::Call;
use crate::protocol::{self, Protocol};
use crate::telemetry::Meter;
use crate::wire::Outgoing;
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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
    type Error = S::Error;
    type Future = SendFuture<S::Future, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let Call { mut request, context, granted, at } = call;
        let span = attempt_span(&self.meter, context.attempt());
        // A tracer reads the current span when it injects its own headers further down.
        let inner = span.in_scope(|| {
            self.protocol.write(&Outgoing { context: &context, granted }, &mut request, at);
            self.inner.call(request)
        });
        SendFuture { inner, protocol: self.protocol.clone(), span, request: PhantomData }
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
        span: Span,
        request: PhantomData<fn(R)>,
    }
}

impl<F, P, R, A, E> Future for SendFuture<F, P, R>
where
    F: Future<Output = Result<A, E>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.span.enter();
        let result = ready!(this.inner.poll(cx));
        drop(entered);
        if !this.span.is_disabled() {
            let verdict = this.protocol.judge(result.as_ref());
            this.span.record("halfopen.outcome", protocol::outcome(Some(verdict)));
        }
        Poll::Ready(result)
    }
}
