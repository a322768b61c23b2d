use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray};
use expect_test::{Expect, expect};
use halfopen_model::answer::FindAnswer;
use halfopen_model::{Table, TraceId};

use super::{
    Choice, FindEvidence, IdRows, Lookup, Question, assemble, choose, linked_from, linked_to,
};
use crate::drawn::{BASE_NS, TRACE, attributes, span_row, spans, times, words};
use crate::drawn_logs::logs;

/// Rows of `ids`: id, trace, span, table, time in milliseconds, service.
type IdRow<'a> = (&'a str, Option<TraceId>, Option<u64>, &'a str, i64, &'a str);

fn id_rows(rows: &[IdRow<'_>]) -> RecordBatch {
    id_rows_named("x-request-id", rows)
}

fn id_rows_named(name: &str, rows: &[IdRow<'_>]) -> RecordBatch {
    let traces = rows.iter().map(|row| row.1.map(|id| id.0));
    let traces = FixedSizeBinaryArray::try_from_sparse_iter_with_size(traces, 16);
    let spans = rows.iter().map(|row| row.2.map(u64::to_be_bytes));
    let spans = FixedSizeBinaryArray::try_from_sparse_iter_with_size(spans, 8);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)))),
        ("name", words(rows.iter().map(|_| Some(name)))),
        ("trace_id", Arc::new(traces.expect("16 bytes each"))),
        ("span_id", Arc::new(spans.expect("8 bytes each"))),
        ("table", words(rows.iter().map(|row| Some(row.3)))),
        ("time", times(rows.iter().map(|row| BASE_NS + row.4 * 1_000_000))),
        ("service", words(rows.iter().map(|row| Some(row.5)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("columns of one length")
}

fn chosen(text: &str, rows: &[IdRow<'_>]) -> Choice {
    let found = IdRows { ids: vec![id_rows(rows)], ..IdRows::default() };
    choose(&Question::read(text), &found)
}

fn render(choice: &Choice) -> String {
    let mut text = format!("{:?}\n", choice.matched);
    for id in &choice.ids {
        let indent = "  ".repeat(id.depth + 1);
        let parent = id.parent.as_deref().map(|id| format!(" of {id}")).unwrap_or_default();
        let rows = id.rows.map_or("uncounted".to_owned(), |rows| rows.to_string());
        text += &format!("{indent}{} {rows} rows{parent} {:?}\n", id.id, id.services);
    }
    text += &format!("traces {:?}\n", choice.traces);
    for gap in &choice.gaps {
        text += &format!("gap: {gap}\n");
    }
    text
}

#[track_caller]
fn check(text: &str, rows: &[IdRow<'_>], expected: Expect) {
    expected.assert_eq(&render(&chosen(text, rows)));
}

const SHOP: &[IdRow<'_>] = &[
    ("req_7", Some(TRACE), Some(1), "spans", 0, "gate"),
    ("req_7", Some(TRACE), Some(2), "spans", 10, "pay"),
    ("req_7_2", Some(TRACE), Some(3), "spans", 30, "stock"),
    ("req_7_1", Some(TRACE), Some(4), "spans", 20, "mail"),
    ("req_7_1/retry", Some(TRACE), Some(5), "logs", 25, "mail"),
    ("req_71", Some(TraceId([1; 16])), Some(1), "spans", 90, "gate"),
    ("job-9", None, None, "logs", 5, "cron"),
];

#[test]
fn a_text_is_read_as_everything_that_it_may_mean() {
    let hex = Question::read(" 4BF92F3577B34DA6 ");
    assert_eq!(hex.span.map(|id| id.to_string()).as_deref(), Some("4bf92f3577b34da6"));
    let (first, last) = hex.trace_range.expect("a beginning");
    assert_eq!(first.to_string(), "4bf92f3577b34da60000000000000000");
    assert_eq!(last.to_string(), "4bf92f3577b34da6ffffffffffffffff");

    let parent = Question::read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let trace = parent.trace.map(|id| id.to_string());
    assert_eq!(trace.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    let uuid = Question::read("550e8400-e29b-41d4-a716-446655440000");
    let trace = uuid.trace.map(|id| id.to_string());
    assert_eq!(trace.as_deref(), Some("550e8400e29b41d4a716446655440000"));

    let name = Question::read("req");
    assert_eq!((name.trace, name.span, name.trace_range), (None, None, None));
    let prefixes: Vec<Lookup> = name.lookups();
    assert_eq!(prefixes[0], Lookup::Exact("req".into()));
    assert_eq!(prefixes[1], Lookup::Prefix("req_".into()));
    assert_eq!(prefixes.len(), 6);
    assert_eq!(Question::read("req_7").lookups().len(), 2);
}

#[test]
fn an_id_brings_its_children_as_a_tree_and_not_its_neighbours() {
    check(
        "req_7",
        SHOP,
        expect![[r#"
            Exact
              req_7 2 rows ["gate", "pay"]
                req_7_1 1 rows of req_7 ["mail"]
                  req_7_1/retry 1 rows of req_7_1 ["mail"]
                req_7_2 1 rows of req_7 ["stock"]
            traces [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]
        "#]],
    );
}

#[test]
fn a_parent_that_nobody_wrote_down_is_found_by_its_children() {
    check(
        "req",
        &[SHOP[2], SHOP[3]],
        expect![[r#"
            Children
              req_7_1 1 rows ["mail"]
              req_7_2 1 rows ["stock"]
            traces [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]
        "#]],
    );
}

#[test]
fn a_beginning_that_fits_one_family_is_that_and_one_that_fits_several_is_not_guessed() {
    check(
        "job-",
        SHOP,
        expect![[r#"
            Ambiguous
              req_7 2 rows ["gate", "pay"]
                req_7_1 1 rows of req_7 ["mail"]
                  req_7_1/retry 1 rows of req_7_1 ["mail"]
                req_7_2 1 rows of req_7 ["stock"]
              job-9 1 rows ["cron"]
              req_71 1 rows ["gate"]
            traces []
        "#]],
    );
    check(
        "req_",
        &SHOP[..6],
        expect![[r#"
            Ambiguous
              req_7 2 rows ["gate", "pay"]
                req_7_1 1 rows of req_7 ["mail"]
                  req_7_1/retry 1 rows of req_7_1 ["mail"]
                req_7_2 1 rows of req_7 ["stock"]
              req_71 1 rows ["gate"]
            traces []
        "#]],
    );
    check(
        "nope",
        &[],
        expect![[r#"
            Nothing
            traces []
        "#]],
    );
}

#[test]
fn the_beginning_of_one_trace_is_that_trace() {
    let rows = spans(&[span_row("1<- gate POST 0..100")]);
    let found = IdRows { of_traces: vec![(Table::Spans, rows)], ..IdRows::default() };
    let one = choose(&Question::read("aaaa"), &found);
    expect![[r#"
        Prefix
        traces [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]
    "#]]
    .assert_eq(&render(&one));

    let mut other = span_row("1<- gate POST 0..100");
    other.trace = TraceId(std::array::from_fn(|at| if at < 2 { 0xaa } else { 0 }));
    let both = spans(&[span_row("1<- gate POST 0..100"), other]);
    let found = IdRows { of_traces: vec![(Table::Spans, both)], ..IdRows::default() };
    let several = choose(&Question::read("aaaa"), &found);
    expect![[r#"
        Ambiguous
          aaaa0000000000000000000000000000 uncounted rows []
          aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa uncounted rows []
        traces []
    "#]]
    .assert_eq(&render(&several));
}

fn lines(answer: &FindAnswer) -> String {
    let mut text = String::new();
    for entry in &answer.timeline {
        let ms = (entry.time.0 - BASE_NS) / 1_000_000;
        let failed = if entry.failed { " failed" } else { "" };
        let ids = if entry.ids.is_empty() { String::new() } else { format!(" {:?}", entry.ids) };
        let indent = "  ".repeat(entry.depth);
        text += &format!(
            "{ms:>6} {} {} {indent}{}{failed}{ids}\n",
            entry.table, entry.service, entry.text
        );
    }
    for gap in &answer.gaps {
        text += &format!("gap: {gap}\n");
    }
    for next in &answer.next {
        text += &format!("next: {next}\n");
    }
    text
}

fn change_rows() -> RecordBatch {
    let none = Vec::new();
    let changes = [("c1", "pay", -5_000), ("c2", "elsewhere", -4_000), ("c3", "pay", -3_600_000)];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", Arc::new(StringArray::from_iter_values(changes.iter().map(|c| c.0)))),
        ("time", times(changes.iter().map(|c| BASE_NS + c.2 * 1_000_000))),
        ("kind", words(changes.iter().map(|_| Some("deploy")))),
        ("service", words(changes.iter().map(|c| Some(c.1)))),
        ("title", Arc::new(StringArray::from_iter_values(changes.iter().map(|_| "pay 2.3.1")))),
        ("attributes", attributes(changes.iter().map(|_| &none))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn one_timeline_holds_spans_records_and_changes_of_the_services_involved() {
    let choice = chosen("req_7", &SHOP[..2]);
    let evidence = FindEvidence {
        spans: vec![spans(&[
            span_row("1<- gate POST 0..100 error"),
            span_row("2<1 pay charge 10..90 error"),
        ])],
        logs: vec![logs(&[(15, Some(TRACE), Some(2), "pay", 17, "refused", None)])],
        changes: vec![change_rows()],
        gaps: Vec::new(),
    };
    let answer = assemble(&Question::read("req_7"), choice, evidence);
    expect![[r#"
         -5000 changes pay deploy: pay 2.3.1
             0 spans gate POST failed ["req_7"]
            10 spans pay   charge failed ["req_7"]
            15 logs pay     ERROR refused failed
        next: halfopen trace aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    "#]]
    .assert_eq(&lines(&answer));
}

#[test]
fn a_record_without_a_trace_is_in_the_timeline_too() {
    let rows =
        [("job-9", None, None, "logs", 5, "cron"), ("job-9", None, None, "exchanges", 6, "cron")];
    let choice = chosen("job-9", &rows);
    let records = [
        (5, None, None, "cron", 9, "started", Some("job-9")),
        (7, None, None, "cron", 9, "of another job", Some("job-10")),
    ];
    let evidence = FindEvidence { logs: vec![logs(&records)], ..FindEvidence::default() };
    let answer = assemble(&Question::read("job-9"), choice, evidence);
    // Every line is indented, and what all lines share is cut from what is expected.
    expect![[r#"
        timeline
             5 logs cron INFO started ["job-9"]
             6 exchanges cron x-request-id = job-9 ["job-9"]
    "#]]
    .assert_eq(&format!("timeline\n{}", lines(&answer)));
}

const OTHER: TraceId = TraceId([0xbb; 16]);

/// A producer's trace, and the trace of a consumer that is linked to it.
fn queue(taken_at: &str) -> RecordBatch {
    let mut send = span_row("2<1 shop send 10..40");
    send.kind = "producer".to_owned();
    let mut take = span_row(&format!("3<- mail take {taken_at}"));
    (take.trace, take.kind, take.links) =
        (OTHER, "consumer".to_owned(), vec![(TRACE, 2), (TraceId([1; 16]), 9)]);
    spans(&[span_row("1<- shop order 0..50"), send, take])
}

fn queued(taken_at: &str) -> String {
    let mut choice = chosen("req_7", &SHOP[..1]);
    assert_eq!(choice.join(vec![OTHER, TRACE, OTHER]), [OTHER]);
    let evidence = FindEvidence { spans: vec![queue(taken_at)], ..FindEvidence::default() };
    let answer = assemble(&Question::read("req_7"), choice, evidence);
    let sent = answer.timeline.iter().filter_map(|entry| Some((entry, entry.sent.as_ref()?)));
    let line =
        |(entry, sent): (&halfopen_model::answer::TimelineEntry, &halfopen_model::answer::Sent)| {
            format!(
                "{} from {} {}: {:?} ns, {} of them",
                entry.text, sent.service, sent.span_id, sent.waited_ns, sent.count
            )
        };
    sent.map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_consumer_took_waited_from_the_end_of_sending() {
    expect!["take from shop 0000000000000002: Some(60000000) ns, 1 of them"]
        .assert_eq(&queued("100..120"));
    // The clocks disagree: the time stays as it is and is told as negative.
    expect!["take from shop 0000000000000002: Some(-15000000) ns, 1 of them"]
        .assert_eq(&queued("25..30"));
}

#[test]
fn a_consumer_below_its_producer_waited_too_and_a_call_did_not() {
    let mut send = span_row("2<1 shop send 10..");
    send.kind = "producer".to_owned();
    let mut take = span_row("3<2 mail take 100..120");
    take.kind = "consumer".to_owned();
    let mut call = span_row("4<1 pay call 20..30");
    call.kind = "server".to_owned();
    let evidence = FindEvidence {
        spans: vec![spans(&[span_row("1<- shop order 0..50"), send, take, call])],
        ..FindEvidence::default()
    };
    let answer = assemble(&Question::read("req_7"), chosen("req_7", &SHOP[..1]), evidence);
    let sent: Vec<_> = answer.timeline.iter().filter_map(|entry| entry.sent.as_ref()).collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].waited_ns, None, "the sending never ended");
}

#[test]
fn links_lead_to_other_traces_in_both_directions() {
    let rows = [queue("100..120")];
    assert_eq!(linked_to(&rows, &[OTHER]), [TraceId([1; 16]), TRACE]);
    assert_eq!(linked_to(&rows, &[TRACE]), []);
    let hex = TRACE.to_string();
    let row = (hex.as_str(), Some(OTHER), Some(3), "spans", 100, "mail");
    let links = id_rows_named("span_link", &[row]);
    assert_eq!(linked_from(&[links.clone(), id_rows(&SHOP[..2])]), [OTHER]);

    // The trace itself is meant, not those that are linked to it.
    let of_traces = vec![(Table::Spans, spans(&[span_row("1<- shop order 0..50")]))];
    let found = IdRows { ids: vec![links.clone()], of_traces, ..IdRows::default() };
    assert_eq!(choose(&Question::read(&hex), &found).traces, [TRACE]);
    // Where nothing else is left of it, its consumers are.
    let found = IdRows { ids: vec![links], ..IdRows::default() };
    assert_eq!(choose(&Question::read(&hex), &found).traces, [OTHER]);
}
