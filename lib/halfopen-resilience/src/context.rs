//! The request context that travels: who is asking, until when, for which time, with how many
//! retries left.
//!
//! One small value. [`crate::wire`] carries it between processes; inside a process it is either
//! passed by hand or, more often, ambient: the server layer puts it around the handler, and every
//! client called from there finds it by itself ([`RequestContext::current`]).
//!
//! **Invariant:** time is kept as an instant here and travels as remaining milliseconds, so the
//! clocks of two hosts never have to agree.

mod id;
mod trace;

pub use id::{REQUEST_ID_BYTES_MAX, RequestId};
pub use trace::TraceContext;

use crate::grant::Grant;
use crate::wire::{Triple, whole_ms};
use crate::{Chance, Reserve};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// What one request carries through the system.
#[derive(Clone, Debug)]
pub struct RequestContext {
    id: RequestId,
    /// Shared, because most contexts are clones, and most of those are never written down.
    trace: Option<Arc<TraceContext>>,
    deadline: Option<Instant>,
    attempt: u32,
    grant: Option<Grant>,
}

impl RequestContext {
    /// A context for a request that begins here.
    pub fn begin(chance: &Chance) -> RequestContext {
        RequestContext::with_id(RequestId::new(chance))
    }

    /// A context for a request whose correlation id is known.
    pub fn with_id(id: RequestId) -> RequestContext {
        RequestContext { id, trace: None, deadline: None, attempt: 1, grant: None }
    }

    /// The context of the request that this task works for.
    #[inline]
    pub fn current() -> Option<RequestContext> {
        CURRENT.try_with(RequestContext::clone).ok()
    }

    /// Makes this the current context while `work` runs. A task that `work` spawns does not
    /// inherit it: wrap what you spawn as well.
    pub fn scope<F: Future>(self, work: F) -> TaskLocalFuture<RequestContext, F> {
        CURRENT.scope(self, work)
    }

    /// As [`RequestContext::scope`], for work that is not asynchronous.
    pub fn scope_sync<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    /// The correlation id.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// W3C trace context, as it came.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref()
    }

    /// When the asker stops waiting.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Time left; `None` when nobody set a deadline, zero when it has passed.
    #[inline]
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Whether the asker no longer waits, so that any work is for nobody.
    #[inline]
    pub fn is_spent(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Which attempt of its caller this is; the first is 1.
    #[inline]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The retries this request may still make, itself and below.
    #[inline]
    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Deadline, attempt and retry budget as they stand at `now`.
    pub fn triple(&self, now: Instant) -> Triple {
        Triple {
            remaining_ms: self.remaining(now).map(whole_ms),
            attempt: self.attempt,
            budget: self.grant.as_ref().map(Grant::left),
        }
    }

    /// With this trace context.
    pub fn traced(mut self, trace: Option<TraceContext>) -> RequestContext {
        self.trace = trace.map(Arc::new);
        self
    }

    /// With a deadline no later than `deadline`: one that came earlier stays.
    #[inline]
    pub fn until(mut self, deadline: Instant) -> RequestContext {
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        self
    }

    /// As attempt number `attempt` of its caller.
    #[inline]
    pub fn as_attempt(mut self, attempt: u32) -> RequestContext {
        self.attempt = attempt.max(1);
        self
    }

    /// With this retry budget.
    #[inline]
    pub fn granted(mut self, grant: Option<Grant>) -> RequestContext {
        self.grant = grant;
        self
    }

    /// A copy without the retry budget.
    #[inline]
    pub(crate) fn without_grant(&self) -> RequestContext {
        let RequestContext { id, trace, deadline, attempt, grant: _ } = self;
        let (id, trace) = (id.clone(), trace.clone());
        RequestContext { id, trace, deadline: *deadline, attempt: *attempt, grant: None }
    }

    /// How long a call made now may take: no longer than `own`, and no longer than what remains
    /// minus what the way back needs. `None` when no time is left for a call.
    #[inline]
    pub fn child_timeout(
        &self,
        own: Duration,
        reserve: &Reserve,
        now: Instant,
    ) -> Option<Duration> {
        let Some(remaining) = self.remaining(now) else { return Some(own) };
        let usable = reserve.of(remaining);
        (!usable.is_zero()).then(|| own.min(usable))
    }

    /// Contexts for `parts` calls side by side: child ids (`id.1`, `id.2`, ..) and the retry
    /// budget split among them. Unspent parts return when the children are dropped.
    pub fn fan_out(&self, parts: u32) -> Vec<RequestContext> {
        let mut grants = self.grant.as_ref().map(|grant| grant.split(parts)).into_iter().flatten();
        (1..=parts)
            .map(|part| RequestContext {
                id: self.id.child(part),
                trace: self.trace.clone(),
                deadline: self.deadline,
                attempt: 1,
                grant: grants.next(),
            })
            .collect()
    }

    /// A span that carries the ids, for everything logged while the request is worked on.
    pub fn span(&self, peer: &str) -> tracing::Span {
        let span = tracing::info_span!(
            target: "halfopen",
            "halfopen.request",
            halfopen.peer = peer,
            halfopen.request.id = %self.id,
            halfopen.retry.attempt = self.attempt,
            halfopen.retry.budget_remaining = tracing::field::Empty,
            halfopen.deadline.remaining_ms = tracing::field::Empty,
            trace_id = tracing::field::Empty,
        );
        if span.is_disabled() {
            return span;
        }
        if let Some(grant) = &self.grant {
            span.record("halfopen.retry.budget_remaining", grant.left());
        }
        if let Some(remaining) = self.remaining(Instant::now()) {
            span.record("halfopen.deadline.remaining_ms", remaining.as_millis() as u64);
        }
        if let Some(trace) = &self.trace {
            span.record("trace_id", trace.trace_id());
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(remaining: Duration) -> (RequestContext, Instant) {
        let now = Instant::now();
        (RequestContext::begin(&Chance::seeded(1)).until(now + remaining), now)
    }

    #[test]
    fn an_earlier_deadline_stays() {
        let (context, now) = context(Duration::from_secs(1));
        let context = context.until(now + Duration::from_secs(30));
        assert_eq!(context.remaining(now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_child_gets_what_remains_minus_the_way_back() {
        let reserve = Reserve { share: 0.2, least: Duration::from_millis(5) };
        let (context, now) = context(Duration::from_secs(1));
        let own = Duration::from_secs(30);
        assert_eq!(context.child_timeout(own, &reserve, now), Some(Duration::from_millis(800)));
        let short = Duration::from_millis(100);
        assert_eq!(context.child_timeout(short, &reserve, now), Some(short));
        let late = now + Duration::from_millis(996);
        assert_eq!(context.child_timeout(own, &reserve, late), None, "4 ms cannot come back in 5");
    }

    #[test]
    fn children_are_named_after_their_parent_and_share_its_budget() {
        let (context, _) = context(Duration::from_secs(1));
        let context = context.granted(Some(Grant::new(3)));
        let children = context.fan_out(2);
        assert_eq!(children[1].id().to_string(), format!("{}.2", context.id()));
        let lefts: Vec<_> = children.iter().filter_map(|c| c.grant().map(Grant::left)).collect();
        assert_eq!(lefts, [2, 1]);
    }
}
