//! Whatever a source holds: no panic, and everything that is lost is counted.

use std::sync::Arc;

use halfopen_ingest::import::{Format, ImportSettings, Mapping, detect};
use halfopen_model::Table;
use proptest::prelude::*;

use crate::import::run::rows_of;

/// Small sources of each kind.
pub(crate) const SOURCES: &[&str] = &[
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a1","spanId":"b2","name":"x"}]}]}]}"#,
    r#"{"data":[{"traceID":"1","spans":[{"traceID":"1","spanID":"2","startTime":1,
        "tags":[{"key":"a","type":"int64","value":1}],"processID":"p"}],"processes":{"p":{}}}]}"#,
    r#"[{"traceId":"1","id":"2","timestamp":1,"tags":{"a":"b"}}]"#,
    r#"{"log":{"entries":[{"startedDateTime":"2026-11-20T14:30:00Z","time":1,"request":{"url":"a"},
        "response":{"status":200,"content":{"text":"x"}}}]}}"#,
    "{\"time\":1795185000,\"level\":\"info\",\"msg\":\"a\",\"trace_id\":\"1\"}\n{\"msg\":\"b\"}\n",
    "ts=2026-11-20T14:30:00Z level=info msg=\"a \\\" b\" n=1.5 flag\n",
    "10.0.0.7 - - [20/Nov/2026:14:30:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"\n",
    "2026-11-20 14:30:00,1 ERROR [x] y: z\n at a.b\n2026-11-20T14:30:00+01:00 hello\n",
    "2026-11-20T14:30:00.123456789Z stdout F hello\n",
    "# TYPE a histogram\na_bucket{le=\"+Inf\",x=\"a\\\"b\"} 3 17\na_sum 1\na_count 3\n# EOF\n",
    "TraceID,SpanID,Time,Note\n1,2,1795185000,\"a, \"\"b\"\"\nc\"\n",
];

fn settings() -> ImportSettings {
    let text = "[[table]]\nfiles = '.'\ninto = 'spans'\nrest = true\n[table.columns]\n\
        trace_id = { column = 'TraceID', repeat = '1' }\nspan_id = 'SpanID'\nstart_time = 'Time'\n";
    let mapping = Mapping::parse(text).expect("a mapping");
    ImportSettings { mapping: Some(Arc::new(mapping)), source: "a".into(), ..Default::default() }
}

fn check(text: &[u8]) {
    let settings = settings();
    for format in Format::ALL {
        let found = rows_of(format, &settings, text);
        let rows: usize = Table::ALL.into_iter().map(|table| found.count(table)).sum();
        assert!(!text.is_empty() || rows == 0, "{format}");
    }
    let _ = detect(text);
}

#[test]
fn odd_sources_are_read_or_rejected() {
    let deep = format!("{{\"data\":[{}{}]}}", "[".repeat(10_000), "]".repeat(10_000));
    let zipkin_deep = format!("[{}1{}]", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let odd: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\n\r\n \t".to_vec(),
        b"\xef\xbb\xbf".to_vec(),
        b"{".to_vec(),
        b"[".to_vec(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        b"{\"data\":null}".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"\0\0\0\x05\x0a\xff\xff\xff\xff".to_vec(),
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        vec![0xff; 3_000],
        deep.into_bytes(),
        zipkin_deep.into_bytes(),
        br#"{"data":[{"traceID":1e999,"spans":[{"spanID":"\ud800","startTime":-1}]}]}"#.to_vec(),
        br#"{"data":[{"traceID":"1","spans":[{"spanID":"2","startTime":1e300}]}]}"#.to_vec(),
        br#"[{"traceId":"1","id":"2","timestamp":99999999999999999999}]"#.to_vec(),
        br#"[{"traceId":"1","id":"2","timestamp":NaN},{"traceId":[],"id":{}},7,null,"x"]"#.to_vec(),
        b"[{\"traceId\":\"1\",\"id\":\"2\",\"timestamp\":1,\"name\":\"\xff\xfe\"}]".to_vec(),
    ];
    odd.iter().for_each(|text| check(text));
}

#[test]
fn what_is_lost_is_counted() {
    let lost = |format, text: &str| {
        let found = rows_of(format, &ImportSettings::default(), text.as_bytes());
        (found.count(Table::Spans), found.count(Table::Rejects))
    };
    let zipkin = r#"[{"traceId":"1","id":"2","timestamp":1},{"traceId":"1"},7,"x"]"#;
    assert_eq!(lost(Format::Zipkin, zipkin), (1, 3));
    assert_eq!(lost(Format::Zipkin, &zipkin[..45]), (1, 1));
    let deep = format!("[{}1{}]", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_eq!(lost(Format::Zipkin, &deep), (0, 1));
    assert_eq!(lost(Format::Jaeger, "{\"data\":[{}] garbage"), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_few_bytes_makes_an_importer_panic(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
        crlf in any::<bool>(),
    ) {
        let text = SOURCES[which.index(SOURCES.len())];
        let text = if crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        let mut bytes = text.into_bytes();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        check(&bytes);
    }
}
