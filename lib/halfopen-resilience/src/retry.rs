//! Retries: bounded by attempts, by time, by the client's budget and by the budget that travels.
//!
//! The layer also keeps the account of the travelling budget, so it is part of every stack, even
//! of one without retries: it lends to each attempt, takes back what its answer returns, and
//! counts as spent what a call without an answer was lent.
//!
//! **Invariant:** a retry is made only when it is safe (nothing was done, or doing it twice is
//! the same), affordable (both budgets) and in time; each one not made has its reason.

mod backoff;

pub use backoff::Backoff;

use crate::budget::{BudgetAccount, RetryBudget};
use crate::call::{Call, CallError, TimeoutKind};
use crate::context::RequestContext;
use crate::grant::{self, Grant};
use crate::protocol::{self, Badness, Protocol, Verdict};
use crate::telemetry::{DenyReason, Event, Meter};
use crate::{Chance, Reserve};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

/// How often and when a call is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// Attempts of one call, the first among them; 1 never retries.
    pub attempts_max: u32,
    /// Pauses between them.
    pub backoff: Backoff,
    /// What this client may add to its peer's load.
    pub budget: RetryBudget,
    /// Retries granted to the whole tree of calls when the request begins here.
    pub grant: u32,
    /// Kept for the way back when a pause is weighed against the deadline.
    pub reserve: Reserve,
}

impl Default for RetrySettings {
    fn default() -> RetrySettings {
        RetrySettings {
            attempts_max: 3,
            backoff: Backoff::default(),
            budget: RetryBudget::default(),
            grant: 3,
            reserve: Reserve::default(),
        }
    }
}

impl RetrySettings {
    /// One attempt, nothing granted.
    pub fn never() -> RetrySettings {
        RetrySettings { attempts_max: 1, grant: 0, ..RetrySettings::default() }
    }
}

/// Puts retries around a service.
#[derive(Clone, Debug)]
pub struct RetryLayer<P> {
    shared: Arc<Shared>,
    protocol: P,
}

#[derive(Debug)]
struct Shared {
    settings: RetrySettings,
    account: BudgetAccount,
    meter: Meter,
    chance: Chance,
    /// Whether layers beneath take from the travelling budget as well.
    shares_grant: bool,
}

impl<P> RetryLayer<P> {
    /// With a budget account of its own; services made from clones share it.
    pub fn new(
        settings: RetrySettings,
        protocol: P,
        meter: Meter,
        chance: Chance,
    ) -> RetryLayer<P> {
        RetryLayer::sharing(true, settings, protocol, meter, chance)
    }

    /// As [`RetryLayer::new`]; with `shares_grant` layers beneath find the travelling budget in
    /// the context of an attempt. Only hedges look for it, and it costs every call a little.
    pub(crate) fn sharing(
        shares_grant: bool,
        settings: RetrySettings,
        protocol: P,
        meter: Meter,
        chance: Chance,
    ) -> RetryLayer<P> {
        let account = BudgetAccount::new(&settings.budget, Instant::now());
        let shared = Shared { settings, account, meter, chance, shares_grant };
        RetryLayer { shared: Arc::new(shared), protocol }
    }
}

impl<S: Clone, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = RetryService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let template = Mutex::new(inner.clone());
        let kept = Arc::new(Kept { shared: self.shared.clone(), template });
        RetryService { inner, kept, protocol: self.protocol.clone() }
    }
}

/// What a call takes along for the case that it must be tried again.
#[derive(Debug)]
struct Kept<S> {
    shared: Arc<Shared>,
    /// Cloned for a retry only: cloning a client for each call costs more than all else here.
    template: Mutex<S>,
}

/// A service that tries again.
#[derive(Clone, Debug)]
pub struct RetryService<S, P> {
    inner: S,
    kept: Arc<Kept<S>>,
    protocol: P,
}

impl<S, P, R, A, E> Service<Call<R>> for RetryService<S, P>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>> + Clone,
    P: Protocol<R, A, E>,
{
    type Response = A;
    type Error = CallError<E>;
    type Future = RetryFuture<S, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let shared = &self.kept.shared;
        let settings = &shared.settings;
        let started = call.at;
        shared.account.deposit();
        let is_repeatable = self.protocol.is_repeatable(&call.request);
        let wants_copy = settings.attempts_max > 1;
        let copy = wants_copy.then(|| self.protocol.copy(&call.request)).flatten();
        let Call { request, context, at, .. } = call;
        let mut own = settings.grant;
        let granted = context.grant().map_or_else(|| lend_own(&mut own), Grant::lend);
        let of_attempt = shared.of_attempt(&context);
        let running = self.inner.call(Call { request, context: of_attempt, granted, at });
        let lent = granted;
        let book = Book { own, lent, attempt: 1, started, context, is_repeatable, copy };
        let (kept, protocol) = (self.kept.clone(), self.protocol.clone());
        RetryFuture { stage: Stage::Running { running }, kept, protocol, book }
    }
}

impl Shared {
    /// The context that an attempt takes along.
    #[inline]
    fn of_attempt(&self, context: &RequestContext) -> RequestContext {
        if self.shares_grant { context.clone() } else { context.without_grant() }
    }
}

fn lend_own(left: &mut u32) -> u32 {
    let lent = grant::share(*left);
    *left -= lent;
    lent
}

/// What is remembered of a call from one attempt to the next.
struct Book<R> {
    /// The travelling budget when the request begins here, nobody else's; otherwise it is in the
    /// context, shared with other calls for the same request.
    own: u32,
    lent: u32,
    attempt: u32,
    started: Instant,
    context: RequestContext,
    is_repeatable: bool,
    copy: Option<R>,
}

pin_project! {
    /// A call that is tried again.
    pub struct RetryFuture<S, P, R>
    where
        S: Service<Call<R>>,
    {
        #[pin]
        stage: Stage<S, S::Future>,
        kept: Arc<Kept<S>>,
        protocol: P,
        book: Book<R>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, F> {
        Running { #[pin] running: F },
        Pausing { #[pin] sleep: Sleep },
        Readying { next: S, #[pin] sleep: Option<Sleep> },
    }
}

impl<S, P, R, A, E> Future for RetryFuture<S, P, R>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>> + Clone,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let shared = &this.kept.shared;
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Running { running } => {
                    let result = ready!(running.poll(cx));
                    match this.book.weigh(&result, this.protocol, shared) {
                        None => return Poll::Ready(result),
                        Some(pause) => {
                            let sleep = tokio::time::sleep(pause);
                            this.stage.set(Stage::Pausing { sleep });
                        }
                    }
                }
                StageProjection::Pausing { sleep } => {
                    ready!(sleep.poll(cx));
                    let template = &this.kept.template;
                    let next = template.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let sleep = this.book.context.deadline().map(tokio::time::sleep_until);
                    this.stage.set(Stage::Readying { next, sleep });
                }
                StageProjection::Readying { next, sleep } => {
                    let Poll::Ready(ready) = next.poll_ready(cx) else {
                        let Some(sleep) = sleep.as_pin_mut() else { return Poll::Pending };
                        ready!(sleep.poll(cx));
                        return Poll::Ready(Err(this.book.too_late(shared)));
                    };
                    ready?;
                    let Some(call) = this.book.next_call(this.protocol, shared) else {
                        // `weigh` decides for a retry only when there is a copy.
                        return Poll::Pending;
                    };
                    let running = next.call(call);
                    this.stage.set(Stage::Running { running });
                }
            }
        }
    }
}

impl<R> Book<R> {
    /// Settles the account of the attempt that ended; the pause before another try, if there is
    /// to be one.
    fn weigh<A, E, P>(
        &mut self,
        result: &Result<A, CallError<E>>,
        protocol: &P,
        shared: &Shared,
    ) -> Option<Duration>
    where
        P: Protocol<R, A, E>,
    {
        let verdict = protocol::verdict(protocol, result);
        self.settle(result, protocol, verdict);
        let decision = match verdict {
            Some(Verdict::Good) => return self.end(verdict, shared),
            Some(Verdict::Bad(badness)) => self.decide(&badness, shared),
            None => Err(DenyReason::Refused),
        };
        let (attempt, cause) = (self.attempt, protocol::outcome(verdict));
        match decision {
            Ok(delay) => {
                shared.meter.note(&Event::RetryMade { attempt: attempt + 1, cause, delay });
                Some(delay)
            }
            Err(reason) => {
                if shared.settings.attempts_max > 1 {
                    shared.meter.note(&Event::RetryDenied { attempt, cause, reason });
                }
                self.end(verdict, shared)
            }
        }
    }

    fn settle<A, E, P>(
        &mut self,
        result: &Result<A, CallError<E>>,
        protocol: &P,
        verdict: Option<Verdict>,
    ) where
        P: Protocol<R, A, E>,
    {
        let returned = match (result, verdict) {
            (Ok(answer), _) => protocol.returned(answer).unwrap_or(0),
            (Err(CallError::Refused(_)), _) => self.lent,
            (Err(_), Some(Verdict::Bad(badness))) if badness.never_worked_on => self.lent,
            // No answer: whoever was reached may have spent all of it.
            (Err(_), _) => 0,
        };
        self.give_back(self.lent, returned);
        self.lent = 0;
    }

    fn take(&mut self) -> bool {
        match self.context.grant() {
            Some(grant) => grant.take(),
            None => self.own.checked_sub(1).map(|rest| self.own = rest).is_some(),
        }
    }

    fn give_back(&mut self, lent: u32, returned: u32) {
        match self.context.grant() {
            Some(grant) => grant.give_back(lent, returned),
            None => self.own += returned.min(lent),
        }
    }

    /// Both budgets are asked last, so that nothing is taken for a retry that is denied anyway.
    fn decide(&mut self, badness: &Badness, shared: &Shared) -> Result<Duration, DenyReason> {
        let settings = &shared.settings;
        if !badness.retryable {
            return Err(DenyReason::NotRetryable);
        }
        if self.attempt >= settings.attempts_max {
            return Err(DenyReason::AttemptsSpent);
        }
        if !(self.is_repeatable || badness.never_worked_on) {
            return Err(DenyReason::NotRepeatable);
        }
        if self.copy.is_none() {
            return Err(DenyReason::NoCopy);
        }
        let now = Instant::now();
        let pause = settings.backoff.pause(self.attempt, &shared.chance);
        let pause = pause.max(badness.retry_after.unwrap_or_default());
        let usable = self.context.remaining(now).map(|remaining| settings.reserve.of(remaining));
        if usable.is_some_and(|usable| usable <= pause) {
            return Err(DenyReason::Deadline);
        }
        if !self.take() {
            return Err(DenyReason::TravellingBudget);
        }
        if !shared.account.withdraw(now) {
            self.give_back(1, 1);
            return Err(DenyReason::ClientBudget);
        }
        Ok(pause)
    }

    /// The next attempt, with a copy kept for the one after it.
    fn next_call<A, E, P>(&mut self, protocol: &P, shared: &Shared) -> Option<Call<R>>
    where
        P: Protocol<R, A, E>,
    {
        let request = self.copy.take()?;
        self.attempt += 1;
        if self.attempt < shared.settings.attempts_max {
            self.copy = protocol.copy(&request);
        }
        let grant = self.context.grant();
        self.lent = grant.map_or_else(|| lend_own(&mut self.own), Grant::lend);
        let context = shared.of_attempt(&self.context).as_attempt(self.attempt);
        Some(Call { request, context, granted: self.lent, at: Instant::now() })
    }

    /// The deadline passed while what is beneath was not ready for another try.
    fn too_late<E>(&self, shared: &Shared) -> CallError<E> {
        let deadline = self.context.deadline().unwrap_or(self.started);
        let after = deadline.saturating_duration_since(self.started);
        let kind = TimeoutKind::Deadline;
        shared.meter.note(&Event::TimedOut { kind, after });
        self.end(Some(Verdict::Bad(Badness::retryable("timeout"))), shared);
        CallError::TimedOut { peer: shared.meter.peer().clone(), kind, after }
    }

    fn end(&self, verdict: Option<Verdict>, shared: &Shared) -> Option<Duration> {
        let took = if shared.meter.is_observed() {
            Instant::now().saturating_duration_since(self.started)
        } else {
            Duration::ZERO
        };
        let outcome = protocol::outcome(verdict);
        shared.meter.tick(&Event::CallEnded { attempts: self.attempt, outcome, took });
        None
    }
}
