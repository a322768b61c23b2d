//! More of the same, worse than before, or new: what was before the onset.

mod shop;

use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::{Cause, NoveltyKind, Scope, Verdict};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};
use shop::rows::{Span, Value, batches};
use shop::{BEGIN_NS, Fault, Shop, WINDOW_S};

const MIDDLE_S: f64 = WINDOW_S as f64 / 2.0;

fn first_cause(shop: &Shop, spans: &[Span], baseline: Option<TimeRange>) -> Cause {
    let from = if baseline.is_some() { MIDDLE_S as i64 } else { 0 };
    let window = TimeRange {
        from: UnixNanos(BEGIN_NS + from * SECOND_NS),
        to: UnixNanos(BEGIN_NS + WINDOW_S * SECOND_NS),
    };
    let now = shop.window().to.shifted(60 * SECOND_NS);
    let question = WhyQuestion { scope: Scope::default(), window, baseline, slow: None, now };
    let begins_in = |span: &&Span| (span.start < window.from.0) == baseline.is_some();
    let (before, inside): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(begins_in);
    let owned = |spans: Vec<&Span>| batches(&spans.into_iter().cloned().collect::<Vec<_>>(), 500);
    let evidence = match baseline {
        None => WhyEvidence { spans: batches(spans, 500), ..WhyEvidence::default() },
        Some(_) => WhyEvidence {
            spans: owned(inside),
            baseline_spans: owned(before),
            ..WhyEvidence::default()
        },
    };
    let answer = why(&question, &evidence);
    assert_eq!(answer.verdict, Verdict::Explained);
    let first = answer.causes.into_iter().next().expect("a cause");
    let part = &first.conditions[0].parts[0];
    assert_eq!((part.attribute.as_str(), part.value.as_str()), ("span.app.tenant", "tenant-3"));
    first
}

/// Checkouts of one tenant fail with these chances, before the middle of the window and since.
fn tenant(seed: u64, before: f64, since: f64) -> Shop {
    let mut shop = Shop::new(seed).failing(move |visit| {
        let chance = if visit.second < MIDDLE_S { before } else { since };
        let hit = visit.checkout && visit.tenant == 3 && visit.luck < chance;
        hit.then(|| Fault::inside("payment", "card refused")).flatten()
    });
    shop.background = 0.0;
    shop
}

/// Before the middle of the window only one in `kept` requests of the tenant came.
fn rare_before(spans: Vec<Span>, kept: u128) -> Vec<Span> {
    let middle = BEGIN_NS + (MIDDLE_S * 1e9) as i64;
    let of_tenant = |span: &&Span| {
        let tenant = ("span.app.tenant", Value::Text("tenant-3".into()));
        span.start < middle && span.attributes.contains(&tenant)
    };
    let traces = spans.iter().filter(of_tenant).map(|span| span.trace);
    let left_out: std::collections::BTreeSet<u128> =
        traces.filter(|trace| !trace.is_multiple_of(kept)).collect();
    spans.into_iter().filter(|span| !left_out.contains(&span.trace)).collect()
}

#[test]
fn more_requests_that_always_failed_are_more_of_the_same() {
    for seed in 1..=5 {
        let mut shop = tenant(seed, 0.5, 0.5);
        shop.requests = 6_000;
        let spans = rare_before(shop.spans(), 6);
        let novelty = first_cause(&shop, &spans, None).novelty.expect("a time before");
        assert_eq!(novelty.kind, NoveltyKind::MoreOfTheSame, "{seed}: {novelty:?}");
        assert!(novelty.before.total * 3.0 < novelty.since.total, "{novelty:?}");
        assert!((novelty.since.ratio() - novelty.before.ratio()).abs() < 0.35, "{novelty:?}");
    }
}

#[test]
fn what_never_failed_before_is_new_and_what_fails_more_often_is_worse() {
    for (before, kind) in [(0.0, NoveltyKind::New), (0.1, NoveltyKind::Worse)] {
        for seed in 1..=5 {
            let shop = tenant(seed, before, 0.8);
            let novelty = first_cause(&shop, &shop.spans(), None).novelty.expect("a time before");
            assert_eq!(novelty.kind, kind, "{seed}: {novelty:?}");
            assert!(novelty.before.ratio() < novelty.since.ratio(), "{novelty:?}");
        }
    }
}

#[test]
fn a_baseline_is_the_time_before() {
    let from = UnixNanos(BEGIN_NS);
    let baseline = TimeRange { from, to: from.shifted(MIDDLE_S as i64 * SECOND_NS) };
    let shop = tenant(1, 0.1, 0.8);
    let novelty = first_cause(&shop, &shop.spans(), Some(baseline)).novelty.expect("a baseline");
    assert_eq!(novelty.kind, NoveltyKind::Worse, "{novelty:?}");
    let spans = rare_before(tenant(2, 0.5, 0.5).spans(), 3);
    let novelty = first_cause(&shop, &spans, Some(baseline)).novelty.expect("a baseline");
    assert_eq!(novelty.kind, NoveltyKind::MoreOfTheSame, "{novelty:?}");
}

#[test]
fn without_a_time_before_nothing_is_said() {
    let shop = tenant(1, 0.5, 0.5);
    assert_eq!(first_cause(&shop, &shop.spans(), None).novelty, None);
}
