//! Where a value comes from: a column, a part of it, several of them, or a constant.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::MappingError;
use crate::import::value::plain;
use crate::import::when::{any_time, formatted, in_unit};
use crate::json::{Json, Kind, parse};

/// A source as it is written: the name of a column, or more.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum SourceForm {
    Column(String),
    Full(Box<FullForm>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FullForm {
    column: Option<String>,
    value: Option<String>,
    template: Option<String>,
    json: Option<String>,
    regex: Option<String>,
    unit: Option<String>,
    format: Option<String>,
    repeat: Option<String>,
    default: Option<String>,
    kind: Option<String>,
    scale: Option<f64>,
    #[serde(default)]
    null: Vec<String>,
    #[serde(default)]
    map: BTreeMap<String, String>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    origin: Origin,
    /// A path inside a cell that holds JSON.
    json: Option<String>,
    /// The first group of it, or all of it, is the value.
    regex: Option<Regex>,
    pub(super) unit: Option<String>,
    format: Option<String>,
    /// This text means the value of the row before.
    pub(super) repeat: Option<String>,
    default: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) scale: f64,
    null: Vec<String>,
    map: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
enum Origin {
    Column(String),
    Constant(String),
    /// Texts, each followed by a column but for the last.
    Template(Vec<(String, Option<String>)>),
}

/// Gives the cells of a row by the names of their columns.
pub(super) trait Row {
    /// The text of a cell; of a list or an object its JSON.
    fn cell(&self, column: &str) -> Option<Cow<'_, str>>;
}

const UNITS_NS: [(&str, i64); 4] =
    [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl SourceForm {
    pub(super) fn compile(self, place: &str) -> Result<Source, MappingError> {
        let form = match self {
            SourceForm::Column(column) => {
                return Ok(Source::of(Origin::Column(column)));
            }
            SourceForm::Full(form) => *form,
        };
        let origin = match (form.column, form.value, form.template) {
            (Some(column), None, None) => Origin::Column(column),
            (None, Some(text), None) => Origin::Constant(text),
            (None, None, Some(text)) => Origin::Template(template(&text, place)?),
            _ => {
                let reason = "name one of column, value and template";
                return Err(MappingError::value(place, reason));
            }
        };
        let regex = form.regex.map(|text| super::regex(place, &text)).transpose()?;
        Ok(Source {
            json: form.json,
            regex,
            unit: form.unit,
            format: form.format,
            repeat: form.repeat,
            default: form.default,
            kind: form.kind,
            scale: form.scale.unwrap_or(1.0),
            null: form.null,
            map: form.map,
            ..Source::of(origin)
        })
    }
}

fn template(text: &str, place: &str) -> Result<Vec<(String, Option<String>)>, MappingError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (column, after) = behind
            .split_once('}')
            .ok_or_else(|| MappingError::value(place, "a { of the template has no }"))?;
        parts.push((before.to_owned(), Some(column.to_owned())));
        rest = after;
    }
    parts.push((rest.to_owned(), None));
    Ok(parts)
}

impl Source {
    fn of(origin: Origin) -> Source {
        Source {
            origin,
            json: None,
            regex: None,
            unit: None,
            format: None,
            repeat: None,
            default: None,
            kind: None,
            scale: 1.0,
            null: Vec::new(),
            map: BTreeMap::new(),
        }
    }

    /// The columns that are read.
    pub(super) fn columns(&self) -> Vec<&str> {
        match &self.origin {
            Origin::Column(column) => vec![column],
            Origin::Constant(_) => Vec::new(),
            Origin::Template(parts) => {
                parts.iter().filter_map(|(_, column)| column.as_deref()).collect()
            }
        }
    }

    /// The value in a row; `None` when there is none. `null` lists what says nothing in this
    /// table.
    pub(super) fn text<'r>(&'r self, row: &'r dyn Row, null: &[String]) -> Option<Cow<'r, str>> {
        self.raw(row, null).or(self.default.as_deref().map(Cow::Borrowed))
    }

    fn raw<'r>(&'r self, row: &'r dyn Row, null: &[String]) -> Option<Cow<'r, str>> {
        let is_null = |text: &str| null.iter().chain(&self.null).any(|known| known == text);
        let found = match &self.origin {
            Origin::Column(column) => row.cell(column)?,
            Origin::Constant(text) => Cow::Borrowed(text.as_str()),
            Origin::Template(parts) => {
                let mut text = String::new();
                for (before, column) in parts {
                    text.push_str(before);
                    if let Some(column) = column {
                        let cell = row.cell(column)?;
                        if is_null(&cell) {
                            return None;
                        }
                        text.push_str(&cell);
                    }
                }
                Cow::Owned(text)
            }
        };
        if is_null(&found) {
            return None;
        }
        let found = match &self.json {
            Some(path) => Cow::Owned(inside(&found, path)?),
            None => found,
        };
        let found = match &self.regex {
            Some(regex) => Cow::Owned(first_group(regex, &found)?),
            None => found,
        };
        match self.map.get(found.as_ref()) {
            Some(mapped) => Some(Cow::Borrowed(mapped)),
            None => Some(found).filter(|found| !is_null(found)),
        }
    }

    /// The value as a time: of its unit, in its format, or as it looks.
    pub(super) fn time(&self, text: &str) -> Option<i64> {
        match (&self.format, self.unit_ns()) {
            (Some(format), _) => formatted(text, format),
            (None, Some(unit_ns)) => in_unit(text, unit_ns),
            (None, None) => any_time(text),
        }
    }

    /// The value as a duration in nanoseconds; without a unit it is in nanoseconds.
    pub(super) fn duration(&self, text: &str) -> Option<i64> {
        in_unit(text, self.unit_ns().unwrap_or(1))
    }

    fn unit_ns(&self) -> Option<i64> {
        let unit = self.unit.as_deref()?;
        UNITS_NS.iter().find(|(known, _)| *known == unit).map(|(_, ns)| *ns)
    }
}

fn first_group(regex: &Regex, text: &str) -> Option<String> {
    let captures = regex.captures(text)?;
    captures.get(1).or(captures.get(0)).map(|found| found.as_str().to_owned())
}

/// What stands at a path inside JSON.
fn inside(text: &str, path: &str) -> Option<String> {
    let json = parse(text).ok()?;
    at_path(&json, path).map(|found| shown(found).into_owned())
}

/// What stands at a path; names may hold points themselves.
pub(super) fn at_path<'j>(json: &'j Json<'j>, path: &str) -> Option<&'j Json<'j>> {
    if path.is_empty() {
        return Some(json);
    }
    let Kind::Object(fields) = &json.kind else { return None };
    fields.iter().find_map(|(name, value)| {
        let rest = path.strip_prefix(name.as_ref())?;
        if rest.is_empty() {
            return (value.kind != Kind::Null).then_some(value);
        }
        at_path(value, rest.strip_prefix('.')?)
    })
}

/// The text of a value, or its JSON.
pub(super) fn shown<'j>(json: &'j Json<'_>) -> Cow<'j, str> {
    plain(json).map_or(Cow::Borrowed(json.raw), Cow::Borrowed)
}
