use std::collections::HashSet;

use expect_test::{Expect, expect};
use halfopen_model::answer::{SpanFault, TraceAnswer};
use halfopen_model::time::show_duration;
use halfopen_model::{AttributeValue, TraceId};
use proptest::prelude::*;

use super::assemble;
use crate::drawn::{Drawn, TRACE, span_row, spans};
use crate::drawn_logs::logs;

fn parsed(text: &str) -> Vec<Drawn> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(span_row).collect()
}

fn answer(text: &str) -> TraceAnswer {
    assemble(TRACE, &[spans(&parsed(text))], &[]).expect("spans")
}

fn render(answer: &TraceAnswer) -> String {
    let mut text = String::new();
    for (index, span) in answer.spans.iter().enumerate() {
        let indent = "  ".repeat(span.depth);
        let first = if answer.failed_first == Some(index) { " <= failed first" } else { "" };
        let failed = if span.failed { " failed" } else { "" };
        let faults =
            if span.faults.is_empty() { String::new() } else { format!(" {:?}", span.faults) };
        let own = show_duration(span.self_ns);
        text +=
            &format!("{indent}{} {} self {own}{failed}{faults}{first}\n", span.service, span.name);
        for event in &span.events {
            text += &format!("{indent}  * {} {} {}\n", event.service, event.label, event.text);
        }
    }
    for event in &answer.unplaced {
        text += &format!("* {} {} {}\n", event.service, event.label, event.text);
    }
    for gap in &answer.gaps {
        text += &format!("gap: {gap}\n");
    }
    for next in &answer.next {
        text += &format!("next: {next}\n");
    }
    text
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&render(&answer(text)));
}

#[test]
fn parents_stand_before_children_and_siblings_by_time() {
    check(
        "4<1 stock reserve 50..80
         3<2 bank authorise 15..40
         1<- gate POST 0..100
         2<1 pay charge 10..45",
        expect![[r#"
            gate POST self 35.0 ms
              pay charge self 10.0 ms
                bank authorise self 25.0 ms
              stock reserve self 30.0 ms
        "#]],
    );
}

#[test]
fn self_time_counts_parallel_children_once_and_what_hangs_over_not_at_all() {
    check(
        "1<- gate POST 0..100
         2<1 a x 10..60
         3<1 b x 40..90
         4<1 c x 95..300",
        expect![[r#"
            gate POST self 15.0 ms
              a x self 50.0 ms
              b x self 50.0 ms
              c x self 205.0 ms
        "#]],
    );
}

#[test]
fn the_deepest_failure_came_first_and_one_that_was_survived_did_not() {
    check(
        "1<- gate POST 0..100 error
         2<1 pay first-try 10..20 error
         3<2 bank connect 11..19 error
         4<3 bank dns 12..15
         5<1 mail send 50..60
         6<5 smtp try 51..52 error
         7<6 smtp socket 51..52 error
         8<7 smtp deep 51..52 error",
        expect![[r#"
            gate POST self 80.0 ms failed
              pay first-try self 2.0 ms failed
                bank connect self 5.0 ms failed <= failed first
                  bank dns self 3.0 ms
              mail send self 9.0 ms
                smtp try self 0 ns failed
                  smtp socket self 0 ns failed
                    smtp deep self 1.0 ms failed
            next: halfopen why gate --from 2026-11-20T13:45:00Z --to 2026-11-20T14:15:01Z
        "#]],
    );
}

#[test]
fn failures_are_known_by_http_and_grpc_too() {
    check(
        "1<- gate POST 0..100 http.response.status_code=503
         2<1 pay charge 10..20 rpc.status_code=UNAVAILABLE
         3<1 pay charge 30..40 rpc.status_code=NOT_FOUND",
        expect![[r#"
            gate POST self 80.0 ms failed
              pay charge self 10.0 ms failed <= failed first
              pay charge self 10.0 ms
            next: halfopen why gate --from 2026-11-20T13:45:00Z --to 2026-11-20T14:15:01Z
        "#]],
    );
}

#[test]
fn orphans_and_several_roots_are_shown_where_their_time_is() {
    check(
        "1<- gate POST 0..100
         2<9 pay lost 10..45
         3<2 bank authorise 15..40
         4<- cron tick 5..6",
        expect![[r#"
            gate POST self 100.0 ms
            cron tick self 1.0 ms
            pay lost self 10.0 ms [Orphan]
              bank authorise self 25.0 ms
            gap: 1 span names a parent that did not arrive
        "#]],
    );
    check(
        "2<9 pay lost 10..45",
        expect![[r#"
            pay lost self 35.0 ms [Orphan]
            gap: the root of the trace did not arrive
            gap: 1 span names a parent that did not arrive
        "#]],
    );
}

#[test]
fn circles_of_parents_end() {
    check(
        "1<1 a self 0..10
         2<3 b left 1..9
         3<2 b right 2..8
         4<3 c below 3..4",
        expect![[r#"
            a self self 10.0 ms [Cycle]
            b left self 8.0 ms [Cycle]
            b right self 5.0 ms [Cycle]
              c below self 1.0 ms
            gap: the root of the trace did not arrive
            gap: 3 spans in a circle of parents
        "#]],
    );
}

#[test]
fn different_spans_with_one_id_are_all_kept_and_identical_ones_shown_once() {
    // The server took the id of the client's span, as Zipkin's libraries do.
    check(
        "1<- gate POST 0..100
         2<1 gate call 10..90
         2<1 pay charge 12..88
         3<2 pay insert 20..30
         3<2 pay insert 20..30",
        expect![[r#"
            gate POST self 20.0 ms
              gate call self 80.0 ms [RepeatedId]
              pay charge self 66.0 ms [RepeatedId]
                pay insert self 10.0 ms
            gap: 1 span id used twice
        "#]],
    );
}

#[test]
fn odd_times_are_said_and_never_corrected() {
    check(
        "1<- gate POST 100..200
         2<1 pay charge 60..90
         3<1 pay open 110..
         4<1 pay back 120..110
         5<1 pay rounding 99..120",
        expect![[r#"
            gate POST self 0 ns
              pay charge self 30.0 ms [BeforeParent]
              pay rounding self 21.0 ms
              pay open self 0 ns failed [Unended] <= failed first
              pay back self 0 ns [NegativeDuration]
            gap: 1 span ends before the start
            gap: 1 span has no end
            gap: the clock of pay differs by up to 40.0 ms
            next: halfopen why pay --from 2026-11-20T13:45:00Z --to 2026-11-20T14:15:01Z
        "#]],
    );
}

#[test]
fn events_and_log_records_stand_in_their_span_by_time() {
    let mut rows = parsed(
        "1<- gate POST 0..100 error
         2<1 pay charge 10..90 error",
    );
    let text = |text: &str| AttributeValue::Text(text.into());
    rows[1].events.push((
        80,
        "exception".into(),
        vec![
            ("exception.type".into(), text("Timeout")),
            ("exception.message".into(), text("card-gateway: 2 s are over")),
            ("exception.stacktrace".into(), text("at a\nat b")),
        ],
    ));
    rows[1].events.push((20, "retry".into(), vec![("attempt".into(), AttributeValue::Int(2))]));
    let other = Some(TraceId([1; 16]));
    let records = [
        (70, Some(TRACE), Some(2), "pay", 17, "card refused", None),
        (70, Some(TRACE), Some(2), "pay", 17, "card refused", None),
        (5, Some(TRACE), Some(77), "audit", 9, "names a span that did not come", None),
        (6, Some(TRACE), None, "audit", 0, "names none", None),
        (7, other, Some(2), "pay", 9, "of another trace", None),
    ];
    let answer = assemble(TRACE, &[spans(&rows)], &[logs(&records)]).expect("a trace");
    expect![[r#"
        gate POST self 20.0 ms failed
          pay charge self 80.0 ms failed <= failed first
            * pay retry attempt=2
            * pay ERROR card refused
            * pay exception Timeout: card-gateway: 2 s are over
        * audit INFO names a span that did not come
        * audit LOG names none
        next: halfopen why gate --from 2026-11-20T13:45:00Z --to 2026-11-20T14:15:01Z
    "#]]
    .assert_eq(&render(&answer));
}

#[test]
fn a_trace_of_log_records_only_is_a_trace() {
    let records = [(5, Some(TRACE), Some(1), "audit", 9, "hello", None)];
    let answer = assemble(TRACE, &[], &[logs(&records)]).expect("a trace");
    expect![[r#"
        * audit INFO hello
        gap: only log records carry this trace, no span of it came
    "#]]
    .assert_eq(&render(&answer));
    assert_eq!(assemble(TraceId([9; 16]), &[], &[logs(&records)]), None);
}

#[test]
fn the_hugest_times_do_not_overflow() {
    let mut rows = parsed(
        "1<- a x 0..10
         2<1 b x 0..",
    );
    let far = (i64::MAX - crate::drawn::BASE_NS) / 1_000_000;
    rows[1].start_ms = -crate::drawn::BASE_NS / 1_000_000;
    rows[0].start_ms = far;
    rows[0].end_ms = Some(far);
    let answer = assemble(TRACE, &[spans(&rows)], &[]).expect("a trace");
    assert_eq!(answer.spans.len(), 2);
}

/// A chain as deep as a trace may be: a walk that recursed would end the process.
#[test]
fn a_chain_of_fifty_thousand_spans_is_laid_out() {
    let chain: Vec<Drawn> = (1..=super::TRACE_SPANS_MAX as u64)
        .map(|id| span_row(&format!("{id}<{} a call 0..10 error", id - 1)))
        .collect();
    let answer = assemble(TRACE, &[spans(&chain)], &[]).expect("a trace");
    assert_eq!(answer.spans.last().map(|span| span.depth), Some(super::TRACE_SPANS_MAX - 1));
    assert_eq!(answer.failed_first, Some(super::TRACE_SPANS_MAX - 1));
    let one_more = [spans(&chain), spans(&[span_row("999999<- a call 0..1")])];
    let cut = assemble(TRACE, &one_more, &[]).expect("a trace");
    assert_eq!(cut.spans.len(), super::TRACE_SPANS_MAX);
    assert_eq!(cut.gaps[0].kind(), "truncated");
}

/// All spans under one id: looking at every pair of them would take hours.
#[test]
fn fifty_thousand_spans_with_one_id_are_laid_out() {
    let same: Vec<Drawn> = (0..super::TRACE_SPANS_MAX)
        .map(|start| span_row(&format!("7<7 a call {start}..{}", start + 1)))
        .collect();
    let answer = assemble(TRACE, &[spans(&same)], &[]).expect("a trace");
    assert_eq!(answer.spans.len(), super::TRACE_SPANS_MAX);
    assert!(answer.spans.iter().all(|span| span.faults.contains(&SpanFault::RepeatedId)));
}

proptest! {
    /// Whatever the parents claim, every span is shown once, below its parent or at the top.
    #[test]
    fn any_graph_of_parents_is_laid_out(
        edges in prop::collection::vec(
            (0_u64..12, prop::option::of(0_u64..14), 0_i64..50, -5_i64..50),
            1..40,
        )
    ) {
        let rows: Vec<Drawn> = edges
            .iter()
            .enumerate()
            .map(|(index, (id, parent, start, length))| Drawn {
                id: *id,
                parent: *parent,
                start_ms: *start,
                end_ms: (*length != 0).then_some(start + length),
                // The name makes every row another one, so none is taken for a repetition.
                name: format!("n{index}"),
                ..span_row("1<- a x 0..1")
            })
            .collect();
        let answer = assemble(TRACE, &[spans(&rows)], &[]).expect("spans");
        let names: HashSet<&str> = answer.spans.iter().map(|span| span.name.as_str()).collect();
        prop_assert_eq!(names.len(), rows.len());
        prop_assert_eq!(answer.spans.len(), rows.len());
        let mut depth = 0;
        for span in &answer.spans {
            prop_assert!(span.depth <= depth + 1 || span.depth == 0);
            prop_assert!(span.self_ns >= 0);
            prop_assert!(span.self_ns <= span.duration_ns.unwrap_or(0).max(0));
            depth = span.depth;
        }
    }
}
