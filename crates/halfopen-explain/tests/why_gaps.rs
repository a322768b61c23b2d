//! What `why` says about the evidence itself: clocks that do not agree, telemetry that was lost.

mod shop;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int64Array, RecordBatch, TimestampNanosecondArray, UInt32Array,
};
use arrow::datatypes::Int32Type;
use halfopen_explain::why::{WhyEvidence, why};
use halfopen_model::answer::{Gap, Verdict, WhyAnswer};
use halfopen_model::time::SECOND_NS;
use proptest::prelude::*;
use shop::plans::{bad_pod, timeout};
use shop::rows::{Span, batches};
use shop::told::question;
use shop::{BEGIN_NS, Shop};

fn small(mut shop: Shop) -> Shop {
    shop.requests = 600;
    shop
}

fn ask(shop: &Shop, spans: &[Span]) -> WhyAnswer {
    let evidence = WhyEvidence { spans: batches(spans, 1_000), ..WhyEvidence::default() };
    why(&question(shop), &evidence)
}

fn of_kind<'a>(answer: &'a WhyAnswer, kind: &str) -> Vec<&'a Gap> {
    answer.gaps.iter().filter(|gap| gap.kind() == kind).collect()
}

/// Moves the clock of a service.
fn move_clock(spans: &mut [Span], service: &str, by_ns: i64) {
    for span in spans.iter_mut().filter(|span| span.service == service) {
        span.start += by_ns;
    }
}

#[test]
fn clocks_that_agree_are_no_gap() {
    for seed in 1..=8 {
        let shop = small(timeout(seed));
        let answer = ask(&shop, &shop.spans());
        assert!(of_kind(&answer, "clock_skew").is_empty(), "{:?}", answer.gaps);
    }
}

/// A callee that goes on after its caller gave up, or was never waited for, has no wrong clock.
#[test]
fn callees_that_outlive_their_callers_are_no_gap() {
    let shop = small(bad_pod(1));
    let mut spans = shop.spans();
    for span in spans.iter_mut().filter(|span| span.name == "pricing/handle") {
        span.duration = span.duration.map(|duration| duration + SECOND_NS);
    }
    let answer = ask(&shop, &spans);
    assert!(of_kind(&answer, "clock_skew").is_empty(), "{:?}", answer.gaps);
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(12))]

    /// The estimate holds the truth, and what is wrong with clocks changes no verdict.
    #[test]
    fn a_clock_that_is_wrong_is_told_with_its_offset(
        seed in 1_u64..1_000,
        by_ms in prop_oneof![-20_000_i64..-10, 10_i64..20_000],
    ) {
        let shop = small(bad_pod(seed));
        let mut spans = shop.spans();
        let before = ask(&shop, &spans);
        move_clock(&mut spans, "pricing", by_ms * 1_000_000);
        let answer = ask(&shop, &spans);
        let skews = of_kind(&answer, "clock_skew");
        let told = matches!(skews.as_slice(), [Gap::ClockOffset { .. }]);
        prop_assert!(told, "{:?}", skews);
        if let [Gap::ClockOffset { caller, callee, ahead_ns, spread_ns, .. }] = skews.as_slice() {
            prop_assert_eq!((caller.as_str(), callee.as_str()), ("checkout", "pricing"));
            let off = (ahead_ns - by_ms * 1_000_000).abs();
            prop_assert!(off <= *spread_ns, "{} off by {}", skews[0], off);
            prop_assert!(*spread_ns < 5_000_000, "{}", skews[0]);
        }
        prop_assert_eq!(answer.verdict, Verdict::Explained);
        prop_assert_eq!(&answer.causes[0].conditions, &before.causes[0].conditions);
    }
}

#[test]
fn spans_that_lost_something_in_their_sdk_are_counted() {
    let shop = small(bad_pod(1));
    let mut rows = batches(&shop.spans(), 10_000);
    let spans = rows.swap_remove(0);
    let mut columns: Vec<(String, ArrayRef)> = spans
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .zip(spans.columns().iter().cloned())
        .filter(|(name, _)| !name.starts_with("dropped_"))
        .collect();
    let some = |every: usize| -> ArrayRef {
        let counts = (0..spans.num_rows()).map(|row| (row % every == 0).then_some(2));
        Arc::new(counts.collect::<UInt32Array>())
    };
    columns.push(("dropped_attributes".into(), some(100)));
    columns.push(("dropped_events".into(), some(50)));
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let spans = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let expected = spans.num_rows().div_ceil(50) as u64;
    let evidence = WhyEvidence { spans: vec![spans], ..WhyEvidence::default() };
    let answer = why(&question(&shop), &evidence);
    assert_eq!(of_kind(&answer, "dropped"), [&Gap::Dropped(expected)]);
}

/// Points of counters: service, name, error type, temporality, second, value.
type Point = (&'static str, &'static str, &'static str, &'static str, i64, i64);

fn points(rows: &[Point]) -> RecordBatch {
    let words = |text: &dyn Fn(&Point) -> &'static str| -> ArrayRef {
        let column: DictionaryArray<Int32Type> = rows.iter().map(|row| Some(text(row))).collect();
        Arc::new(column)
    };
    let times = rows.iter().map(|row| BEGIN_NS + row.4 * SECOND_NS);
    let times = TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC");
    let errors = rows.iter().map(|row| Some(row.2).filter(|error| !error.is_empty()));
    let errors: DictionaryArray<Int32Type> = errors.collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(times)),
        ("service", words(&|row| row.0)),
        ("name", words(&|row| row.1)),
        ("temporality", words(&|row| row.3)),
        ("value_int", Arc::new(rows.iter().map(|row| Some(row.5)).collect::<Int64Array>())),
        ("metric.error.type", Arc::new(errors)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn what_counters_say_was_lost_is_told() {
    const PROCESSED: &str = "otel.sdk.processor.span.processed";
    let rows = [
        // Spans that were exported are no loss; what a counter held before is none of this window.
        ("payment", PROCESSED, "", "cumulative", 0, 1_000),
        ("payment", PROCESSED, "", "cumulative", 60, 9_000),
        ("payment", PROCESSED, "queue_full", "cumulative", 60, 130),
        ("payment", PROCESSED, "queue_full", "cumulative", 0, 100),
        // The process was started anew.
        ("payment", PROCESSED, "queue_full", "cumulative", 120, 7),
        ("cart", "otel.sdk.exporter.span.exported", "timeout", "delta", 0, 4),
        ("cart", "otel.sdk.exporter.span.exported", "timeout", "delta", 60, 5),
        ("collector", "otelcol_exporter_send_failed_spans_total", "", "delta", 60, 512),
        ("quiet", PROCESSED, "queue_full", "cumulative", 0, 100),
        ("quiet", PROCESSED, "queue_full", "cumulative", 60, 100),
        ("quiet", "otel.sdk.span.live", "queue_full", "delta", 60, 100),
    ];
    let shop = small(bad_pod(1));
    let evidence = WhyEvidence {
        spans: batches(&shop.spans(), 1_000),
        metrics: vec![points(&rows[..4]), points(&rows[4..])],
        ..WhyEvidence::default()
    };
    let answer = why(&question(&shop), &evidence);
    let told: Vec<String> = of_kind(&answer, "lost").iter().map(|gap| gap.to_string()).collect();
    let expected = [
        "collector lost 512 spans: exporter send failed spans total",
        "payment lost 37 spans: queue_full",
        "cart lost 9 spans: timeout",
    ];
    assert_eq!(told, expected);
}
