//! What stands out without any status of error: each kind of evidence fires for what it is
//! about, is silent for what looks like it, and a time like another has no suspects.

mod mart;
mod shop;

use halfopen_model::answer::{Strength, Suspect};
use mart::{GATEWAY, LEDGER, Mart, ORDERS, PAYMENT, SERVICES, STOCK, metric};

/// The seconds at which the second time begins.
const SECOND_ERA_S: i64 = 180;

fn kinds(suspect: &Suspect) -> Vec<&'static str> {
    let mut kinds: Vec<_> = suspect.evidence.iter().map(|deviation| deviation.kind).collect();
    kinds.dedup();
    kinds
}

/// Exactly one service is suspect, and this is the strongest kind.
#[track_caller]
fn one(mart: &Mart, service: usize, kind: &str) -> Suspect {
    let found = mart.suspected();
    let names: Vec<_> = found.iter().map(|s| (s.service.as_str(), s.score, kinds(s))).collect();
    assert_eq!(found.len(), 1, "{names:?}");
    assert_eq!((names[0].0, names[0].2[0]), (SERVICES[service].1, kind), "{names:?}");
    found.into_iter().next().expect("one")
}

#[track_caller]
fn none(mart: &Mart) {
    let found = mart.suspected();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_slow_operation_is_found_by_its_own_time() {
    let mart = Mart::new(1, |plan| plan.own[LEDGER] += 60.0);
    let suspect = one(&mart, LEDGER, "self_time");
    let deviation = &suspect.evidence[0];
    assert_eq!((deviation.subject.as_str(), deviation.unit.as_str()), ("PUT /entry", "ns"));
    assert!((3e6..5e6).contains(&deviation.before), "{deviation:?}");
    assert!((62e6..66e6).contains(&deviation.now), "{deviation:?}");
    assert_eq!((deviation.samples, deviation.samples_before), (60, 60));
    assert_eq!(suspect.strength, Strength::Strong);
}

/// Its callers wait, and that is not their own time.
#[test]
fn a_part_that_is_slow_is_enough() {
    let mart = Mart::new(2, |plan| {
        if plan.luck < 0.45 {
            plan.own[STOCK] += 200.0;
        }
    });
    let suspect = one(&mart, STOCK, "self_time");
    assert!(suspect.evidence[0].subject.contains("GET /stock, in "), "{suspect:?}");
}

#[test]
fn a_slow_way_is_the_callees_until_a_second_one_decides() {
    let mart = Mart::new(3, |plan| plan.gap[STOCK] += 80.0);
    assert_eq!(one(&mart, STOCK, "edge_gap").evidence[0].subject, "orders → stock");
    let mart = Mart::new(4, |plan| {
        plan.gap[STOCK] += 80.0;
        plan.gap[PAYMENT] += 80.0;
    });
    one(&mart, ORDERS, "edge_gap");
}

#[test]
fn a_call_that_is_gone_is_found_and_more_traffic_is_not() {
    let mart = Mart::new(5, |plan| plan.called[LEDGER] = false);
    let suspect = one(&mart, PAYMENT, "call_shape");
    assert_eq!((suspect.evidence[0].before, suspect.evidence[0].now), (1.0, 0.0));
    let mut mart = Mart::new(6, |_| ());
    mart.requests = [40, 200];
    none(&mart);
}

/// A query in a loop: the operation that makes the calls is at fault and not the one that is asked.
#[test]
fn calls_that_multiply_are_found_where_they_are_made() {
    let mart = Mart::new(16, |plan| plan.times[STOCK] = 12);
    let suspect = one(&mart, ORDERS, "call_count");
    let calls = &suspect.evidence[0];
    assert_eq!(
        (calls.subject.as_str(), calls.unit.as_str()),
        ("POST /orders → call stock", "calls")
    );
    assert_eq!((calls.before, calls.now), (1.0, 12.0));
    // Two in place of one is a retry.
    none(&Mart::new(17, |plan| plan.times[STOCK] = 2));
}

#[test]
fn an_error_that_is_logged_is_found_and_one_that_is_gone_is_not() {
    let mart = Mart::new(7, |plan| plan.error(PAYMENT, "payment.rs:88 no card for user u17"));
    let suspect = one(&mart, PAYMENT, "log_statement");
    assert_eq!(suspect.evidence[0].subject, "payment.rs:88 no card for user …");
    assert!(!suspect.evidence[0].refs.is_empty());
    let mart = Mart::new(8, |plan| plan.lines.retain(|(_, _, text)| !text.contains(":10")));
    assert!(!mart.find().list.is_empty(), "statements that go are seen");
    let mart = Mart::new(9, |plan| plan.info(PAYMENT, "payment.rs:90 card of user u17 is new"));
    let found = mart.find();
    assert!(found.list[0].score < 0.6, "a new statement is half as much: {found:?}");
}

#[test]
fn lines_that_name_no_span_are_counted_by_time() {
    let mut mart = Mart::new(10, |plan| plan.error(STOCK, "stock.rs:9 shelf 12 is locked"));
    mart.linked_logs = false;
    one(&mart, STOCK, "log_statement");
    let mut mart = Mart::new(11, |_| ());
    mart.linked_logs = false;
    none(&mart);
}

/// What a service below explains is taken from its callers.
#[test]
fn a_caller_that_logs_about_its_callee_is_explained() {
    let mart = Mart::new(12, |plan| {
        plan.error(STOCK, "stock.rs:9 shelf 12 is locked");
        plan.error(ORDERS, "orders.rs:70 no stock for order 12");
        plan.error(GATEWAY, "gateway.rs:5 order 12 failed");
    });
    let found = mart.find();
    let first = &found.list[0];
    assert_eq!((first.service.as_str(), first.explains.len()), ("stock", 2), "{found:#?}");
    assert!(found.list[1..].iter().all(|other| other.score <= first.score / 2.0));
}

#[test]
fn requests_that_begin_to_fail_count_where_they_begin() {
    let mart = Mart::new(13, |plan| {
        if plan.luck < 0.3 {
            [GATEWAY, ORDERS, PAYMENT].iter().for_each(|at| plan.failed[*at] = true);
        }
    });
    // The spans of the calls do not fail, so each service fails by itself: the deepest counts.
    assert_eq!(mart.suspected()[0].service, "payment");
}

#[test]
fn a_busy_processor_is_found_beside_loud_traffic() {
    let mut mart = Mart::new(14, |_| ());
    let late = |second: i64| second >= SECOND_ERA_S;
    mart.points = metric("container.cpu.usage", 0.05, 1, |service, second| {
        if service == STOCK && late(second) { 20.0 } else { 1.0 }
    });
    mart.points.extend(metric("k8s.pod.network.io", 1_000.0, 2, |service, second| {
        if service == ORDERS && late(second) { 60.0 } else { 1.0 }
    }));
    let found = mart.find();
    assert_eq!(found.list[0].service, "stock", "{found:#?}");
    let cpu = &found.list[0].evidence[0];
    assert_eq!((cpu.kind, cpu.subject.as_str()), ("resource", "container.cpu.usage (cpu)"));
    assert!(cpu.query.is_some());
}

#[test]
fn load_that_rises_for_all_and_one_loud_point_are_no_suspects() {
    let mut mart = Mart::new(15, |_| ());
    mart.points =
        metric(
            "container.cpu.usage",
            0.05,
            3,
            |_, second| {
                if second >= SECOND_ERA_S { 20.0 } else { 1.0 }
            },
        );
    none(&mart);
    mart.points = metric("container.cpu.usage", 0.05, 4, |service, second| {
        if service == STOCK && second == 255 { 50.0 } else { 1.0 }
    });
    none(&mart);
}

/// The begin of the window may be a minute late: the fault is in the time before too.
#[test]
fn a_fault_that_is_in_part_of_the_window_is_found() {
    for seed in 20..26 {
        let mart = Mart::new(seed, |plan| {
            if plan.luck < 0.65 {
                plan.own[PAYMENT] += 100.0;
            }
        });
        assert_eq!(mart.suspected()[0].service, "payment");
    }
}

/// Two times that are alike: at the most three in a hundred name somebody.
#[test]
fn quiet_times_stay_quiet() {
    let quiet = |seed: u64| {
        let mut mart = Mart::new(1_000 + seed, |_| ());
        mart.requests = [10 + seed as usize % 60, 8 + seed as usize % 47];
        mart.points = metric("container.cpu.usage", 0.05, seed, |_, _| 1.0);
        mart.suspected().is_empty()
    };
    let loud = (0..200).filter(|seed| !quiet(*seed)).count();
    assert!(loud <= 6, "{loud} of 200 quiet times name somebody");
}

/// Nothing to compare with, and malformed traces, are no suspects and no endless loops.
#[test]
fn nothing_before_or_now_is_no_suspect() {
    for requests in [[0, 60], [60, 0], [0, 0], [2, 2]] {
        let mut mart = Mart::new(30, |plan| plan.own[LEDGER] += 500.0);
        mart.requests = requests;
        none(&mart);
    }
}
