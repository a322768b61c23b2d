//! What a call costs when nothing goes wrong, beside bare tower and tower-resilience.
//!
//! Each figure is the median over batches of calls, in nanoseconds a call, and the allocations of
//! a call. The service beneath answers at once, so a figure is all overhead.

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

/// The median of a batch, nanoseconds a call; allocations a call.
fn measure(mut call: impl FnMut()) -> (f64, f64) {
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
    (batches[BATCHES / 2], allocations)
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

fn report(name: &str, (ns, allocations): (f64, f64), bare: f64, target: &str) {
    let over = ns - bare;
    println!("{name:<62} | {ns:>7.1} ns | {over:>+7.1} ns | {allocations:>5.2} | {target}");
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

fn bare() -> Bare {
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

fn ours(bare_ns: f64) {
    let scope = context();
    let without_bulkhead = layers(|stack| stack.bulkhead(None), Numbers);
    let mut service = without_bulkhead.layer(bare());
    let figure = scope.clone().scope_sync(|| measure(|| call(&mut service, black_box(1))));
    report(
        "ours: breaker + budgets + deadline + timeout + counters",
        figure,
        bare_ns,
        "<= 300 ns, 0",
    );
    let figure = measure(|| call(&mut service, black_box(1)));
    report("the same, where the request begins", figure, bare_ns, "");
    let everything = |stack: ClientStack<Numbers>| {
        stack.limit(LimitSettings::default()).breaker(BreakerSettings::default())
    };
    let mut service = layers(everything, Numbers).layer(bare());
    let figure = scope.clone().scope_sync(|| measure(|| call(&mut service, black_box(1))));
    report("the same + bulkhead + adaptive limit", figure, bare_ns, "");

    let answer = |_: Request<()>| ready(Ok::<_, Infallible>(Response::new(())));
    let mut plain = tower::service_fn(answer);
    let (http_bare, _) = measure(|| call(&mut plain, Request::new(())));
    let mut service = layers(|stack| stack.bulkhead(None), Http).layer(tower::service_fn(answer));
    let figure = scope.scope_sync(|| measure(|| call(&mut service, Request::new(()))));
    report("the first for http::Request, headers written", figure, http_bare, "");
}

fn towers(bare_ns: f64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without IO can be built");
    let _entered = runtime.enter();
    let budget = std::sync::Arc::new(TpsBudget::default());
    let mut tower = tower::ServiceBuilder::new()
        .retry(TowerPolicy(budget))
        .timeout(Duration::from_secs(3))
        .service(bare());
    let figure = measure(|| call(&mut tower, black_box(1)));
    report("tower: retry with TpsBudget + timeout (no breaker)", figure, bare_ns, "");
}

fn peers(bare_ns: f64) {
    use tower_resilience::{circuitbreaker::CircuitBreakerLayer, timelimiter::TimeLimiterLayer};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without IO can be built");
    let _entered = runtime.enter();
    let breaker = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).build();
    let breaker = breaker.expect("the settings of the benchmark fit together");
    let mut service = breaker.layer(bare());
    let figure = measure(|| call(&mut service, black_box(1)));
    report("tower-resilience 0.13: breaker alone", figure, bare_ns, "");
    let limiter = TimeLimiterLayer::builder().timeout_duration(Duration::from_secs(3)).build();
    let mut service = breaker.layer(limiter.layer(bare()));
    let figure = measure(|| call(&mut service, black_box(1)));
    report("tower-resilience 0.13: breaker + time limiter", figure, bare_ns, "");
}

fn codec() {
    let triple = Triple { remaining_ms: Some(950), attempt: 2, budget: Some(3) };
    let mut buffer = [0; TRIPLE_BYTES_MAX];
    let figure = measure(|| {
        black_box(black_box(&triple).encode(&mut buffer));
    });
    report("codec: encode", figure, 0.0, "<= 60 ns, 0");
    let figure = measure(|| {
        black_box(Triple::decode(black_box(b"d=950;a=2;b=3")));
    });
    report("codec: decode", figure, 0.0, "<= 60 ns, 0");
    let mut headers = HeaderMap::new();
    let figure = measure(|| wire::write_triple(black_box(&triple), &mut headers));
    report("codec: into a header map", figure, 0.0, "<= 60 ns");
    let figure = measure(|| {
        black_box(wire::read_triple(black_box(&headers)));
    });
    report("codec: out of a header map", figure, 0.0, "<= 60 ns, 0");
    let (context, at) = (context(), Instant::now());
    let figure = measure(|| {
        wire::write_headers(&Outgoing { context: &context, granted: 1 }, &mut headers, at);
    });
    report("the whole context into a header map", figure, 0.0, "");
    let chance = Chance::seeded(1);
    let figure = measure(|| {
        black_box(wire::read_headers(&headers, at).or_begin(&chance));
    });
    report("the whole context out of a header map", figure, 0.0, "");
}

fn main() {
    println!("median, nanoseconds a call | over bare | allocations a call | target");
    let mut service = bare();
    let figure = measure(|| call(&mut service, black_box(1)));
    let bare_ns = figure.0;
    report("bare service", figure, bare_ns, "");
    ours(bare_ns);
    towers(bare_ns);
    peers(bare_ns);
    codec();
}
