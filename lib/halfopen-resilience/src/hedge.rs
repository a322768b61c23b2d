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
        let first = Some(self.inner.call(call));
        HedgeFuture {
            first,
            second: None,
            sleep: None,
            plan,
            protocol: self.protocol.clone(),
            last: None,
            hedged: None,
        }
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
    /// A call that may be asked twice.
    pub struct HedgeFuture<S, P, R>
    where
        S: Service<Call<R>>,
    {
        #[pin]
        first: Option<S::Future>,
        #[pin]
        second: Option<S::Future>,
        #[pin]
        sleep: Option<Sleep>,
        plan: Option<Plan<S, R>>,
        protocol: P,
        last: Option<Result<S::Response, S::Error>>,
        hedged: Option<Meter>,
    }
}

impl<S, P, R, A, E> Future for HedgeFuture<S, P, R>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(Poll::Ready(result)) = this.first.as_mut().as_pin_mut().map(|f| f.poll(cx)) {
            // A bad first answer waits for the second, if that was asked.
            if this.second.is_none() || is_good(this.protocol, &result) {
                return Poll::Ready(result);
            }
            this.first.set(None);
            *this.last = Some(result);
        }
        if let Some(plan) = this.plan.as_mut() {
            if this.sleep.is_none() {
                let delay = plan.shared.settings.delay;
                this.sleep.set(Some(tokio::time::sleep_until(plan.second.at + delay)));
            }
            let is_slow =
                this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready());
            let is_ready = is_slow && matches!(plan.next.poll_ready(cx), Poll::Ready(Ok(())));
            if let Some(plan) = is_ready.then(|| this.plan.take()).flatten() {
                *this.hedged = Some(plan.shared.meter.clone());
                this.second.set(ask_again(plan));
            }
        }
        match this.second.as_mut().as_pin_mut().map(|second| second.poll(cx)) {
            Some(Poll::Ready(result)) => {
                this.second.set(None);
                let is_last = this.first.is_none();
                if is_good(this.protocol, &result) {
                    if let Some(meter) = this.hedged.as_ref() {
                        meter.note(&Event::HedgeWon);
                    }
                    return Poll::Ready(result);
                }
                // The first may still do better.
                if is_last {
                    Poll::Ready(this.last.take().unwrap_or(result))
                } else {
                    Poll::Pending
                }
            }
            Some(Poll::Pending) | None => Poll::Pending,
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
