//! SQL over hot rows and segments: what it answers, what it refuses, where it stops.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{full, number, open, put, shown, spans, trace_id};
use arrow::array::{
    ArrayRef, AsArray, MapBuilder, RecordBatch, StringBuilder, StructBuilder, UInt8Builder,
};
use halfopen_model::port::WriteEvidence;
use halfopen_model::schema::{attributes_type, entry_fields, value_fields};
use halfopen_model::{Batch, Table};
use halfopen_store::{QueryError, QueryLimits, Store};

async fn store_with_spans(folder: &std::path::Path) -> Store {
    let (store, _) = open(folder).await;
    put(&store, spans(3_000, 1)).await;
    store.seal().await.expect("room on the disk");
    put(&store, spans(2_000, 2)).await;
    store
}

async fn text(store: &Store, sql: &str) -> Vec<String> {
    shown(&store.query(sql, QueryLimits::default()).await.expect(sql).batches)
}

async fn refusal(store: &Store, sql: &str) -> QueryError {
    store.query(sql, QueryLimits::default()).await.map(|a| a.batches.len()).expect_err(sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_rows_and_segments_are_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_spans(folder.path()).await;
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 5_000);
    assert_eq!(number(&store, "SELECT count(DISTINCT trace_id) FROM spans").await, 1_000);
    for table in Table::ALL {
        let rows = number(&store, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, if table == Table::Spans { 5_000 } else { 0 });
    }
    let whole = text(&store, "SELECT * FROM spans").await;
    assert_eq!(whole, crate::support::all(&store, Table::Spans).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_written_as_hex_and_found_in_both_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_spans(folder.path()).await;
    for seed in [1, 2] {
        let id = trace_id(seed, 7);
        let hex = "SELECT DISTINCT hex(trace_id) FROM spans WHERE trace_id";
        for test in [
            format!("= '{id}'"),
            format!("= X'{id}'"),
            format!("= trace_id('{id}')"),
            format!("IN ('{id}', '00')"),
        ] {
            assert_eq!(text(&store, &format!("{hex} {test}")).await, [id.to_string()], "{test}");
        }
        let count = format!("SELECT count(*) FROM spans AS s WHERE '{id}' = s.trace_id");
        assert_eq!(number(&store, &count).await, 5);
    }
    let error = refusal(&store, "SELECT * FROM spans WHERE trace_id = 'req_7'").await;
    assert!(error.to_string().contains("\"req_7\" is no id"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_named_after_attributes_work_and_mistakes_get_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_spans(folder.path()).await;
    let by_route = "SELECT \"span.http.route\", count(*) FROM spans GROUP BY 1 ORDER BY 1";
    assert!(text(&store, by_route).await.len() > 5);
    let hint = |error: QueryError| (error.to_string(), error.hint().unwrap_or_default().to_owned());
    let (reason, help) = hint(refusal(&store, "SELECT span.http.route FROM spans").await);
    assert_eq!(reason, "there is no column \"span.http.route\"");
    assert_eq!(help, "write it in double quotes: \"span.http.route\"");
    let (_, help) = hint(refusal(&store, "SELECT servce FROM spans").await);
    assert_eq!(help, "did you mean service?");
    let (reason, help) = hint(refusal(&store, "SELECT * FROM span").await);
    assert_eq!(reason, "there is no table \"span\"");
    assert!(help.starts_with("tables are spans, logs"), "{help}");
    let (reason, _) = hint(refusal(&store, "SELEC 1").await);
    assert!(reason.contains("SELEC"), "{reason}");
    assert!(refusal(&store, " ; ").await.hint().is_some());
}

/// One span with attributes in its map: those of a known name have another type than the column.
fn span_with_map(entries: &[(&str, u8, &str)]) -> Batch {
    let mut batch = full(Table::Spans, 1, 99);
    let fields: Vec<_> = batch.rows.schema().fields().iter().cloned().collect();
    let field =
        |name: &str| entry_fields().find(name).map(|(_, f)| Arc::clone(f)).expect("a field");
    let value = StructBuilder::new(
        value_fields(),
        vec![Box::new(UInt8Builder::new()), Box::new(StringBuilder::new())],
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), value)
        .with_keys_field(field("key"))
        .with_values_field(field("value"));
    for (key, tag, text) in entries {
        map.keys().append_value(key);
        map.values().field_builder::<UInt8Builder>(0).expect("a tag").append_value(*tag);
        map.values().field_builder::<StringBuilder>(1).expect("a text").append_value(text);
        map.values().append(true);
    }
    map.append(true).expect("as many keys as values");
    let map: ArrayRef = Arc::new(map.finish());
    let map = arrow::compute::cast(&map, &attributes_type()).expect("the same form");
    let columns = fields.iter().map(|field| match field.name().as_str() {
        "attributes" => Arc::clone(&map),
        "span.http.route" => arrow::array::new_null_array(field.data_type(), 1),
        name => Arc::clone(batch.rows.column_by_name(name).expect("a column")),
    });
    batch.rows = RecordBatch::try_new(batch.rows.schema(), columns.collect()).expect("columns");
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attr_finds_column_and_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    put(&store, span_with_map(&[("span.http.route", 3, "42"), ("span.card.kind", 1, "gift")]))
        .await;
    let sql = "SELECT attr('span.http.route'), attr('span.card.kind'), attr('span.nothing') \
               FROM spans";
    for place in ["hot", "sealed"] {
        assert_eq!(text(&store, sql).await, ["42 | gift | ∅"], "{place}");
        let answer = store.query(sql, QueryLimits::default()).await.expect("a query that runs");
        assert_eq!(answer.schema.field(1).name(), "span.card.kind");
        store.seal().await.expect("room on the disk");
    }
    put(&store, spans(500, 3)).await;
    let both = "SELECT count(*) FROM spans AS s WHERE attr(s.attributes, 'span.http.route') = ";
    let column = "SELECT count(*) FROM spans WHERE \"span.http.route\" = ";
    let in_column = number(&store, &format!("{column} 'word 3'")).await;
    assert!(in_column > 0);
    assert_eq!(number(&store, &format!("{both} 'word 3'")).await, in_column);
    assert_eq!(number(&store, &format!("{both} '42'")).await, 1);
    let grouped = "SELECT attr('span.card.kind'), count(*) FROM spans \
                   GROUP BY attr('span.card.kind') HAVING attr('span.card.kind') IS NOT NULL";
    assert_eq!(text(&store, grouped).await, ["gift | 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_reading_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_spans(folder.path()).await;
    let outside = folder.path().join("outside.csv").display().to_string();
    for sql in [
        "DROP TABLE spans".to_owned(),
        "DELETE FROM spans".to_owned(),
        "UPDATE spans SET name = 'x'".to_owned(),
        "INSERT INTO spans SELECT * FROM spans".to_owned(),
        "CREATE TABLE mine AS SELECT 1".to_owned(),
        "CREATE VIEW mine AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE mine STORED AS CSV LOCATION '{outside}'"),
        format!("COPY spans TO '{outside}'"),
        format!("EXPLAIN ANALYZE COPY spans TO '{outside}'"),
        "EXPLAIN DELETE FROM spans".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "RESET datafusion.execution.batch_size".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "BEGIN".to_owned(),
        "TRUNCATE TABLE spans".to_owned(),
    ] {
        let error = refusal(&store, &sql).await;
        assert!(matches!(error, QueryError::ReadOnly { .. }), "{sql}: {error}");
    }
    for sql in ["SELECT 1; DROP TABLE spans", "SELECT * FROM '/etc/passwd'"] {
        assert!(matches!(refusal(&store, sql).await, QueryError::Invalid { .. }), "{sql}");
    }
    assert!(!folder.path().join("outside.csv").exists());
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 5_000);
    assert_eq!(
        text(&store, "SHOW TABLES").await.iter().filter(|l| l.contains("evidence")).count(),
        9
    );
    assert!(!text(&store, "EXPLAIN SELECT count(*) FROM spans").await.is_empty());
    assert!(!text(&store, "DESCRIBE spans").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_stops_at_its_bounds_and_says_which() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_spans(folder.path()).await;
    let ask = |sql: &'static str, limits: QueryLimits| {
        let store = store.clone();
        async move { store.query(sql, limits).await }
    };
    let limits = QueryLimits { rows_max: 10, ..QueryLimits::default() };
    let answer = ask("SELECT * FROM spans", limits).await.expect("the first rows");
    let rows: usize = answer.batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, answer.truncated), (10, true));
    let answer = ask("SELECT 1", limits).await.expect("one row");
    assert!(!answer.truncated);
    let answer = ask("SELECT name FROM spans WHERE name = 'nobody'", limits).await.expect("none");
    assert_eq!((answer.schema.fields().len(), answer.batches.len()), (1, 0));

    let product = "SELECT count(*) FROM spans a, spans b, spans c WHERE a.name <> b.name || c.name";
    let limits = QueryLimits { time_max: Duration::from_millis(300), ..QueryLimits::default() };
    let error = ask(product, limits).await.map(|a| a.batches.len()).expect_err("far too long");
    assert!(error.to_string().contains("longer than 0.3 s"), "{error}");

    let sorted = "SELECT * FROM spans ORDER BY duration_ns";
    let limits = QueryLimits { memory_bytes_max: 100_000, ..QueryLimits::default() };
    let error = ask(sorted, limits).await.map(|a| a.batches.len()).expect_err("far too much");
    assert!(matches!(error, QueryError::Bound { .. }) && error.hint().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_of_any_kind_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let long = "ü'\"\n\u{0}".repeat(150_000);
    put(&store, span_with_map(&[("span.text", 1, &long)])).await;
    for _ in ["hot", "sealed"] {
        let sql = "SELECT attr('span.text') FROM spans";
        let answer = store.query(sql, QueryLimits::default()).await.expect("a query that runs");
        assert_eq!(answer.batches[0].column(0).as_string::<i32>().value(0), long);
        store.seal().await.expect("room on the disk");
    }
    let written = store.write(Vec::new()).await.expect("nothing to keep");
    assert_eq!(written.rows, 0);
}

/// The same without columns of attributes.
fn only_map(entries: &[(&str, u8, &str)]) -> Batch {
    let mut batch = span_with_map(entries);
    let schema = batch.rows.schema();
    let is_plain = |place: &usize| !schema.field(*place).name().starts_with("span.");
    let places: Vec<usize> = (0..schema.fields().len()).filter(is_plain).collect();
    batch.rows = batch.rows.project(&places).expect("its columns");
    batch.fingerprints.clear();
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_names_of_attributes_are_as_good_as_current_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    // A value of another type, and one beside the current name, stay under the old name.
    put(&store, only_map(&[("span.http.status_code", 1, "503"), ("span.db.name", 1, "d")])).await;
    put(&store, only_map(&[("span.rpc.grpc.status_code", 3, "4"), ("span.db.name", 1, "d")])).await;
    for place in ["hot", "sealed"] {
        for name in ["span.http.status_code", "span.http.response.status_code"] {
            let sql = format!("SELECT attr('{name}') FROM spans WHERE attr('{name}') = '503'");
            assert_eq!(text(&store, &sql).await, ["503"], "{name} {place}");
        }
        for name in ["span.rpc.grpc.status_code", "span.rpc.status_code"] {
            let sql = format!("SELECT attr('{name}') FROM spans WHERE attr('{name}') IS NOT NULL");
            assert_eq!(text(&store, &sql).await, ["DEADLINE_EXCEEDED"], "{name} {place}");
        }
        let sql = "SELECT attr('span.db.namespace'), count(*) FROM spans GROUP BY 1";
        assert_eq!(text(&store, sql).await, ["d | 2"], "{place}");
        store.seal().await.expect("room on the disk");
    }
    put(&store, spans(500, 3)).await;
    let current = "SELECT \"span.http.request.method\" AS m FROM spans ORDER BY 1";
    let old = "SELECT \"span.http.method\" AS m FROM spans ORDER BY 1";
    assert_eq!(text(&store, old).await, text(&store, current).await);
    let answer = store.query("SELECT s.\"span.http.method\" FROM spans s", QueryLimits::default());
    let answer = answer.await.expect("a query that runs");
    assert_eq!(answer.schema.field(0).name(), "span.http.method", "as it was asked for");
}
