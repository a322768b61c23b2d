//! What `why` says beside causes: which requests, against what, and what it could not know.

mod shop;

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::Int32Type;
use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::{BaselineKind, Scope, Share, Verdict, WhyAnswer};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};
use shop::rows::{Span, Value, batches};
use shop::{BEGIN_NS, Fault, Shop, WINDOW_S};

fn question(shop: &Shop) -> WhyQuestion {
    let window = shop.window();
    let now = window.to.shifted(60 * SECOND_NS);
    WhyQuestion { scope: Scope::default(), window, baseline: None, slow: None, now }
}

fn ask_spans(shop: &Shop, spans: &[Span]) -> WhyAnswer {
    let evidence = WhyEvidence { spans: batches(spans, 1_000), ..WhyEvidence::default() };
    why(&question(shop), &evidence)
}

fn small(seed: u64) -> Shop {
    let mut shop = Shop::new(seed);
    (shop.requests, shop.background) = (800, 0.0);
    shop
}

/// A third of checkouts with pod 1 of payment fails.
fn failing(seed: u64) -> Shop {
    small(seed).failing(|visit| {
        let hit = visit.checkout && visit.pod("payment") == 1;
        hit.then(|| Fault::inside("payment", "no memory")).flatten()
    })
}

fn kinds(answer: &WhyAnswer) -> Vec<&'static str> {
    answer.gaps.iter().map(|gap| gap.kind()).collect()
}

#[test]
fn a_healthy_window_is_healthy_and_an_empty_one_says_nothing() {
    let shop = small(1);
    let answer = ask_spans(&shop, &shop.spans());
    assert_eq!((answer.verdict, answer.causes.len()), (Verdict::Healthy, 0));
    assert_eq!(answer.failing.total, 800.0);
    let nothing = ask_spans(&shop, &[]);
    assert_eq!((nothing.verdict, nothing.failing), (Verdict::NotEnoughEvidence, Share::default()));
}

#[test]
fn a_handful_of_failures_is_not_enough() {
    let shop = small(1).failing(|visit| {
        let hit = visit.checkout && (100.0..103.0).contains(&visit.second);
        hit.then(|| Fault::inside("payment", "lost")).flatten()
    });
    let answer = ask_spans(&shop, &shop.spans());
    assert_eq!((answer.verdict, answer.causes.len()), (Verdict::NotEnoughEvidence, 0));
    assert!(kinds(&answer).contains(&"few_requests"), "{:?}", answer.gaps);
}

#[test]
fn a_service_in_the_middle_can_be_asked_about() {
    let shop = failing(2);
    let spans = shop.spans();
    let evidence = WhyEvidence { spans: batches(&spans, 1_000), ..WhyEvidence::default() };
    let mut question = question(&shop);
    question.scope.service = Some("payment".into());
    let answer = why(&question, &evidence);
    let handled = spans.iter().filter(|span| span.name == "payment/handle").count();
    assert_eq!(answer.failing.total, handled as f64);
    assert_eq!(answer.scope.operation.as_deref(), Some("payment/handle"));
    assert_eq!(answer.verdict, Verdict::Explained);
    assert_eq!(answer.causes[0].conditions[0].parts[0].value, "payment-1.4.0-1");

    question.scope.service = Some("nobody".into());
    let answer = why(&question, &evidence);
    assert_eq!(answer.verdict, Verdict::NotEnoughEvidence);
    assert_eq!(answer.failing.total, 0.0);
}

fn told(answer: &WhyAnswer) -> String {
    let told: Vec<String> = answer.gaps.iter().map(|gap| gap.to_string()).collect();
    told.join("\n")
}

#[test]
fn what_was_asked_for_and_is_not_there_is_named() {
    let shop = failing(2);
    let evidence = WhyEvidence { spans: batches(&shop.spans(), 1_000), ..WhyEvidence::default() };
    let mut asked = question(&shop);
    asked.scope.service = Some("paymemt".into());
    let answer = why(&asked, &evidence);
    let line = "no span of a service named paymemt in this window; heard: checkout, gateway";
    assert!(told(&answer).contains(line), "{}", told(&answer));
    // A word of the evidence that is no service is none either.
    asked.scope.service = Some("payment/handle".into());
    assert!(told(&why(&asked, &evidence)).contains("no span of a service named payment/handle"));

    asked.scope = Scope { service: Some("gateway".into()), operation: Some("GET /nothing".into()) };
    let answer = why(&asked, &evidence);
    assert_eq!(answer.verdict, Verdict::NotEnoughEvidence);
    let line = "no request GET /nothing to gateway in this window, 800 others";
    assert!(told(&answer).contains(line), "{}", told(&answer));
}

#[test]
fn a_baseline_that_holds_nothing_is_not_passed_over() {
    let shop = failing(2);
    let mut asked = question(&shop);
    let to = asked.window.from;
    asked.baseline = Some(TimeRange { from: to.shifted(-SECOND_NS), to });
    let evidence = WhyEvidence { spans: batches(&shop.spans(), 1_000), ..WhyEvidence::default() };
    let answer = why(&asked, &evidence);
    assert_eq!(answer.baseline, BaselineKind::HealthyPeers);
    assert!(told(&answer).contains("no such request from "), "{}", told(&answer));
}

#[test]
fn telemetry_that_stopped_is_told() {
    let shop = small(1);
    let spans = shop.spans();
    assert!(!told(&ask_spans(&shop, &spans)).contains("no span began"));
    let mut asked = question(&shop);
    asked.window.to = asked.window.to.shifted(20 * 60 * SECOND_NS);
    asked.now = asked.window.to;
    let evidence = WhyEvidence { spans: batches(&spans, 1_000), ..WhyEvidence::default() };
    assert!(told(&why(&asked, &evidence)).contains("no span began in the last 20 min"));
}

#[test]
fn a_baseline_window_takes_the_place_of_healthy_peers() {
    let shop = failing(3);
    let earlier: Vec<Span> = {
        let mut spans = small(4).spans();
        for span in &mut spans {
            span.start -= WINDOW_S * SECOND_NS;
            span.trace ^= 1 << 127;
        }
        spans
    };
    let window = shop.window();
    let baseline = TimeRange { from: window.from.shifted(-window.length_ns()), to: window.from };
    let mut question = question(&shop);
    question.baseline = Some(baseline);
    let evidence = WhyEvidence {
        spans: batches(&shop.spans(), 1_000),
        baseline_spans: batches(&earlier, 1_000),
        ..WhyEvidence::default()
    };
    let answer = why(&question, &evidence);
    assert_eq!(answer.baseline, BaselineKind::Window(baseline));
    let before = answer.before.expect("a share before");
    assert!(before.count == 0.0 && before.total > 400.0, "{before:?}");
    assert_eq!(answer.causes[0].conditions[0].parts[0].value, "payment-1.4.0-1");
    let without = why(&question, &WhyEvidence { baseline_spans: Vec::new(), ..evidence });
    assert_eq!(without.baseline, BaselineKind::HealthyPeers);
    assert!(kinds(&without).contains(&"no_baseline"), "{:?}", without.gaps);
}

#[test]
fn every_request_counts_as_often_as_the_sampler_says() {
    let mut shop = failing(5);
    let plain = ask_spans(&shop, &shop.spans());
    shop.weight = Some(10.0);
    let weighted = ask_spans(&shop, &shop.spans());
    let tenfold = |share: Share| Share::new(share.count * 10.0, share.total * 10.0);
    assert_eq!(weighted.failing, tenfold(plain.failing));
    let (a, b) = (&plain.causes[0].conditions[0], &weighted.causes[0].conditions[0]);
    assert_eq!(b.contrast.failing, tenfold(a.contrast.failing));
    // Ten times the requests, but not ten times the evidence.
    assert_eq!(a.p_value, b.p_value);
}

#[test]
fn what_is_odd_about_the_evidence_becomes_a_gap() {
    let shop = failing(6);
    let mut spans = shop.spans();
    let place = |spans: &[Span], name: &str| {
        spans.iter().position(|span| span.name == name).expect("such a span")
    };
    let orphan = place(&spans, "pricing/handle");
    spans[orphan].parent = 0xdead;
    let negative = place(&spans, "catalog/handle");
    spans[negative].duration = Some(-5);
    let mut repeated = spans[0].clone();
    repeated.name = "somebody else".into();
    repeated.parent = spans[0].id;
    spans.push(repeated);
    let root = spans.iter().rposition(|span| span.parent == 0).expect("a root");
    spans[root].duration = None;
    spans[root].attributes.push(("span.tailsampling.policy", Value::Text("errors".into())));
    let mut question = question(&shop);
    question.now = question.window.to.shifted(10 * SECOND_NS);
    let evidence = WhyEvidence {
        spans: batches(&spans, 1_000),
        rejects: 2,
        truncated: Some(5_000),
        ..WhyEvidence::default()
    };
    let answer = why(&question, &evidence);
    let mut found = kinds(&answer);
    found.sort_unstable();
    let expected = [
        "incomplete_traces",
        "negative_durations",
        "no_baseline",
        "not_settled",
        "rejects",
        "repeated_span_ids",
        "silent_service",
        "tail_sampled",
        "truncated",
    ];
    let missing: Vec<_> = expected.iter().filter(|kind| !found.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?} not in {found:?}");
    assert_eq!(answer.verdict, Verdict::Explained);
}

// ===== recorded changes =====

fn changes(rows: &[(&str, &str, &str, i64)]) -> RecordBatch {
    let words = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        let texts: Vec<String> = (0..rows.len()).map(text).collect();
        let column: DictionaryArray<Int32Type> = texts.iter().map(|t| Some(t.as_str())).collect();
        Arc::new(column)
    };
    let ids: StringArray = rows.iter().map(|row| Some(row.0)).collect();
    let titles: StringArray = rows.iter().map(|row| Some(format!("deploy {}", row.1))).collect();
    let times = rows.iter().map(|row| BEGIN_NS + row.3 * SECOND_NS);
    let times = TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", Arc::new(ids)),
        ("time", Arc::new(times)),
        ("kind", words(&|_| "deploy".into())),
        ("service", words(&|row| rows[row].1.into())),
        ("version", words(&|row| rows[row].2.into())),
        ("title", Arc::new(titles)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// Everything was deployed at one moment; only payment is at fault, everywhere at once, so no
/// split tells, and the place in which the calls fail has to.
#[test]
fn of_deploys_at_one_moment_the_one_where_calls_fail_is_named() {
    let shop = Shop::new(7)
        .versions(|service, _, second| match service {
            "payment" | "catalog" | "inventory" if second >= 300.0 => "2.0.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let hit = visit.checkout && visit.second >= 300.0 && visit.luck < 0.3;
            hit.then(|| Fault::inside("payment", "no such column")).flatten()
        });
    let rows = [
        ("d-1", "catalog", "v2.0.0", 299),
        ("d-2", "payment", "v2.0.0", 298),
        ("d-3", "inventory", "v2.0.0", 300),
        ("d-0", "payment", "v1.4.0", -3_000),
    ];
    let evidence = WhyEvidence {
        spans: batches(&shop.spans(), 1_000),
        changes: vec![changes(&rows)],
        ..WhyEvidence::default()
    };
    let answer = why(&question(&shop), &evidence);
    let first = &answer.causes[0];
    let named: Vec<_> = first.after.iter().filter_map(|c| c.change_id.as_deref()).collect();
    assert_eq!(named, ["d-2"], "{:#?}", first.after);
    assert!(answer.ruled_out.iter().any(|line| line.contains("catalog")), "{answer:#?}");
    assert!(answer.ruled_out.iter().any(|line| line.contains("inventory")), "{answer:#?}");
    assert_eq!(first.after[0].at, UnixNanos(BEGIN_NS + 298 * SECOND_NS));
}

#[test]
fn a_burst_in_the_past_has_its_end() {
    let shop = Shop::new(8).failing(|visit| {
        let hit = visit.checkout && (200.0..320.0).contains(&visit.second) && visit.luck < 0.4;
        hit.then(|| Fault::timeout("payment", "card-gateway", 1_000)).flatten()
    });
    let answer = ask_spans(&shop, &shop.spans());
    let onset = answer.onset.expect("an onset");
    let second = |time: UnixNanos| (time.0 - BEGIN_NS) / SECOND_NS;
    assert!((198..=203).contains(&second(onset.at)), "{onset:?}");
    assert!(onset.until.is_some_and(|until| (317..=325).contains(&second(until))), "{onset:?}");
}
