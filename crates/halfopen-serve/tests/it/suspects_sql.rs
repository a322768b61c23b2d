//! What stands out comes with the SQL that gives its two numbers again: asked of a real store, it
//! does.

use halfopen_model::Table;
use halfopen_model::answer::{ChainOf, Deviation, Scope, WhyAnswer};
use halfopen_serve::desk::{WhyAsk, WhyBaseline};

use crate::mart::{GATEWAY, LEDGER, Mart, ORDERS, PAYMENT, STOCK, metric, range};
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
