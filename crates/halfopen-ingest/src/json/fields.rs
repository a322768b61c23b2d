//! Fields of JSON objects, read as what OTLP says they are.

use std::borrow::Cow;
use std::str::FromStr;

use halfopen_model::{SpanId, TraceId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::parse::{Json, Kind};
use super::value;
use crate::otlp::NOTE_FIELD;
use crate::wire::Writer;

/// What is wrong, and where below the item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct JsonError {
    /// With a point or bracket in front, or empty.
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl JsonError {
    pub(crate) fn new(reason: impl Into<String>) -> JsonError {
        JsonError { path: String::new(), reason: reason.into() }
    }

    /// The same error, seen from one level further out.
    pub(crate) fn inside(mut self, name: &str) -> JsonError {
        self.path = format!(".{name}{}", self.path);
        self
    }

    pub(crate) fn at(mut self, index: usize) -> JsonError {
        self.path = format!("[{index}]{}", self.path);
        self
    }
}

/// The fields of an object. `null` is the same as a field that is not there.
#[derive(Clone, Copy)]
pub(crate) struct Object<'v>(&'v [(Cow<'v, str>, Json<'v>)]);

impl<'v> Object<'v> {
    pub(crate) fn of(value: &'v Json<'v>) -> Result<Object<'v>, JsonError> {
        match &value.kind {
            Kind::Object(fields) => Ok(Object(fields)),
            _ => Err(JsonError::new("no object")),
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// A field by its name in lower camel case and in snake case.
    pub(crate) fn get(self, [camel, snake]: [&str; 2]) -> Option<&'v Json<'v>> {
        let mut fields = self.0.iter().rev();
        let (_, found) = fields.find(|(name, _)| name == camel || name == snake)?;
        (found.kind != Kind::Null).then_some(found)
    }

    fn read<T: Default>(
        self,
        name: [&str; 2],
        read: impl FnOnce(&'v Json<'v>) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        match self.get(name) {
            Some(value) => read(value).map_err(|error| error.inside(name[0])),
            None => Ok(T::default()),
        }
    }

    /// Text; empty when it is not there.
    pub(crate) fn text(self, name: [&str; 2]) -> Result<&'v str, JsonError> {
        self.read(name, text)
    }

    /// An unsigned integer, as a number or as text; 0 when it is not there.
    pub(crate) fn number(self, name: [&str; 2]) -> Result<u64, JsonError> {
        self.read(name, unsigned)
    }

    /// A signed integer, as a number or as text.
    pub(crate) fn signed(self, name: [&str; 2]) -> Result<Option<i64>, JsonError> {
        self.read(name, |value| signed(value).map(Some))
    }

    /// A float, as a number or as text.
    pub(crate) fn double(self, name: [&str; 2]) -> Result<Option<f64>, JsonError> {
        self.read(name, |value| double(value).map(Some))
    }

    /// A truth value.
    pub(crate) fn bool(self, name: [&str; 2]) -> Result<bool, JsonError> {
        self.read(name, truth)
    }

    /// An enum: its number, or the name with this prefix.
    pub(crate) fn enumerated(
        self,
        name: [&str; 2],
        prefix: &str,
        names: &[&str],
    ) -> Result<u64, JsonError> {
        self.read(name, |value| {
            let Ok(word) = text(value) else {
                return signed(value).map(|number| number as u64);
            };
            let bare = word.strip_prefix(prefix).unwrap_or(word);
            match names.iter().position(|known| *known == bare) {
                Some(position) => Ok(position as u64),
                None => signed(value).map(|number| number as u64),
            }
        })
    }

    /// A list; empty when it is not there.
    pub(crate) fn list(self, name: [&str; 2]) -> Result<&'v [Json<'v>], JsonError> {
        self.read(name, |value| match &value.kind {
            Kind::List(items) => Ok(items.as_slice()),
            _ => Err(JsonError::new("no list")),
        })
    }

    /// Writes every item of a list as a message.
    pub(crate) fn each(
        self,
        name: [&str; 2],
        mut write: impl FnMut(&'v Json<'v>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        for (index, item) in self.list(name)?.iter().enumerate() {
            write(item).map_err(|error| error.at(index).inside(name[0]))?;
        }
        Ok(())
    }

    /// Writes the attributes in `name`.
    pub(crate) fn attributes(
        self,
        name: [&str; 2],
        field: u32,
        out: &mut Writer,
    ) -> Result<(), JsonError> {
        self.each(name, |item| value::attribute(item, field, out))
    }

    /// Writes a trace id; true when it is there and not zero.
    pub(crate) fn trace_id(
        self,
        field: u32,
        note_field: u32,
        out: &mut Writer,
    ) -> Result<bool, JsonError> {
        let name = ["traceId", "trace_id"];
        let hash = |text: &str| TraceId(xxh3_128(text.as_bytes()).to_be_bytes());
        let id = self.id(name, note_field, hash, out)?.filter(|id: &TraceId| !id.is_zero());
        out.bytes(field, id.as_ref().map_or(&[], |id| &id.0));
        Ok(id.is_some())
    }

    /// Writes a span id; true when it is there and not zero.
    pub(crate) fn span_id(
        self,
        name: [&str; 2],
        field: u32,
        note_field: u32,
        out: &mut Writer,
    ) -> Result<bool, JsonError> {
        let hash = |text: &str| SpanId(xxh3_64(text.as_bytes()).to_be_bytes());
        let id = self.id(name, note_field, hash, out)?.filter(|id: &SpanId| !id.is_zero());
        out.bytes(field, id.as_ref().map_or(&[], |id| &id.0));
        Ok(id.is_some())
    }

    /// An id in hex; one that is none, or too long, is hashed and its original noted.
    fn id<T: FromStr>(
        self,
        name: [&str; 2],
        note_field: u32,
        hash: impl Fn(&str) -> T,
        out: &mut Writer,
    ) -> Result<Option<T>, JsonError> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(id) = text.parse() {
            return Ok(Some(id));
        }
        let key = crate::columns::raw_key(name[1]);
        value::text_attribute(&key, text, note_field, out);
        Ok(Some(hash(text)))
    }
}

/// Where the originals of spans and log records go.
pub(crate) const NOTES: u32 = NOTE_FIELD;

/// The largest float below which every integer has its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Text.
pub(crate) fn text<'v>(value: &'v Json<'_>) -> Result<&'v str, JsonError> {
    match &value.kind {
        Kind::Text(text) => Ok(text),
        _ => Err(JsonError::new("no text")),
    }
}

/// The digits of a number, which may stand in a string.
fn digits<'v>(value: &'v Json<'_>) -> Option<&'v str> {
    match &value.kind {
        Kind::Number => Some(value.raw),
        Kind::Text(text) => Some(text),
        _ => None,
    }
}

/// An integer that is written like a float, for example 1e3.
fn whole(digits: &str) -> Option<f64> {
    let float: f64 = digits.parse().ok()?;
    (float.abs() <= EXACT_MAX && float.fract() == 0.0).then_some(float)
}

/// An unsigned integer, as a number or as text.
pub(crate) fn unsigned(value: &Json<'_>) -> Result<u64, JsonError> {
    let found = digits(value).and_then(|digits| {
        let float = || whole(digits).filter(|float| *float >= 0.0).map(|float| float as u64);
        digits.parse().ok().or_else(float)
    });
    found.ok_or_else(|| JsonError::new(format!("{} is no unsigned integer", short(value))))
}

/// A signed integer, as a number or as text.
pub(crate) fn signed(value: &Json<'_>) -> Result<i64, JsonError> {
    let found = digits(value)
        .and_then(|digits| digits.parse().ok().or_else(|| whole(digits).map(|float| float as i64)));
    found.ok_or_else(|| JsonError::new(format!("{} is no integer", short(value))))
}

/// A float, as a number or as text.
pub(crate) fn double(value: &Json<'_>) -> Result<f64, JsonError> {
    let found = digits(value).and_then(|digits| match digits {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => digits.parse().ok(),
    });
    found.ok_or_else(|| JsonError::new(format!("{} is no number", short(value))))
}

/// A truth value.
pub(crate) fn truth(value: &Json<'_>) -> Result<bool, JsonError> {
    match &value.kind {
        Kind::Bool(value) => Ok(*value),
        Kind::Text(text) if text == "true" => Ok(true),
        Kind::Text(text) if text == "false" => Ok(false),
        _ => Err(JsonError::new(format!("{} is neither true nor false", short(value)))),
    }
}

/// Characters of a value that an error shows.
const SHOWN_CHARS_MAX: usize = 40;

fn short(value: &Json<'_>) -> String {
    match &value.kind {
        Kind::List(_) => "a list".to_owned(),
        Kind::Object(_) => "an object".to_owned(),
        _ => match value.raw.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => format!("{}...", &value.raw[..end]),
            None => value.raw.to_owned(),
        },
    }
}
