use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use expect_test::{Expect, expect};
use halfopen_model::AttributeValue;

use super::*;
use crate::drawn::{self, BASE_NS, Drawn, span_row, times, trace_of, words};

/// Visits one second apart: what `more` says of each.
fn visits(
    count: u8,
    service: &str,
    more: impl Fn(u8) -> Vec<(&'static str, String)>,
) -> Vec<Drawn> {
    let visit = |number: u8| {
        let at = i64::from(number) * 1_000;
        let mut span = span_row(&format!("1<- {service} work {at}..{} @server", at + 5));
        span.trace = trace_of(&number.to_string());
        let pair =
            |(key, value): (&str, String)| (format!("resource.{key}"), AttributeValue::Text(value));
        span.attributes = more(number).into_iter().map(pair).collect();
        span
    };
    (1..=count).map(visit).collect()
}

/// A row of `changes`: second, kind, service, version, title.
fn told(at_s: i64, kind: &str, service: &str, version: Option<&str>, title: &str) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", Arc::new(StringArray::from(vec!["change-1"]))),
        ("time", times([BASE_NS + at_s * SECOND_NS].into_iter())),
        ("kind", words([Some(kind)].into_iter())),
        ("service", words([Some(service)].into_iter())),
        ("version", words([version].into_iter())),
        ("title", Arc::new(StringArray::from(vec![title]))),
        ("source", words([Some("api")].into_iter())),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn asked(spans: &[Drawn], told: Vec<RecordBatch>) -> ChangesAnswer {
    let window = TimeRange { from: UnixNanos(BASE_NS), to: UnixNanos(BASE_NS + 600 * SECOND_NS) };
    let question = ChangesQuestion { window, service: None, kind: None };
    let spans = vec![drawn::spans(spans)];
    list(&question, &ChangesEvidence { told, spans, ..ChangesEvidence::default() })
}

#[track_caller]
fn check(answer: &ChangesAnswer, expected: Expect) {
    let mut text = String::new();
    for change in &answer.changes {
        let second = change.at.since(UnixNanos(BASE_NS)) / SECOND_NS;
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        let by = word(&change.told_by);
        text += &format!(
            "{second}s {} {}: {} {} → {}, told by {by}",
            change.kind,
            word(&change.service),
            word(&change.what),
            word(&change.from),
            word(&change.to),
        );
        if let Some(seen) = change.seen {
            text += &format!(", seen on {} of {}", seen.instances.count, seen.instances.total);
        }
        text += "\n";
    }
    answer.gaps.iter().for_each(|gap| text += &format!("gap: {gap}\n"));
    expected.assert_eq(&text);
}

fn rollout(number: u8) -> Vec<(&'static str, String)> {
    let new = number > 100 && number.is_multiple_of(2);
    let version = if new { "2.3.1" } else { "2.3.0" };
    vec![
        ("service.version", version.to_owned()),
        ("container.image.tags", format!("[\"{version}\"]")),
        ("service.instance.id", format!("pay-{}", number % 2 + if new { 2 } else { 0 })),
    ]
}

#[test]
fn what_was_told_and_what_was_seen_of_one_deploy_are_one_change() {
    let spans = visits(200, "pay", rollout);
    check(
        &asked(&spans, vec![told(90, "deploy", "pay", Some("v2.3.1"), "pay")]),
        expect![[r#"
        90s deploy pay: service.version 2.3.0 → v2.3.1, told by api, seen on 1 of 2
        gap: nothing is known before 2026-11-20T14:00:01Z, the first span
    "#]],
    );
    check(
        &asked(&spans, Vec::new()),
        expect![[r#"
        102s deploy pay: service.version 2.3.0 → 2.3.1, told by -, seen on 1 of 2
        gap: nothing is known before 2026-11-20T14:00:01Z, the first span
    "#]],
    );
    // Another version, and another service, are other changes.
    let others = vec![
        told(90, "deploy", "pay", Some("9.9.9"), "pay"),
        told(95, "deploy", "stock", None, "stock"),
    ];
    check(
        &asked(&spans, others),
        expect![[r#"
        90s deploy pay: service.version - → 9.9.9, told by api
        95s deploy stock: - - → -, told by api
        102s deploy pay: service.version 2.3.0 → 2.3.1, told by -, seen on 1 of 2
        gap: nothing is known before 2026-11-20T14:00:01Z, the first span
    "#]],
    );
}

#[test]
fn nothing_is_known_before_the_first_span() {
    let mut spans = visits(200, "pay", |_| vec![("service.version", "2.3.0".to_owned())]);
    let late = visits(200, "fraud", |_| vec![("service.version", "1.0.0".to_owned())]);
    spans.extend(late.into_iter().skip(120));
    check(
        &asked(&spans, Vec::new()),
        expect![[r#"
        gap: nothing is known before 2026-11-20T14:00:01Z, the first span
        gap: fraud was first heard at 2026-11-20T14:02:01Z: it may be new as a whole
    "#]],
    );
    check(
        &asked(&[], vec![told(90, "config", "pay", None, "limits raised")]),
        expect![[r#"
        90s config pay: - - → -, told by api
        gap: no span is of that time: only what was told is listed
    "#]],
    );
}

#[test]
fn configurations_and_flags_are_changes_of_their_kind() {
    let mut spans = visits(200, "pay", |number| {
        vec![("config.hash", if number > 80 { "b2" } else { "a1" }.to_owned())]
    });
    for (number, span) in spans.iter_mut().enumerate() {
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        let variant = if number > 150 { "on" } else { "off" };
        let attributes = vec![
            ("feature_flag.key".to_owned(), text("new-tax")),
            ("feature_flag.result.variant".to_owned(), text(variant)),
        ];
        span.events.push((span.start_ms, "feature_flag.evaluation".to_owned(), attributes));
    }
    let flag = told(140, "flag", "pay", None, "new-tax on for all");
    check(
        &asked(&spans, vec![flag]),
        expect![[r#"
        81s config pay: config.hash a1 → b2, told by -, seen on 0 of 0
        140s flag pay: new-tax off → on, told by api, seen on 0 of 0
        gap: nothing is known before 2026-11-20T14:00:01Z, the first span
    "#]],
    );
}

#[test]
fn only_what_is_asked_for_is_listed() {
    let spans = [visits(200, "pay", rollout), visits(200, "stock", rollout)].concat();
    let window = TimeRange { from: UnixNanos(BASE_NS), to: UnixNanos(BASE_NS + 600 * SECOND_NS) };
    let ask = |service: Option<&str>, kind: Option<&str>, window| {
        let [service, kind] = [service, kind].map(|word| word.map(str::to_owned));
        let evidence =
            ChangesEvidence { spans: vec![drawn::spans(&spans)], ..ChangesEvidence::default() };
        list(&ChangesQuestion { window, service, kind }, &evidence).changes.len()
    };
    assert_eq!(ask(None, None, window), 2);
    assert_eq!((ask(Some("pay"), None, window), ask(Some("cart"), None, window)), (1, 0));
    assert_eq!((ask(None, Some("deploy"), window), ask(None, Some("flag"), window)), (2, 0));
    let before = TimeRange { from: window.from, to: window.from.shifted(50 * SECOND_NS) };
    assert_eq!(ask(None, None, before), 0);
}
