//! Spans of made-up requests, all from a seed: attributes of 2 to 60,000 values, and requests
//! that fail by a combination of three.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, make_array,
};
use arrow::datatypes::{DataType, Int32Type};
use halfopen_model::schema;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Table, UnixNanos};

pub(super) const BEGIN_NS: i64 = 1_795_183_200 * SECOND_NS;
pub(super) const HOUR_NS: i64 = 3_600 * SECOND_NS;
pub(super) const SPANS_PER_REQUEST: usize = 10;
pub(super) const ROWS_PER_BATCH: usize = 50_000;
const SERVICES: usize = 5;
const SEED: u64 = 2026;

/// Columns beside the attributes that the comparison reads.
pub(super) const COLUMNS: [&str; 9] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "start_time",
    "duration_ns",
    "service",
    "name",
    "kind",
    "status",
];

/// Attributes and how many values each has.
pub(super) const ATTRIBUTES: [(&str, usize); 30] = [
    ("resource.service.version", 4),
    ("resource.cloud.region", 5),
    ("span.messaging.destination.name", 6),
    ("resource.k8s.pod.name", 200),
    ("resource.host.name", 64),
    ("span.http.route", 40),
    ("span.http.request.method", 5),
    ("span.user.id", 60_000),
    ("span.session.id", 40_000),
    ("resource.deployment.environment.name", 2),
    ("span.db.query.summary", 500),
    ("span.user_agent.original", 5_000),
    ("resource.host.arch", 2),
    ("resource.os.type", 3),
    ("resource.cloud.provider", 3),
    ("resource.cloud.availability_zone", 8),
    ("resource.k8s.cluster.name", 8),
    ("resource.k8s.namespace.name", 12),
    ("resource.k8s.node.name", 100),
    ("resource.k8s.deployment.name", 50),
    ("resource.container.image.name", 25),
    ("resource.process.runtime.version", 10),
    ("resource.telemetry.sdk.version", 16),
    ("span.client.address", 20_000),
    ("span.code.function.name", 1_000),
    ("span.db.collection.name", 128),
    ("span.db.namespace", 20),
    ("span.enduser.id", 10_000),
    ("span.messaging.consumer.group.name", 32),
    ("span.url.path", 2_000),
];

/// Requests with all three of these fail: attribute, and number of the value. Each stands on
/// another span of the request.
pub(super) const CAUSE: [(&str, usize); 3] = [
    ("resource.cloud.region", 1),
    ("resource.service.version", 2),
    ("span.messaging.destination.name", 3),
];

/// Requests that fail for no reason, one in so many.
const BACKGROUND: u64 = 5_000;

fn mix(seed: u64, number: u64) -> u64 {
    let mut z = (SEED ^ seed << 48).wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The value that a span has of an attribute.
fn value(attribute: usize, values: usize, row: usize) -> usize {
    let request = row / SPANS_PER_REQUEST;
    let of_cause = CAUSE.iter().position(|(name, _)| *name == ATTRIBUTES[attribute].0);
    let number = match of_cause {
        // One value of the request stands on one of its spans, the others have one of no matter.
        Some(place) if row % SPANS_PER_REQUEST == 2 + 3 * place => request,
        Some(_) => return 0,
        // Users, sessions and their like are of the request; pods and routes of the span.
        None if values >= 10_000 => request,
        None => row,
    };
    let dice = mix(attribute as u64 + 1, number as u64);
    // A few values are frequent, most are rare.
    let skewed = (dice >> 32) as f64 / f64::from(u32::MAX);
    let spread = if of_cause.is_some() { skewed } else { skewed * skewed };
    ((spread * values as f64) as usize).min(values - 1)
}

fn fails(request: usize) -> bool {
    let met = CAUSE.iter().enumerate().all(|(place, (name, wanted))| {
        let attribute = ATTRIBUTES.iter().position(|(known, _)| known == name);
        attribute.is_some_and(|attribute| {
            let row = request * SPANS_PER_REQUEST + 2 + 3 * place;
            value(attribute, ATTRIBUTES[attribute].1, row) == *wanted
        })
    });
    met || mix(60, request as u64).is_multiple_of(BACKGROUND)
}

/// When a span begins.
pub(super) fn start(row: usize, total: usize) -> UnixNanos {
    let request = row / SPANS_PER_REQUEST;
    let requests = (total / SPANS_PER_REQUEST).max(1);
    UnixNanos(BEGIN_NS + (request as i128 * i128::from(HOUR_NS) / requests as i128) as i64)
}

fn words(texts: StringArray, keys: impl Iterator<Item = usize>) -> ArrayRef {
    let keys: Int32Array = keys.map(|key| Some(key as i32)).collect();
    Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(texts)))
}

fn named(texts: &[&str], keys: impl Iterator<Item = usize>) -> ArrayRef {
    words(texts.iter().copied().map(Some).collect(), keys)
}

/// A column that every row must have, with nothing in it: no attributes, no events, 0.
fn nothing(data_type: &DataType, rows: usize) -> ArrayRef {
    let data = ArrayData::new_null(data_type, rows).into_builder().nulls(None).build();
    make_array(data.expect("zeros and empty lists are values"))
}

/// Keys of a dictionary column without nulls, and the key of a word.
pub(super) fn keys_of<'c>(column: &'c ArrayRef, word: &str) -> Option<(&'c [i32], i32)> {
    let column = column.as_dictionary_opt::<Int32Type>()?;
    let values = column.values().as_string_opt::<i32>()?;
    let key = (0..values.len()).find(|key| values.value(*key) == word);
    let key = key.map_or(-1, |key| key as i32);
    (column.null_count() == 0).then(|| (&column.keys().values()[..], key))
}

/// These rows of so many.
pub(super) fn batch(rows: Range<usize>, total: usize) -> RecordBatch {
    let all = || rows.clone();
    let place = |row: usize| row % SPANS_PER_REQUEST;
    let request = |row: usize| row / SPANS_PER_REQUEST;
    let trace = |row: usize| {
        let number = request(row) as u64;
        let id = u128::from(mix(61, number)) << 64 | u128::from(mix(62, number));
        id.to_be_bytes()
    };
    let id = |row: usize| (row as u64 + 1).to_be_bytes();
    let parent = |row: usize| (place(row) > 0).then(|| id(row - 1));
    let fixed = |ids: FixedSizeBinaryArray| -> ArrayRef { Arc::new(ids) };
    let parents = FixedSizeBinaryArray::try_from_sparse_iter_with_size(all().map(parent), 8)
        .expect("8 bytes");
    let starts = all().map(|row| start(row, total).0 + place(row) as i64);
    let failed = |row: usize| usize::from(place(row) == 0 && fails(request(row)));
    let durations: Int64Array = all().map(|row| Some(1_000_000 + (row % 977) as i64)).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("trace_id", fixed(FixedSizeBinaryArray::try_from_iter(all().map(trace)).expect("16"))),
        ("span_id", fixed(FixedSizeBinaryArray::try_from_iter(all().map(id)).expect("8 bytes"))),
        ("parent_span_id", fixed(parents)),
        (
            "start_time",
            Arc::new(TimestampNanosecondArray::from_iter_values(starts).with_timezone("UTC")),
        ),
        ("duration_ns", Arc::new(durations)),
        (
            "service",
            words(
                (0..SERVICES).map(|number| Some(format!("service-{number}"))).collect(),
                all().map(|row| place(row) * SERVICES / SPANS_PER_REQUEST),
            ),
        ),
        (
            "name",
            words(
                (0..SPANS_PER_REQUEST).map(|number| Some(format!("work {number}"))).collect(),
                all().map(place),
            ),
        ),
        ("kind", named(&["server", "internal"], all().map(|row| usize::from(place(row) > 0)))),
        ("status", named(&["unset", "error"], all().map(failed))),
    ];
    for (attribute, (name, values)) in ATTRIBUTES.iter().enumerate() {
        // Each batch has a dictionary of its own, of the values that it holds, as decoding makes.
        let numbers: Vec<usize> = all().map(|row| value(attribute, *values, row)).collect();
        let mut held = numbers.clone();
        held.sort_unstable();
        held.dedup();
        let mut codes = vec![0; *values];
        held.iter().enumerate().for_each(|(code, number)| codes[*number] = code);
        let texts = held.iter().map(|number| Some(format!("{name}-{number:05}"))).collect();
        columns.push((name, words(texts, numbers.into_iter().map(|number| codes[number]))));
    }
    let schema = schema::schema(Table::Spans);
    let wanted = schema.fields().iter().filter(|field| !field.is_nullable());
    for field in wanted {
        if columns.iter().all(|(name, _)| name != field.name()) {
            columns.push((field.name(), nothing(field.data_type(), rows.len())));
        }
    }
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}
