//! The outermost layer of a server, HTTP or gRPC: reads the context a request came with, refuses
//! work that nobody waits for, and binds the context to everything done for the request.
//!
//! While the handler runs, [`RequestContext::current`] is its context, all its log lines are
//! inside a span with the ids, and its clients inherit deadline and retry budget. At the deadline
//! the handler is dropped: work goes no further than somebody waits for it. The answer carries
//! the correlation id and the retries that were not spent.
//!
//! Refusals become answers here: 503 or 504 with `Retry-After`, or a gRPC status without a body.

use crate::Chance;
use crate::call::{Call, CallError, RefusalReason, TimeoutKind};
use crate::context::RequestContext;
use crate::telemetry::{Event, Meter};
use crate::wire;
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

/// Receives requests with their context.
#[derive(Clone, Debug)]
pub struct AdmitLayer {
    /// No work takes longer, whatever the asker allows.
    pub longest: Duration,
    /// Who is told.
    pub meter: Meter,
    /// Where ids come from when the asker sent none.
    pub chance: Chance,
}

impl<S> Layer<S> for AdmitLayer {
    type Service = AdmitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmitService { inner, layer: self.clone() }
    }
}

/// A server that knows the context of its requests.
#[derive(Clone, Debug)]
pub struct AdmitService<S> {
    inner: S,
    layer: AdmitLayer,
}

impl<S, B, C, E> Service<Request<B>> for AdmitService<S>
where
    S: Service<Call<Request<B>>, Response = Response<C>, Error = CallError<E>>,
    C: Default,
{
    type Response = Response<C>;
    type Error = E;
    type Future = AdmitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        match ready!(self.inner.poll_ready(cx)) {
            Err(CallError::Failed { source, .. }) => Poll::Ready(Err(source)),
            // Layers refuse in `call`, so that the refusal can be an answer.
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = &self.layer;
        let at = Instant::now();
        let context = wire::read_headers(request.headers(), at).or_begin(&layer.chance);
        let is_spent = context.is_spent(at);
        let context = context.until(at + layer.longest);
        let until = context.deadline().unwrap_or(at + layer.longest);
        let span = context.span(layer.meter.peer());
        let is_grpc = wire::is_grpc(request.headers());
        let working = (!is_spent).then(|| {
            let call = Call { request, context: context.clone(), granted: 0, at };
            let inner = &mut self.inner;
            let _entered = span.enter();
            let work = context.clone().scope_sync(|| inner.call(call));
            context.clone().scope(work)
        });
        let meter = layer.meter.clone();
        AdmitFuture { working, sleep: None, until, at, context, span, is_grpc, meter }
    }
}

pin_project! {
    /// A request that is worked on.
    pub struct AdmitFuture<F> {
        #[pin]
        working: Option<TaskLocalFuture<RequestContext, F>>,
        #[pin]
        sleep: Option<Sleep>,
        until: Instant,
        at: Instant,
        context: RequestContext,
        span: Span,
        is_grpc: bool,
        meter: Meter,
    }
}

impl<F, C, E> Future for AdmitFuture<F>
where
    F: Future<Output = Result<Response<C>, CallError<E>>>,
    C: Default,
{
    type Output = Result<Response<C>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _entered = this.span.enter();
        let answer = |refused: Refused| refused.answer(*this.is_grpc);
        let Some(working) = this.working.as_mut().as_pin_mut() else {
            let reason = RefusalReason::DeadlineSpent;
            this.meter.note(&Event::Refused { reason });
            let response = answer(Refused::Before(reason));
            return Poll::Ready(Ok(complete(response, this.context)));
        };
        if let Poll::Ready(result) = working.poll(cx) {
            let response = match result {
                Ok(response) => response,
                Err(CallError::Failed { source, .. }) => return Poll::Ready(Err(source)),
                Err(CallError::Refused(refusal)) => answer(Refused::Before(refusal.reason)),
                Err(CallError::TimedOut { .. }) => answer(Refused::Cut),
            };
            return Poll::Ready(Ok(complete(response, this.context)));
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep_until(*this.until)));
        }
        let Some(sleep) = this.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        ready!(sleep.poll(cx));
        this.working.set(None);
        let after = this.until.saturating_duration_since(*this.at);
        this.meter.note(&Event::TimedOut { kind: TimeoutKind::Deadline, after });
        Poll::Ready(Ok(complete(answer(Refused::Cut), this.context)))
    }
}

/// Every answer names its request, and brings back what was granted and not spent.
fn complete<C>(mut response: Response<C>, context: &RequestContext) -> Response<C> {
    let headers = response.headers_mut();
    headers.insert(wire::REQUEST_ID.clone(), context.id().to_header());
    if let Some(grant) = context.grant() {
        wire::write_returned(grant.close(), headers);
    }
    response
}

/// Why there is no real answer.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// Nothing was done.
    Before(RefusalReason),
    /// Work was begun and cut off at the deadline.
    Cut,
}

impl Refused {
    fn answer<C: Default>(self, is_grpc: bool) -> Response<C> {
        let mut response = Response::new(C::default());
        let is_late = matches!(self, Refused::Cut | Refused::Before(RefusalReason::DeadlineSpent));
        if let Refused::Before(reason) = self {
            let reason = HeaderValue::from_static(reason.as_str());
            response.headers_mut().insert(wire::REFUSED.clone(), reason);
        }
        if is_grpc {
            let headers = response.headers_mut();
            let grpc = HeaderValue::from_static("application/grpc");
            headers.insert(http::header::CONTENT_TYPE, grpc);
            let (status, message) = if is_late {
                ("4", "the deadline has passed")
            } else {
                ("8", "more work than this server can do now")
            };
            headers.insert("grpc-status", HeaderValue::from_static(status));
            headers.insert("grpc-message", HeaderValue::from_static(message));
            return response;
        }
        if is_late {
            *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        } else {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(http::header::RETRY_AFTER, soon);
        }
        response
    }
}

/// The innermost layer of a server: hands the plain request to the handler.
#[derive(Clone, Debug)]
pub struct DeliverLayer {
    meter: Meter,
}

impl DeliverLayer {
    /// For the service that `meter` names.
    pub fn new(meter: Meter) -> DeliverLayer {
        DeliverLayer { meter }
    }
}

impl<S> Layer<S> for DeliverLayer {
    type Service = DeliverService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeliverService { inner, meter: self.meter.clone() }
    }
}

/// A handler that understands calls.
#[derive(Clone, Debug)]
pub struct DeliverService<S> {
    inner: S,
    meter: Meter,
}

impl<S, R> Service<Call<R>> for DeliverService<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = CallError<S::Error>;
    type Future = DeliverFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let peer = self.meter.peer();
        let failed = |source| CallError::Failed { peer: peer.clone(), source };
        self.inner.poll_ready(cx).map_err(failed)
    }

    fn call(&mut self, call: Call<R>) -> Self::Future {
        DeliverFuture { inner: self.inner.call(call.request), meter: self.meter.clone() }
    }
}

pin_project! {
    /// The handler at work.
    pub struct DeliverFuture<F> {
        #[pin]
        inner: F,
        meter: Meter,
    }
}

impl<F, A, E> Future for DeliverFuture<F>
where
    F: Future<Output = Result<A, E>>,
{
    type Output = Result<A, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let peer = || this.meter.peer().clone();
        Poll::Ready(result.map_err(|source| CallError::Failed { peer: peer(), source }))
    }
}
