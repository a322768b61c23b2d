//! Attributes and their values.

use arrow::array::{AsArray, RecordBatch};
use halfopen_model::batch::map_entries;
use halfopen_model::known::Scope;
use halfopen_model::schema::ATTRIBUTES;
use halfopen_model::{AttributeValue, UnixNanos};

use super::json::Json;
use crate::columns::RAW_PREFIX;
use crate::json::{Json as Tree, Kind, parse};

/// Counts of the resource and the scope that are written with these.
pub(super) const RESOURCE_DROPPED: &str = "resource_dropped_attributes";
pub(super) const SCOPE_DROPPED: &str = "scope_dropped_attributes";
const SHARED: [&str; 2] = [RESOURCE_DROPPED, SCOPE_DROPPED];

/// The attributes that were set in one place, without their prefix.
pub(super) fn of_scope<'a>(
    attributes: &'a [(&'a str, AttributeValue)],
    wanted: Scope,
) -> impl Iterator<Item = (&'a str, &'a AttributeValue)> {
    attributes.iter().filter_map(move |(name, value)| {
        let (scope, key) = Scope::split(name)?;
        (scope == wanted).then_some((key, value))
    })
}

/// Originals that a fixed column could not hold, under names of their own; without those that
/// `told` names, which are written in their place.
pub(super) fn originals<'a>(
    attributes: &'a [(&'a str, AttributeValue)],
    told: &'static [&'static str],
) -> impl Iterator<Item = (&'a str, &'a AttributeValue)> {
    attributes.iter().filter_map(move |(name, value)| {
        let column = name.strip_prefix(RAW_PREFIX)?;
        (!told.contains(&column) && !SHARED.contains(&column)).then_some((*name, value))
    })
}

/// What the source wrote where a fixed column could not hold it.
pub(super) fn original(attributes: &[(&str, AttributeValue)], column: &str) -> Option<String> {
    let is_original = |name: &str| name.strip_prefix(RAW_PREFIX) == Some(column);
    attributes.iter().find(|(name, _)| is_original(name)).map(|(_, value)| value.to_text())
}

/// A time as it was sent: one that 64 signed bits cannot hold was noted.
pub(super) fn time(
    json: &mut Json<'_>,
    name: &str,
    time: Option<UnixNanos>,
    attributes: &[(&str, AttributeValue)],
    column: &str,
) {
    match original(attributes, column) {
        Some(nanos) => json.name(name).wide(nanos),
        None => json.some_wide(name, time.map(|time| time.0)),
    }
}

/// A list of keys with values; `text` is one that has a column of its own.
pub(super) fn pairs<'a>(
    json: &mut Json<'_>,
    text: Option<(&str, &str)>,
    attributes: impl Iterator<Item = (&'a str, &'a AttributeValue)>,
) {
    let text = text.map(|(key, text)| (key, Found::Text(text)));
    let attributes = attributes.map(|(key, value)| (key, Found::Value(value)));
    json.list(text.into_iter().chain(attributes), |json, (key, found)| {
        json.object(|json| {
            json.name("key").text(key);
            json.name("value");
            match found {
                Found::Text(text) => json.object(|json| json.name("stringValue").text(text)),
                Found::Value(found) => value(json, found),
            }
        });
    });
}

enum Found<'a> {
    Text(&'a str),
    Value(&'a AttributeValue),
}

/// The attributes of an event, a link or an exemplar, whose keys have no prefix.
pub(super) fn bare(json: &mut Json<'_>, attributes: &[(&str, AttributeValue)]) {
    let untold = |key: &str| key.strip_prefix(RAW_PREFIX) != Some("time");
    let attributes = attributes.iter().filter(|(key, _)| untold(key));
    pairs(json, None, attributes.map(|(key, value)| (*key, value)));
}

/// All attributes of an event, a link or an exemplar.
pub(super) fn of_item(items: &RecordBatch, row: usize) -> Vec<(&str, AttributeValue)> {
    let mut attributes = Vec::new();
    if let Some(map) = items.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt()) {
        map_entries(map, row, &mut |key, tag, text| {
            attributes.push((key, AttributeValue::from_stored(tag, text)));
        });
    }
    attributes
}

/// One value: an object with the name of its type.
pub(super) fn value(json: &mut Json<'_>, value: &AttributeValue) {
    json.object(|json| match value {
        AttributeValue::Empty => {}
        AttributeValue::Text(text) => json.name("stringValue").text(text),
        AttributeValue::Bool(truth) => json.name("boolValue").truth(*truth),
        AttributeValue::Int(number) => json.name("intValue").wide(number),
        AttributeValue::Double(number) => json.name("doubleValue").double(*number),
        AttributeValue::Bytes(base64) | AttributeValue::BrokenText(base64) => {
            json.name("bytesValue").text(base64);
        }
        AttributeValue::List(stored) | AttributeValue::Map(stored) => match parse(stored) {
            Ok(tree) => typed(json, &tree),
            // Nothing stored is ever left out.
            Err(_) => json.name("stringValue").text(stored),
        },
    });
}

/// The inside of the object of a value that is stored as JSON.
fn typed(json: &mut Json<'_>, tree: &Tree<'_>) {
    match &tree.kind {
        Kind::Null => {}
        Kind::Bool(truth) => json.name("boolValue").truth(*truth),
        Kind::Text(text) => json.name("stringValue").text(text),
        Kind::Number => match tree.raw.parse::<i64>() {
            Ok(number) => json.name("intValue").wide(number),
            Err(_) => json.name("doubleValue").raw(tree.raw.as_bytes()),
        },
        Kind::List(items) => json.name("arrayValue").object(|json| {
            json.name("values");
            json.list(items, |json, item| json.object(|json| typed(json, item)));
        }),
        Kind::Object(pairs) => match &pairs[..] {
            [(name, Tree { kind: Kind::Text(text), .. })]
                if name == "$bytes" || name == "$text" =>
            {
                json.name("bytesValue").text(text);
            }
            [(name, Tree { kind: Kind::Text(text), .. })] if name == "$double" => {
                json.name("doubleValue").double(text.parse().unwrap_or(f64::NAN));
            }
            _ => json.name("kvlistValue").object(|json| {
                json.name("values");
                json.list(pairs, |json, (key, value)| {
                    json.object(|json| {
                        json.name("key").text(key);
                        json.name("value").object(|json| typed(json, value));
                    });
                });
            }),
        },
    }
}
