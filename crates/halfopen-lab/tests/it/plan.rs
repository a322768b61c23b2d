//! What the seed decides.

use std::collections::BTreeSet;

use expect_test::expect;
use halfopen_lab::{Plan, SCENARIOS, Scenario};

fn gift_card(seed: u64) -> Plan {
    Scenario::named("gift-card").expect("it exists").plan(seed)
}

/// A printed seed must repeat its run in later versions too: these choices may not change.
#[test]
fn the_same_seed_makes_the_same_truth() {
    let truth = gift_card(7).truth;
    assert_eq!(truth, gift_card(7).truth);
    expect![[r#"
        Truth {
            service: "payment",
            peer: None,
            change: Changed {
                kind: "deploy",
                attribute: "service.version",
                before: "1.2.2",
                now: "1.3.0",
            },
            pod: "payment-vlnnsbw5n-4xhg5",
            route: Some(
                "POST /checkout/express",
            ),
            condition: Some(
                (
                    "checkout.pay_with",
                    "gift-card",
                ),
            ),
            decoy: "mailer",
            after: 13.822s,
        }
    "#]]
    .assert_eq(&format!("{truth:#?}\n"));
}

/// Customers, fleet and new versions too, down to the last pod.
#[test]
fn the_same_seed_makes_the_same_plan() {
    assert_eq!(format!("{:?}", gift_card(3)), format!("{:?}", gift_card(3)));
    assert_ne!(format!("{:?}", gift_card(3)), format!("{:?}", gift_card(4)));
}

#[test]
fn ten_seeds_choose_different_victims_words_and_moments() {
    let truths: Vec<_> = (1..=10).map(|seed| gift_card(seed).truth).collect();
    let distinct = |field: fn(&halfopen_lab::Truth) -> String| {
        truths.iter().map(field).collect::<BTreeSet<_>>().len()
    };
    assert!(distinct(|truth| truth.service.clone()) >= 3);
    assert_eq!(distinct(|truth| format!("{:?}", truth.route)), 2);
    assert!(distinct(|truth| format!("{:?}", truth.condition)) >= 6);
    assert!(distinct(|truth| truth.change.now.clone()) >= 8);
    assert!(distinct(|truth| format!("{:?}", truth.after)) >= 8);
    assert!(distinct(|truth| truth.decoy.clone()) >= 3);
    for truth in &truths {
        assert_ne!(truth.change.now, truth.change.before);
        assert_ne!(truth.decoy, truth.service, "the decoy is innocent");
    }
}

#[test]
fn ten_seeds_choose_different_pods_decoys_and_moments() {
    let scenario = Scenario::named("cascading-timeout").expect("it exists");
    let truths: Vec<_> = (1..=10).map(|seed| scenario.plan(seed).truth).collect();
    let distinct = |field: fn(&halfopen_lab::Truth) -> String| {
        truths.iter().map(field).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(distinct(|truth| truth.pod.clone()), 10);
    assert_eq!(distinct(|truth| truth.change.now.clone()), 10);
    assert_eq!(distinct(|truth| truth.change.attribute.clone()), 3);
    assert!(distinct(|truth| truth.decoy.clone()) >= 3);
    assert!(distinct(|truth| format!("{:?}", truth.after)) >= 8);
    for truth in &truths {
        assert_ne!(truth.change.now, truth.change.before);
        assert_ne!(truth.decoy, truth.service, "the decoy is innocent");
    }
    assert_eq!(truths[4], scenario.plan(5).truth);
}

#[test]
fn every_scenario_says_what_is_wrong_in_one_line() {
    for scenario in SCENARIOS {
        assert!(Scenario::named(scenario.name).is_some());
        assert!(!scenario.about.contains('\n') && scenario.about.len() <= 80);
    }
    assert!(Scenario::named("gift_card").is_none());
}
