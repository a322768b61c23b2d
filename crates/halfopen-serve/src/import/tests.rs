use std::ops::ControlFlow;

use halfopen_ingest::import::{Format, Group, ImportSettings, read};
use halfopen_model::memory::MemoryEvidence;

use super::*;

const AT: UnixNanos = UnixNanos(1_795_185_000_000_000_000);

fn groups(format: Format, text: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut source = text.as_bytes();
    let _ = read(format, &ImportSettings::default(), &mut source, &mut |group| {
        groups.push(group);
        ControlFlow::Continue(())
    });
    groups
}

fn zipkin(spans: std::ops::Range<u64>) -> String {
    let span = |index: u64| {
        let time = 1_795_185_000_000_000 + index * 1_000_000;
        format!(
            r#"{{"traceId":"{:x}","id":"{:x}","timestamp":{time},"name":"n",
                "tags":{{"x-request-id":"req_{}"}}}}"#,
            index / 3 + 1,
            index + 1,
            index / 3,
        )
    };
    format!("[{}]", spans.map(span).collect::<Vec<_>>().join(","))
}

/// Imports as a session of its own.
async fn import(
    evidence: &MemoryEvidence,
    format: Format,
    text: &str,
) -> BTreeMap<Table, (u64, u64)> {
    let mut session = ImportSession::new(evidence.clone(), IngestSettings::default());
    let mut counts: BTreeMap<Table, Counts> = BTreeMap::new();
    for group in groups(format, text) {
        let taken = session.take(&group, "a.json", AT).await.expect("it is taken");
        for (table, new) in taken.tables {
            counts.entry(table).or_default().add(&new);
        }
    }
    counts.into_iter().map(|(table, counts)| (table, (counts.kept, counts.collapsed))).collect()
}

#[tokio::test]
async fn what_is_imported_again_changes_nothing() {
    let evidence = MemoryEvidence::new();
    let text = zipkin(0..300);
    let first = import(&evidence, Format::Zipkin, &text).await;
    assert_eq!((first[&Table::Spans], first[&Table::Ids].0), ((300, 0), 100));
    let again = import(&evidence, Format::Zipkin, &text).await;
    assert_eq!((again[&Table::Spans], again[&Table::Ids]), ((0, 300), (0, 100)));
}

#[tokio::test]
async fn of_an_overlapping_part_only_the_new_rows_are_kept() {
    let evidence = MemoryEvidence::new();
    import(&evidence, Format::Zipkin, &zipkin(0..201)).await;
    let second = import(&evidence, Format::Zipkin, &zipkin(150..300)).await;
    assert_eq!(second[&Table::Spans], (99, 51));
    assert_eq!(second[&Table::Ids].0, 33);
}

#[tokio::test]
async fn rejects_are_kept_once_however_often_and_whenever_they_come() {
    let evidence = MemoryEvidence::new();
    let text = r#"[{"traceId":"1"},{"traceId":"1"},{"traceId":"1","id":"1"}]"#;
    let first = import(&evidence, Format::Zipkin, text).await;
    assert_eq!(first[&Table::Rejects], (3, 0));
    let again = import(&evidence, Format::Zipkin, text).await;
    assert_eq!(again[&Table::Rejects], (0, 3));
}

#[tokio::test]
async fn equal_log_lines_of_one_source_stay_two() {
    let evidence = MemoryEvidence::new();
    let record = r#"{"timeUnixNano":"1795185000000000000","body":{"stringValue":"x"}}"#;
    let document = |records: &[&str]| {
        let records = records.join(",");
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#)
    };
    let one = import(&evidence, Format::OtlpJson, &document(&[record])).await;
    assert_eq!(one[&Table::Logs], (1, 0));
    let two = import(&evidence, Format::OtlpJson, &document(&[record, record])).await;
    assert_eq!(two[&Table::Logs], (1, 1));
    let again = import(&evidence, Format::OtlpJson, &document(&[record, record])).await;
    assert_eq!(again[&Table::Logs], (0, 2));
}

#[tokio::test]
async fn reasons_that_differ_in_numbers_alone_are_one() {
    let mut all = Vec::new();
    for reason in ["line 7: no", "line 12: no", "other"] {
        let (reason, example) = (reason.to_owned(), "a".to_owned());
        add_rejected(&mut all, &Rejected { reason, count: 1, example });
    }
    let counts: Vec<_> = all.iter().map(|known| (known.reason.as_str(), known.count)).collect();
    assert_eq!(counts, [("line 7: no", 2), ("other", 1)]);
}
