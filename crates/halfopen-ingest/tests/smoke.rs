//! What comes out fits the schemas.

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::batch::{Cells, conform};
use halfopen_model::{AttributeValue, Table, UnixNanos, schema};

#[test]
fn spans_fit_their_schema_and_a_resent_span_has_the_same_fingerprint() {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let body = sample::traces(7, 600, 14);
    let arrival = Arrival { sender: "127.0.0.1:9", at: UnixNanos(1) };
    for _ in 0..2 {
        let outcome = builder.decode(Signal::Traces, Encoding::Protobuf, &body, &arrival);
        assert_eq!((outcome.accepted, outcome.rejected, outcome.problem), (600, 0, None));
    }
    assert_eq!(builder.rows(), 1_200);
    let batches = builder.finish();
    assert_eq!((batches.len(), builder.rows()), (1, 0));
    let spans = &batches[0];
    assert_eq!(spans.table, Table::Spans);
    assert_eq!(spans.fingerprints[..600], spans.fingerprints[600..]);
    let rows = conform(&spans.rows, &schema::schema(Table::Spans)).expect("it fits");
    let cells = Cells::new(&rows);
    assert_eq!(cells.text("service", 0), Some("gateway"));
    assert_eq!(cells.text("service", 256), Some("checkout"));
    assert_eq!(cells.int("span.server.port", 3), Some(8_080));
    let flag = cells.attribute("span.shop.flag.new_prices", 3);
    assert!(matches!(flag, Some(AttributeValue::Text(text)) if text == "on" || text == "off"));
    assert!(spans.rows.num_columns() < 40, "columns without a value are left out");
}

#[test]
fn correlation_ids_become_rows_and_the_id_of_the_request_a_column() {
    let settings =
        IngestSettings { id_names: vec!["shop.order.id".into()], ..IngestSettings::default() };
    let mut builder = EvidenceBuilder::new(settings);
    let arrival = Arrival { sender: "127.0.0.1:9", at: UnixNanos(1) };
    builder.decode(Signal::Traces, Encoding::Protobuf, &sample::traces(7, 40, 12), &arrival);
    let log = br#"{"resourceLogs":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"logRecords":[
        {"body":{"stringValue":"paid order, x-request-id=req_7 SHOP.ORDER.ID=o-1"},
         "attributes":[{"key":"session.id","value":{"stringValue":"s"}}]}]}]}]}"#;
    builder.decode(Signal::Logs, Encoding::Json, log, &arrival);
    let batches = builder.finish();
    let of = |table: Table| {
        let batch = batches.iter().find(|batch| batch.table == table).expect("rows");
        conform(&batch.rows, &schema::schema(table)).expect("it fits")
    };
    let (ids, logs) = (of(Table::Ids), of(Table::Logs));
    let (ids, logs) = (Cells::new(&ids), Cells::new(&logs));
    assert_eq!(ids.len(), 40 + 3);
    assert!(ids.trace_id("trace_id", 0).is_some() && ids.span_id("span_id", 0).is_some());
    let found = |row| (ids.text("name", row), ids.text("id", row), ids.text("service", row));
    assert_eq!(found(40), (Some("session.id"), Some("s"), Some("shop")));
    assert_eq!(found(41), (Some("x-request-id"), Some("req_7"), Some("shop")));
    assert_eq!(found(42), (Some("SHOP.ORDER.ID"), Some("o-1"), Some("shop")));
    assert_eq!((ids.text("table", 0), ids.text("table", 42)), (Some("spans"), Some("logs")));
    assert_eq!(logs.text("request_id", 0), Some("req_7"));
}
