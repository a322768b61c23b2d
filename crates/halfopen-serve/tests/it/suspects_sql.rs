//! What stands out comes with the SQL that gives its two numbers again: asked of a real store, it
//! does.

use halfopen_model::Table;
use halfopen_model::answer::{ChainOf, Deviation, Scope, VERSION_SPLIT, WhyAnswer};
use halfopen_serve::desk::{WhyAsk, WhyBaseline};

use crate::mart::{
    GATEWAY, LEDGER, Mart, ORDERS, PAYMENT, STOCK, metric, metric_of_pods, pod_name, range,
};
use crate::shop::rows::Value;
use crate::why_sql::Office;

/// Sums of shares differ in their last digits with the order of the rows.
const ALIKE: f64 = 1e-9;

/// Fewer requests than usual, so that the store is asked quickly.
fn mart(seed: u64, wrong: impl Fn(&mut crate::mart::Plan) + 'static) -> Mart {
    let mut mart = Mart::new(seed, wrong);
    mart.requests = [30, 31];
    mart
}

async fn office(mart: &Mart) -> Office {
    let (spans, logs, points) = mart.rows();
    let office = Office::over(&spans).await;
    office.write(Table::Logs, &logs).await;
    office.write(Table::Metrics, &points).await;
    office
}

fn ask() -> WhyAsk {
    let baseline = Some(WhyBaseline::Range(range(0)));
    WhyAsk { window: Some(range(1)), baseline, ..WhyAsk::default() }
}

/// Everything that the answer measured.
fn measured(answer: &WhyAnswer) -> Vec<&Deviation> {
    let suspects = answer.suspects.as_ref().expect("a time to compare with");
    let each = suspects.list.iter().flat_map(|one| one.path.iter().chain(&one.evidence));
    suspects.symptom.iter().chain(each).collect()
}

/// Asks why, then asks SQL for every number.
async fn check(mart: &Mart, kinds: &[&str]) {
    check_against(mart, ask(), kinds).await;
}

async fn check_against(mart: &Mart, ask: WhyAsk, kinds: &[&str]) {
    let office = office(mart).await;
    let answer = office.desk.why(ask).await.expect("an answer");
    let measured = measured(&answer);
    for kind in kinds {
        assert!(measured.iter().any(|one| one.kind == *kind), "no {kind}: {answer:#?}");
    }
    all_again(&office, &answer).await;
    office.close().await;
}

async fn all_again(office: &Office, answer: &WhyAnswer) {
    let measured = measured(answer);
    assert!(!measured.is_empty());
    for one in &measured {
        let sql = one.query.as_deref().expect("evidence with SQL");
        let found = office.numbers(sql).await;
        let told = [one.now, one.before, one.samples as f64, one.samples_before as f64];
        let alike = |(a, b): (&f64, &f64)| (a - b).abs() <= ALIKE * b.abs().max(1.0);
        assert!(found.iter().zip(&told).all(alike), "{found:?} for {one:#?}\n{sql}");
    }
    for hop in &answer.chain.hops {
        let known = |id: &String| measured.iter().any(|one| one.id == *id);
        let of_requests = |id: &String| answer.symptom.iter().any(|one| one.id == *id);
        assert!(hop.evidence.iter().all(|id| known(id) || of_requests(id)), "{hop:#?}");
    }
}

#[tokio::test]
async fn times_count_as_sql_does() {
    let slow = mart(1, |plan| plan.own[LEDGER] += 60.0);
    check(&slow, &["self_time", "request_time", "call_time"]).await;
    let part = mart(2, |plan| {
        if plan.luck < 0.45 {
            plan.own[STOCK] += 200.0;
        }
    });
    check(&part, &["self_time"]).await;
    let way = mart(3, |plan| plan.gap[STOCK] += 80.0);
    // Against the time before the window, which nobody named.
    let before = WhyAsk { baseline: None, ..ask() };
    check_against(&way, before, &["edge_gap", "request_time", "call_time"]).await;
}

#[tokio::test]
async fn calls_and_failures_count_as_sql_does() {
    let gone = mart(4, |plan| plan.called[LEDGER] = false);
    check(&gone, &["call_shape"]).await;
    let many = mart(9, |plan| plan.times[STOCK] = if plan.luck < 0.4 { 14 } else { 1 });
    check(&many, &["call_count"]).await;
    let failing = mart(5, |plan| {
        if plan.luck < 0.5 {
            [ORDERS, PAYMENT].iter().for_each(|at| plan.failed[*at] = true);
        }
    });
    check(&failing, &["error_origin"]).await;
}

#[tokio::test]
async fn statements_count_as_sql_does() {
    let mut shop = mart(6, |plan| plan.error(PAYMENT, "payment.rs:88 no card (type=visa) for u17"));
    check(&shop, &["log_statement"]).await;
    shop.linked_logs = false;
    check(&shop, &["log_statement"]).await;
}

#[tokio::test]
async fn resources_count_as_sql_does() {
    let mut shop = mart(7, |_| ());
    shop.points = metric("container.cpu.usage", 0.05, 1, |service, second| {
        if service == STOCK && second >= 180 { 20.0 } else { 1.0 }
    });
    check(&shop, &["resource"]).await;
}

/// One instance beside its siblings: by its own time, in a part of its requests, by calls to it
/// and from it, by failures and by what it uses.
#[tokio::test]
async fn instances_count_as_sql_does() {
    type Wrong = fn(&mut crate::mart::Plan);
    let wrong: [(Wrong, &str); 5] = [
        (|plan| plan.own[STOCK] += if plan.pod[STOCK] == 1 { 90.0 } else { 0.0 }, "own time of "),
        (
            |plan| {
                let hit = plan.pod[STOCK] == 1 && plan.luck < 0.45;
                plan.own[STOCK] += if hit { 300.0 } else { 0.0 };
            },
            "own time of GET /stock, stock-1 beside 2 others, in ",
        ),
        (|plan| plan.gap[STOCK] += if plan.pod[STOCK] == 1 { 90.0 } else { 0.0 }, "calls orders "),
        (|plan| plan.gap[STOCK] += if plan.pod[ORDERS] == 1 { 90.0 } else { 0.0 }, "calls orders "),
        (|plan| plan.failed[STOCK] = plan.pod[STOCK] == 1, "requests that begin to fail in it"),
    ];
    for (number, (wrong, subject)) in wrong.into_iter().enumerate() {
        let mut shop = mart(20 + number as u64, wrong);
        (shop.pods, shop.requests) = (3, [90, 91]);
        // Some spans do not tell where they ran.
        shop.named = |service, pod, _| match (service, pod) {
            (PAYMENT, 2) => Vec::new(),
            _ => vec![("resource.k8s.pod.name", pod_name(service, pod))],
        };
        check_instance(&shop, subject).await;
    }
    let mut shop = mart(30, |_| ());
    shop.points = metric_of_pods(
        STOCK,
        3,
        1,
        |pod, second| {
            if pod == 2 && second >= 180 { 20.0 } else { 1.0 }
        },
    );
    check_instance(&shop, "container.cpu.usage (cpu), pod-2 beside 2 others").await;
}

async fn check_instance(shop: &Mart, subject: &str) {
    let office = office(shop).await;
    let answer = office.desk.why(ask()).await.expect("an answer");
    let told = |one: &&Deviation| one.is_beside() && one.subject.starts_with(subject);
    assert!(measured(&answer).into_iter().any(|one| told(&one)), "{subject}: {answer:#?}");
    all_again(&office, &answer).await;
    office.close().await;
}

/// A new version beside the old one: by its own time and by failures; the chain ends at the change.
#[tokio::test]
async fn versions_count_as_sql_does() {
    for fails in [false, true] {
        let mut shop = mart(40 + u64::from(fails), move |plan| {
            let is_new = plan.pod[STOCK] == 0;
            plan.own[STOCK] += if is_new && !fails { 90.0 } else { 0.0 };
            plan.failed[STOCK] = is_new && fails;
        });
        (shop.pods, shop.requests) = (2, [60, 61]);
        shop.named = |service, pod, is_now| {
            let is_new = service == STOCK && pod == 0 && is_now;
            let version = if is_new { "[\"2.0\"]" } else { "[\"1.0\"]" };
            vec![("resource.container.image.tags", Value::Text(version.to_owned()))]
        };
        let office = office(&shop).await;
        let answer = office.desk.why(ask()).await.expect("an answer");
        let told =
            |one: &&Deviation| one.kind == VERSION_SPLIT && one.subject.contains("2.0 beside 1.0");
        assert!(measured(&answer).into_iter().any(|one| told(&one)), "{answer:#?}");
        all_again(&office, &answer).await;
        if answer.chain.of == ChainOf::Suspect {
            let last = answer.chain.hops.last().expect("hops");
            assert!(
                last.statement.starts_with("after deploy: container.image 2.0 first"),
                "{last:#?}"
            );
            assert!(last.query.is_some() && last.evidence.len() == 1, "{last:#?}");
        }
        office.close().await;
    }
}

/// With nothing before an instance still has its siblings.
#[tokio::test]
async fn instances_need_no_time_before() {
    let mut shop =
        mart(31, |plan| plan.own[STOCK] += if plan.pod[STOCK] == 1 { 90.0 } else { 0.0 });
    (shop.pods, shop.requests) = (3, [0, 90]);
    shop.named = |service, pod, _| {
        let same = Value::Text("the same".into());
        let pod = ("resource.k8s.pod.name", pod_name(service, pod));
        vec![("resource.service.instance.id", same), pod]
    };
    let office = office(&shop).await;
    let answer = office.desk.why(WhyAsk { baseline: None, ..ask() }).await.expect("an answer");
    let suspects = answer.suspects.as_ref().expect("siblings to compare with");
    assert_eq!(suspects.list[0].instance.as_deref(), Some("stock-1"), "{suspects:#?}");
    assert_eq!(answer.chain.of, ChainOf::Suspect);
    all_again(&office, &answer).await;
    office.close().await;
}

/// Who names a service asks about its requests, and about what they reach.
#[tokio::test]
async fn a_named_service_counts_as_sql_does() {
    let slow = mart(8, |plan| {
        plan.own[LEDGER] += 60.0;
        plan.own[GATEWAY] += 300.0;
    });
    let office = office(&slow).await;
    let scope = Scope { service: Some("payment".into()), operation: None };
    let answer = office.desk.why(WhyAsk { scope, ..ask() }).await.expect("an answer");
    let suspects = answer.suspects.as_ref().expect("a time to compare with");
    let names: Vec<&str> = suspects.list.iter().map(|one| one.service.as_str()).collect();
    assert_eq!((names, answer.chain.of), (vec!["ledger"], ChainOf::Suspect), "{suspects:#?}");
    all_again(&office, &answer).await;
    office.close().await;
}
