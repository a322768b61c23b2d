//! Changes as rows of their table.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, ListBuilder, MapArray, RecordBatch, StringArray, StringBuilder,
    StructArray, TimestampNanosecondArray, UInt8Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;
use halfopen_model::schema::{ATTRIBUTES, attributes_type, entry_fields, value_fields};
use halfopen_model::{Batch, Fingerprint, Table};

use super::changes::{Change, ChangeV1, attribute};

/// Reads one text of a change.
type Get = fn(&ChangeV1) -> &Option<String>;

/// The rows of some changes.
pub(super) fn batch(changes: &[Change]) -> Result<Batch, ArrowError> {
    let times = changes.iter().map(|change| change.time.0);
    let ends = changes.iter().map(|change| change.end_time.map(|time| time.0));
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", texts(changes, |change| Some(&change.id))),
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("end_time", Arc::new(ends.collect::<TimestampNanosecondArray>().with_timezone("UTC"))),
        ("kind", words(changes, |change| Some(&change.kind))),
        ("title", texts(changes, |change| Some(&change.title))),
        ("source", words(changes, |change| change.sent.source.as_deref().or(Some("api")))),
        ("files", files(changes)),
        (ATTRIBUTES, attributes(changes)?),
    ];
    let in_words: [(&str, Get); 5] = [
        ("service", |sent| &sent.service),
        ("version", |sent| &sent.version),
        ("previous_version", |sent| &sent.previous_version),
        ("instance", |sent| &sent.instance),
        ("environment", |sent| &sent.environment),
    ];
    for (name, get) in in_words {
        columns.push((name, words(changes, |change| get(&change.sent).as_deref())));
    }
    let in_texts: [(&str, Get); 3] = [
        ("commit", |sent| &sent.commit),
        ("author", |sent| &sent.author),
        ("diff", |sent| &sent.diff),
    ];
    for (name, get) in in_texts {
        columns.push((name, texts(changes, |change| get(&change.sent).as_deref())));
    }
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )?;
    let fingerprints = changes.iter().map(fingerprint).collect();
    Ok(Batch { table: Table::Changes, rows, fingerprints })
}

fn texts(changes: &[Change], get: impl Fn(&Change) -> Option<&str>) -> ArrayRef {
    Arc::new(changes.iter().map(get).collect::<StringArray>())
}

fn words(changes: &[Change], get: impl Fn(&Change) -> Option<&str>) -> ArrayRef {
    Arc::new(changes.iter().map(get).collect::<DictionaryArray<Int32Type>>())
}

fn files(changes: &[Change]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for change in changes {
        for file in &change.sent.files {
            lists.values().append_value(file);
        }
        lists.append(!change.sent.files.is_empty());
    }
    Arc::new(lists.finish())
}

fn attributes(changes: &[Change]) -> Result<ArrayRef, ArrowError> {
    let (mut keys, mut tags, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in changes.iter().flat_map(|change| &change.sent.attributes) {
        let value = attribute(value);
        keys.push(key.as_str());
        tags.push(value.value_type().tag());
        values.push(value.to_text());
    }
    let lengths = changes.iter().map(|change| change.sent.attributes.len());
    let value_columns: Vec<ArrayRef> =
        vec![Arc::new(UInt8Array::from(tags)), Arc::new(StringArray::from(values))];
    let values = StructArray::try_new(value_fields(), value_columns, None)?;
    let entry_columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(values)];
    let entries = StructArray::try_new(entry_fields(), entry_columns, None)?;
    let DataType::Map(field, sorted) = attributes_type() else {
        return Err(ArrowError::SchemaError("attributes are no map".to_owned()));
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, None, sorted)?))
}

/// Equal changes have equal fingerprints: everything that was sent, at one time, under one id.
fn fingerprint(change: &Change) -> Fingerprint {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &change.id, change.time.0, &change.kind, &change.title).hash(&mut hasher);
        change.sent.hash(&mut hasher);
        Fingerprint::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
