//! One instance of a service beside its siblings: it is named where it alone behaves otherwise,
//! and not where it always did, where all do, or where chance may have done it.

mod mart;
mod shop;

use halfopen_model::answer::{Deviation, INSTANCE_OUTLIER, Strength, Suspect, Suspects};
use mart::{LEDGER, Mart, ORDERS, PAYMENT, Plan, STOCK, metric_of_pods, pod_name, range};
use shop::Dice;
use shop::rows::{Span, Value};

fn pods(seed: u64, pods: usize, wrong: impl Fn(&mut Plan) + 'static) -> Mart {
    let mut mart = Mart::new(seed, wrong);
    mart.pods = pods;
    mart
}

/// All that was found about instances, however weak.
fn outliers(found: &Suspects) -> Vec<(&Suspect, &Deviation)> {
    let each = found.list.iter().flat_map(|one| one.evidence.iter().map(move |of| (one, of)));
    each.filter(|(_, of)| of.kind == INSTANCE_OUTLIER).collect()
}

/// The one instance that is named, with what tells it.
#[track_caller]
fn named(found: &Suspects) -> (&str, &Deviation) {
    let all = outliers(found);
    let (suspect, first) = all.first().expect("an instance is named");
    assert!(suspect.strength >= Strength::Likely, "{found:#?}");
    let instance = suspect.instance.as_deref().expect("an instance");
    assert!(first.subject.contains(instance), "{first:#?}");
    (instance, first)
}

#[track_caller]
fn nobody(found: &Suspects) {
    let all = outliers(found);
    assert!(all.is_empty(), "{all:#?}");
    assert!(found.list.iter().all(|one| one.instance.is_none()), "{found:#?}");
}

fn slow(service: usize, pod: usize) -> impl Fn(&mut Plan) {
    move |plan| plan.own[service] += if plan.pod[service] == pod { 90.0 } else { 0.0 }
}

#[test]
fn one_slow_instance_is_named_with_its_numbers() {
    let mart = pods(1, 3, slow(PAYMENT, 2));
    let found = mart.find();
    let (instance, told) = named(&found);
    assert_eq!((found.list[0].service.as_str(), instance), ("payment", "payment-2"));
    assert_eq!(told.subject, "own time of POST /pay, payment-2 beside 2 others");
    assert!((8e6..13e6).contains(&told.before), "the others: {told:?}");
    assert!((95e6..105e6).contains(&told.now), "{told:?}");
    assert_eq!(told.samples + told.samples_before, 60);
    assert!(told.query.is_some() && !told.refs.is_empty());
}

#[test]
fn a_part_of_the_requests_of_an_instance_is_enough() {
    let mut mart = pods(2, 3, |plan| {
        let hit = plan.pod[STOCK] == 0 && plan.luck < 0.6;
        plan.own[STOCK] += if hit { 200.0 } else { 0.0 };
    });
    mart.requests = [120, 120];
    let found = mart.find();
    assert_eq!(named(&found).0, "stock-0");
}

#[test]
fn an_instance_that_was_always_slower_is_no_news() {
    let mut mart = pods(3, 3, |_| ());
    mart.always = Box::new(slow(PAYMENT, 2));
    nobody(&mart.find());
    // Where the time before is not known, it stands out from two siblings.
    mart.requests[0] = 0;
    assert_eq!(named(&mart.find()).0, "payment-2");
    // Of two nobody can say which one is odd...
    mart.pods = 2;
    mart.always = Box::new(slow(PAYMENT, 1));
    nobody(&mart.find());
    // ...unless it was not so before.
    let mart = pods(4, 2, slow(PAYMENT, 1));
    assert_eq!(named(&mart.find()).0, "payment-1");
}

/// A sibling that was always slow hides nobody, and is not the one that is named.
#[test]
fn what_is_new_is_told_from_what_was_always_so() {
    let mut mart = pods(5, 4, slow(PAYMENT, 2));
    mart.requests = [120, 120];
    mart.always = Box::new(slow(PAYMENT, 0));
    assert_eq!(named(&mart.find()).0, "payment-2");
}

#[test]
fn a_service_that_is_slower_as_a_whole_has_no_outlier() {
    let found = pods(6, 3, |plan| plan.own[LEDGER] += 60.0).find();
    nobody(&found);
    assert_eq!(found.list[0].evidence[0].kind, "self_time");
    // Instances that all differ, each from each.
    let mut mart = pods(7, 4, |_| ());
    mart.requests = [0, 120];
    mart.always = Box::new(|plan| {
        let share = [0.0, 0.25, 0.5, 0.75][plan.pod[LEDGER]];
        plan.own[LEDGER] += if plan.luck < share { 60.0 } else { 0.0 };
    });
    nobody(&mart.find());
}

#[test]
fn an_instance_in_which_requests_begin_to_fail_is_named() {
    let mart = pods(8, 3, |plan| plan.failed[STOCK] = plan.pod[STOCK] == 1 && plan.luck < 0.8);
    let found = mart.find();
    let (instance, told) = named(&found);
    assert_eq!((instance, told.unit.as_str()), ("stock-1", "ratio"));
    assert_eq!(told.subject, "requests that begin to fail in it, stock-1 beside 2 others");
    assert!(told.now > 0.5 && told.before == 0.0, "{told:?}");
}

/// A caller that only passes a failure on is not where it begins.
#[test]
fn the_instance_of_a_caller_is_not_to_blame() {
    let mart = pods(9, 3, |plan| {
        let bad = plan.pod[LEDGER] == 1;
        plan.failed[LEDGER] = bad;
        plan.own[LEDGER] += if bad { 90.0 } else { 0.0 };
    });
    let found = mart.find();
    assert_eq!(named(&found).0, "ledger-1");
    assert!(outliers(&found).iter().all(|(one, _)| one.service == "ledger"), "{found:#?}");
}

#[test]
fn calls_to_and_from_an_instance_are_told_apart() {
    let to = pods(10, 3, |plan| plan.gap[STOCK] += if plan.pod[STOCK] == 2 { 80.0 } else { 0.0 });
    let found = to.find();
    let (instance, told) = named(&found);
    assert_eq!(instance, "stock-2");
    assert_eq!(told.subject, "calls orders → stock under way, stock-2 beside 2 others");
    let from = pods(11, 3, |plan| {
        let slow = if plan.pod[ORDERS] == 0 { 80.0 } else { 0.0 };
        (plan.gap[STOCK], plan.gap[PAYMENT]) = (plan.gap[STOCK] + slow, plan.gap[PAYMENT] + slow);
    });
    assert_eq!(named(&from.find()).0, "orders-0");
}

/// Which attribute tells instances apart is seen from the values, in the order of the conventions.
#[test]
fn an_attribute_that_tells_nothing_apart_is_passed_over() {
    let mut mart = pods(12, 3, slow(PAYMENT, 2));
    mart.named = |service, pod, _| {
        vec![
            ("resource.service.instance.id", Value::Text("the same".into())),
            ("resource.k8s.pod.name", pod_name(service, pod)),
            ("resource.host.name", Value::Text("one host".into())),
        ]
    };
    assert_eq!(named(&mart.find()).0, "payment-2");
    let mut spans = mart.rows().0;
    for (number, span) in spans.iter_mut().enumerate() {
        span.attributes[0].1 = Value::Text(format!("new in each span {number}"));
    }
    assert_eq!(named(&mart.find_in(spans)).0, "payment-2");
    // A new instance has no past.
    let mut mart = pods(13, 3, slow(PAYMENT, 2));
    mart.named = |service, pod, is_now| {
        let Value::Text(name) = pod_name(service, pod) else { unreachable!("a name") };
        vec![("resource.service.instance.id", Value::Text(format!("{name}-{is_now}")))]
    };
    assert_eq!(named(&mart.find()).0, "payment-2-true");
}

#[test]
fn instances_without_a_name_are_none() {
    let mut mart = pods(14, 3, slow(PAYMENT, 2));
    mart.named = |_, pod, _| {
        let name = if pod == 2 { String::new() } else { format!("pod {pod}") };
        vec![("resource.service.instance.id", Value::Text(name))]
    };
    nobody(&mart.find());
    mart.named = |_, pod, _| vec![("resource.service.instance.id", Value::Int(pod as i64))];
    nobody(&mart.find());
    mart.named = |_, _, _| Vec::new();
    nobody(&mart.find());
}

/// Deals the names of instances anew, whatever ran where: which of them met what is chance.
fn shuffle(spans: &mut [Span], dice: &mut Dice) {
    let mut dealt = std::collections::BTreeMap::new();
    for span in spans.iter_mut().filter(|span| !span.attributes.is_empty()) {
        let pod = dealt.entry((span.trace, span.service.clone())).or_insert_with(|| dice.below(4));
        span.attributes[0].1 = Value::Text(format!("{}-{pod}", span.service));
    }
}

/// Slow and failing requests in the second time, in the third of it in which they began late, and
/// with nothing before: with shuffled instances one answer in a hundred may name one.
#[test]
fn shuffled_instances_name_nobody() {
    for (before, share) in [(60, 0.3), (0, 0.3), (0, 0.05), (30, 0.9)] {
        let loud = |seed: &u64| {
            let mut mart = pods(7_000 + seed, 4, move |plan| {
                plan.own[STOCK] += if plan.luck < share { 150.0 } else { 0.0 };
                plan.gap[PAYMENT] += if plan.luck > 1.0 - share { 80.0 } else { 0.0 };
                plan.failed[LEDGER] = plan.luck < share;
            });
            mart.requests = [before, 60];
            let mut spans = mart.rows().0;
            shuffle(&mut spans, &mut Dice(*seed));
            !outliers(&mart.find_in(spans)).is_empty()
        };
        let loud: Vec<u64> = (0..150).filter(loud).collect();
        assert!(loud.len() <= 3, "{loud:?} of 150 name an instance, {before} {share}");
    }
}

/// An instance that is slow and fails now and then, in both times alike: which of its requests came
/// now is chance.
#[test]
fn what_was_always_so_becomes_no_news_by_chance() {
    let loud = |seed: &u64| {
        let mut mart = pods(9_000 + seed, 3, |_| ());
        mart.always = Box::new(|plan| {
            let hit = plan.pod[STOCK] == 1 && plan.luck < 0.5;
            plan.own[STOCK] += if hit { 150.0 } else { 0.0 };
            plan.failed[LEDGER] = plan.pod[LEDGER] == 2 && plan.luck > 0.6;
        });
        !outliers(&mart.find()).is_empty()
    };
    let loud: Vec<u64> = (0..200).filter(loud).collect();
    assert!(loud.len() <= 4, "{loud:?} of 200 name an instance");
}

/// What is wrong with traces themselves is nobody's fault.
#[test]
fn malformed_traces_name_no_instance() {
    for seed in 0..8 {
        let mart = pods(8_000 + seed, 3, |_| ());
        let (mut dice, split) = (Dice(seed), range(1).from.0);
        let mut spans = mart.rows().0;
        for span in spans.iter_mut().filter(|span| span.start >= split) {
            match dice.below(60) {
                0 => span.parent = dice.next() | 1,
                1 => span.parent = span.id,
                2 => span.duration = Some(-1_000_000_000),
                3 => span.duration = Some(86_400_000_000_000),
                4 => span.start += 3_600_000_000_000,
                5 => span.attributes[0].1 = Value::Text("\u{0}".into()),
                6 => span.attributes.clear(),
                _ => {}
            }
        }
        nobody(&mart.find_in(spans));
    }
}

/// The seconds at which the second time begins.
const SECOND_ERA_S: i64 = 180;

#[test]
fn an_instance_that_uses_more_than_its_siblings_is_named() {
    let with = |pods: usize, seed: u64, of: fn(usize, i64) -> f64| {
        let mut mart = Mart::new(seed, |_| ());
        mart.points = metric_of_pods(STOCK, pods, seed, of);
        mart
    };
    let late = |pod: usize, second: i64| {
        if pod == 2 && second >= SECOND_ERA_S { 20.0 } else { 1.0 }
    };
    for pods in [2, 3] {
        let found = with(pods, 20, late).find();
        let (instance, told) = named(&found);
        assert_eq!((found.list[0].service.as_str(), instance), ("stock", "pod-2"));
        assert!(told.subject.starts_with("container.cpu.usage (cpu), pod-2 beside "), "{told:?}");
        assert!(told.now > 10.0 * told.before && told.samples >= 4, "{told:?}");
    }
    // A leader always uses more; load rises for all; one point is loud.
    let leader = |pod: usize, _: i64| if pod == 2 { 20.0 } else { 1.0 };
    nobody(&with(3, 21, leader).find());
    let rising = with(3, 22, |_, second| if second >= SECOND_ERA_S { 20.0 } else { 1.0 }).find();
    assert!(outliers(&rising).is_empty(), "{rising:#?}");
    nobody(&with(3, 23, |pod, at| if pod == 2 && at == 255 { 50.0 } else { 1.0 }).find());
    // With nothing before a leader cannot be told from an outlier, and two tell nothing.
    let since = |pods: usize| {
        let mut mart = with(pods, 24, leader);
        mart.points.retain(|point| point.2 >= SECOND_ERA_S);
        mart
    };
    assert_eq!(named(&since(3).find()).0, "pod-2");
    nobody(&since(2).find());
}

/// Points that rise for some seconds, dealt to the instances anew each time.
#[test]
fn shuffled_points_name_no_instance() {
    let loud = |seed: &u64| {
        let mut dice = Dice(*seed);
        let mut mart = Mart::new(*seed, |_| ());
        let factors: Vec<f64> = (0..400).map(|_| 1.0 + dice.below(30) as f64).collect();
        let order: Vec<usize> = (0..400).map(|_| dice.below(4)).collect();
        mart.points = metric_of_pods(STOCK, 4, *seed, move |pod, at| {
            let loud = (pod + order[at as usize]).is_multiple_of(4);
            if loud { factors[at as usize] } else { 1.0 }
        });
        !outliers(&mart.find()).is_empty()
    };
    let loud: Vec<u64> = (0..150).filter(loud).collect();
    assert!(loud.len() <= 3, "{loud:?} of 150 name an instance");
}
