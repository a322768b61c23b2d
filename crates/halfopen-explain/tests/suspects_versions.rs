//! A version of a service beside the others, in the same time: named with the change that brought
//! it, and not where all versions are alike, where an older one is worse, or where chance may have
//! done it.

mod mart;
mod shop;

use halfopen_model::answer::{
    Deviation, INSTANCE_OUTLIER, Strength, Suspect, Suspects, VERSION_SPLIT,
};
use mart::{Mart, PAYMENT, Plan, deployed, pod_name, range};
use shop::Dice;
use shop::rows::{Span, Value};

const VERSION: &str = "resource.service.version";

/// Four pods of each service; the second time begins with version 2.0 on two pods of payment.
fn canary(seed: u64, wrong: impl Fn(&mut Plan) + 'static) -> Mart {
    let mut mart = Mart::new(seed, wrong);
    (mart.pods, mart.requests) = (4, [80, 80]);
    mart.named = |service, pod, is_now| {
        let is_new = service == PAYMENT && pod < 2 && is_now;
        let version = Value::Text(if is_new { "2.0" } else { "1.0" }.to_owned());
        vec![("resource.k8s.pod.name", pod_name(service, pod)), (VERSION, version)]
    };
    mart
}

fn slow_pods(pods: std::ops::Range<usize>) -> impl Fn(&mut Plan) {
    move |plan| plan.own[PAYMENT] += if pods.contains(&plan.pod[PAYMENT]) { 90.0 } else { 0.0 }
}

fn of_kind<'s>(found: &'s Suspects, kind: &str) -> Vec<(&'s Suspect, &'s Deviation)> {
    let each = found.list.iter().flat_map(|one| one.evidence.iter().map(move |of| (one, of)));
    each.filter(|(_, of)| of.kind == kind).collect()
}

#[track_caller]
fn nobody(found: &Suspects) {
    let all = of_kind(found, VERSION_SPLIT);
    assert!(all.is_empty(), "{all:#?}");
    assert!(found.list.iter().all(|one| one.after.is_none()), "{found:#?}");
}

#[test]
fn a_slow_canary_is_named_with_the_change_that_brought_it() {
    let found = canary(1, slow_pods(0..2)).find();
    let (suspect, told) = of_kind(&found, VERSION_SPLIT)[0];
    assert!(suspect.strength >= Strength::Likely, "{suspect:#?}");
    assert_eq!((suspect.service.as_str(), suspect.instance.as_deref()), ("payment", None));
    assert_eq!(told.subject, "own time of POST /pay, 2.0 beside 1.0");
    assert!((8e6..13e6).contains(&told.before) && (95e6..105e6).contains(&told.now), "{told:?}");
    assert_eq!(told.samples + told.samples_before, 80);
    let after = suspect.after.as_ref().expect("a change");
    assert_eq!((after.kind.as_str(), after.version.as_deref()), ("deploy", Some("2.0")));
    assert!(range(1).contains(after.at), "{after:?}");
}

#[test]
fn a_canary_that_fails_is_named_and_told_ones_are_the_change() {
    let mut mart =
        canary(2, |plan| plan.failed[PAYMENT] = plan.pod[PAYMENT] < 2 && plan.luck < 0.7);
    mart.told = vec![deployed(170)];
    let found = mart.find();
    let (suspect, told) = of_kind(&found, VERSION_SPLIT)[0];
    assert_eq!(told.unit, "ratio");
    let after = suspect.after.as_ref().expect("a change");
    assert_eq!(after.change_id.as_deref(), Some("d-2"));
    let shares: Vec<f64> = after.split.iter().map(|one| one.failing.ratio()).collect();
    assert_eq!(shares, [told.now, told.before]);
}

/// The one pod that runs the new version is not told as an outlier too.
#[test]
fn the_only_pod_of_a_version_is_that_version() {
    let mut mart = canary(3, slow_pods(0..1));
    mart.named = |service, pod, is_now| {
        let is_new = service == PAYMENT && pod == 0 && is_now;
        let version = Value::Text(if is_new { "2.0" } else { "1.0" }.to_owned());
        vec![("resource.k8s.pod.name", pod_name(service, pod)), (VERSION, version)]
    };
    let found = mart.find();
    assert!(!of_kind(&found, VERSION_SPLIT).is_empty(), "{found:#?}");
    assert!(of_kind(&found, INSTANCE_OUTLIER).is_empty(), "{found:#?}");
}

#[test]
fn versions_that_are_alike_and_older_ones_that_are_worse_are_not_named() {
    nobody(&canary(4, |plan| plan.own[PAYMENT] += 90.0).find());
    nobody(&canary(5, slow_pods(2..4)).find());
    // The older one was deployed as well, before the new one came.
    let mut mart = canary(6, slow_pods(0..2));
    mart.named =
        |_, pod, _| vec![(VERSION, Value::Text(if pod < 2 { "2.0" } else { "3.0" }.to_owned()))];
    mart.told = vec![deployed(-600)];
    assert_eq!(of_kind(&mart.find(), VERSION_SPLIT).len(), 1, "the only known change");
    // That nobody knows of a change is no news either.
    mart.told.clear();
    nobody(&mart.find());
}

/// Which version served is chance: three in 150 may be named.
#[test]
fn shuffled_versions_name_nobody() {
    let loud = |seed: &u64| {
        let mart = canary(7_000 + seed, |plan| {
            plan.own[PAYMENT] += if plan.luck < 0.4 { 150.0 } else { 0.0 };
            plan.failed[PAYMENT] = plan.luck > 0.6;
        });
        let (mut spans, mut dice) = (mart.rows().0, Dice(*seed));
        let mut dealt = std::collections::BTreeMap::new();
        for span in spans.iter_mut().filter(|span| span.start >= range(1).from.0) {
            let place = (span.trace, span.service.clone());
            let is_new = *dealt.entry(place).or_insert_with(|| dice.below(2) == 0);
            let version = if is_new { "2.0" } else { "1.0" };
            span.attributes[1].1 = Value::Text(version.to_owned());
        }
        !of_kind(&mart.find_in(spans), VERSION_SPLIT).is_empty()
    };
    let loud: Vec<u64> = (0..150).filter(loud).collect();
    assert!(loud.len() <= 3, "{loud:?} of 150 name a version");
}

#[test]
fn malformed_versions_are_none() {
    let check = |spoil: fn(&mut Span)| {
        let mart = canary(8, slow_pods(0..2));
        let mut spans = mart.rows().0;
        spans.iter_mut().for_each(spoil);
        nobody(&mart.find_in(spans));
    };
    check(|span| span.attributes.clear());
    check(|span| span.attributes[1].1 = Value::Text(String::new()));
    check(|span| span.attributes[1].1 = Value::Int(2));
    // A new one in each span.
    check(|span| span.attributes[1].1 = Value::Text(format!("{:x}", span.id)));
}
