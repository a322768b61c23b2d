//! What a call costs when nothing goes wrong, beside bare tower and tower-resilience.
//!
//! Each figure is the median over batches of calls (and the least of them, which the neighbours on
//! a shared machine disturb least), in nanoseconds a call, and the allocations of a call. The
//! service beneath answers at once and its own time is taken off, so a figure is all overhead.
//! The rows are those of `cargo xtask bench resilience`.

#![allow(clippy::print_stdout, reason = "figures are what this is for")]

use halfopen_resilience::breaker::BreakerSettings;
use halfopen_resilience::limit::LimitSettings;
use halfopen_resilience::protocol::{Badness, Http, Protocol, Verdict};
use halfopen_resilience::stack::{ClientLayers, ClientStack, Stack};
use halfopen_resilience::wire::{self, Outgoing, TRIPLE_BYTES_MAX, Triple};
use halfopen_resilience::{Chance, Grant, RequestContext};
use http::{HeaderMap, Request, Response};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{BoxError, Layer, Service};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCHES: usize = 600;
const CALLS: usize = 2_000;

/// What a call costs.
#[derive(Clone, Copy)]
struct Cost {
    median_ns: f64,
    least_ns: f64,
    allocations: f64,
}

impl Cost {
    /// What it costs more than `bare`.
    fn over(self, bare: Cost) -> Cost {
        let (median_ns, least_ns) =
            (self.median_ns - bare.median_ns, self.least_ns - bare.least_ns);
        Cost { median_ns, least_ns, allocations: self.allocations - bare.allocations }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { median_ns, least_ns, allocations } = self;
        write!(f, "{median_ns:.0} ns (least {least_ns:.0}), {allocations:.0} allocations")
    }
}

/// The most that a call may cost.
struct Target {
    median_ns: f64,
    allocations: Option<f64>,
}

fn measure(mut call: impl FnMut()) -> Cost {
    (0..CALLS * 10).for_each(|_| call());
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_nanos() as f64 / CALLS as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    let region = Region::new(ALLOCATOR);
    (0..CALLS).for_each(|_| call());
    let allocations = region.change().allocations as f64 / CALLS as f64;
    Cost { median_ns: batches[BATCHES / 2], least_ns: batches[0], allocations }
}

fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing waits here"),
    }
}

/// Calls `service` as a client does: ready, then the call.
fn call<S, R>(service: &mut S, request: R)
where
    S: Service<R>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let is_ready = matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(())));
    assert!(is_ready, "a service that answers at once is always ready");
    let _ = black_box(now(service.call(request)));
}

/// A row of the table.
fn report(what: &str, cost: Cost, target: Option<Target>, beside: &str) {
    let Some(Target { median_ns, allocations }) = target else {
        println!("| {what} | {cost} | - | - | {beside} |");
        return;
    };
    let fits = allocations.is_none_or(|most| cost.allocations <= most);
    let reached = if cost.median_ns <= median_ns && fits { "yes" } else { "no" };
    let allocations = allocations.map(|most| format!(", {most} allocations")).unwrap_or_default();
    println!("| {what} | {cost} | <= {median_ns:.0} ns p50{allocations} | {reached} | {beside} |");
}

/// A row of a codec, whose cost has nothing to be taken off.
fn report_codec(what: &str, cost: Cost, allocations: Option<f64>) {
    report(what, cost, Some(Target { median_ns: 60.0, allocations }), "");
}

/// The plainest protocol: numbers that are always good.
#[derive(Clone, Copy)]
struct Numbers;

impl Protocol<u64, u64, Infallible> for Numbers {
    fn judge(&self, result: Result<&u64, &Infallible>) -> Verdict {
        match result {
            Ok(_) => Verdict::Good,
            Err(_) => Verdict::Bad(Badness::retryable("never")),
        }
    }

    fn copy(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }

    fn is_repeatable(&self, _request: &u64) -> bool {
        true
    }
}

type Bare = tower::util::ServiceFn<fn(u64) -> Ready<Result<u64, Infallible>>>;

fn bare_service() -> Bare {
    tower::service_fn(|request| ready(Ok(request)))
}

fn layers<P: Clone>(
    change: impl FnOnce(ClientStack<P>) -> ClientStack<P>,
    p: P,
) -> ClientLayers<P> {
    let stack = change(Stack::client("bench", p)).chance(Chance::seeded(1));
    stack.build().expect("the settings of the benchmark fit together")
}

fn context() -> RequestContext {
    let until = Instant::now() + Duration::from_secs(3_600);
    RequestContext::begin(&Chance::seeded(1)).until(until).granted(Some(Grant::new(3)))
}

#[derive(Clone)]
struct TowerPolicy(std::sync::Arc<TpsBudget>);

impl tower::retry::Policy<u64, u64, BoxError> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, BoxError>) -> Option<Ready<()>> {
        match result {
            Ok(_) => {
                self.0.deposit();
                None
            }
            Err(_) => self.0.withdraw().then(|| ready(())),
        }
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

/// The stack that the target is for, and what more and less of it costs.
fn ours(bare: Cost, beside: &str) {
    let scope = context();
    let mut service = layers(|stack| stack.bulkhead(None), Numbers).layer(bare_service());
    let closed = scope.clone().scope_sync(|| measure(|| call(&mut service, black_box(1))));
    let target = Some(Target { median_ns: 300.0, allocations: Some(0.0) });
    let what = "a call through closed breaker, both budgets, deadline, timeout and counters";
    report(what, closed.over(bare), target, beside);
    let begins = measure(|| call(&mut service, black_box(1)));
    report("the same, where the request begins", begins.over(bare), None, "");
    let everything = |stack: ClientStack<Numbers>| {
        stack.limit(LimitSettings::default()).breaker(BreakerSettings::default())
    };
    let mut service = layers(everything, Numbers).layer(bare_service());
    let all = scope.scope_sync(|| measure(|| call(&mut service, black_box(1))));
    report("the same with bulkhead and adaptive limit", all.over(bare), None, "");
}

/// The same stack for HTTP: the request is copied for a retry, its headers are written.
fn over_http() {
    let answer = |_: Request<()>| ready(Ok::<_, Infallible>(Response::new(())));
    let mut plain = tower::service_fn(answer);
    let bare = measure(|| call(&mut plain, Request::new(())));
    let mut service = layers(|stack| stack.bulkhead(None), Http).layer(tower::service_fn(answer));
    let cost = context().scope_sync(|| measure(|| call(&mut service, Request::new(()))));
    report("the same for http::Request, headers written", cost.over(bare), None, "");
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without IO can be built")
}

/// What others cost in the same run.
fn others(bare: Cost) -> String {
    use tower_resilience::{circuitbreaker::CircuitBreakerLayer, timelimiter::TimeLimiterLayer};
    let runtime = runtime();
    let _entered = runtime.enter();
    let budget = std::sync::Arc::new(TpsBudget::default());
    let mut tower = tower::ServiceBuilder::new()
        .retry(TowerPolicy(budget))
        .timeout(Duration::from_secs(3))
        .service(bare_service());
    let tower = measure(|| call(&mut tower, black_box(1))).over(bare);
    let breaker = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).build();
    let breaker = breaker.expect("the settings of the benchmark fit together");
    let mut service = breaker.layer(bare_service());
    let alone = measure(|| call(&mut service, black_box(1))).over(bare);
    let limiter = TimeLimiterLayer::builder().timeout_duration(Duration::from_secs(3)).build();
    let mut service = breaker.layer(limiter.layer(bare_service()));
    let limited = measure(|| call(&mut service, black_box(1))).over(bare);
    format!(
        "tower-resilience 0.13: breaker {alone}; with time limiter {limited}; \
         tower: budgeted retry and timeout, no breaker {tower}; bare service {bare}"
    )
}

fn codec() {
    let triple = Triple { remaining_ms: Some(950), attempt: 2, budget: Some(3) };
    let mut buffer = [0; TRIPLE_BYTES_MAX];
    let encode = measure(|| {
        black_box(black_box(&triple).encode(&mut buffer));
    });
    report_codec("deadline, attempt and budget: encode", encode, Some(0.0));
    let decode = measure(|| {
        black_box(Triple::decode(black_box(b"d=950;a=2;b=3")));
    });
    report_codec("decode", decode, Some(0.0));
    let mut headers = HeaderMap::new();
    let write = measure(|| wire::write_triple(black_box(&triple), &mut headers));
    report_codec("into a header map", write, None);
    let read = measure(|| {
        black_box(wire::read_triple(black_box(&headers)));
    });
    report_codec("out of a header map", read, Some(0.0));
    let (context, at) = (context(), Instant::now());
    let write = measure(|| {
        wire::write_headers(&Outgoing { context: &context, granted: 1 }, &mut headers, at);
    });
    report("the whole context into a header map", write, None, "");
    let chance = Chance::seeded(1);
    let read = measure(|| {
        black_box(wire::read_headers(&headers, at).or_begin(&chance));
    });
    report("the whole context out of a header map", read, None, "");
}

fn main() {
    println!("| measure | measured | target | reached | beside |");
    println!("|---|---|---|---|---|");
    let mut service = bare_service();
    let bare = measure(|| call(&mut service, black_box(1)));
    ours(bare, &others(bare));
    over_http();
    codec();
}
