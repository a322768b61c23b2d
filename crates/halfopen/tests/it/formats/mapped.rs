//! The mapping files of docs/import.

use halfopen_ingest::import::Mapping;
use halfopen_model::{Table, UnixNanos};

use super::mapped;

const NEZHA: &str = include_str!("../../../../../docs/import/nezha.toml");
const PETSHOP: &str = include_str!("../../../../../docs/import/petshop.toml");
const ROOT_CAUSE_BENCH: &str = include_str!("../../../../../docs/import/rootcausebench.toml");
const RISKLOC: &str = include_str!("../../../../../docs/import/riskloc.toml");

#[test]
fn tables_like_those_of_nezha_are_read() {
    let found = mapped(
        NEZHA,
        "cases/a/traces.csv.zst",
        "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration\n\
         aa01,b1,root,ts-cart-service-6f-x1,GET /,1795185000000000000,1795185000000250000,250\n\
         aa01,b2,b1,ts-stock-service-7f-y2,\"a,b\",1795185000000000001,1795185000000000001,0\n\
         aa01,,b1,ts-stock-service-7f-y2,x,1,1,0\nshort,row\n",
    );
    let spans = found.cells(Table::Spans);
    assert_eq!((spans.len(), spans.text("service", 0)), (2, Some("ts-cart-service")));
    assert_eq!(spans.span_id("parent_span_id", 0), None);
    assert_eq!(spans.int("duration_ns", 0), Some(250_000));
    assert_eq!(spans.text("name", 1), Some("a,b"));
    let attributes = found.attributes(Table::Spans, 0);
    assert_eq!(attributes, ["resource.k8s.pod.name=ts-cart-service-6f-x1"]);
    let reasons = found.reasons();
    assert!(reasons[0].ends_with("line 4: the span id is missing or zero"), "{reasons:?}");
    assert!(reasons[1].ends_with("line 5: 2 cells, the header has 8"), "{reasons:?}");

    let found = mapped(
        NEZHA,
        "logs.csv",
        "Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log\n\
         x,1795185000000000000,n1,ts-cart-service-6f-x1,server,aa01,b1,\
         \"{\"\"log\"\":\"\"1 ERROR no\\n\"\"}\"\n",
    );
    let logs = found.cells(Table::Logs);
    assert_eq!(logs.text("body", 0), Some("1 ERROR no"));
    assert_eq!(logs.small("severity_number", 0), Some(17));

    let found = mapped(
        NEZHA,
        "metrics/2023-01-29.csv.zst",
        "Time,TimeStamp,PodName,CpuUsage(m),MemoryUsage(Mi)\nx,1795185000,ts-a-service-1-2,250,\n",
    );
    let metrics = found.cells(Table::Metrics);
    assert_eq!((metrics.len(), metrics.text("name", 0)), (1, Some("k8s.pod.cpu.usage")));
    assert_eq!(metrics.double("value_double", 0), Some(0.25));
}

#[test]
fn matrices_like_those_of_petshop_are_read() {
    let found = mapped(
        PETSHOP,
        "low/issue_0/metrics.csv",
        "microservice,Site,Search\nmetric,latency,requests\nstatistic,p90,Sum\nunix_timestamp,,\n\
         1795185000.0,0.5,\n1795185300.0,,7\n",
    );
    let cells = found.cells(Table::Metrics);
    let shown: Vec<_> = (0..cells.len())
        .map(|row| {
            let value = cells.double("value_double", row);
            (cells.text("service", row), cells.text("name", row), value)
        })
        .collect();
    let expected = [
        (Some("Site"), Some("latency.p90"), Some(0.5)),
        (Some("Search"), Some("requests.Sum"), Some(7.0)),
    ];
    assert_eq!(shown, expected);
    let found = mapped(PETSHOP, "low/graph.csv", ",a,b\na,0.0,1.0\nb,0.0,0.0\n");
    assert_eq!(found.cells(Table::Metrics).len(), 1);
    let attributes = found.attributes(Table::Metrics, 0);
    assert_eq!(attributes, ["metric.client=a", "metric.server=b"]);
    assert_eq!(found.cells(Table::Metrics).time("time", 0), Some(UnixNanos(7)));
}

#[test]
fn changes_like_those_of_rootcausebench_are_read() {
    let changes = |source: &str, text: &str| mapped(ROOT_CAUSE_BENCH, source, text);
    let found = changes(
        "a/context/deploys.json",
        r#"[{"timestamp":"2026-11-20T14:30:00Z","service":"cart",
            "commit_sha":"c62e","version":"v2"}]"#,
    );
    let cells = found.cells(Table::Changes);
    assert_eq!(
        (cells.text("kind", 0), cells.text("title", 0)),
        (Some("deploy"), Some("deploy cart v2"))
    );
    assert_eq!((cells.text("commit", 0), cells.text("source", 0)), (Some("c62e"), Some("import")));
    let found = changes(
        "a/context/commits.json",
        r#"[{"timestamp":"2026-11-20T14:30:00Z","sha":"c62e","message":"fix: x","author":"a.b",
            "files_changed":["a.rs","b.rs"],"diff":null}]"#,
    );
    let cells = found.cells(Table::Changes);
    assert_eq!((cells.texts("files", 0), cells.text("diff", 0)), (vec!["a.rs", "b.rs"], None));
    let found = changes(
        "a/context/flags.json",
        r#"[{"timestamp":"2026-11-20T14:30:00Z","flag":"f","service":"cart","change":"off->on"}]"#,
    );
    let cells = found.cells(Table::Changes);
    let versions = (cells.text("previous_version", 0), cells.text("version", 0));
    assert_eq!((cells.text("title", 0), versions), (Some("f: off->on"), (Some("off"), Some("on"))));
    let found = changes(
        "a/traces.json",
        r#"[{"trace_id":"7f","span_id":"a1","start":"2026-11-20T14:30:00Z","duration_ms":5,
             "status":"ERROR","service":"cart","name":"n","cache.hit":false},
            {"trace_id":"same","span_id":"b1","parent_id":"a1","start":"2026-11-20T14:30:00Z"}]"#,
    );
    let spans = found.cells(Table::Spans);
    assert_eq!(spans.trace_id("trace_id", 0), spans.trace_id("trace_id", 1));
    let end = (spans.text("status", 0), spans.int("duration_ns", 0));
    assert_eq!(end, (Some("error"), Some(5_000_000)));
    assert_eq!(found.attributes(Table::Spans, 0), ["span.cache.hit=false"]);
}

#[test]
fn counts_like_those_of_riskloc_are_read() {
    let found = mapped(RISKLOC, "cases/x.csv", "min,cdn,isp,value,cnt\n1795185000,8,a,1,35\n");
    let cells = found.cells(Table::Metrics);
    assert_eq!((cells.len(), cells.text("temporality", 0)), (2, Some("delta")));
    assert_eq!(found.attributes(Table::Metrics, 0), ["metric.cdn=8", "metric.isp=a"]);
}

#[test]
fn a_mapping_that_makes_no_sense_says_why() {
    let why = |text: &str| Mapping::parse(text).map(|_| ()).map_err(|error| error.to_string());
    let table = |rest: &str| format!("[[table]]\nfiles = '.'\ninto = 'logs'\n{rest}");
    assert_eq!(why(&table("[table.columns]\ntime = 't'")), Ok(()));
    for (text, part) in [
        ("x", "expected"),
        ("colour = 1", "unknown field `colour`"),
        (&table(""), "\"time\" is missing"),
        (&table("[table.columns]\ntime='t'\nhue='x'"), "there is no field \"hue\""),
        (&table("[table.columns]\ntime={column='a', value='b'}"), "name one of column"),
        (&table("[table.columns]\ntime={template='{a'}"), "has no }"),
        (&table("[table.columns]\ntime={column='t', regex='('}"), "regex parse error"),
    ] {
        let error = why(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}
