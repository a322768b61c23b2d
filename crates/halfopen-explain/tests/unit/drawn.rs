//! Test rows written as text, one row per line.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, StructArray, TimestampNanosecondArray, UInt8Array, UInt32Array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Int32Type};
use halfopen_model::schema::{
    self, attributes_type, entry_fields, event_fields, link_fields, value_fields,
};
use halfopen_model::{AttributeValue, Table, TraceId};

/// The trace that all drawn rows belong to unless they say otherwise.
pub(crate) const TRACE: TraceId = TraceId([0xaa; 16]);
/// 2026-11-20T14:00:00Z: drawn times are milliseconds from here.
pub(crate) const BASE_NS: i64 = 1_795_183_200_000_000_000;

pub(crate) type Attributes = Vec<(String, AttributeValue)>;

/// One drawn span: `id<parent service "name" 0..100 error key=value`, see [`span_row`].
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) trace: TraceId,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: Option<i64>,
    pub(crate) status: &'static str,
    pub(crate) attributes: Attributes,
    pub(crate) events: Vec<(i64, String, Attributes)>,
    pub(crate) kind: String,
    /// Traces and spans that it links to.
    pub(crate) links: Vec<(TraceId, u64)>,
}

/// The trace of a number.
pub(crate) fn trace_of(number: &str) -> TraceId {
    TraceId([number.parse().expect("a small number"); 16])
}

/// Reads `1<- gate POST 0..100`, `2<1 pay charge 10..90 error k=v`; `0..` never ended. `@client`
/// is its kind, `trace:2` its trace, `link:2/7` a link to span 7 of trace 2.
pub(crate) fn span_row(line: &str) -> Drawn {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("{line:?} is too short"));
    let (id, parent) = word().split_once('<').expect("id<parent");
    let (service, name, times) = (word().to_owned(), word().to_owned(), word());
    let (start, end) = times.split_once("..").expect("start..end");
    let mut drawn = Drawn {
        trace: TRACE,
        id: id.parse().expect("a number"),
        parent: parent.parse().ok(),
        service,
        name,
        start_ms: start.parse().expect("milliseconds"),
        end_ms: end.parse().ok(),
        status: "unset",
        attributes: Vec::new(),
        events: Vec::new(),
        kind: "internal".to_owned(),
        links: Vec::new(),
    };
    for extra in words {
        if let Some(kind) = extra.strip_prefix('@') {
            drawn.kind = kind.to_owned();
            continue;
        }
        if let Some((what, place)) = extra.split_once(':').filter(|(what, _)| !what.contains('=')) {
            match (what, place.split_once('/')) {
                ("link", Some((trace, id))) => {
                    drawn.links.push((trace_of(trace), id.parse().expect("a number")));
                }
                _ => drawn.trace = trace_of(place),
            }
            continue;
        }
        match extra.split_once('=') {
            None => drawn.status = "error",
            Some((key, value)) => {
                let value = match value.parse() {
                    Ok(number) => AttributeValue::Int(number),
                    Err(_) => AttributeValue::Text(value.into()),
                };
                drawn.attributes.push((format!("span.{key}"), value));
            }
        }
    }
    drawn
}

/// The rows as a batch of `spans`; columns that are null everywhere are left out.
pub(crate) fn spans(drawn: &[Drawn]) -> RecordBatch {
    let ids = |ids: Vec<Option<[u8; 8]>>| -> ArrayRef {
        let ids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids.into_iter(), 8);
        Arc::new(ids.expect("8 bytes each"))
    };
    let traces = drawn.iter().map(|span| Some(span.trace.0));
    let traces = FixedSizeBinaryArray::try_from_sparse_iter_with_size(traces, 16);
    let starts = drawn.iter().map(|span| at_ns(span.start_ms));
    let durations: Int64Array =
        drawn.iter().map(|span| span.end_ms.map(|end| (end - span.start_ms) * 1_000_000)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("trace_id", Arc::new(traces.expect("16 bytes each"))),
        ("span_id", ids(drawn.iter().map(|span| Some(span.id.to_be_bytes())).collect())),
        (
            "parent_span_id",
            ids(drawn.iter().map(|span| span.parent.map(u64::to_be_bytes)).collect()),
        ),
        ("start_time", times(starts)),
        ("duration_ns", Arc::new(durations)),
        ("service", words(drawn.iter().map(|span| Some(span.service.as_str())))),
        ("name", words(drawn.iter().map(|span| Some(span.name.as_str())))),
        ("kind", words(drawn.iter().map(|span| Some(span.kind.as_str())))),
        ("status", words(drawn.iter().map(|span| Some(span.status)))),
        ("attributes", attributes(drawn.iter().map(|span| &span.attributes))),
        ("events", events(drawn)),
        ("links", links(drawn)),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let rows = rows.expect("columns of one length");
    halfopen_model::batch::conform(&rows, &schema::schema(Table::Spans)).expect("the schema")
}

pub(crate) fn at_ns(ms: i64) -> i64 {
    BASE_NS + ms * 1_000_000
}

pub(crate) fn times(nanos: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_iter_values(nanos).with_timezone("UTC"))
}

pub(crate) fn words<'a>(words: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(words.collect::<DictionaryArray<Int32Type>>())
}

pub(crate) fn attributes<'a>(rows: impl Iterator<Item = &'a Attributes>) -> ArrayRef {
    let (mut keys, mut tags, mut texts, mut offsets) = (vec![], vec![], vec![], vec![0_i32]);
    for row in rows {
        for (key, value) in row {
            keys.push(key.clone());
            tags.push(value.value_type().tag());
            texts.push(value.to_text());
        }
        offsets.push(keys.len() as i32);
    }
    let values = StructArray::new(
        value_fields(),
        vec![Arc::new(UInt8Array::from(tags)), Arc::new(StringArray::from(texts))],
        None,
    );
    let entries = StructArray::new(
        entry_fields(),
        vec![Arc::new(StringArray::from(keys)), Arc::new(values)],
        None,
    );
    let DataType::Map(field, _) = attributes_type() else { unreachable!("attributes are a map") };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Arc::new(MapArray::new(field, offsets, entries, None, false))
}

fn events(drawn: &[Drawn]) -> ArrayRef {
    let all = || drawn.iter().flat_map(|span| &span.events);
    let items = StructArray::new(
        event_fields(),
        vec![
            times(all().map(|(ms, _, _)| at_ns(*ms))),
            Arc::new(all().map(|(_, name, _)| Some(name)).collect::<StringArray>()),
            attributes(all().map(|(_, _, attributes)| attributes)),
            Arc::new(all().map(|_| Some(0)).collect::<UInt32Array>()),
        ],
        None,
    );
    let field = Arc::new(Field::new("item", DataType::Struct(event_fields()), true));
    let offsets = OffsetBuffer::from_lengths(drawn.iter().map(|span| span.events.len()));
    Arc::new(ListArray::new(field, offsets, Arc::new(items), None))
}

fn links(drawn: &[Drawn]) -> ArrayRef {
    let all = || drawn.iter().flat_map(|span| &span.links);
    let traces = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        all().map(|(trace_id, _)| Some(trace_id.0)),
        16,
    );
    let spans = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        all().map(|(_, span_id)| Some(span_id.to_be_bytes())),
        8,
    );
    let none = Attributes::new();
    let items = StructArray::new(
        link_fields(),
        vec![
            Arc::new(traces.expect("16 bytes each")),
            Arc::new(spans.expect("8 bytes each")),
            Arc::new(all().map(|_| None::<&str>).collect::<StringArray>()),
            Arc::new(all().map(|_| Some(0)).collect::<UInt32Array>()),
            attributes(all().map(|_| &none)),
            Arc::new(all().map(|_| Some(0)).collect::<UInt32Array>()),
        ],
        None,
    );
    let field = Arc::new(Field::new("item", DataType::Struct(link_fields()), true));
    let offsets = OffsetBuffer::from_lengths(drawn.iter().map(|span| span.links.len()));
    Arc::new(ListArray::new(field, offsets, Arc::new(items), None))
}
