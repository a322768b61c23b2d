//! Log lines and HTTP archives.

use halfopen_ingest::import::{Format, ImportSettings, Pattern, detect};
use halfopen_model::{Table, UnixNanos};

use super::{Found, rows, rows_of};

/// Severity, service and body of all log records.
fn shown(found: &Found) -> Vec<String> {
    let cells = found.cells(Table::Logs);
    let row = |row| {
        let time = cells.time("time", row).map(UnixNanos::to_rfc3339).unwrap_or_default();
        let severity = cells.small("severity_number", row).unwrap_or_default();
        let service = cells.text("service", row).unwrap_or("-");
        format!("{time} {severity} {service} {}", cells.text("body", row).unwrap_or("-"))
    };
    (0..cells.len()).map(row).collect()
}

#[test]
fn json_lines_keep_time_level_message_ids_and_the_rest() {
    let text = "{\"@timestamp\":\"2026-11-20T14:30:00.5Z\",\"level\":\"WARN\",\"msg\":\"slow\",\
        \"trace_id\":\"00000000000000000000000000000abc\",\"span_id\":\"def\",\
        \"service\":{\"name\":\"cart\"},\"http\":{\"status\":503},\"order_id\":7,\"ok\":null}\n\
        {\"ts\":1795185001.25,\"level\":30,\"message\":\"pino\",\"service\":\"stock\"}\r\n\
        \n{\"msg\":\"no time of its own\"}\nnot json\n[1]\n";
    let found = rows(text);
    let expected = [
        "2026-11-20T14:30:00.500Z 13 cart slow",
        "2026-11-20T14:30:01.250Z 9 stock pino",
        "2026-11-20T14:30:01.250Z 0 - no time of its own",
    ];
    assert_eq!(shown(&found), expected);
    let attributes = found.attributes(Table::Logs, 0);
    assert_eq!(attributes, ["log.http={\"status\":503}", "log.ok=", "log.order_id=7"]);
    let cells = found.cells(Table::Logs);
    let ids = (cells.trace_id("trace_id", 0), cells.span_id("span_id", 0));
    assert!(ids.0.is_some_and(|id| id.to_string().ends_with("abc")));
    assert!(ids.1.is_some_and(|id| id.to_string().ends_with("def")));
    let reasons = found.reasons();
    assert!(reasons[0].starts_with("import a.file: line 5: no JSON"), "{reasons:?}");
    assert_eq!(reasons[1], "import a.file: line 6: JSON, but no object");
}

#[test]
fn a_list_of_objects_is_read_as_well() {
    let found =
        rows("[ {\"time\":1795185000000,\"level\":\"info\",\"msg\":\"a\"},\n {\"msg\":\"b\"} ]");
    let expected = ["2026-11-20T14:30:00Z 9 - a", "2026-11-20T14:30:00Z 9 - b"];
    assert_eq!(shown(&found)[0], expected[0]);
    assert_eq!(found.count(Table::Logs), 2);
}

#[test]
fn logfmt_keeps_quotes_flags_and_types() {
    let found = rows(
        "ts=2026-11-20T14:30:00Z level=error msg=\"it \\\"broke\\\"\\n\" caller=a.go:17 n=3 \
         v=\"3\" x-request-id=req_8 retry\nnothing here\n",
    );
    assert_eq!(shown(&found), ["2026-11-20T14:30:00Z 17 - it \"broke\"\n"]);
    let expected =
        ["log.caller=a.go:17", "log.n=3", "log.retry=true", "log.v=3", "log.x-request-id=req_8"];
    assert_eq!(found.attributes(Table::Logs, 0), expected);
    assert_eq!(found.cells(Table::Logs).text("request_id", 0), Some("req_8"));
    assert_eq!(found.reasons(), ["import a.file: line 2: no key=value in it"]);
}

#[test]
fn lines_with_a_time_take_the_lines_below_with_them() {
    let text = "2026-11-20 14:30:00,123 ERROR cart failed\nTraceback:\n  File a\nValueError: x\n\
        2026-11-20 14:30:01 [main] INFO ok\n";
    let found = rows(text);
    let expected = [
        "2026-11-20T14:30:00.123Z 17 - cart failed\nTraceback:\n  File a\nValueError: x",
        "2026-11-20T14:30:01Z 9 - ok",
    ];
    assert_eq!(shown(&found), expected);
    assert_eq!(found.attributes(Table::Logs, 1), ["log.thread.name=main"]);
}

#[test]
fn access_logs_become_attributes_of_http() {
    let text = "10.0.0.7 - - [20/Nov/2026:14:30:00 +0000] \"GET /cart?x=1 HTTP/1.1\" 504 512 \
        \"https://shop\" \"curl/8\"\n10.0.0.7 - - [20/Nov/2026:14:30:00 +0000] \"-\" 400 0\nx\n";
    let found = rows(text);
    assert_eq!(found.count(Table::Logs), 2);
    let expected = [
        "log.client.address=10.0.0.7",
        "log.http.request.header.referer=https://shop",
        "log.http.request.method=GET",
        "log.http.response.body.size=512",
        "log.http.response.status_code=504",
        "log.network.protocol.version=1.1",
        "log.url.path=/cart?x=1",
        "log.user_agent.original=curl/8",
    ];
    assert_eq!(found.attributes(Table::Logs, 0), expected);
    assert_eq!(found.reasons(), ["import a.file: line 3: the line does not fit the pattern"]);
}

#[test]
fn a_pattern_of_the_user_names_its_fields() {
    let pattern =
        Pattern::new(r"^(?<time>\d+)\|(?<level>\w+)\|(?<service>\w+)\|(?<pod>\w+)\|(?<message>.*)");
    let settings = ImportSettings { pattern: pattern.ok(), ..Default::default() };
    let text = "1795185000|E|cart|pod7|broke\n  more\n";
    let found = rows_of(Format::Pattern, &settings, text.as_bytes());
    assert_eq!(shown(&found), ["2026-11-20T14:30:00Z 17 cart broke\n  more"]);
    assert_eq!(found.attributes(Table::Logs, 0), ["log.pod=pod7"]);
}

#[test]
fn text_without_any_form_says_what_was_looked_for() {
    let error = detect(b"hello world\n").expect_err("no format");
    assert!(error.to_string().contains("begins with \"hello world"), "{error}");
    let error = detect(b"{\"a\":1}").expect_err("no format");
    assert!(error.to_string().contains("resourceSpans"), "{error}");
}

const HAR: &str = r#"{"log":{"version":"1.2","creator":{"name":"x"},"pages":[],"entries":[
 {"startedDateTime":"2026-11-20T14:30:00.000Z","time":12.5,"connection":"443",
  "serverIPAddress":"10.0.0.7","request":{"method":"POST","httpVersion":"HTTP/2",
   "url":"https://ann:pw@shop.example/pay?token=abc&x=1","bodySize":3,
   "headers":[{"name":"X-Request-Id","value":"req_8"},{"name":"Authorization","value":"Bearer s"},
    {"name":"traceparent","value":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}],
   "postData":{"text":"{}\n"}},
  "response":{"status":200,"headers":[],"content":{"size":4,"text":"AAEC/w==","encoding":"base64"}},
  "timings":{"wait":10,"dns":-1}},
 {"startedDateTime":"2026-11-20T14:30:01Z","request":{"method":"GET","url":"http://a/"},
  "response":{"status":0,"_error":"net::ERR_CONNECTION_REFUSED"}},
 {"request":{}}]}}"#;

#[test]
fn entries_of_an_archive_become_exchanges_without_their_secrets() {
    let found = rows(HAR);
    let cells = found.cells(Table::Exchanges);
    assert_eq!(cells.len(), 2);
    let url = "https://[redacted]@shop.example/pay?token=[redacted]&x=1";
    assert_eq!(cells.text("url", 0), Some(url));
    assert_eq!(
        (cells.text("service", 0), cells.text("protocol", 0)),
        (Some("shop.example"), Some("h2"))
    );
    assert_eq!((cells.int("status", 0), cells.int("status", 1)), (Some(200), None));
    assert_eq!(
        (cells.text("ended", 0), cells.text("ended", 1)),
        (Some("complete"), Some("refused"))
    );
    assert_eq!(cells.int("duration_ns", 0), Some(12_500_000));
    assert_eq!(cells.bytes("response_body", 0), Some(&[0, 1, 2, 255][..]));
    assert_eq!(cells.count("request_bytes", 0), Some(3));
    assert_eq!(cells.text("request_id", 0), Some("req_8"));
    let trace = cells.trace_id("trace_id", 0).map(|id| id.to_string());
    assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let ids = found.cells(Table::Ids);
    let named: Vec<_> = (0..ids.len()).filter_map(|row| ids.text("id", row)).collect();
    assert!(named.contains(&"req_8"), "{named:?}");
    let all = format!("{:?}", found.0);
    assert!(!all.contains("Bearer"), "a secret was kept");
    assert!(found.reasons()[0].ends_with("no time in startedDateTime"));
}
