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

/// Every name of the specification, and how instrumentations record it as a header.
#[test]
fn each_known_name_is_found_as_attribute_header_and_in_a_body() {
    let names = IdNames::new(&["order_id".to_owned()]);
    for known in names::CORRELATION_IDS.iter().chain(&["order_id"]) {
        let spellings = [(*known).to_owned(), known.replace('_', "-"), known.to_uppercase()];
        for spelling in spellings {
            let found = names.find(&spelling).unwrap_or_else(|| panic!("{spelling}"));
            assert_eq!(found.name, spelling);
            for prefix in names::HEADER_PREFIXES {
                let header = names.find(&format!("{prefix}{spelling}"));
                assert_eq!(header.map(|id| id.name), Some(spelling.clone()), "{prefix}");
            }
            let expected = [(spelling.clone(), "v-1".to_owned())];
            assert_eq!(scanned(&format!("done {spelling}=v-1, bye")), expected);
            assert_eq!(scanned(&format!("{{\"{spelling}\": \"v-1\"}}")), expected);
        }
    }
    for foreign in ["http.route", "messaging.header.content-type", "order", "id"] {
        assert_eq!(names.find(foreign), None, "{foreign}");
    }
}

#[test]
fn ids_in_log_bodies_are_found_by_their_form_too() {
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    check(&format!("got {context}."), &[("traceparent", context)]);
    check(&format!("traceparent: {context}"), &[("traceparent", context)]);
    check(
        "retry of req-8f2c41 (REQ_99812_1)",
        &[("request_id", "req-8f2c41"), ("request_id", "REQ_99812_1")],
    );
    check(
        "request_id=550e8400-e29b-41d4-a716-446655440000 took 3 ms",
        &[("request_id", "550e8400-e29b-41d4-a716-446655440000")],
    );
    check("x-request-id: req-8f2c41", &[("x-request-id", "req-8f2c41")]);
    check("req_body req-12 prereq-8f2c41 req-handler 00-11-22-33 request-8f2c41", &[]);
}

#[test]
fn a_form_gives_the_id_of_a_request_that_has_no_other() {
    let names = IdNames::new(&[]);
    let mut found = FoundIds::default();
    names.scan(b"req-8f2c41 failed", &mut found);
    assert_eq!(found.request_id(), Some("req-8f2c41"));
    names.scan(b"correlation_id=c-1", &mut found);
    assert_eq!(found.request_id(), Some("c-1"));
}

#[test]
fn contexts_of_other_kinds_lead_to_their_trace() {
    let trace: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().expect("hex");
    let contexts = [
        ("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"),
        ("uber-trace-id", "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1"),
        ("X-Cloud-Trace-Context", "0af7651916cd43dd8448eb211c80319c/1;o=1"),
        ("X-Amzn-Trace-Id", "Root=1-0af76519-16cd43dd8448eb211c80319c;Sampled=1"),
    ];
    for (name, value) in contexts {
        let both = vec![(value.to_owned(), Some(trace)), (trace.to_string(), Some(trace))];
        assert_eq!(rows_of(None, name, value), both, "{name}");
    }
    assert_eq!(rows_of(None, "b3", "0"), vec![("0".to_owned(), None)]);
}

#[test]
fn linked_traces_are_filed_within_a_bound_and_the_own_trace_is_not() {
    let mut found = FoundIds::default();
    found.add_link([1; 16]);
    found.add_link([2; 16]);
    (0..2 * LINKS_PER_ROW_MAX).for_each(|_| found.add_link([3; 16]));
    assert_eq!(found.links.len(), LINKS_PER_ROW_MAX);
    let mut ids = IdsTable::new();
    let carrier = Carrier {
        table: Table::Spans,
        trace_id: Some([1; 16]),
        span_id: Some([9; 8]),
        time: 1,
        service: None,
    };
    found.write(&carrier, &mut ids, &mut SeenIds::default());
    let batch = ids.finish().expect("two rows");
    let cells = Cells::new(&batch.rows);
    let rows: Vec<_> =
        (0..cells.len()).map(|row| (cells.text("id", row), cells.text("name", row))).collect();
    let id = |byte| TraceId([byte; 16]).to_string();
    let (two, three) = (id(2), id(3));
    let link = Some(names::SPAN_LINK);
    assert_eq!(rows, [(Some(two.as_str()), link), (Some(three.as_str()), link)]);
}
