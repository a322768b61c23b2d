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
