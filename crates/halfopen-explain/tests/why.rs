//! Causes that were planted in a made-up shop are named, and nothing else is.

mod shop;

use expect_test::{Expect, expect};
use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::{Cause, ConditionPart, Scope, Strength, Verdict, WhyAnswer};
use halfopen_model::time::{SECOND_NS, show_duration};
use shop::rows::batches;
use shop::{BEGIN_NS, Fault, Shop};

fn ask(shop: &Shop) -> WhyAnswer {
    let spans = shop.spans();
    let evidence = WhyEvidence { spans: batches(&spans, 1_000), ..WhyEvidence::default() };
    why(&question(shop), &evidence)
}

fn question(shop: &Shop) -> WhyQuestion {
    let window = shop.window();
    let now = window.to.shifted(60 * SECOND_NS);
    WhyQuestion { scope: Scope::default(), window, baseline: None, now }
}

fn show_part(part: &ConditionPart) -> String {
    format!("{} {}={}", part.service, part.attribute, part.value)
}

fn show_cause(cause: &Cause) -> String {
    let mut shown = format!("{}:", cause.strength);
    if let Some(call) = &cause.call {
        let peer = call.peer.as_ref().map(|peer| format!(" -> {peer}")).unwrap_or_default();
        shown += &format!(" {}{peer} | {} | {}", call.service, call.operation, call.reason);
    }
    for condition in &cause.conditions {
        let parts: Vec<_> = condition.parts.iter().map(show_part).collect();
        shown += &format!("\n    when {}", parts.join(" and "));
        for same in &condition.same_as {
            shown += &format!("\n      = {}", show_part(same));
        }
    }
    for change in &cause.after {
        let split: Vec<String> = change
            .split
            .iter()
            .map(|split| format!("{} {}/{}", split.value, split.failing.count, split.failing.total))
            .collect();
        shown += &format!(
            "\n    after {} {} {} ({})",
            change.kind,
            change.service.as_deref().unwrap_or("-"),
            change.version.as_deref().unwrap_or("-"),
            split.join(", ")
        );
    }
    shown
}

fn show(answer: &WhyAnswer) -> String {
    let name = |scope: &Scope| {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".into());
        format!("{} {}", part(&scope.service), part(&scope.operation))
    };
    let mut lines = vec![format!(
        "{:?}: {}: {} of {}",
        answer.verdict,
        name(&answer.scope),
        answer.failing.count,
        answer.failing.total
    )];
    if let Some(onset) = answer.onset {
        let at = show_duration(onset.at.0 - BEGIN_NS);
        let until = onset.until.map(|until| show_duration(until.0 - BEGIN_NS));
        lines.push(format!("  since {at} ±{} until {until:?}", show_duration(onset.within_ns)));
    }
    lines.extend(answer.causes.iter().map(|cause| format!("  {}", show_cause(cause))));
    let folded = |line: &String| format!("  not {}", line.replace(": ", ":\n    "));
    lines.extend(answer.ruled_out.iter().map(folded));
    lines.extend(answer.gaps.iter().map(|gap| format!("  gap {gap}")));
    lines.join("\n")
}

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
                6.9 % of requests with it fail, 4.3 % of those without
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
              gap nothing before the window to compare it with"#]],
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
              gap nothing before the window to compare it with"#]],
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
              gap nothing before the window to compare it with"#]],
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

/// One request in a hundred fails anywhere for no reason, while services are deployed.
fn noisy(seed: u64) -> Shop {
    let mut shop = Shop::new(seed).versions(|service, pod, second| match service {
        "payment" if pod == 1 && second >= 300.0 => "2.3.0",
        "catalog" if second >= 200.0 => "1.5.0",
        _ => "1.4.0",
    });
    shop.background = 0.01;
    shop
}

/// Carts of more than 50 things break checkout from 200 s on.
fn large_cart(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        let hit = visit.checkout && visit.cart_items > 50 && visit.second >= 200.0;
        hit.then(|| Fault::inside("checkout", "too many rows")).flatten()
    })
}

/// Version 2.3.0 of payment comes to one pod at 300 s and fails for gift cards.
fn gift_card(seed: u64) -> Shop {
    Shop::new(seed)
        .versions(|service, pod, second| match service {
            "payment" if pod == 1 && second >= 300.0 => "2.3.0",
            // An unrelated deploy at the same moment, everywhere.
            "recommendation" if second >= 299.0 => "1.5.0",
            "inventory" if pod == 2 && second >= 301.0 => "1.5.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let new = visit.pod("payment") == 1 && visit.second >= 300.0;
            if new && visit.gift_card && visit.checkout {
                Fault::inside("payment", "gift card not readable")
            } else {
                None
            }
        })
}

/// One pod of pricing is broken all the time.
fn bad_pod(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        let hit = visit.checkout && visit.pod("pricing") == 2 && visit.luck < 0.6;
        hit.then(|| Fault::inside("pricing", "no space left on device")).flatten()
    })
}

/// The card gateway stops answering at 400 s, for a third of the calls.
fn timeout(seed: u64) -> Shop {
    Shop::new(seed)
        .versions(|service, _, second| match service {
            "recommendation" if second >= 398.0 => "1.5.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let hit = visit.checkout && visit.second >= 400.0 && visit.luck < 0.33;
            hit.then(|| Fault::timeout("payment", "card-gateway", 2_000)).flatten()
        })
}

/// A bad pod and a tenant without stock, at once.
fn pod_and_tenant(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        if !visit.checkout {
            None
        } else if visit.pod("pricing") == 0 && visit.luck < 0.4 {
            Fault::inside("pricing", "connection refused")
        } else if visit.tenant == 7 {
            Fault::inside("inventory", "unknown warehouse")
        } else {
            None
        }
    })
}
