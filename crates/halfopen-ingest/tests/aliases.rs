//! Telemetry that comes under old names becomes the same rows as under current ones, so that
//! every question about it has the same answer.

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::batch::Cells;
use halfopen_model::names::{GRPC_STATUS, GRPC_STATUS_NUMBER, RENAMED};
use halfopen_model::{AttributeValue, Batch, Table, UnixNanos};

const ARRIVAL: Arrival<'static> = Arrival { sender: "127.0.0.1:9", at: UnixNanos(5_000) };
const IDS: &str = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174""#;

fn rows(signal: Signal, body: &str) -> Vec<Batch> {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let outcome = builder.decode(signal, Encoding::Json, body.as_bytes(), &ARRIVAL);
    assert_eq!((outcome.accepted, outcome.problem), (1, None), "{body}");
    builder.finish()
}

fn attribute(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{value}}}"#)
}

/// A span whose resource and itself have these attributes.
fn span(resource: &[String], own: &[String]) -> String {
    let (resource, own) = (resource.join(","), own.join(","));
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{resource}]}},"scopeSpans":[{{
        "spans":[{{{IDS},"startTimeUnixNano":"7","endTimeUnixNano":"9",
        "attributes":[{own}]}}]}}]}}]}}"#
    )
}

/// Values of the type that the convention gives a name.
fn value_of(current: &str) -> &'static str {
    let numbers = ["port", "status_code", "line.number", "resend_count", "size", "offset"];
    match numbers.iter().any(|end| current.ends_with(end)) && !current.starts_with("rpc.") {
        true => r#"{"intValue":"503"}"#,
        false => r#"{"stringValue":"v-1"}"#,
    }
}

#[track_caller]
fn assert_same(old: &[Batch], current: &[Batch], what: &str) {
    assert_eq!(old.len(), current.len(), "{what}");
    for (old, current) in old.iter().zip(current) {
        assert_eq!((old.table, &old.rows), (current.table, &current.rows), "{what}");
    }
}

#[test]
fn each_old_name_makes_the_row_that_the_current_one_makes() {
    for (old, current) in RENAMED {
        let value = value_of(current);
        let of = |name: &str| {
            let attributes = [attribute(name, value), attribute("app.x", value)];
            [span(&attributes, &[]), span(&[], &attributes)].map(|body| rows(Signal::Traces, &body))
        };
        for (old_rows, current_rows) in of(old).iter().zip(&of(current)) {
            assert_same(old_rows, current_rows, old);
        }
        let log = |name: &str| {
            let attribute = attribute(name, value);
            rows(
                Signal::Logs,
                &format!(
                    r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"7",
                    "body":{{"stringValue":"b"}},"attributes":[{attribute}]}}]}}]}}]}}"#
                ),
            )
        };
        assert_same(&log(old), &log(current), old);
    }
}

#[test]
fn the_number_of_a_grpc_status_becomes_its_name() {
    let number = span(&[], &[attribute(GRPC_STATUS_NUMBER, r#"{"intValue":4}"#)]);
    let name = span(&[], &[attribute(GRPC_STATUS, r#"{"stringValue":"DEADLINE_EXCEEDED"}"#)]);
    assert_same(&rows(Signal::Traces, &number), &rows(Signal::Traces, &name), "4");
    for odd in [r#"{"intValue":99}"#, r#"{"stringValue":"4"}"#] {
        let batches = rows(Signal::Traces, &span(&[], &[attribute(GRPC_STATUS_NUMBER, odd)]));
        let kept = Cells::new(&batches[0].rows).attribute("span.rpc.grpc.status_code", 0);
        assert!(kept.is_some(), "{odd} stays as it came");
    }
}

/// Senders in transition send both.
#[test]
fn of_both_names_the_first_has_the_column_and_the_other_is_kept() {
    let both = [
        attribute("http.status_code", r#"{"intValue":503}"#),
        attribute("http.response.status_code", r#"{"intValue":504}"#),
    ];
    let batches = rows(Signal::Traces, &span(&[], &both));
    let cells = Cells::new(&batches[0].rows);
    assert_eq!(cells.int("span.http.response.status_code", 0), Some(503));
    let all = cells.attributes(0);
    let codes = all.iter().filter(|(key, _)| key.contains("status_code"));
    let codes: Vec<_> = codes.map(|(_, value)| value.clone()).collect();
    assert_eq!(codes, [AttributeValue::Int(503), AttributeValue::Int(504)]);

    let text = span(&[], &[attribute("http.status_code", r#"{"stringValue":"503"}"#)]);
    let batches = rows(Signal::Traces, &text);
    let kept = Cells::new(&batches[0].rows).attribute("span.http.status_code", 0);
    assert_eq!(kept, Some(AttributeValue::Text("503".into())), "not converted");
}

#[test]
fn an_old_name_of_a_correlation_id_leads_to_the_same_id() {
    let old = span(&[], &[attribute("messaging.message_id", r#"{"stringValue":"m-1"}"#)]);
    let batches = rows(Signal::Traces, &old);
    let ids = batches.iter().find(|batch| batch.table == Table::Ids).expect("an id");
    let cells = Cells::new(&ids.rows);
    assert_eq!(
        (cells.text("id", 0), cells.text("name", 0)),
        (Some("m-1"), Some("messaging.message.id"))
    );
}
