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
use crate::call::{Call, CallError};
use crate::context::RequestContext;
use crate::grant::{self, Grant};
use crate::protocol::{self, Badness, Protocol, Verdict};
use crate::telemetry::{DenyReason, Event, Meter};
use crate::{Chance, Reserve};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
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
}

impl<P> RetryLayer<P> {
    /// With a budget account of its own; services made from clones share it.
    pub fn new(
        settings: RetrySettings,
        protocol: P,
        meter: Meter,
        chance: Chance,
    ) -> RetryLayer<P> {
        let account = BudgetAccount::new(&settings.budget, Instant::now());
        RetryLayer { shared: Arc::new(Shared { settings, account, meter, chance }), protocol }
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = RetryService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, shared: self.shared.clone(), protocol: self.protocol.clone() }
    }
}

/// A service that tries again.
#[derive(Clone, Debug)]
pub struct RetryService<S, P> {
    inner: S,
    shared: Arc<Shared>,
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

    fn call(&mut self, call: Call<R>) -> Self::Future {
        let settings = &self.shared.settings;
        let started = call.at;
        self.shared.account.deposit();
        let is_repeatable = self.protocol.is_repeatable(&call.request);
        let wants_copy = settings.attempts_max > 1;
        let copy = wants_copy.then(|| self.protocol.copy(&call.request)).flatten();
        let context = call.context.clone();
        let mut pool = match context.grant() {
            Some(grant) => Pool::Shared(grant.clone()),
            None => Pool::Own(settings.grant),
        };
        let lent = pool.lend();
        // The clone is not ready; only a retry needs it, and makes it ready then.
        let next = self.inner.clone();
        let running = self.inner.call(Call { granted: lent, ..call });
        RetryFuture {
            stage: Stage::Running { running },
            next,
            shared: self.shared.clone(),
            protocol: self.protocol.clone(),
            book: Book { pool, lent, attempt: 1, started, context, is_repeatable, copy },
        }
    }
}

/// The travelling budget as this call sees it: shared with others of the same request, or, when
/// the request begins here, nobody else's.
#[derive(Debug)]
enum Pool {
    Shared(Grant),
    Own(u32),
}

impl Pool {
    fn take(&mut self) -> bool {
        match self {
            Pool::Shared(grant) => grant.take(),
            Pool::Own(left) if *left > 0 => {
                *left -= 1;
                true
            }
            Pool::Own(_) => false,
        }
    }

    fn lend(&mut self) -> u32 {
        match self {
            Pool::Shared(grant) => grant.lend(),
            Pool::Own(left) => {
                let lent = grant::share(*left);
                *left -= lent;
                lent
            }
        }
    }

    fn give_back(&mut self, lent: u32, returned: u32) {
        match self {
            Pool::Shared(grant) => grant.give_back(lent, returned),
            Pool::Own(left) => *left += returned.min(lent),
        }
    }
}

/// What is remembered of a call from one attempt to the next.
struct Book<R> {
    pool: Pool,
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
        stage: Stage<S::Future>,
        next: S,
        shared: Arc<Shared>,
        protocol: P,
        book: Book<R>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        Running { #[pin] running: F },
        Pausing { #[pin] sleep: Sleep },
        Readying,
    }
}

impl<S, P, R, A, E> Future for RetryFuture<S, P, R>
where
    S: Service<Call<R>, Response = A, Error = CallError<E>>,
    P: Protocol<R, A, E>,
{
    type Output = Result<A, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Running { running } => {
                    let result = ready!(running.poll(cx));
                    match this.book.weigh(&result, this.protocol, this.shared) {
                        None => return Poll::Ready(result),
                        Some(pause) => {
                            let sleep = tokio::time::sleep(pause);
                            this.stage.set(Stage::Pausing { sleep });
                        }
                    }
                }
                StageProjection::Pausing { sleep } => {
                    ready!(sleep.poll(cx));
                    this.stage.set(Stage::Readying);
                }
                StageProjection::Readying => {
                    ready!(this.next.poll_ready(cx))?;
                    let Some(call) = this.book.next_call(this.protocol, this.shared) else {
                        // `weigh` decides for a retry only when there is a copy.
                        return Poll::Pending;
                    };
                    let running = this.next.call(call);
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
        self.pool.give_back(self.lent, returned);
        self.lent = 0;
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
        if !self.pool.take() {
            return Err(DenyReason::TravellingBudget);
        }
        if !shared.account.withdraw(now) {
            self.pool.give_back(1, 1);
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
        self.lent = self.pool.lend();
        let context = self.context.clone().as_attempt(self.attempt);
        Some(Call { request, context, granted: self.lent, at: Instant::now() })
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
