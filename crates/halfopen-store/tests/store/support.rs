//! Rows for tests: every column of every table filled by a seed, and what to compare them by.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::*;
use halfopen_model::port::{ReadEvidence, Scan, WriteEvidence, Written};
use halfopen_model::schema::schema;
use halfopen_model::{Batch, Clock, Fingerprint, Table, TimeRange, TraceId, UnixNanos};
use halfopen_store::{CatalogueUrl, OpenReport, QueryLimits, Store, StoreConfig};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// 2026-11-20T14:30:00Z
pub const NOW: i64 = 1_795_185_000_000_000_000;

/// A clock that stands still until it is moved.
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.0.load(Ordering::Relaxed))
    }
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock(AtomicI64::new(NOW)))
}

/// A small generator of numbers (Marsaglia, xorshift64*): the same seed gives the same rows.
#[derive(Clone)]
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A column of `rows` values; about one in five is null where that is allowed.
fn column(field: &Field, rows: usize, numbers: &mut Numbers) -> ArrayRef {
    let valid: Vec<bool> =
        (0..rows).map(|_| !field.is_nullable() || numbers.below(5) > 0).collect();
    let nulls = field.is_nullable().then(|| NullBuffer::from(valid.clone()));
    let mut number = |bound: u64| numbers.below(bound);
    match field.data_type() {
        DataType::Boolean => Arc::new(BooleanArray::new(
            (0..rows).map(|_| number(2) == 1).collect::<Vec<_>>().into(),
            nulls,
        )),
        DataType::UInt8 => {
            Arc::new(UInt8Array::new((0..rows).map(|_| number(9) as u8).collect(), nulls))
        }
        DataType::UInt32 => {
            Arc::new(UInt32Array::new((0..rows).map(|_| number(1000) as u32).collect(), nulls))
        }
        DataType::UInt64 => {
            Arc::new(UInt64Array::new((0..rows).map(|_| number(u64::MAX)).collect(), nulls))
        }
        DataType::Int64 => {
            Arc::new(Int64Array::new((0..rows).map(|_| number(1 << 40) as i64).collect(), nulls))
        }
        DataType::Float64 => Arc::new(Float64Array::new(
            (0..rows).map(|_| number(1 << 20) as f64 / 8.0).collect(),
            nulls,
        )),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let times = (0..rows).map(|_| NOW + number(60_000_000_000) as i64).collect();
            Arc::new(TimestampNanosecondArray::new(times, nulls).with_timezone_opt(zone.clone()))
        }
        DataType::Utf8 => {
            let texts = (0..rows).map(|row| valid[row].then(|| text(number(1 << 16))));
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Binary => {
            let bytes = (0..rows).map(|row| valid[row].then(|| text(number(1 << 16)).into_bytes()));
            Arc::new(bytes.collect::<BinaryArray>())
        }
        DataType::Dictionary(_, _) => {
            let words: Vec<Option<String>> =
                (0..rows).map(|row| valid[row].then(|| format!("word {}", number(12)))).collect();
            let words = words.iter().map(|word| word.as_deref());
            Arc::new(words.collect::<DictionaryArray<Int32Type>>())
        }
        DataType::FixedSizeBinary(size) => ids(*size, &valid, numbers),
        DataType::List(item) => {
            let (offsets, count) = offsets(rows, &valid, numbers);
            let values = column(item, count, numbers);
            Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
        }
        DataType::Struct(fields) => Arc::new(StructArray::new(
            fields.clone(),
            fields.iter().map(|field| column(field, rows, numbers)).collect(),
            nulls,
        )),
        DataType::Map(entries, ordered) => {
            let (offsets, count) = offsets(rows, &valid, numbers);
            let values = column(entries, count, numbers).as_struct().clone();
            Arc::new(MapArray::new(Arc::clone(entries), offsets, values, nulls, *ordered))
        }
        other => panic!("no rows of {other}"),
    }
}

fn ids(size: i32, valid: &[bool], numbers: &mut Numbers) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(size);
    for valid in valid {
        let id = numbers.next().to_be_bytes().repeat(2);
        match valid {
            true => builder.append_value(&id[..size as usize]).expect("its size"),
            false => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn offsets(rows: usize, valid: &[bool], numbers: &mut Numbers) -> (OffsetBuffer<i32>, usize) {
    let lengths = (0..rows).map(|row| if valid[row] { numbers.below(4) as usize } else { 0 });
    let offsets = OffsetBuffer::from_lengths(lengths);
    let count = offsets[rows] as usize;
    (offsets, count)
}

fn text(number: u64) -> String {
    match number % 5 {
        0 => format!("it's \"{number}\"\n\t\u{0}ü"),
        1 => String::new(),
        _ => format!("text {number}"),
    }
}

/// Rows with a value in every column.
pub fn full(table: Table, rows: usize, seed: u64) -> Batch {
    let mut numbers = Numbers::new(seed);
    let schema = schema(table);
    let columns = schema.fields().iter().map(|field| column(field, rows, &mut numbers)).collect();
    let rows = RecordBatch::try_new(schema, columns).expect("columns of the schema");
    let fingerprints = marks(seed, rows.num_rows());
    Batch { table, rows, fingerprints }
}

fn marks(seed: u64, rows: usize) -> Vec<Fingerprint> {
    (0..rows).map(|row| (u128::from(seed) << 64) | row as u128 | (1 << 127)).collect()
}

/// Spans as services send them: the columns in use, traces of five spans.
pub fn spans(rows: usize, seed: u64) -> Batch {
    let wanted = [
        "trace_id",
        "span_id",
        "parent_span_id",
        "start_time",
        "duration_ns",
        "service",
        "name",
        "kind",
        "status",
        "resource.service.version",
        "resource.host.name",
        "span.http.route",
        "span.http.request.method",
        "span.http.response.status_code",
        "attributes",
    ];
    let mut numbers = Numbers::new(seed);
    let whole = schema(Table::Spans);
    let in_use = whole.fields().iter().filter(|field| wanted.contains(&field.name().as_str()));
    let fields: Vec<_> = in_use.cloned().collect();
    let schema = Arc::new(Schema::new(fields.clone()));
    let columns = fields.iter().map(|field| match field.name().as_str() {
        "trace_id" => {
            let ids = (0..rows).map(|row| trace_id(seed, row / 5).0);
            Arc::new(FixedSizeBinaryArray::try_from_iter(ids).expect("16 bytes")) as ArrayRef
        }
        _ => column(field, rows, &mut numbers),
    });
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).expect("columns");
    let fingerprints = marks(seed, rows.num_rows());
    Batch { table: Table::Spans, rows, fingerprints }
}

/// The trace that [`spans`] makes.
pub fn trace_id(seed: u64, number: usize) -> TraceId {
    let mut numbers = Numbers::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
    // Neighbours are alike at first.
    for _ in 0..8 {
        numbers.next();
    }
    TraceId(((u128::from(numbers.next()) << 64) | u128::from(numbers.next())).to_be_bytes())
}

/// Each row as text, sorted: equal for equal sets of rows, however they are split into batches.
pub fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        let options = arrow::util::display::FormatOptions::new().with_null("∅");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c| arrow::util::display::ArrayFormatter::try_new(c, &options).expect("a form"))
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            lines.push(cells.join(" | "));
        }
    }
    lines.sort();
    lines
}

/// Where the catalogue is while all tests run once more with one in PostgreSQL.
pub const CATALOGUE: &str = "HALFOPEN_TEST_CATALOGUE";

/// The address of the server with the catalogues; none where they are files.
pub fn catalogue() -> Option<String> {
    std::env::var(CATALOGUE).ok()
}

/// Settings under which nothing is sealed or merged unless asked for.
pub fn config(folder: &Path) -> StoreConfig {
    StoreConfig {
        seal_after_s: 100_000,
        compact: false,
        catalogue: CatalogueUrl::new(catalogue().unwrap_or_default()),
        ..StoreConfig::in_folder(folder)
    }
}

/// Runs statements on the catalogue of a folder that nobody holds.
pub async fn change_catalogue(folder: &Path, sql: &'static str) {
    let Some(url) = catalogue() else {
        let options = SqliteConnectOptions::new().filename(folder.join("catalogue.sqlite"));
        let mut file = options.connect().await.expect("a catalogue");
        sqlx::raw_sql(sql).execute(&mut file).await.expect("statements");
        return file.close().await.expect("a catalogue that closes");
    };
    let place = std::fs::read_to_string(folder.join("CATALOGUE")).expect("a file");
    let id = place.trim().rsplit(' ').next().expect("an id");
    let mut server = PgConnection::connect(&url).await.expect("a server");
    let all = format!("SET search_path = halfopen_{id}; {sql}");
    sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut server).await.expect("statements");
    server.close().await.expect("a connection that closes");
}

pub async fn open(folder: &Path) -> (Store, OpenReport) {
    Store::open(config(folder), clock()).await.expect("a folder that opens")
}

pub async fn put(store: &Store, batch: Batch) -> Written {
    store.write(vec![batch]).await.expect("rows that fit")
}

/// All rows of a table, whatever their order.
pub async fn all(store: &Store, table: Table) -> Vec<String> {
    let scan = Scan::all(table, TimeRange::ALL, usize::MAX);
    shown(&store.read(scan).await.expect("rows that read").batches)
}

/// The only number that a query returns.
pub async fn number(store: &Store, sql: &str) -> i64 {
    let answer = store.query(sql, QueryLimits::default()).await.expect("a query that runs");
    let column = answer.batches[0].column(0);
    let column = arrow::compute::cast(column, &DataType::Int64).expect("a number");
    column.as_primitive::<Int64Type>().value(0)
}
