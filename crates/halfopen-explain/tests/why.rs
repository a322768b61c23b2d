//! Causes that were planted in a made-up shop are named, and nothing else is.

mod shop;

use expect_test::{Expect, expect};
use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::{Cause, ConditionPart, Scope, Verdict, WhyAnswer};
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
    lines.extend(answer.ruled_out.iter().map(|line| format!("  not {line}")));
    lines.extend(answer.gaps.iter().map(|gap| format!("  gap {gap}")));
    lines.join("\n")
}

#[track_caller]
fn check(shop: &Shop, expected: Expect) {
    expected.assert_eq(&show(&ask(shop)));
}

#[test]
fn a_version_that_fails_for_gift_cards() {
    check(&gift_card(1), expect![[r#"
        Explained: gateway POST /checkout: 61 of 1364
          since 5 min 0 s ±17.9 s until None
          strong: payment | payment/handle | HTTP 500: gift card not readable
            when payment resource.service.version=2.3.0 and payment span.app.gift_card=true
              = payment resource.k8s.pod.name=payment-2.3.0-1
              = payment resource.service.instance.id=payment/2.3.0/1
              = payment resource.host.name=node-payment-2.3.0-1
            after deploy payment 2.3.0 (2.3.0 59/453, 1.4.0 0/909)
          not deploy inventory 1.5.0 at 2026-11-20T14:05:01Z: 5.6 % of requests with it fail, 3.7 % of those without
          not deploy recommendation 1.5.0 at 2026-11-20T14:04:59Z: it takes no part in the calls that fail
          gap card-gateway sends no spans, its 1 caller does"#]]);
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
fn two_causes(seed: u64) -> Shop {
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

#[test]
fn show_all() {
    for shop in [gift_card(2), bad_pod(2), timeout(2), two_causes(2), Shop::new(2)] {
        let answer = ask(&shop);
        println!("{}\n", show(&answer));
        assert_ne!(answer.verdict, Verdict::Healthy);
    }
}
