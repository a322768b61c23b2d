//! Rows of exchanges and changes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
    Int64Array, ListArray, ListBuilder, MapArray, RecordBatch, StringArray, StringBuilder,
    StructArray, TimestampNanosecondArray, UInt8Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use halfopen_model::schema::{
    ATTRIBUTES, attributes_type, entry_fields, header_fields, value_fields,
};
use halfopen_model::{Batch, Fingerprint, Table};
use xxhash_rust::xxh3::xxh3_128;

use super::group::{Attribute, CHANGE_TEXTS, Change, Exchange, Group, Message};
use crate::builder::Tables;
use crate::ids::{Carrier, FoundIds};

/// What a request says about its trace: `traceparent` (W3C Trace Context, section 3.2).
#[derive(Clone, Copy, Default)]
struct Context {
    trace_id: Option<[u8; 16]>,
    span_id: Option<[u8; 8]>,
}

impl Context {
    fn of(headers: &[(String, Vec<u8>)]) -> Context {
        let of_header = |(name, value): &(String, Vec<u8>)| {
            let is_context = name.eq_ignore_ascii_case("traceparent");
            let text = is_context.then(|| str::from_utf8(value).ok()).flatten()?;
            let mut parts = text.trim().split('-').skip(1);
            let (trace, span) = (parts.next()?, parts.next()?);
            let is_whole = trace.len() == 32 && span.len() == 16;
            let trace_id: halfopen_model::TraceId = trace.parse().ok()?;
            let span_id: halfopen_model::SpanId = span.parse().ok()?;
            (is_whole && !trace_id.is_zero() && !span_id.is_zero())
                .then_some(Context { trace_id: Some(trace_id.0), span_id: Some(span_id.0) })
        };
        headers.iter().find_map(of_header).unwrap_or_default()
    }
}

/// Reads a text of an exchange.
type Get = fn(&Exchange) -> &str;

/// Exchanges that became rows, and the columns that were found in their headers.
#[derive(Default)]
pub(crate) struct ExchangeRows {
    exchanges: Vec<Exchange>,
    contexts: Vec<Context>,
    request_ids: Vec<Option<String>>,
}

impl ExchangeRows {
    pub(crate) fn count(&self) -> usize {
        self.exchanges.len()
    }

    /// Adds an exchange, and the ids that its headers carry.
    pub(crate) fn push(&mut self, exchange: &Exchange, tables: &mut Tables) {
        let context = Context::of(&exchange.request.headers);
        let mut found = FoundIds::default();
        let headers = exchange.request.headers.iter().chain(&exchange.response.headers);
        for (name, value) in headers {
            let key = name.to_ascii_lowercase();
            if let (Some(id), Ok(text)) = (tables.keys.names().find(&key), str::from_utf8(value)) {
                found.add(&id, text);
            }
        }
        let service = Some(exchange.service.as_str()).filter(|service| !service.is_empty());
        let carrier = Carrier {
            table: Table::Exchanges,
            trace_id: context.trace_id,
            span_id: context.span_id,
            time: exchange.time,
            service,
        };
        found.write(&carrier, &mut tables.ids, &mut tables.seen_ids);
        self.request_ids.push(found.request_id().map(str::to_owned));
        self.contexts.push(context);
        self.exchanges.push(exchange.clone());
    }

    pub(crate) fn finish(&mut self) -> Option<Batch> {
        let ExchangeRows { exchanges, contexts, request_ids } = std::mem::take(self);
        if exchanges.is_empty() {
            return None;
        }
        let trace_ids = contexts.iter().map(|context| context.trace_id);
        let span_ids = contexts.iter().map(|context| context.span_id);
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("time", times(exchanges.iter().map(|row| Some(row.time)))),
            ("duration_ns", ints(exchanges.iter().map(|row| row.duration_ns))),
            ("trace_id", fixed(trace_ids)),
            ("span_id", fixed(span_ids)),
            ("request_id", Arc::new(StringArray::from(request_ids))),
            ("status", ints(exchanges.iter().map(|row| row.status))),
            (ATTRIBUTES, attributes(exchanges.iter().map(|row| &row.attributes))),
        ];
        let as_texts: [(&str, Get); 3] = [
            ("exchange_id", |row| &row.exchange_id),
            ("connection_id", |row| &row.connection_id),
            ("url", |row| &row.url),
        ];
        for (name, get) in as_texts {
            columns.push((name, texts(exchanges.iter().map(get))));
        }
        let as_words: [(&str, Get); 5] = [
            ("caller", |row| &row.caller),
            ("service", |row| &row.service),
            ("protocol", |row| &row.protocol),
            ("method", |row| &row.method),
            ("ended", |row| &row.ended),
        ];
        for (name, get) in as_words {
            columns.push((name, words(exchanges.iter().map(get))));
        }
        columns.extend(side(
            ["request_headers", "request_body", "request_bytes"],
            &exchanges,
            |row| &row.request,
        ));
        columns.extend(side(
            ["response_headers", "response_body", "response_bytes"],
            &exchanges,
            |row| &row.response,
        ));
        let is_cut = |side: &Message| {
            let kept = side.body.as_ref().map(|body| body.len() as u64);
            matches!((kept, side.bytes), (Some(kept), Some(bytes)) if bytes > kept)
        };
        let truncated: Vec<Option<bool>> = exchanges
            .iter()
            .map(|row| Some(is_cut(&row.request) || is_cut(&row.response)))
            .collect();
        columns.push(("truncated", Arc::new(BooleanArray::from(truncated))));
        let hash = |row: &Exchange| {
            let group = Group { exchanges: vec![row.clone()], ..Group::default() };
            xxh3_128(&group.encode())
        };
        let fingerprints = exchanges.iter().map(hash).collect();
        Some(batch(Table::Exchanges, columns, fingerprints))
    }
}

fn side<'n>(
    [headers, body, bytes]: [&'n str; 3],
    exchanges: &[Exchange],
    get: fn(&Exchange) -> &Message,
) -> [(&'n str, ArrayRef); 3] {
    let bodies: BinaryArray = exchanges.iter().map(|row| get(row).body.as_deref()).collect();
    let sizes: UInt64Array = exchanges.iter().map(|row| get(row).bytes).collect();
    [
        (headers, header_lists(exchanges.iter().map(|row| &get(row).headers))),
        (body, Arc::new(bodies)),
        (bytes, Arc::new(sizes)),
    ]
}

fn header_lists<'r>(rows: impl Iterator<Item = &'r Vec<(String, Vec<u8>)>> + Clone) -> ArrayRef {
    let mut names = StringBuilder::new();
    let mut values = BinaryBuilder::new();
    for (name, value) in rows.clone().flatten() {
        names.append_value(name);
        values.append_value(value);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
    let items = StructArray::new(header_fields(), columns, None);
    let offsets = OffsetBuffer::from_lengths(rows.map(Vec::len));
    let field = Field::new("item", DataType::Struct(header_fields()), true);
    Arc::new(ListArray::new(Arc::new(field), offsets, Arc::new(items), None))
}

/// The batch of changes; each has the source `import`.
pub(crate) fn changes(changes: &[Change]) -> Option<Batch> {
    if changes.is_empty() {
        return None;
    }
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("time", times(changes.iter().map(|row| Some(row.time)))),
        ("end_time", times(changes.iter().map(|row| row.end_time))),
        ("source", words(changes.iter().map(|_| "import"))),
        (ATTRIBUTES, attributes(changes.iter().map(|row| &row.attributes))),
    ];
    for (index, name) in CHANGE_TEXTS.into_iter().enumerate() {
        let cells = changes.iter().map(|row| row.texts[index].as_str());
        let is_text = matches!(name, "change_id" | "title" | "commit" | "author" | "diff");
        columns.push((name, if is_text { texts(cells) } else { words(cells) }));
    }
    let mut files = ListBuilder::new(StringBuilder::new());
    for row in changes {
        row.files.iter().for_each(|file| files.values().append_value(file));
        files.append(!row.files.is_empty());
    }
    columns.push(("files", Arc::new(files.finish())));
    let hash = |row: &Change| {
        let group = Group { changes: vec![row.clone()], ..Group::default() };
        xxh3_128(&group.encode())
    };
    Some(batch(Table::Changes, columns, changes.iter().map(hash).collect()))
}

fn batch(table: Table, columns: Vec<(&str, ArrayRef)>, fingerprints: Vec<Fingerprint>) -> Batch {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns)
        .expect("every column has one value for each row");
    Batch { table, rows, fingerprints }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn texts<'r>(cells: impl Iterator<Item = &'r str>) -> ArrayRef {
    Arc::new(cells.map(some).collect::<StringArray>())
}

fn words<'r>(cells: impl Iterator<Item = &'r str>) -> ArrayRef {
    Arc::new(cells.map(some).collect::<DictionaryArray<Int32Type>>())
}

fn ints(cells: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(cells.collect::<Int64Array>())
}

fn times(cells: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(cells.collect::<TimestampNanosecondArray>().with_timezone("UTC"))
}

fn fixed<const N: usize>(cells: impl Iterator<Item = Option<[u8; N]>>) -> ArrayRef {
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(cells, N as i32);
    Arc::new(array.expect("every id has the size of its column"))
}

fn attributes<'r>(rows: impl Iterator<Item = &'r Vec<Attribute>> + Clone) -> ArrayRef {
    let (mut keys, mut tags, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for attribute in rows.clone().flatten() {
        keys.push(attribute.key.as_str());
        tags.push(attribute.tag);
        values.push(attribute.text.as_str());
    }
    let parts: Vec<ArrayRef> =
        vec![Arc::new(UInt8Array::from(tags)), Arc::new(StringArray::from(values))];
    let values = StructArray::new(value_fields(), parts, None);
    let parts: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(values)];
    let entries = StructArray::new(entry_fields(), parts, None);
    let DataType::Map(field, sorted) = attributes_type() else {
        unreachable!("attributes are a map")
    };
    let offsets = OffsetBuffer::from_lengths(rows.map(Vec::len));
    Arc::new(MapArray::new(field, offsets, entries, None, sorted))
}
