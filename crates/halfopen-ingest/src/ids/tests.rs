use super::*;
use crate::columns::IdsTable;
use halfopen_model::batch::Cells;

fn scanned(body: &str) -> Vec<(String, String)> {
    let names = IdNames::new(&["Order-Id".to_owned()]);
    let mut found = FoundIds::default();
    names.scan(body.as_bytes(), &mut found);
    let pair = |found_id: &Found| {
        let name = &found.text[found_id.start..found_id.name_end];
        (name.to_owned(), found.text[found_id.name_end..found_id.value_end].to_owned())
    };
    found.found.iter().map(pair).collect()
}

#[track_caller]
fn check(body: &str, expected: &[(&str, &str)]) {
    let found = scanned(body);
    let found: Vec<_> = found.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn ids_in_log_bodies_are_found_in_each_of_their_spellings() {
    check("GET /x request_id=req_7 took 3 ms", &[("request_id", "req_7")]);
    check(
        "X-Request-ID: req_7, X-B3-TraceId: 00",
        &[("X-Request-ID", "req_7"), ("X-B3-TraceId", "00")],
    );
    check(r#"{"request_id": "a b","n":1}"#, &[("request_id", "a b")]);
    check(r#"{\"requestId\":\"r-1\"}"#, &[("requestId", "r-1")]);
    check("failed (order_id=o-1).", &[("order_id", "o-1")]);
    check("see correlation_id=abc.", &[("correlation_id", "abc")]);
    check("time: 12:30, url=http://x?a=b", &[]);
    check("request_id=", &[]);
    check("=:\"':", &[]);
}

#[test]
fn a_body_is_searched_within_bounds() {
    let long = format!("request_id={}", "a".repeat(ID_BYTES_MAX + 1));
    check(&long, &[]);
    let late = format!("{} request_id=r", " ".repeat(BODY_SCAN_BYTES_MAX));
    check(&late, &[]);
    let many = "request_id=r ".repeat(IDS_PER_ROW_MAX * 2);
    assert_eq!(scanned(&many).len(), IDS_PER_ROW_MAX);
}

#[test]
fn the_preferred_name_gives_the_id_of_the_request() {
    let names = IdNames::new(&[]);
    let mut found = FoundIds::default();
    for (key, value) in [("session.id", "s"), ("correlation-id", "c"), ("X-Request-Id", "r")] {
        found.add(&names.find(key).expect("a known name"), value);
    }
    assert_eq!(found.request_id(), Some("r"));
    found.clear();
    assert_eq!(found.request_id(), None);
}

fn rows_of(own_trace: Option<[u8; 16]>, name: &str, value: &str) -> Vec<(String, Option<TraceId>)> {
    let mut found = FoundIds::default();
    found.add(&IdNames::new(&[]).find(name).expect("a known name"), value);
    let mut ids = IdsTable::new();
    let mut seen = SeenIds::default();
    let carrier = Carrier {
        table: Table::Logs,
        trace_id: own_trace,
        span_id: None,
        time: 1,
        service: Some("shop"),
    };
    found.write(&carrier, &mut ids, &mut seen);
    found.write(&carrier, &mut ids, &mut seen);
    let Some(batch) = ids.finish() else { return Vec::new() };
    let cells = Cells::new(&batch.rows);
    let row = |row| {
        let id = cells.text("id", row).expect("required").to_owned();
        (id, cells.trace_id("trace_id", row))
    };
    (0..cells.len()).map(row).collect()
}

#[test]
fn a_traceparent_is_kept_whole_and_its_trace_is_recognised() {
    let value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().expect("hex");
    let both = vec![(value.to_owned(), Some(trace)), (trace.to_string(), Some(trace))];
    assert_eq!(rows_of(None, "traceparent", value), both);
    let whole = vec![(value.to_owned(), Some(trace))];
    assert_eq!(rows_of(Some(trace.0), "traceparent", value), whole);
    let other = Some(TraceId([1; 16]));
    let both = vec![(value.to_owned(), other), (trace.to_string(), other)];
    assert_eq!(rows_of(Some([1; 16]), "traceparent", value), both);
}

#[test]
fn the_own_trace_id_of_a_row_is_no_correlation_id() {
    let trace: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().expect("hex");
    assert_eq!(rows_of(Some(trace.0), "trace_id", &trace.to_string()), Vec::new());
    let foreign = vec![(trace.to_string(), Some(trace))];
    assert_eq!(rows_of(None, "trace_id", &trace.to_string()), foreign);
    assert_eq!(rows_of(None, "x-request-id", "r"), vec![("r".to_owned(), None)]);
}
