//! Hedging: when an answer is slow, the same question is asked once more and the first answer is
//! taken. Against the slow tail, not against overload, hence only for what may be done twice, and
//! only as long as both retry budgets allow it.

use crate::budget::{BudgetAccount, RetryBudget};
use crate::call::{Call, CallError};
use crate::protocol::{self, Protocol, Verdict};
use crate::telemetry::{DenyReason, Event, Meter};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

/// When a second request is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct HedgeSettings {
    /// After this long; near the 95th percentile of the peer, so that few calls are doubled.
    pub delay: Duration,
    /// What hedges may add to the load of the peer.
    pub budget: RetryBudget,
}

impl Default for HedgeSettings {
    fn default() -> HedgeSettings {
        let budget = RetryBudget { ratio: 0.05, floor_per_second: 0.5, burst_max: 5 };
        HedgeSettings { delay: Duration::from_millis(100), budget }
    }
}

/// Puts hedging around a service.
#[derive(Clone, Debug)]
pub struct HedgeLayer<P> {
    shared: Option<Arc<Shared>>,
    protocol: P,
}

#[derive(Debug)]
struct Shared {
    settings: HedgeSettings,
    account: BudgetAccount,
    meter: Meter,
}

impl<P> HedgeLayer<P> {
    /// With these settings; `None` sends everything once.
    pub fn new(settings: Option<HedgeSettings>, protocol: P, meter: Meter) -> HedgeLayer<P> {
        let shared = settings.map(|settings| {
            let account = BudgetAccount::new(&settings.budget, Instant::now());
            Arc::new(Shared { settings, account, meter })
        });
        HedgeLayer { shared, protocol }
    }
}

impl<S, P: Clone> Layer<S> for HedgeLayer<P> {
    type Service = HedgeService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService { inner, shared: self.shared.clone(), protocol: self.protocol.clone() }
    }
}

/// A service that asks a second time when the first answer is slow.
#[derive(Clone, Debug)]
pub struct HedgeService<S, P> {
    inner: S,
    shared: Option<Arc<Shared>>,
    protocol: P,
}

impl<S, P, R, A, E> Service<Call<R>> for HedgeService<S, P>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>> + Clone,
    P: Protocol<R, A, E>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = HedgeFuture<S, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let plan = self.shared.as_ref().and_then(|shared| {
            shared.account.deposit();
            if !self.protocol.is_repeatable(&call.request) {
                return None;
            }
            let request = self.protocol.copy(&call.request)?;
            let second = Call { request, context: call.context.clone(), granted: 0, at: call.at };
            Some(Plan { second, next: self.inner.clone(), shared: shared.clone() })
        });
        let again = plan.map(|plan| {
            let until = plan.second.at + plan.shared.settings.delay;
            let sleep = tokio::time::sleep_until(until);
            let meter = plan.shared.meter.clone();
            Box::pin(Again { second: None, sleep, plan: Some(plan), meter, first_was: None })
        });
        let first = Some(self.inner.call(call));
        HedgeFuture { first, again, protocol: self.protocol.clone() }
    }
}

/// What is needed to ask a second time.
struct Plan<S, R> {
    second: Call<R>,
    next: S,
    shared: Arc<Shared>,
}

impl<S, R> Plan<S, R> {
    /// Takes a retry from both budgets.
    fn pay(&self) -> Result<(), DenyReason> {
        let grant = self.second.context.grant();
        if grant.is_some_and(|grant| !grant.take()) {
            return Err(DenyReason::TravellingBudget);
        }
        if self.shared.account.withdraw(Instant::now()) {
            return Ok(());
        }
        if let Some(grant) = grant {
            grant.give_back(1, 1);
        }
        Err(DenyReason::ClientBudget)
    }
}

pin_project! {
    /// The second request, planned or under way. On the heap, so that a stack without hedging
    /// does not carry it through every call.
    struct Again<S, R>
    where
        S: Service<Call<R>>,
    {
        #[pin]
        second: Option<S::Future>,
        #[pin]
        sleep: Sleep,
        plan: Option<Plan<S, R>>,
        meter: Meter,
        // The first answer, when it was bad and the second is still awaited.
        first_was: Option<Result<S::Response, S::Error>>,
    }
}

pin_project! {
    /// A call that may be asked twice.
    pub struct HedgeFuture<S, P, R>
    where
        S: Service<Call<R>>,
    {
        #[pin]
        first: Option<S::Future>,
        again: Option<Pin<Box<Again<S, R>>>>,
        protocol: P,
    }
}

impl<S, P, R, A, E> Future for HedgeFuture<S, P, R>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let first = this.first.as_mut().as_pin_mut().map(|first| first.poll(cx));
        let Some(again) = this.again.as_mut() else {
            return first.unwrap_or(Poll::Pending);
        };
        let mut again = again.as_mut().project();
        if let Some(Poll::Ready(result)) = first {
            // A bad first answer waits for the second, if that was asked.
            if again.second.is_none() || is_good(this.protocol, &result) {
                return Poll::Ready(result);
            }
            this.first.set(None);
            *again.first_was = Some(result);
        }
        let is_ready = |plan: &mut Plan<S, R>, cx: &mut Context<'_>| {
            matches!(plan.next.poll_ready(cx), Poll::Ready(Ok(())))
        };
        if again.plan.is_some()
            && again.sleep.as_mut().poll(cx).is_ready()
            && again.plan.as_mut().is_some_and(|plan| is_ready(plan, cx))
            && let Some(plan) = again.plan.take()
        {
            again.second.set(ask_again(plan));
        }
        let Some(Poll::Ready(result)) = again.second.as_mut().as_pin_mut().map(|f| f.poll(cx))
        else {
            return Poll::Pending;
        };
        again.second.set(None);
        if is_good(this.protocol, &result) {
            again.meter.note(&Event::HedgeWon);
            return Poll::Ready(result);
        }
        // The first may still do better, or was as bad.
        match (this.first.is_some(), again.first_was.take()) {
            (true, _) => Poll::Pending,
            (false, was) => Poll::Ready(was.unwrap_or(result)),
        }
    }
}

fn ask_again<S, R>(mut plan: Plan<S, R>) -> Option<S::Future>
where
    S: Service<Call<R>>,
{
    let meter = &plan.shared.meter;
    if let Err(reason) = plan.pay() {
        meter.note(&Event::HedgeDenied { reason });
        return None;
    }
    meter.note(&Event::HedgeSent { delay: plan.shared.settings.delay });
    plan.second.at = Instant::now();
    Some(plan.next.call(plan.second))
}

fn is_good<R, A, E, P: Protocol<R, A, E>>(protocol: &P, result: &Result<A, CallError<E>>) -> bool {
    matches!(protocol::verdict(protocol, result), Some(Verdict::Good))
}
