//! Attributes are found wherever they are: hot, in the map of a segment, in a column of a merged
//! one. Nobody notices the difference.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, MapBuilder, RecordBatch, StringBuilder, StructBuilder, UInt8Builder,
};
use halfopen_model::attribute::AttributeValue;
use halfopen_model::batch::Cells;
use halfopen_model::port::{ReadEvidence, Scan};
use halfopen_model::schema::{attributes_type, entry_fields, value_fields};
use halfopen_model::{Batch, Table, TimeRange};
use halfopen_store::{QueryLimits, Store};
use proptest::prelude::*;

use crate::support::{all, open, put, shown, spans};

type Row = Vec<(String, AttributeValue)>;

/// Spans with these attributes in their map.
fn spans_with(rows: &[Row], seed: u64) -> Batch {
    let batch = spans(rows.len(), seed);
    let field =
        |name: &str| entry_fields().find(name).map(|(_, f)| Arc::clone(f)).expect("a field");
    let value = StructBuilder::new(
        value_fields(),
        vec![Box::new(UInt8Builder::new()), Box::new(StringBuilder::new())],
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), value)
        .with_keys_field(field("key"))
        .with_values_field(field("value"));
    for row in rows {
        for (key, value) in row {
            let (tag, text) = (value.value_type().tag(), value.to_text());
            map.keys().append_value(key);
            map.values().field_builder::<UInt8Builder>(0).expect("a tag").append_value(tag);
            map.values().field_builder::<StringBuilder>(1).expect("a text").append_value(text);
            map.values().append(true);
        }
        map.append(true).expect("as many keys as values");
    }
    let map: ArrayRef = Arc::new(map.finish());
    let map = arrow::compute::cast(&map, &attributes_type()).expect("the same form");
    let columns = batch.rows.schema_ref().fields().iter().zip(batch.rows.columns());
    let columns = columns.map(|(f, c)| if f.name() == "attributes" { &map } else { c }.clone());
    let rows = RecordBatch::try_new(batch.rows.schema(), columns.collect()).expect("columns");
    Batch { rows, ..batch }
}

async fn text(store: &Store, sql: &str) -> Vec<String> {
    shown(&store.query(sql, QueryLimits::default()).await.expect(sql).batches)
}

const KEYS: [&str; 7] = [
    "span.shop.order.id",
    "span.shop.items",
    "resource.shop.ratio",
    "span.shop.gift",
    "scope.shop mixed",
    "span.http.route",
    "plain",
];

fn value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(AttributeValue::Text),
        any::<bool>().prop_map(AttributeValue::Bool),
        any::<i64>().prop_map(AttributeValue::Int),
        any::<f64>().prop_map(AttributeValue::Double),
        Just(AttributeValue::Empty),
        Just(AttributeValue::List("[1]".to_owned())),
    ]
}

/// Mostly one type for each key, now and then another; keys repeat, and come in any order.
fn row() -> impl Strategy<Value = Row> {
    let typed =
        (0..KEYS.len(), value(), any::<u16>(), 0..12_u8).prop_map(|(key, other, number, dice)| {
            let value = match (key, dice) {
                (_, 0) => other,
                (0, _) => AttributeValue::Text(format!("o-{number}")),
                (1, _) => AttributeValue::Int(i64::from(number)),
                (2, _) => AttributeValue::Double(f64::from(number) / 8.0),
                (3, _) => AttributeValue::Bool(number.is_multiple_of(2)),
                _ => AttributeValue::Text(format!("word {}", number % 3)),
            };
            (KEYS[key].to_owned(), value)
        });
    prop::collection::vec(typed, 0..8)
}

/// Everything that can be asked about attributes.
async fn answers(store: &Store) -> Vec<Vec<String>> {
    let mut answers = vec![all(store, Table::Spans).await];
    answers.push(text(store, "SELECT * FROM spans").await);
    for key in KEYS {
        let attr = format!("attr('{key}')");
        answers.push(text(store, &format!("SELECT span_id, {attr} FROM spans")).await);
        answers.push(text(store, &format!("SELECT span_id FROM spans WHERE {attr} = 'a'")).await);
        let grouped = format!("SELECT {attr}, count(*) FROM spans GROUP BY 1");
        answers.push(text(store, &grouped).await);
        let attr = format!("attr(a.attributes, '{key}')");
        let both =
            format!("SELECT a.span_id FROM spans a WHERE {attr} IS NOT NULL AND {attr} > 'b'");
        answers.push(text(store, &both).await);
    }
    answers.push(text(store, "SELECT span_id, attributes FROM spans WHERE duration_ns > 0").await);
    let key = "SELECT attribute_of(attributes, name) FROM spans";
    answers.push(text(store, key).await);
    answers
}

async fn same_everywhere(batches: Vec<Vec<Row>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for (seed, rows) in batches.iter().enumerate() {
        if !rows.is_empty() {
            put(&store, spans_with(rows, seed as u64)).await;
        }
    }
    let hot = answers(&store).await;
    store.close(Duration::ZERO).await;
    let (store, _) = open(folder.path()).await;
    assert_eq!(answers(&store).await, hot, "in the log");
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for (seed, rows) in batches.iter().enumerate() {
        if !rows.is_empty() {
            put(&store, spans_with(rows, seed as u64)).await;
            store.seal().await.expect("room on the disk");
        }
    }
    assert_eq!(answers(&store).await, hot, "sealed");
    store.compact().await.expect("room on the disk");
    assert_eq!(answers(&store).await, hot, "merged");
    // Merged with what was merged before, and with rows that lie outside.
    put(&store, spans_with(&batches[0], 99)).await;
    let more = answers(&store).await;
    store.seal().await.expect("room on the disk");
    assert_eq!(answers(&store).await, more, "beside a merged one");
    store.compact().await.expect("room on the disk");
    assert_eq!(answers(&store).await, more, "merged again");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("HALFOPEN_SLOW").is_some() { 40 } else { 4 },
        rng_seed: prop::test_runner::RngSeed::Fixed(2026),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn attributes_are_the_same_hot_sealed_and_merged(
        batches in prop::collection::vec(prop::collection::vec(row(), 1..40), 1..4)
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        runtime.block_on(same_everywhere(batches));
    }
}

fn columns(folder: &std::path::Path) -> Vec<String> {
    let file = std::fs::read_dir(folder.join("segments/spans")).expect("a folder").find_map(|f| {
        let path = f.expect("a file").path();
        (path.extension()?.to_str()? == "parquet").then_some(path)
    });
    let file = std::fs::File::open(file.expect("a segment")).expect("a file");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let schema = reader.expect("a segment").schema().clone();
    schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frequent_keys_get_columns_of_their_types_and_attr_reads_only_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let row = |number: usize| -> Row {
        let mut row = vec![
            ("span.order".to_owned(), AttributeValue::Text(format!("o-{number:08}"))),
            ("span.items".to_owned(), AttributeValue::Int(number as i64 % 9)),
            ("resource.tier".to_owned(), AttributeValue::Text("gold".to_owned())),
            ("span.ratio".to_owned(), AttributeValue::Double(number as f64 / 4.0)),
            ("span.gift".to_owned(), AttributeValue::Bool(number.is_multiple_of(7))),
            ("span.list".to_owned(), AttributeValue::List("[1,2]".to_owned())),
        ];
        let mixed = match number % 2 {
            0 => AttributeValue::Int(1),
            _ => AttributeValue::Text("one".to_owned()),
        };
        row.push(("span.mixed".to_owned(), mixed));
        if number.is_multiple_of(500) {
            row.push(("span.rare".to_owned(), AttributeValue::Int(1)));
        }
        row
    };
    for seed in 0..2 {
        let rows: Vec<Row> = (0..2_000).map(|number| row(number + seed as usize)).collect();
        put(&store, spans_with(&rows, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    let ask =
        "SELECT attr('span.order'), attr('span.rare') FROM spans WHERE attr('span.items') = '3'";
    let expected = text(&store, ask).await;
    store.compact().await.expect("room on the disk");
    store.delete_unserved(Duration::ZERO).await;
    assert_eq!(text(&store, ask).await, expected);
    let columns = columns(folder.path());
    let keys = row(0).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let is_promoted = |column: &&str| keys.iter().any(|key| column.starts_with(key));
    let promoted: Vec<&str> = columns.iter().map(String::as_str).filter(is_promoted).collect();
    assert_eq!(
        promoted,
        [
            "span.order Utf8",
            "span.items Int64",
            "resource.tier Dictionary(Int32, Utf8)",
            "span.ratio Float64",
            "span.gift Boolean"
        ]
    );
    let plan = |sql: &'static str| {
        let store = store.clone();
        async move { text(&store, &format!("EXPLAIN {sql}")).await.join("\n") }
    };
    // The map is read by whoever asks for it, and by nobody else.
    let one = plan("SELECT attr('span.items'), count(*) FROM spans GROUP BY 1").await;
    let scan = one.lines().find(|line| line.contains("DataSourceExec")).expect("a scan");
    assert!(scan.contains("attribute_of(attributes"), "the scan reads it: {one}");
    let scan = Scan {
        columns: Some(vec!["attributes".to_owned()]),
        ..Scan::all(Table::Spans, TimeRange::ALL, 100_000)
    };
    let rows = store.read(scan).await.expect("rows");
    let cells = Cells::new(&rows.batches[0]);
    assert!(cells.attribute("span.order", 0).is_some() && cells.attributes(0).len() >= 7);
    assert_eq!(rows.batches[0].column(0).as_map().len(), rows.batches[0].num_rows());
}
