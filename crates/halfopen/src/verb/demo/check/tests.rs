use std::time::Duration;

use halfopen_model::answer::{
    AfterChange, BaselineKind, Call, Cause, Chain, Condition, ConditionPart, Contrast, Scope,
    Share, Strength, Verdict, WhyAnswer,
};
use halfopen_model::{TimeRange, UnixNanos};

use halfopen_lab::Changed;

use super::*;

fn truth() -> Truth {
    Truth {
        service: "pricing".into(),
        peer: None,
        change: Changed {
            kind: "deploy",
            attribute: "service.version".into(),
            before: "2.2.8".into(),
            now: "2.3.0".into(),
        },
        pod: "pricing-s4vnvvz2p-dm6fw".into(),
        route: Some("POST /checkout".into()),
        condition: Some(("payment.method".into(), "gift_card".into())),
        decoy: "shipping".into(),
        after: Duration::from_secs(12),
    }
}

fn part(service: &str, attribute: &str, value: &str) -> ConditionPart {
    ConditionPart { service: service.into(), attribute: attribute.into(), value: value.into() }
}

/// An answer that names the cause in full.
fn answer() -> WhyAnswer {
    let parts = vec![part("checkout", "span.payment.method", "gift_card")];
    let condition = Condition {
        parts,
        same_as: Vec::new(),
        contrast: Contrast::default(),
        p_value: 1e-9,
        implied_by_call: false,
    };
    let change = AfterChange {
        change_id: None,
        kind: "deploy".into(),
        service: Some("pricing".into()),
        version: Some("2.3.0".into()),
        title: "deploy pricing 2.3.0".into(),
        at: UnixNanos(0),
        before_onset_ns: 0,
        split: Vec::new(),
    };
    let call = Call {
        service: "pricing".into(),
        peer: None,
        operation: "apply discounts".into(),
        reason: "GiftCardFormatError".into(),
        duration_ns: None,
        example: None,
    };
    let cause = Cause {
        strength: Strength::Strong,
        call: Some(call),
        contrast: Contrast::default(),
        conditions: vec![condition],
        novelty: None,
        after: vec![change],
        example: None,
        healthy_twin: None,
        evidence: Vec::new(),
        path: Vec::new(),
    };
    let scope = Scope { service: Some("gateway".into()), operation: Some("POST /checkout".into()) };
    WhyAnswer {
        scope,
        window: TimeRange { from: UnixNanos(0), to: UnixNanos(1) },
        baseline: BaselineKind::HealthyPeers,
        verdict: Verdict::Explained,
        slow: None,
        failing: Share::new(9.0, 100.0),
        before: None,
        onset: None,
        causes: vec![cause],
        suspects: None,
        ruled_out: Vec::new(),
        change: None,
        gaps: Vec::new(),
        spans: 1_000,
        also_failing: Vec::new(),
        next: Vec::new(),
        symptom: None,
        chain: Chain::default(),
    }
}

/// What is not named when the answer is changed in this way.
fn missing(change: impl FnOnce(&mut WhyAnswer)) -> Vec<&'static str> {
    let mut answer = answer();
    change(&mut answer);
    let check = Check::new(&truth(), Some(UnixNanos(0)), &WhyV1::from(&answer));
    assert_eq!(check.is_named(), check.items.iter().all(|item| item.named));
    check.items.iter().filter(|item| !item.named).map(|item| item.name).collect()
}

#[test]
fn an_answer_that_says_it_all_is_accepted() {
    assert_eq!(missing(|_| ()), Vec::<&str>::new());
}

#[test]
fn the_version_may_stand_in_the_condition_and_the_attribute_among_its_synonyms() {
    let unnamed = missing(|answer| {
        let cause = &mut answer.causes[0];
        cause.after.clear();
        cause.conditions[0].same_as = std::mem::take(&mut cause.conditions[0].parts);
        cause.conditions[0].parts = vec![part("pricing", "resource.service.version", "2.3.0")];
    });
    assert_eq!(unnamed, Vec::<&str>::new());
}

#[test]
fn an_answer_that_blames_the_decoy_is_refused() {
    let unnamed = missing(|answer| {
        let change = &mut answer.causes[0].after[0];
        (change.service, change.version) = (Some("shipping".into()), Some("3.8.6".into()));
    });
    assert_eq!(unnamed, ["version"]);
    let unnamed = missing(|answer| {
        let call = answer.causes[0].call.as_mut().expect("there is one");
        call.service = "shipping".into();
    });
    assert_eq!(unnamed, ["service"]);
}

#[test]
fn what_comes_second_is_not_named() {
    let unnamed = missing(|answer| {
        let mut other = answer.causes[0].clone();
        other.conditions[0].parts = vec![part("gateway", "span.device.type", "phone")];
        answer.causes.insert(0, other);
    });
    assert_eq!(unnamed, ["attribute"]);
}

#[test]
fn no_cause_and_another_route_are_not_named() {
    let unnamed = missing(|answer| {
        answer.causes.clear();
        answer.scope.operation = Some("POST /checkout/express".into());
    });
    assert_eq!(unnamed, ["service", "route", "version", "attribute"]);
}
