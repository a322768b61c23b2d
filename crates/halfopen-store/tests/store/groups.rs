//! Grouping by words, quantiles, and scans of many segments: faster than the engine's own, and
//! with the same answers.

use std::path::Path;

use halfopen_model::Table;
use halfopen_store::{QueryLimits, Store};

use crate::support::{full, number, open, put, shown, spans};

/// The largest part of a value that a quantile of many may be off.
const ERROR: f64 = 1.0 / 256.0;

async fn store(folder: &Path) -> Store {
    let (store, _) = open(folder).await;
    for seed in 1..4 {
        put(&store, spans(3_000, seed)).await;
        put(&store, full(Table::Spans, 500, seed + 10)).await;
        if seed < 3 {
            store.seal().await.expect("room on the disk");
        }
    }
    store
}

async fn text(store: &Store, sql: &str) -> Vec<String> {
    shown(&store.query(sql, QueryLimits::default()).await.expect(sql).batches)
}

async fn plan(store: &Store, sql: &str) -> String {
    text(store, &format!("EXPLAIN {sql}")).await.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grouping_by_words_is_grouping_by_their_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let route = "\"span.http.route\"";
    let functions = "count(*), count(parent_span_id), sum(duration_ns), min(start_time), \
        avg(duration_ns), count(*) FILTER (WHERE duration_ns > 500000000000), \
        quantile(duration_ns, 0.9)";
    for (columns, rest) in [
        (vec!["service"], ""),
        (vec!["service", "name"], ""),
        (vec!["service", "name", route, "status"], ""),
        (vec![route], "WHERE duration_ns > 1000000"),
        (vec![route], "WHERE service = 'nobody'"),
    ] {
        let ask = |by: Vec<String>| {
            let by = by.join(", ");
            format!("SELECT {by}, {functions} FROM spans {rest} GROUP BY {by}")
        };
        let words = ask(columns.iter().map(|column| (*column).to_owned()).collect());
        let texts = ask(columns.iter().map(|c| format!("CAST({c} AS VARCHAR)")).collect());
        assert!(plan(&store, &words).await.contains("GroupWords"), "{words}");
        assert!(!plan(&store, &texts).await.contains("GroupWords"), "{texts}");
        assert_eq!(text(&store, &words).await, text(&store, &texts).await, "{words}");
    }
    // Five columns make no key, and a number is no word.
    for sql in [
        "SELECT count(*) FROM spans GROUP BY duration_ns, service",
        "SELECT count(*) FROM spans GROUP BY GROUPING SETS ((service), (name))",
    ] {
        assert!(!plan(&store, sql).await.contains("GroupWords"), "{sql}");
        text(&store, sql).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_groups_than_fit_at_once_are_counted_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 0..8 {
        put(&store, full(Table::Ids, 12_000, seed)).await;
    }
    let rows = number(&store, "SELECT count(*) FROM ids").await;
    let by = "SELECT CAST(sum(c) AS BIGINT) FROM (SELECT count(*) AS c FROM ids GROUP BY id, name)";
    assert_eq!(number(&store, by).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quantiles_are_as_near_as_the_documents_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let all = text(&store, "SELECT CAST(duration_ns AS VARCHAR) FROM spans").await;
    let read = |line: &String| line.trim_matches('"').parse::<f64>().ok();
    let mut values: Vec<f64> = all.iter().filter_map(read).collect();
    values.sort_by(f64::total_cmp);
    assert!(values.len() > 8_000, "{}", values.len());
    for share in [0.0, 0.5, 0.95, 0.99, 1.0] {
        let rank = (share * values.len() as f64).ceil() as usize;
        let exact = values[rank.clamp(1, values.len()) - 1];
        let within = |sql: &str| {
            let (low, high) = (exact * (1.0 - ERROR), exact * (1.0 + ERROR));
            format!("SELECT count(*) FROM ({sql}) WHERE q >= {low} AND q <= {high}")
        };
        let one = format!("SELECT quantile(duration_ns, {share}) AS q FROM spans");
        assert_eq!(number(&store, &within(&one)).await, 1, "{one}: {exact}");
    }
    let named = text(&store, "SELECT quantile(duration_ns, 0.5) FROM spans WHERE false").await;
    assert_eq!(named, ["∅"]);
    for (sql, reason) in [
        ("SELECT quantile(duration_ns, 2) FROM spans", "a share between 0 and 1"),
        ("SELECT quantile(service, 0.5) FROM spans", "quantile_sketch"),
        ("SELECT quantile_of(X'07', 0.5) FROM spans", "what quantile_sketch() makes"),
    ] {
        let error = store.query(sql, QueryLimits::default()).await.map(|_| ()).expect_err(sql);
        assert!(error.to_string().contains(reason), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_segments_answer_as_few_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    let questions = [
        "SELECT count(*) FROM spans",
        "SELECT count(*), sum(duration_ns) FROM spans WHERE duration_ns > 500000000000",
        "SELECT service, count(*) FROM spans GROUP BY service",
        "SELECT hex(span_id), start_time FROM spans ORDER BY start_time DESC, span_id LIMIT 7",
        "SELECT attr('span.http.route'), count(*) FROM spans GROUP BY 1",
        "SELECT duration_ns + 1 FROM spans WHERE start_time > '2026-11-20T14:30:30Z'",
        "SELECT a.service FROM spans a JOIN spans b ON a.span_id = b.parent_span_id",
    ];
    for seed in 0..70 {
        put(&store, spans(40, seed)).await;
    }
    let mut hot = Vec::new();
    for sql in questions {
        hot.push(text(&store, sql).await);
    }
    store.close(std::time::Duration::ZERO).await;
    drop(store);
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 0..70 {
        put(&store, spans(40, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    for (sql, hot) in questions.iter().zip(hot) {
        assert_eq!(text(&store, sql).await, hot, "{sql}");
    }
    let plan = plan(&store, "SELECT count(duration_ns) FROM spans").await;
    assert!(plan.contains("segments=70"), "{plan}");
}
