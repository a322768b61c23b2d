//! Causes that were planted in a made-up shop are named, and nothing else is.

mod shop;

use expect_test::{Expect, expect};
use halfopen_model::answer::{Strength, Verdict};
use shop::Shop;
use shop::plans::{bad_pod, gift_card, large_cart, noisy, pod_and_tenant, three_at_once, timeout};
use shop::told::{ask, show, show_cause, show_part};

#[track_caller]
fn check(shop: &Shop, expected: Expect) {
    expected.assert_eq(&show(&ask(shop)));
}

#[test]
fn a_version_that_fails_for_gift_cards() {
    check(
        &gift_card(1),
        expect![[r#"
            Explained: gateway POST /checkout: 46 of 887
              since 5 min 2 s ±28.3 s until None
              strong: payment | payment/handle | HTTP 500: gift card not readable
                when payment resource.service.version=2.3.0 and payment span.app.gift_card=true
                  = payment resource.k8s.pod.name=payment-2.3.0-1
                  = payment resource.service.instance.id=payment/2.3.0/1
                  = payment resource.host.name=node-payment-2.3.0-1
                after deploy payment 2.3.0 (2.3.0 46/281, 1.4.0 0/606)
              not deploy inventory 1.5.0 at 2026-11-20T14:05:01Z:
                6.9 % of requests with it fail, 4.3 % of those without:
                too small a difference
              not deploy recommendation 1.5.0 at 2026-11-20T14:04:59Z:
                it takes no part in the calls that fail
              gap card-gateway sends no spans, its 1 caller does"#]],
    );
}

#[test]
fn a_pod_that_is_broken_all_the_time() {
    check(
        &bad_pod(1),
        expect![[r#"
            Explained: gateway POST /checkout: 334 of 1757
              strong: pricing | pricing/handle | HTTP 500: no space left on device
                when pricing resource.k8s.pod.name=pricing-1.4.0-2
                  = pricing resource.service.instance.id=pricing/1.4.0/2
                  = pricing resource.host.name=node-pricing-1.4.0-2
              gap card-gateway sends no spans, its 1 caller does
              gap it was so all through the window: when it began is not known"#]],
    );
}

#[test]
fn a_silent_dependency_that_stops_answering() {
    check(
        &timeout(1),
        expect![[r#"
            Explained: gateway POST /checkout: 201 of 585
              since 6 min 40 s ±2.6 s until None
              strong: payment -> card-gateway | call card-gateway | times out after 2.0 s
              not deploy recommendation 1.5.0 at 2026-11-20T14:06:38Z:
                it takes no part in the calls that fail
              gap card-gateway sends no spans, its 1 caller does"#]],
    );
}

#[test]
fn two_causes_at_once() {
    check(
        &pod_and_tenant(1),
        expect![[r#"
            Explained: gateway POST /checkout: 355 of 1730
              strong: pricing | pricing/handle | HTTP 500: connection refused
                when pricing resource.k8s.pod.name=pricing-1.4.0-0
                  = pricing resource.service.instance.id=pricing/1.4.0/0
                  = pricing resource.host.name=node-pricing-1.4.0-0
              strong: inventory | inventory/handle | HTTP 500: unknown warehouse
                when gateway span.app.tenant=tenant-7
              gap card-gateway sends no spans, its 1 caller does
              gap it was so all through the window: when it began is not known"#]],
    );
}

#[test]
fn background_noise_has_no_cause() {
    check(
        &noisy(1),
        expect![[r#"
            Unexplained: gateway POST /checkout: 14 of 1784
              weak: gateway | POST /checkout | HTTP 500: unexpected end of file
              weak: checkout | checkout/handle | HTTP 500: unexpected end of file
              weak: payment | payment/handle | HTTP 500: unexpected end of file
              gap card-gateway sends no spans, its 1 caller does
              gap it was so all through the window: when it began is not known"#]],
    );
}

#[test]
fn a_number_above_a_limit() {
    check(
        &large_cart(1),
        expect![[r#"
            Explained: gateway POST /checkout: 181 of 1184
              since 3 min 21 s ±7.9 s until None
              strong: checkout | checkout/handle | HTTP 500: too many rows
                when checkout span.cart.items=>= 51
              gap card-gateway sends no spans, its 1 caller does"#]],
    );
}

/// Seeds under which each planted cause must be named first.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=24;

/// Holds the first cause of every seed against what was planted.
#[track_caller]
fn check_seeds(plant: fn(u64) -> Shop, call: &str, when: &[&str], after: &[&str]) {
    for seed in SEEDS {
        let answer = ask(&plant(seed));
        let told = show(&answer);
        assert_eq!(answer.verdict, Verdict::Explained, "seed {seed}:\n{told}");
        let first = &answer.causes[0];
        let shown = show_cause(first);
        assert!(shown.lines().next().is_some_and(|line| line.contains(call)), "{seed}:\n{told}");
        let parts = first.conditions.iter().flat_map(|condition| &condition.parts);
        let parts: Vec<_> = parts.map(show_part).collect();
        assert_eq!(parts, when, "seed {seed}:\n{told}");
        let services = first.after.iter().filter_map(|change| change.service.as_deref());
        assert_eq!(services.collect::<Vec<_>>(), after, "seed {seed}:\n{told}");
        assert!(first.example.is_some() && first.healthy_twin.is_some(), "seed {seed}:\n{told}");
    }
}

#[test]
fn the_version_and_the_gift_card_are_named_under_every_seed() {
    let version = "payment resource.service.version=2.3.0";
    let card = "payment span.app.gift_card=true";
    check_seeds(gift_card, "gift card not readable", &[version, card], &["payment"]);
}

#[test]
fn three_that_hold_together_are_named_under_every_seed() {
    let pod = "payment resource.k8s.pod.name=payment-1.4.0-1";
    let (card, region) = ("payment span.app.gift_card=true", "gateway span.app.region=eu-west-1");
    check_seeds(three_at_once, "no rate for euro cards", &[card, pod, region], &[]);
}

#[test]
fn the_broken_pod_is_named_under_every_seed() {
    let pod = "pricing resource.k8s.pod.name=pricing-1.4.0-2";
    check_seeds(bad_pod, "no space left on device", &[pod], &[]);
}

#[test]
fn the_silent_dependency_is_named_under_every_seed() {
    check_seeds(timeout, "payment -> card-gateway | call card-gateway | times out", &[], &[]);
}

#[test]
fn the_limit_of_a_number_is_named_under_every_seed() {
    for seed in SEEDS {
        let answer = ask(&large_cart(seed));
        let first = &answer.causes[0];
        let part = &first.conditions[0].parts[0];
        let limit = part.value.strip_prefix(">= ").and_then(|limit| limit.parse::<i64>().ok());
        assert_eq!(part.attribute, "span.cart.items", "seed {seed}:\n{}", show(&answer));
        assert!(limit.is_some_and(|limit| (50..=54).contains(&limit)), "{seed}: {}", part.value);
    }
}

#[test]
fn both_of_two_causes_are_named_under_every_seed() {
    for seed in SEEDS {
        let answer = ask(&pod_and_tenant(seed));
        let strong = answer.causes.iter().filter(|cause| cause.strength >= Strength::Likely);
        let parts = strong.flat_map(|cause| &cause.conditions).flat_map(|c| &c.parts);
        let mut parts: Vec<_> = parts.map(show_part).collect();
        parts.sort();
        let planted =
            ["gateway span.app.tenant=tenant-7", "pricing resource.k8s.pod.name=pricing-1.4.0-0"];
        assert_eq!(parts, planted, "seed {seed}:\n{}", show(&answer));
    }
}

#[test]
fn background_noise_is_never_explained() {
    let explained: Vec<u64> =
        (1..=40).filter(|seed| ask(&noisy(*seed)).verdict == Verdict::Explained).collect();
    assert!(explained.len() <= 1, "explained under seeds {explained:?}");
}
