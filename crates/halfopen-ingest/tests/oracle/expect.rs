//! What the rows of a request have to be, worked out from the official structs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use halfopen_model::known::{KnownType, Scope, known};
use halfopen_model::names;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::render::{Row, attribute};

/// The stored form of a value: type tag and text.
pub(crate) fn stored(value: Option<&AnyValue>) -> (u8, String) {
    match value.and_then(|any| any.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => (0, String::new()),
        Some(Value::StringValue(text)) => (1, text.clone()),
        Some(Value::BoolValue(value)) => (2, value.to_string()),
        Some(Value::IntValue(value)) => (3, value.to_string()),
        Some(Value::DoubleValue(value)) => (4, format!("{value:?}")),
        Some(Value::BytesValue(bytes)) => (5, STANDARD.encode(bytes)),
        Some(Value::ArrayValue(_)) => (6, json(value)),
        Some(Value::KvlistValue(_)) => (7, json(value)),
    }
}

fn json(value: Option<&AnyValue>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match value.and_then(|any| any.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => "null".to_owned(),
        Some(Value::StringValue(text)) => quoted(text).replace("\\u007f", "\u{7f}"),
        Some(Value::BytesValue(bytes)) => format!("{{\"$bytes\":\"{}\"}}", STANDARD.encode(bytes)),
        Some(Value::ArrayValue(list)) => {
            let items: Vec<_> = list.values.iter().map(|item| json(Some(item))).collect();
            format!("[{}]", items.join(","))
        }
        Some(Value::KvlistValue(map)) => {
            let pair =
                |pair: &KeyValue| format!("{}:{}", quoted(&pair.key), json(pair.value.as_ref()));
            let pairs: Vec<_> = map.values.iter().map(pair).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Some(_) => stored(value).1,
    }
}

/// Attributes of a part of a row, whose keys have no prefix.
pub(crate) fn bare(attributes: &[KeyValue]) -> String {
    let entry = |pair: &KeyValue| {
        let (tag, text) = stored(pair.value.as_ref());
        attribute(&pair.key, tag, &text)
    };
    attributes.iter().map(entry).collect()
}

/// A time in 64 signed bits; the original of one that does not fit goes to `notes`.
pub(crate) fn time(nanos: u64, column: &str, notes: &mut String) -> String {
    if i64::try_from(nanos).is_err() {
        notes.push_str(&attribute(&format!("halfopen.raw.{column}"), 3, &nanos.to_string()));
    }
    i64::try_from(nanos).unwrap_or(i64::MAX).to_string()
}

/// A row under construction.
#[derive(Clone, Default)]
pub(crate) struct Expected {
    pub(crate) row: Row,
    /// The map of attributes so far.
    pub(crate) map: String,
    ids: Vec<(usize, String)>,
    own_ids: Vec<(usize, String)>,
}

impl Expected {
    pub(crate) fn set(&mut self, column: &str, value: impl ToString) {
        self.row.insert(column.to_owned(), value.to_string());
    }

    pub(crate) fn set_text(&mut self, column: &str, text: &str) {
        if !text.is_empty() {
            self.set(column, text);
        }
    }

    pub(crate) fn set_number(&mut self, column: &str, number: u32) {
        if number != 0 {
            self.set(column, number);
        }
    }

    pub(crate) fn set_time(&mut self, column: &str, nanos: u64) {
        let shown = time(nanos, column, &mut self.map);
        self.set(column, shown);
    }

    pub(crate) fn note(&mut self, column: &str, tag: u8, text: &str) {
        self.map.push_str(&attribute(&format!("halfopen.raw.{column}"), tag, text));
    }

    /// What rows of this resource and scope have in common.
    pub(crate) fn common(
        resource: Option<&Resource>,
        scope: Option<&InstrumentationScope>,
        urls: (&str, &str),
    ) -> Expected {
        let mut expected = Expected::default();
        if let Some(resource) = resource {
            expected.attributes(Scope::Resource, &resource.attributes);
            let dropped = resource.dropped_attributes_count;
            if dropped > 0 {
                expected.note("resource_dropped_attributes", 3, &dropped.to_string());
            }
        }
        if let Some(scope) = scope {
            expected.set_text("scope_name", &scope.name);
            expected.set_text("scope_version", &scope.version);
            expected.attributes(Scope::Instrumentation, &scope.attributes);
            let dropped = scope.dropped_attributes_count;
            if dropped > 0 {
                expected.note("scope_dropped_attributes", 3, &dropped.to_string());
            }
        }
        expected.set_text("resource_schema_url", urls.0);
        expected.set_text("scope_schema_url", urls.1);
        expected
    }

    pub(crate) fn attributes(&mut self, scope: Scope, attributes: &[KeyValue]) {
        let is_own = !matches!(scope, Scope::Resource | Scope::Instrumentation);
        let mut ids = Vec::new();
        for pair in attributes {
            let (tag, text) = stored(pair.value.as_ref());
            if let Some(rank) = names::request_id_rank(&pair.key) {
                ids.extend(id_values(pair).into_iter().map(|id| (rank, id)));
            }
            let known_type = known(scope).iter().find(|(key, _)| *key == pair.key);
            let column = match (known_type.map(|(_, known_type)| known_type), tag) {
                (Some(KnownType::Word), 1) | (Some(KnownType::Int), 3) => {
                    Some(format!("{}{}", scope.prefix(), pair.key))
                }
                (None, 1) if scope == Scope::Resource && pair.key == "service.name" => {
                    Some("service".to_owned())
                }
                _ => None,
            };
            match column {
                Some(column) if !self.row.contains_key(&column) => self.set(&column, text),
                _ => {
                    let key = format!("{}{}", scope.prefix(), pair.key);
                    self.map.push_str(&attribute(&key, tag, &text));
                }
            }
        }
        // Ids of the row itself come before those of resource and scope.
        let list = if is_own { &mut self.own_ids } else { &mut self.ids };
        list.extend(ids);
    }

    /// The finished row.
    pub(crate) fn finish(mut self, has_request_id: bool) -> Row {
        let best = self.own_ids.iter().chain(&self.ids).min_by_key(|(rank, _)| *rank);
        if let (true, Some((_, id))) = (has_request_id, best) {
            self.row.insert("request_id".to_owned(), id.clone());
        }
        self.row.insert("attributes".to_owned(), self.map);
        self.row
    }
}

fn id_values(pair: &KeyValue) -> Vec<String> {
    let one = |any: &AnyValue| match &any.value {
        Some(Value::StringValue(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::IntValue(number)) => Some(number.to_string()),
        _ => None,
    };
    match pair.value.as_ref() {
        Some(AnyValue { value: Some(Value::ArrayValue(list)) }) => {
            list.values.iter().filter_map(one).collect()
        }
        Some(any) => one(any).into_iter().collect(),
        None => Vec::new(),
    }
}
