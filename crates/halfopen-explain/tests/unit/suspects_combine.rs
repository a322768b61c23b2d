use super::*;

fn observed(service: &str, kind: &'static str, score: f64, own: bool) -> Observed {
    let deviation = Deviation {
        id: String::new(),
        kind,
        subject: service.to_owned(),
        before: 0.0,
        now: 1.0,
        unit: "ratio".to_owned(),
        samples: 10,
        samples_before: 10,
        score,
        refs: Vec::new(),
        query: None,
    };
    Observed { service: service.to_owned(), instance: None, own, after: None, deviation }
}

fn calls(pairs: &[(&str, &str)]) -> Calls {
    let mut calls = Calls::new();
    for (caller, callee) in pairs {
        calls.entry((*caller).to_owned()).or_default().insert((*callee).to_owned());
    }
    calls
}

fn names(found: &[Suspect]) -> Vec<(&str, Strength)> {
    found.iter().map(|suspect| (suspect.service.as_str(), suspect.strength)).collect()
}

#[test]
fn what_a_dependency_explains_is_taken_from_its_callers() {
    let all = vec![
        observed("shop", "log_statement", 0.9, false),
        observed("stock", "log_statement", 0.85, false),
    ];
    let found = suspects(all, &calls(&[("shop", "orders"), ("orders", "stock")]), true);
    assert_eq!(names(&found), [("stock", Strength::Strong), ("shop", Strength::Weak)]);
    assert_eq!(found[0].explains, ["shop"]);
}

#[test]
fn own_time_is_not_explained_by_a_dependency() {
    let all = vec![
        observed("shop", "self_time", 0.9, true),
        observed("stock", "error_origin", 0.6, false),
    ];
    let found = suspects(all, &calls(&[("shop", "stock")]), true);
    assert_eq!(names(&found), [("shop", Strength::Strong), ("stock", Strength::Likely)]);
}

#[test]
fn agreement_adds_a_little_and_never_beats_strength() {
    let all = vec![
        observed("one", "self_time", 0.6, true),
        observed("many", "self_time", 0.4, true),
        observed("many", "resource", 0.4, true),
        observed("many", "log_statement", 0.4, false),
    ];
    let found = suspects(all, &Calls::new(), true);
    assert_eq!(found[0].service, "one");
    assert!((found[1].score - 0.48).abs() < 1e-9);
}

#[test]
fn where_everybody_stands_out_nobody_is_suspect() {
    let all = ["a", "b", "c", "d"].map(|name| observed(name, "self_time", 0.9, true));
    let found = suspects(all.into(), &Calls::new(), true);
    assert!(found.iter().all(|suspect| suspect.strength == Strength::Weak));
}

#[test]
fn waves_of_requests_are_no_suspects() {
    let of = |kind, score, is_long| {
        let all = vec![observed("shop", kind, score, true)];
        suspects(all, &Calls::new(), is_long)[0].strength
    };
    assert_eq!(of("self_time", 0.7, true), Strength::Likely);
    assert_eq!(of("self_time", 0.9, false), Strength::Weak);
    assert_eq!(of("log_statement", 0.7, true), Strength::Weak);
    assert_eq!(of("log_statement", 0.9, true), Strength::Strong);
}

#[test]
fn services_that_call_each_other_end() {
    let all = vec![
        observed("a", "log_statement", 0.9, false),
        observed("b", "log_statement", 0.8, false),
    ];
    let found = suspects(all, &calls(&[("a", "b"), ("b", "a"), ("a", "a")]), true);
    assert_eq!(found.len(), 2);
}
