//! Timeouts that are not in order: the first to give up is not where time is lost.

mod shop;

use expect_test::expect;
use halfopen_explain::why::{WhyEvidence, why};
use halfopen_model::answer::{Verdict, WhyAnswer};
use shop::cascade::{self, locked};
use shop::rows::{Span, batches};
use shop::told::{question, show};
use shop::{Fault, Shop};

fn ask(shop: &Shop, spans: &[Span]) -> WhyAnswer {
    let evidence = WhyEvidence { spans: batches(spans, 1_000), ..WhyEvidence::default() };
    why(&question(shop), &evidence)
}

#[test]
fn the_place_in_which_time_is_lost_is_told_and_the_change_that_came_before() {
    let shop = locked(1);
    let told = show(&ask(&shop, &cascade::spans(&shop)));
    expect![[r#"
        Explained: gateway POST /checkout: 228 of 895
          since 5 min 0 s ±5.5 s until None
          strong: pricing | wait for lock | still under way when checkout gave up after 1.0 s
            when pricing resource.config.hash=hash-b
            after config pricing - (hash-b 227/295, hash-a 0/599)
          gap card-gateway sends no spans, its 1 caller does"#]]
    .assert_eq(&told);
}

#[test]
fn neither_the_first_timeout_nor_an_earlier_failure_is_blamed_under_any_seed() {
    for seed in 1..=24 {
        let shop = locked(seed);
        let answer = ask(&shop, &cascade::spans(&shop));
        let told = show(&answer);
        assert_eq!(answer.verdict, Verdict::Explained, "seed {seed}:\n{told}");
        let call = answer.causes[0].call.as_ref().expect("a place");
        let place = (call.service.as_str(), call.operation.as_str());
        assert_eq!(place, ("pricing", "wait for lock"), "seed {seed}:\n{told}");
        assert!(told.contains("when checkout gave up after 1.0 s"), "seed {seed}:\n{told}");
        let after = &answer.causes[0].after[0];
        assert_eq!((after.kind.as_str(), after.service.as_deref()), ("config", Some("pricing")));
    }
}

/// A callee that has not ended has sent no span: those that have tell where all of them waited.
#[test]
fn callees_that_still_work_are_told_by_those_that_ended() {
    let shop = locked(4);
    let mut spans = cascade::spans(&shop);
    let slow = |span: &Span| span.duration.is_some_and(|ns| ns > 2 * cascade::WAIT_NS);
    let mut kept = 0;
    spans.retain(|span| {
        let is_slow = span.service == "pricing" && slow(span);
        kept += usize::from(is_slow && span.name == "pricing/handle");
        !is_slow || kept % 3 == 0
    });
    let answer = ask(&shop, &spans);
    let told = show(&answer);
    let call = answer.causes[0].call.as_ref().expect("a place");
    let place = (call.service.as_str(), call.operation.as_str());
    assert_eq!(place, ("pricing", "wait for lock"), "{told}");
    assert!(answer.causes[0].contrast.failing.ratio() > 0.9, "{told}");
}

/// The callee ends after its caller, but what it failed at began when nobody waited any more.
#[test]
fn what_a_callee_fails_at_when_nobody_waits_is_not_the_reason() {
    let shop = locked(2);
    let mut spans = cascade::spans(&shop);
    let late = |span: &Span| span.name == "wait for lock";
    for span in spans.iter_mut().filter(|span| late(span)) {
        (span.status, span.message) = ("error", Some("lock lost".into()));
        span.start += 1_500_000_000;
        span.duration = Some(1_000_000_000);
    }
    let call = ask(&shop, &spans).causes[0].call.clone().expect("a place");
    assert_eq!((call.service.as_str(), call.operation.as_str()), ("pricing", "pricing/handle"));
}

/// A call that says nothing of time has failed for a reason of its own, however long its callee
/// goes on.
#[test]
fn a_call_that_fails_otherwise_is_where_it_fails() {
    let shop = Shop::new(3).failing(|visit| {
        let hit = visit.checkout && visit.pod("pricing") == 1 && visit.luck < 0.8;
        hit.then(|| Fault::inside("pricing", "no price")).flatten()
    });
    let mut spans = shop.spans();
    for span in spans.iter_mut().filter(|span| span.name == "pricing/handle") {
        span.duration = span.duration.map(|duration| duration + 1_000_000_000);
    }
    let call = ask(&shop, &spans).causes[0].call.clone().expect("a place");
    assert_eq!((call.service.as_str(), call.peer.as_deref()), ("checkout", Some("pricing")));
}
