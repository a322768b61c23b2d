//! Two versions of a service that serve in one window: what fails in the new one and not in the
//! old one, and which change that is.

mod shop;

use halfopen_explain::why::{SERVED_MIN, ServedBy, WhyEvidence, WhyQuestion, why_beside};
use halfopen_model::UnixNanos;
use halfopen_model::answer::{
    BaselineKind, KnownChange, NoveltyKind, Scope, Verdict, VersionsBeside, WhyAnswer,
};
use halfopen_model::time::SECOND_NS;
use shop::rows::{Span, batches};
use shop::{BEGIN_NS, Dice, Fault, Shop};

/// Payment 2.3.0 came after 1.4.0.
fn change(from: Option<&str>, to: Option<&str>) -> KnownChange {
    KnownChange {
        id: Some("d-7".to_owned()),
        kind: "deploy".to_owned(),
        at: UnixNanos(BEGIN_NS - 60 * SECOND_NS),
        until: None,
        service: Some("payment".to_owned()),
        instance: None,
        environment: None,
        what: Some("service.version".to_owned()),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        title: "gift cards".to_owned(),
        commit: None,
        author: None,
        files: Vec::new(),
        diff: None,
        url: None,
        told_by: Some("api".to_owned()),
        seen: None,
    }
}

fn ask(shop: &Shop, spans: &[Span], change: &KnownChange) -> Result<WhyAnswer, ServedBy> {
    let window = shop.window();
    let now = window.to.shifted(60 * SECOND_NS);
    let question = WhyQuestion { scope: Scope::default(), window, baseline: None, slow: None, now };
    let evidence = WhyEvidence { spans: batches(spans, 1_000), ..WhyEvidence::default() };
    why_beside(&question, &evidence, change)
}

fn deploy() -> KnownChange {
    change(Some("v1.4.0"), Some("v2.3.0"))
}

/// One pod of payment serves the new version all the time; gift cards fail in `versions` of it.
fn canary(seed: u64, pods: &'static [usize]) -> Shop {
    Shop::new(seed)
        .versions(|service, pod, _| match (service, pod) {
            ("payment", 1) => "2.3.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let hit = pods.contains(&visit.pod("payment")) && visit.gift_card && visit.checkout;
            hit.then(|| Fault::inside("payment", "gift card not readable")).flatten()
        })
}

/// Traces with a span of payment of one of the versions.
fn served(spans: &[Span], version: &str) -> usize {
    let of = |span: &&Span| {
        span.service == "payment" && format!("{:?}", span.attributes).contains(version)
    };
    let traces: std::collections::BTreeSet<u128> =
        spans.iter().filter(of).map(|span| span.trace).collect();
    traces.len()
}

#[test]
fn what_a_canary_fails_is_told_beside_the_version_before() {
    let shop = canary(1, &[1]);
    let spans = shop.spans();
    let answer = ask(&shop, &spans, &deploy()).expect("both serve");
    let expected = VersionsBeside {
        service: "payment".into(),
        attribute: "service.version".into(),
        new: "v2.3.0".into(),
        old: "v1.4.0".into(),
    };
    assert_eq!(answer.baseline, BaselineKind::Version(expected));
    let before = answer.before.expect("what the old version served");
    assert_eq!(answer.failing.total, served(&spans, "2.3.0") as f64);
    assert_eq!(before.total, served(&spans, "1.4.0") as f64);
    assert!(answer.failing.ratio() > 0.1 && before.ratio() < 0.02, "{answer:#?}");
    assert_eq!(answer.verdict, Verdict::Explained);
    let cause = &answer.causes[0];
    // Version and pod follow from what was asked; what differs beyond them is told.
    let part = &cause.conditions[0].parts[0];
    assert_eq!(part.attribute, "span.app.gift_card", "{:#?}", cause.conditions);
    let conditions = cause.conditions.iter().flat_map(|one| one.parts.iter().chain(&one.same_as));
    let of_process = |part: &&halfopen_model::answer::ConditionPart| {
        part.service == "payment" && part.attribute.starts_with("resource.")
    };
    assert_eq!(conditions.filter(of_process).count(), 0);
    let after = &cause.after[0];
    assert_eq!((after.change_id.as_deref(), after.split.len()), (Some("d-7"), 2));
    assert_eq!((after.split[0].failing, after.split[1].failing), (answer.failing, before));
    let split = cause.evidence.iter().find(|one| one.kind == "version_split").expect("a split");
    assert_eq!((split.failing, split.healthy), (answer.failing, before));
    // Requests that never asked payment are told of.
    let told: Vec<String> = answer.gaps.iter().map(|gap| gap.to_string()).collect();
    assert!(told.iter().any(|line| line.starts_with("left out: ")), "{told:?}");
}

/// Gift cards fail in both versions alike: no reason to take the new one back.
#[test]
fn a_version_that_is_no_worse_is_not_blamed() {
    let shop = canary(2, &[0, 1, 2]);
    let answer = ask(&shop, &shop.spans(), &deploy()).expect("both serve");
    assert!(answer.causes.iter().all(|cause| cause.after.is_empty()), "{:#?}", answer.causes);
    let novelty = answer.causes[0].novelty.expect("enough requests");
    assert_eq!(novelty.kind, NoveltyKind::MoreOfTheSame);
    let line = answer.ruled_out.iter().find(|line| line.starts_with("deploy payment v2.3.0 at "));
    assert!(line.is_some_and(|line| line.contains("of those without")), "{:?}", answer.ruled_out);
}

/// Which version served is chance: three in a hundred may be blamed.
#[test]
fn shuffled_versions_blame_nobody() {
    let blamed = |seed: &u64| {
        let mut shop = canary(*seed, &[0, 1, 2]);
        shop.requests = 600;
        let (mut spans, mut dice) = (shop.spans(), Dice(*seed));
        let mut dealt = std::collections::BTreeMap::new();
        for span in spans.iter_mut().filter(|span| span.service == "payment") {
            let is_new = *dealt.entry(span.trace).or_insert_with(|| dice.below(2) == 0);
            let version = if is_new { "2.3.0" } else { "1.4.0" };
            let value = shop::rows::Value::Text(version.to_owned());
            span.attributes.push(("resource.service.version", value));
        }
        let answer = ask(&shop, &spans, &deploy()).expect("both serve");
        answer.causes.iter().any(|cause| !cause.after.is_empty())
    };
    let blamed: Vec<u64> = (100..200).filter(blamed).collect();
    assert!(blamed.len() <= 3, "{blamed:?} of 100");
}

#[test]
fn a_version_that_serves_too_little_is_told() {
    let shop = canary(3, &[1]);
    let spans = shop.spans();
    let few = |old: Option<&str>, new: Option<&str>, spans: &[Span]| {
        ask(&shop, spans, &change(old, new)).expect_err("too few")
    };
    assert_eq!(few(Some("1.3.0"), Some("2.3.0"), &spans).old, 0);
    assert_eq!(few(Some("1.4.0"), Some("9.9.9"), &spans).new, 0);
    assert_eq!(few(Some("1.4.0"), None, &spans), ServedBy { new: 0, old: 0 });
    let mut bare = spans.clone();
    bare.iter_mut().for_each(|span| span.attributes.clear());
    assert_eq!(few(Some("1.4.0"), Some("2.3.0"), &bare), ServedBy { new: 0, old: 0 });
    // A handful of requests of the canary.
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = spans.clone();
    kept.retain(|span| {
        let canary = span.service == "payment" && served(std::slice::from_ref(span), "2.3.0") == 1;
        !canary || seen.len() < 5 && seen.insert(span.trace) || seen.contains(&span.trace)
    });
    let ServedBy { new, old } = few(Some("1.4.0"), Some("2.3.0"), &kept);
    assert!(new == 5 && old > SERVED_MIN, "{new} {old}");
    // Where nobody told what was there before, every other version is.
    assert!(ask(&shop, &spans, &change(None, Some("2.3.0"))).is_ok());
}

/// Where the new version took over at a moment, what changed then is not told apart.
#[test]
fn versions_that_never_served_together_are_told() {
    let shop = Shop::new(4)
        .versions(|service, _, second| match service {
            "payment" if second >= 300.0 => "2.3.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let hit = visit.checkout && visit.gift_card && visit.second >= 300.0;
            hit.then(|| Fault::inside("payment", "gift card not readable")).flatten()
        });
    let answer = ask(&shop, &shop.spans(), &deploy()).expect("both serve");
    let told: Vec<String> = answer.gaps.iter().map(|gap| gap.to_string()).collect();
    assert!(told.iter().any(|line| line.contains("is not told apart")), "{told:?}");
    assert_eq!(answer.causes[0].after[0].change_id.as_deref(), Some("d-7"));
}
