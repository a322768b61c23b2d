//! Calls that only some requests make: what implies the call is named, what follows from it is
//! not.

mod shop;

use expect_test::{Expect, expect};
use halfopen_model::answer::{Cause, Verdict, WhyAnswer};
use shop::Shop;
use shop::plans::{some_calls, vouchers};
use shop::told::{ask, show, show_part};

/// Seeds under which each planted cause must be named first.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=24;

const CARD: &str = "payment span.app.gift_card=true";

fn parts(cause: &Cause) -> Vec<String> {
    cause.conditions.iter().flat_map(|condition| &condition.parts).map(show_part).collect()
}

/// Asks under every seed for a first cause in the vouchers under this condition.
#[track_caller]
fn check_seeds(plant: fn(u64) -> Shop, when: &[&str], implied: bool) {
    for seed in SEEDS {
        let answer = ask(&plant(seed));
        let told = show(&answer);
        assert_eq!(answer.verdict, Verdict::Explained, "seed {seed}:\n{told}");
        let first = &answer.causes[0];
        let call = first.call.as_ref().map(|call| call.service.as_str());
        assert_eq!(call, Some("vouchers"), "seed {seed}:\n{told}");
        assert_eq!(parts(first), when, "seed {seed}:\n{told}");
        let marked = first.conditions.iter().any(|condition| condition.implied_by_call);
        assert_eq!(marked, implied, "seed {seed}:\n{told}");
    }
}

#[track_caller]
fn check(answer: &WhyAnswer, expected: Expect) {
    expected.assert_eq(&show(answer));
}

#[test]
fn what_implies_the_failing_call_is_told() {
    check(
        &ask(&some_calls(1)),
        expect![[r#"
        Explained: gateway POST /checkout: 55 of 894
          since 4 min 57 s ±19.9 s until None
          strong: vouchers | vouchers/handle | HTTP 500: ledger is closed
            when payment span.app.gift_card=true (the call implies it)
          gap card-gateway sends no spans, its 1 caller does"#]],
    );
}

#[test]
fn what_implies_a_call_that_fails_sometimes_is_named_under_every_seed() {
    check_seeds(some_calls, &[CARD], true);
}

#[test]
fn what_implies_a_call_that_fails_from_a_moment_on_is_named_under_every_seed() {
    check_seeds(|seed| vouchers(seed, |visit| visit.second >= 300.0), &[CARD], true);
}

/// No request makes the call and lives: nothing but the card tells who makes it.
#[test]
fn what_implies_a_call_that_always_fails_is_named_under_every_seed() {
    check_seeds(|seed| vouchers(seed, |_| true), &[CARD], false);
}

/// Among calls that are made, the pod tells; that they are made for gift cards adds nothing.
#[test]
fn what_tells_among_those_who_make_the_call_goes_before_what_implies_it() {
    let pod = "vouchers resource.k8s.pod.name=vouchers-1.4.0-1";
    check_seeds(|seed| vouchers(seed, |visit| visit.pod("vouchers") == 1), &[pod], false);
}

/// Among calls that are made, the pod of the caller tells; most requests of that pod make no
/// such call, so both are needed.
#[test]
fn what_tells_among_callers_is_said_with_what_implies_the_call() {
    let pod = "payment resource.k8s.pod.name=payment-1.4.0-2";
    check_seeds(|seed| vouchers(seed, |visit| visit.pod("payment") == 2), &[CARD, pod], false);
}
