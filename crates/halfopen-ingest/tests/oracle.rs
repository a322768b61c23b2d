//! Random requests, written by the official library, become the rows that an oracle works out
//! from its structs: by way of protobuf, and by way of JSON.

#[path = "oracle/expect.rs"]
mod expect;
#[path = "oracle/generate.rs"]
mod generate;
#[path = "oracle/render.rs"]
mod render;
#[path = "oracle/signals.rs"]
mod signals;

use halfopen_ingest::export::OtlpJson;
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Outcome, Signal};
use halfopen_model::UnixNanos;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use prost::Message;
use render::Row;

/// Requests for each signal.
const CASES: u32 = 192;

fn runner(seed: u64) -> TestRunner {
    TestRunner::new(Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    })
}

fn decoded(signal: Signal, encoding: Encoding, body: &[u8]) -> (Outcome, Vec<Row>) {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "127.0.0.1:9", at: UnixNanos(signals::ARRIVAL) };
    let outcome = builder.decode(signal, encoding, body, &arrival);
    let batches = builder.finish();
    batches.iter().for_each(|batch| drop(render::rows(batch)));
    let ours = batches.iter().find(|batch| batch.table == signal.table());
    let mut rows = ours.map(render::rows).unwrap_or_default();
    for row in &mut rows {
        let series = row.remove("series");
        assert_eq!(series.is_some(), signal == Signal::Metrics);
    }
    (outcome, rows)
}

/// The rows of a request, written as OTLP/JSON and read again.
fn round_trip(signal: Signal, encoding: Encoding, body: &[u8]) -> Vec<Row> {
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "127.0.0.1:9", at: UnixNanos(signals::ARRIVAL) };
    builder.decode(signal, encoding, body, &arrival);
    let mut lines = Vec::new();
    for batch in builder.finish().iter().filter(|batch| batch.table == signal.table()) {
        let writer = OtlpJson::of(batch.table).expect("OTLP has a form for it");
        writer.write(&batch.rows, &mut lines);
    }
    let mut rows = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        rows.extend(decoded(signal, Encoding::Json, line).1);
    }
    // Originals that OTLP has no place for travel as attributes of the item.
    for attributes in rows.iter_mut().filter_map(|row| row.get_mut("attributes")) {
        for scope in ["span.", "log.", "metric."] {
            *attributes = attributes.replace(&format!("{scope}halfopen.raw."), "halfopen.raw.");
        }
    }
    sorted(rows)
}

/// Rows in an order that does not depend on how they were grouped.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_cached_key(|row| format!("{row:?}"));
    rows
}

fn check<R: Message + serde::Serialize>(signal: Signal, request: &R, expected: &[Row], lost: u64) {
    let bodies = [
        (Encoding::Protobuf, request.encode_to_vec()),
        (Encoding::Json, serde_json::to_vec(request).expect("JSON")),
    ];
    for (encoding, body) in bodies {
        let (outcome, rows) = decoded(signal, encoding, &body);
        let shown = String::from_utf8_lossy(&body);
        assert_eq!(rows, expected, "{encoding:?}: {shown}");
        let again = round_trip(signal, encoding, &body);
        for (ours, theirs) in again.iter().zip(&sorted(rows)) {
            assert_eq!(ours, theirs, "written and read again");
        }
        assert_eq!(again.len(), expected.len());
        let counts = (outcome.accepted, outcome.rejected, outcome.unreadable);
        assert_eq!(counts, (expected.len() as u64, lost, false), "{encoding:?}: {outcome:?}");
    }
}

#[test]
fn traces_become_the_rows_that_the_official_structs_describe() {
    let result = runner(1).run(&generate::traces(), |request| {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        let expected = signals::spans(&request);
        check(Signal::Traces, &request, &expected, (spans - expected.len()) as u64);
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn logs_become_the_rows_that_the_official_structs_describe() {
    let result = runner(2).run(&generate::logs(), |request| {
        check(Signal::Logs, &request, &signals::logs(&request), 0);
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn metrics_become_the_rows_that_the_official_structs_describe() {
    let result = runner(3).run(&generate::metrics(), |request| {
        check(Signal::Metrics, &request, &signals::points(&request), 0);
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

/// Flips bits and cuts; what is accepted must still be what the tables hold.
fn check_damaged<R: Message + serde::Serialize>(
    signal: Signal,
    request: &R,
    flips: &[(prop::sample::Index, u8)],
    cut: Option<prop::sample::Index>,
) {
    let bodies = [
        (Encoding::Protobuf, request.encode_to_vec()),
        (Encoding::Json, serde_json::to_vec(request).expect("JSON")),
    ];
    for (encoding, mut body) in bodies {
        for (index, bit) in flips {
            if !body.is_empty() {
                let position = index.index(body.len());
                body[position] ^= 1 << bit;
            }
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len() + 1));
        }
        let (outcome, rows) = decoded(signal, encoding, &body);
        assert_eq!(outcome.accepted as usize, rows.len(), "{encoding:?}: {body:?}");
    }
}

#[test]
fn damaged_requests_of_any_signal_do_no_harm() {
    let flip = (any::<prop::sample::Index>(), 0..8_u8);
    let damage =
        || (proptest::collection::vec(flip.clone(), 0..5), any::<Option<prop::sample::Index>>());
    let traces = runner(4).run(&(generate::traces(), damage()), |(request, (flips, cut))| {
        check_damaged(Signal::Traces, &request, &flips, cut);
        Ok(())
    });
    let logs = runner(5).run(&(generate::logs(), damage()), |(request, (flips, cut))| {
        check_damaged(Signal::Logs, &request, &flips, cut);
        Ok(())
    });
    let metrics = runner(6).run(&(generate::metrics(), damage()), |(request, (flips, cut))| {
        check_damaged(Signal::Metrics, &request, &flips, cut);
        Ok(())
    });
    traces.expect("spans");
    logs.expect("log records");
    metrics.expect("points");
}

#[test]
fn the_order_of_attributes_makes_no_other_series() {
    let pair = |key: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"v"}}}}"#);
    let (a, b) = (pair("a"), pair("b"));
    let orders = [format!("{a},{b}"), format!("{b},{a}"), a.clone(), format!("{a},{a}")];
    let points =
        orders.map(|order| format!(r#"{{"timeUnixNano":1,"asInt":1,"attributes":[{order}]}}"#));
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m",
        "gauge":{{"dataPoints":[{}]}}}}]}}]}}]}}"#,
        points.join(",")
    );
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "127.0.0.1:9", at: UnixNanos(1) };
    builder.decode(Signal::Metrics, Encoding::Json, body.as_bytes(), &arrival);
    let rows = render::rows(&builder.finish()[0]);
    let series: Vec<&String> = rows.iter().map(|row| &row["series"]).collect();
    assert!(series[0] == series[1] && series[0] != series[2] && series[2] != series[3]);
}
