//! Spans as record batches in the schema of the model.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, MapArray,
    RecordBatch, StringArray, StructArray, TimestampNanosecondArray, UInt8Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type};
use halfopen_model::Table;
use halfopen_model::batch::conform;
use halfopen_model::known::{KnownType, Scope, known};
use halfopen_model::schema::{self, entry_fields, value_fields};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
}

impl Value {
    fn stored(&self) -> (u8, String) {
        match self {
            Value::Text(text) => (1, text.clone()),
            Value::Bool(value) => (2, value.to_string()),
            Value::Int(value) => (3, value.to_string()),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: u128,
    pub(crate) id: u64,
    /// 0 for a root.
    pub(crate) parent: u64,
    pub(crate) start: i64,
    pub(crate) duration: Option<i64>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) message: Option<String>,
    pub(crate) weight: Option<f64>,
    /// Prefixed names; later values of a name that has a column win.
    pub(crate) attributes: Vec<(&'static str, Value)>,
}

/// Whether a value goes into a column of its own.
fn column_type(name: &str) -> Option<KnownType> {
    let (scope, key) = Scope::split(name)?;
    known(scope).iter().find(|(column, _)| *column == key).map(|(_, known_type)| *known_type)
}

fn in_column(name: &str, value: &Value) -> bool {
    matches!(
        (column_type(name), value),
        (Some(KnownType::Word), Value::Text(_)) | (Some(KnownType::Int), Value::Int(_))
    )
}

/// Batches of at most `rows_max` rows, each with dictionaries of its own.
pub(crate) fn batches(spans: &[Span], rows_max: usize) -> Vec<RecordBatch> {
    spans.chunks(rows_max).map(batch).collect()
}

pub(crate) fn batch(spans: &[Span]) -> RecordBatch {
    let words = |text: &dyn Fn(&Span) -> Option<String>| -> ArrayRef {
        let texts: Vec<Option<String>> = spans.iter().map(text).collect();
        let column: DictionaryArray<Int32Type> = texts.iter().map(|text| text.as_deref()).collect();
        Arc::new(column)
    };
    let ids = |id: &dyn Fn(&Span) -> u64| -> ArrayRef {
        let ids = spans.iter().map(|span| Some(id(span)).filter(|id| *id != 0));
        let ids = ids.map(|id| id.map(u64::to_be_bytes));
        let built = FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8);
        Arc::new(built.expect("ids of 8 bytes"))
    };
    let traces = spans.iter().map(|span| span.trace.to_be_bytes());
    let traces = FixedSizeBinaryArray::try_from_iter(traces).expect("ids of 16 bytes");
    let starts = TimestampNanosecondArray::from_iter_values(spans.iter().map(|span| span.start));
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("trace_id".into(), Arc::new(traces)),
        ("span_id".into(), ids(&|span| span.id)),
        ("parent_span_id".into(), ids(&|span| span.parent)),
        ("start_time".into(), Arc::new(starts.with_timezone("UTC"))),
        (
            "duration_ns".into(),
            Arc::new(spans.iter().map(|span| span.duration).collect::<Int64Array>()),
        ),
        ("service".into(), words(&|span| Some(span.service.clone()).filter(|s| !s.is_empty()))),
        ("name".into(), words(&|span| Some(span.name.clone()))),
        ("kind".into(), words(&|span| Some(span.kind.into()))),
        ("status".into(), words(&|span| Some(span.status.into()))),
        (
            "status_message".into(),
            Arc::new(spans.iter().map(|span| span.message.clone()).collect::<StringArray>()),
        ),
        ("weight".into(), Arc::new(spans.iter().map(|span| span.weight).collect::<Float64Array>())),
        (schema::ATTRIBUTES.into(), Arc::new(map(spans))),
    ];
    let mut names: Vec<&str> = spans
        .iter()
        .flat_map(|span| span.attributes.iter())
        .filter(|(name, value)| in_column(name, value))
        .map(|(name, _)| *name)
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let value = |span: &Span| {
            let found = span.attributes.iter().rev().find(|(n, v)| *n == name && in_column(n, v));
            found.map(|(_, value)| value.clone())
        };
        let column: ArrayRef = match column_type(name) {
            Some(KnownType::Int) => Arc::new(
                spans
                    .iter()
                    .map(|span| match value(span) {
                        Some(Value::Int(int)) => Some(int),
                        _ => None,
                    })
                    .collect::<Int64Array>(),
            ),
            _ => words(&|span| value(span).map(|value| value.stored().1)),
        };
        columns.push((name.into(), column));
    }
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let rows = rows.expect("columns of one length");
    conform(&rows, &schema::schema(Table::Spans)).expect("rows that fit")
}

fn map(spans: &[Span]) -> MapArray {
    let (mut keys, mut tags, mut texts, mut lengths) = (vec![], vec![], vec![], vec![]);
    for span in spans {
        let before = keys.len();
        for (name, value) in span.attributes.iter().filter(|(n, v)| !in_column(n, v)) {
            let (tag, text) = value.stored();
            keys.push(*name);
            tags.push(tag);
            texts.push(text);
        }
        lengths.push(keys.len() - before);
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
    let field = Field::new("entries", arrow::datatypes::DataType::Struct(entry_fields()), false);
    let offsets = OffsetBuffer::from_lengths(lengths);
    MapArray::new(Arc::new(field), offsets, entries, None, false)
}
