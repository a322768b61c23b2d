//! A lookup by id opens the segments that hold the id, and hardly any other.

use halfopen_model::port::{Match, ReadEvidence, Scan};
use halfopen_model::{Batch, Table, TimeRange, TraceId};
use halfopen_store::{QueryLimits, Store, StoreStats};

use crate::support::{full, number, open, put, shown, spans, trace_id};

const SEGMENTS: u64 = 300;
const ROWS: usize = 50;

/// Three hundred small segments of spans, each with ten traces of its own.
async fn filled(folder: &std::path::Path) -> Store {
    let (store, _) = open(folder).await;
    for seed in 0..SEGMENTS {
        put(&store, spans(ROWS, seed + 1)).await;
        store.seal().await.expect("room on the disk");
    }
    store
}

async fn found(store: &Store, table: Table, matching: Match) -> Vec<String> {
    let mut scan = Scan { matching, ..Scan::all(table, TimeRange::ALL, usize::MAX) };
    scan.columns = Some(vec![table.time_column().to_owned(), "service".to_owned()]);
    shown(&store.read(scan).await.expect("rows that read").batches)
}

/// Lookups, segments that they asked about, segments that they opened: since `before`.
fn opened(store: &Store, before: &StoreStats) -> (u64, u64, u64) {
    let now = store.stats();
    (
        now.lookups - before.lookups,
        now.lookup_segments - before.lookup_segments,
        now.lookup_opened - before.lookup_opened,
    )
}

/// One in 256 is opened for nothing; this many of so many would be odd.
fn too_many(asked: u64) -> u64 {
    asked / 128 + 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_300_segments_a_lookup_opens_the_one_that_holds_the_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(folder.path()).await;
    let before = store.stats();
    for seed in 1..=SEGMENTS {
        let rows = found(&store, Table::Spans, Match::Traces(vec![trace_id(seed, 3)])).await;
        assert_eq!(rows.len(), 5, "trace of segment {seed}");
    }
    let (lookups, asked, looked_into) = opened(&store, &before);
    // Bounds of the catalogue exclude some before filters are asked.
    assert_eq!(lookups, SEGMENTS);
    assert!(asked > 100 * SEGMENTS, "{asked}");
    assert!(looked_into >= SEGMENTS, "{looked_into}");
    assert!(looked_into < SEGMENTS + too_many(asked), "{looked_into} of {asked}");

    let before = store.stats();
    let nobody = (0..200).map(|number| trace_id(99_999, number));
    for id in nobody {
        assert!(found(&store, Table::Spans, Match::Traces(vec![id])).await.is_empty());
    }
    let (_, asked, looked_into) = opened(&store, &before);
    assert!(looked_into < too_many(asked), "{looked_into} of {asked}");

    let before = store.stats();
    for seed in [5, 150, 299] {
        let id = trace_id(seed, 7);
        let sql = format!("SELECT count(*) FROM spans WHERE trace_id = '{id}'");
        assert_eq!(number(&store, &sql).await, 5);
        let sql = format!("SELECT count(*) FROM spans WHERE trace_id = X'{id}'");
        assert_eq!(number(&store, &sql).await, 5);
    }
    let (lookups, asked, looked_into) = opened(&store, &before);
    assert_eq!(lookups, 6, "queries look up too");
    assert!(looked_into < 6 + too_many(asked), "{looked_into} of {asked}");

    let before = store.stats();
    for seed in [5, 150, 299] {
        let id = trace_id(seed, 7).to_string();
        for test in [
            format!("hex(trace_id) LIKE '{}%'", &id[..12]),
            format!("starts_with(hex(trace_id), '{}')", &id[..9]),
            format!("duration_ns > -1 AND hex(trace_id) LIKE '{}_%'", &id[..10]),
        ] {
            let sql = format!("SELECT count(DISTINCT trace_id) FROM spans WHERE {test}");
            assert_eq!(number(&store, &sql).await, 1, "{test}");
        }
    }
    let (lookups, asked, looked_into) = opened(&store, &before);
    assert_eq!(lookups, 9, "beginnings are looked up too");
    assert!(looked_into < 9 + too_many(asked), "{looked_into} of {asked}");

    let before = store.stats();
    for seed in 1..=50 {
        let first = trace_id(seed, 3);
        let mut last = first;
        last.0[4..].fill(0xff);
        let beginning = TraceId([&first.0[..4], &[0; 12]].concat().try_into().expect("16"));
        let rows = found(&store, Table::Spans, Match::TraceRange(beginning, last)).await;
        assert_eq!(rows.len(), 5);
    }
    let (_, asked, looked_into) = opened(&store, &before);
    assert!(looked_into < 50 + too_many(asked), "{looked_into} of {asked}");
}

/// What a query finds by the beginning of an id is what it finds by looking at every row, and it
/// opens fewer segments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_for_the_beginning_of_an_id_open_the_segments_that_hold_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 0..12 {
        put(&store, full(Table::Ids, 30, seed + 1)).await;
        put(&store, full(Table::Spans, 30, seed + 1)).await;
        store.seal().await.expect("room on the disk");
    }
    let mut opened_of_ids = (0, 0);
    for (table, column) in [(Table::Ids, "id"), (Table::Spans, "request_id")] {
        for value in texts(&store, table, column).await.iter().filter(|value| value.len() > 6) {
            let beginning: String = value.chars().take(value.len() / 2).collect();
            let quoted = beginning.replace('\'', "''");
            let escaped = quoted.replace(['%', '_', '\\'], "_");
            let all = format!(
                "SELECT count(*) FROM {table} WHERE left({column}, {}) = '{quoted}'",
                beginning.chars().count()
            );
            let all = number(&store, &all).await;
            assert!(all > 0, "{value}");
            for test in [
                format!("starts_with({column}, '{quoted}')"),
                format!("{column} LIKE '{escaped}%'"),
                format!("CAST({column} AS VARCHAR) LIKE '{escaped}%' AND {column} LIKE '%'"),
            ] {
                let before = store.stats();
                let sql = format!("SELECT count(*) FROM {table} WHERE {test}");
                assert_eq!(number(&store, &sql).await, all, "{test}");
                let (lookups, asked, looked_into) = opened(&store, &before);
                assert_eq!(lookups, 1, "{test}");
                if table == Table::Ids {
                    opened_of_ids = (opened_of_ids.0 + looked_into, opened_of_ids.1 + asked);
                }
            }
            for test in [format!("{column} NOT LIKE '{escaped}%'"), format!("{column} ILIKE 'Q%'")]
            {
                let before = store.stats();
                number(&store, &format!("SELECT count(*) FROM {table} WHERE {test}")).await;
                assert_eq!(opened(&store, &before).0, 0, "{test} is about any row");
            }
        }
    }
    let (looked_into, asked) = opened_of_ids;
    assert!(asked > 100 && looked_into < asked, "{looked_into} of {asked}");
}

/// Everything that is found with filters is found without them, by a store that lost them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_lost_its_filters_finds_the_same_and_makes_them_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path()).await;
    for seed in 0..6 {
        let tables = [Table::Spans, Table::Logs, Table::Exchanges, Table::Ids];
        for Batch { table, rows, fingerprints } in tables.map(|table| full(table, 40, seed + 1)) {
            put(&store, Batch { table, rows, fingerprints }).await;
        }
        store.seal().await.expect("room on the disk");
    }
    let questions = questions(&store).await;
    let mut expected = Vec::new();
    for (table, matching) in &questions {
        expected.push(found(&store, *table, matching.clone()).await);
    }
    assert!(expected.iter().filter(|rows| !rows.is_empty()).count() > 20);
    store.close(std::time::Duration::from_secs(10)).await;
    drop(store);
    let removed = filters(folder.path());
    assert_eq!(removed.len(), 24, "one for each segment with ids");
    removed.iter().for_each(|path| std::fs::remove_file(path).expect("it is there"));

    let (store, report) = open(folder.path()).await;
    assert!(report.notes.is_empty(), "{report}");
    for ((table, matching), rows) in questions.iter().zip(&expected) {
        assert_eq!(&found(&store, *table, matching.clone()).await, rows, "{table} {matching:?}");
    }
    store.close(std::time::Duration::from_secs(10)).await;
}

fn filters(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let tables = std::fs::read_dir(folder.join("segments")).expect("a folder");
    let files = tables.flat_map(|table| {
        std::fs::read_dir(table.expect("an entry").path()).expect("a folder of a table")
    });
    let paths = files.map(|file| file.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "filter")).collect()
}

/// Ids of rows, whole and cut off, in every table that has some.
async fn questions(store: &Store) -> Vec<(Table, Match)> {
    let mut questions = Vec::new();
    let text = |column: &str, value: &str| {
        let (column, value) = (column.to_owned(), value.to_owned());
        Match::Text { column, value }
    };
    for (table, column) in [
        (Table::Ids, "id"),
        (Table::Spans, "request_id"),
        (Table::Logs, "request_id"),
        (Table::Exchanges, "request_id"),
    ] {
        for value in texts(store, table, column).await {
            questions.push((table, text(column, &value)));
            for length in [3, 4, 5, 9].into_iter().filter(|at| value.is_char_boundary(*at)) {
                let (column, prefix) = (column.to_owned(), value[..length].to_owned());
                questions.push((table, Match::TextPrefix { column, prefix }));
            }
        }
        questions.push((table, text(column, "nowhere")));
    }
    for table in [Table::Spans, Table::Logs, Table::Exchanges] {
        let scan = Scan::all(table, TimeRange::ALL, 8);
        for rows in store.read(scan).await.expect("rows that read").batches {
            let cells = halfopen_model::batch::Cells::new(&rows);
            for row in 0..cells.len() {
                let traces = cells.trace_id("trace_id", row).map(|id| Match::Traces(vec![id]));
                let spans = cells.span_id("span_id", row).map(Match::Span);
                questions.extend(traces.into_iter().chain(spans).map(|matching| (table, matching)));
            }
        }
    }
    questions
}

async fn texts(store: &Store, table: Table, column: &str) -> Vec<String> {
    let sql = format!("SELECT DISTINCT {column} FROM {table} WHERE {column} <> '' LIMIT 8");
    let answer = store.query(&sql, QueryLimits::default()).await.expect("a query that runs");
    let cells = answer.batches.iter().flat_map(|rows| {
        let cells = halfopen_model::batch::Cells::new(rows);
        let texts =
            (0..cells.len()).filter_map(move |row| cells.text(column, row).map(str::to_owned));
        texts.collect::<Vec<_>>()
    });
    cells.collect()
}
