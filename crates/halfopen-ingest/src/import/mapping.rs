//! Mapping files: which columns of somebody's tables are which fields of evidence (TOML).

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

mod cells;
mod evidence;
mod rows;

use cells::Source;
pub(crate) use rows::read;

/// The largest mapping file: a person wrote it.
const MAPPING_BYTES_MAX: usize = 1 << 20;

/// How tables become evidence.
#[derive(Clone, Debug)]
pub struct Mapping {
    ignored: Vec<Regex>,
    tables: Vec<TableMapping>,
}

/// Why a mapping file cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MappingError {
    /// It is no TOML, or has keys that there are not.
    #[error("{0}")]
    Toml(String),
    /// A key has a value that makes no sense.
    #[error("{place}: {reason}")]
    Value {
        /// Which key.
        place: String,
        /// What is wrong with its value.
        reason: String,
    },
}

impl MappingError {
    fn value(place: impl Into<String>, reason: impl Into<String>) -> MappingError {
        MappingError::Value { place: place.into(), reason: reason.into() }
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    table: Vec<TableForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableForm {
    files: String,
    into: Kind,
    #[serde(default)]
    form: Form,
    #[serde(default = "comma")]
    delimiter: char,
    #[serde(default = "empty_text")]
    null: Vec<String>,
    melt: Option<Vec<String>>,
    #[serde(default)]
    rest: bool,
    #[serde(default)]
    only: BTreeMap<String, String>,
    #[serde(default)]
    columns: BTreeMap<String, cells::SourceForm>,
    #[serde(default)]
    resource: BTreeMap<String, cells::SourceForm>,
    #[serde(default)]
    attributes: BTreeMap<String, cells::SourceForm>,
    #[serde(default)]
    metrics: BTreeMap<String, cells::SourceForm>,
}

fn comma() -> char {
    ','
}

fn empty_text() -> Vec<String> {
    vec![String::new()]
}

/// The table of evidence that rows become.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Spans,
    Logs,
    Metrics,
    Changes,
}

impl Kind {
    /// The fields that `columns` may name.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Kind::Spans => &[
                "trace_id",
                "span_id",
                "parent_span_id",
                "name",
                "kind",
                "status",
                "status_message",
                "start_time",
                "end_time",
                "duration",
                "service",
            ],
            Kind::Logs => {
                &["time", "level", "message", "trace_id", "span_id", "service", "event_name"]
            }
            Kind::Metrics => &["time", "name", "value", "unit", "kind", "about", "service"],
            Kind::Changes => &[
                "time",
                "end_time",
                "change_id",
                "kind",
                "title",
                "service",
                "version",
                "previous_version",
                "instance",
                "environment",
                "commit",
                "author",
                "files",
                "diff",
            ],
        }
    }

    /// Those without which a row is rejected.
    fn required(self) -> &'static [&'static str] {
        match self {
            Kind::Spans => &["trace_id", "span_id", "start_time"],
            Kind::Logs => &["time"],
            Kind::Metrics | Kind::Changes => &[],
        }
    }
}

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Comma-separated values (RFC 4180).
    #[default]
    Csv,
    /// A list of objects.
    Json,
    /// An object per line.
    Lines,
}

/// How one kind of table becomes evidence.
#[derive(Clone, Debug)]
pub(crate) struct TableMapping {
    files: Regex,
    into: Kind,
    form: Form,
    delimiter: char,
    null: Vec<String>,
    melt: Option<Vec<String>>,
    rest: bool,
    only: Vec<(String, Regex)>,
    columns: BTreeMap<String, Source>,
    resource: Vec<(String, Source)>,
    attributes: Vec<(String, Source)>,
    metrics: Vec<(String, Source)>,
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// When it is no TOML, or says something that makes no sense: which key, and why.
    pub fn parse(text: &str) -> Result<Mapping, MappingError> {
        if text.len() > MAPPING_BYTES_MAX {
            let reason = format!("it has more than {MAPPING_BYTES_MAX} bytes");
            return Err(MappingError::value("the file", reason));
        }
        let form: FileForm =
            toml::from_str(text).map_err(|error| MappingError::Toml(error.to_string()))?;
        let ignored = form.ignore.iter().map(|text| regex("ignore", text));
        let tables = form.table.into_iter().zip(1..).map(|(table, number)| compile(table, number));
        let ignored = ignored.collect::<Result<_, _>>()?;
        Ok(Mapping { ignored, tables: tables.collect::<Result<_, _>>()? })
    }

    /// Whether a source is to be left out.
    pub fn ignores(&self, source: &str) -> bool {
        self.ignored.iter().any(|pattern| pattern.is_match(source))
    }

    /// Whether there is a table for a source.
    pub fn takes(&self, source: &str) -> bool {
        self.table(source).is_some()
    }

    pub(crate) fn table(&self, source: &str) -> Option<&TableMapping> {
        self.tables.iter().find(|table| table.files.is_match(source))
    }
}

fn regex(place: &str, text: &str) -> Result<Regex, MappingError> {
    Regex::new(text).map_err(|error| MappingError::value(place, error.to_string()))
}

fn compile(form: TableForm, number: usize) -> Result<TableMapping, MappingError> {
    let place = |key: &str| format!("table {number}, {key}");
    let known = form.into.fields();
    if let Some(name) = form.columns.keys().find(|name| !known.contains(&name.as_str())) {
        let reason = format!("there is no field \"{name}\"; there are {}", known.join(", "));
        return Err(MappingError::value(place("columns"), reason));
    }
    let mut required = form.into.required().iter();
    if let Some(name) = required.find(|name| !form.columns.contains_key(**name)) {
        return Err(MappingError::value(place("columns"), format!("\"{name}\" is missing")));
    }
    let is_wide = !form.metrics.is_empty();
    if form.into == Kind::Metrics && !is_wide && !form.columns.contains_key("value") {
        let reason = "name a column \"value\", or the columns that are metrics";
        return Err(MappingError::value(place("metrics"), reason));
    }
    if form.melt.is_some() && form.form != Form::Csv {
        return Err(MappingError::value(place("melt"), "only tables of form \"csv\" have headers"));
    }
    let sources = |key: &str, forms: BTreeMap<String, cells::SourceForm>| {
        let source = |(name, form): (String, cells::SourceForm)| {
            let compiled = form.compile(&place(&format!("{key}.{name}")))?;
            Ok::<_, MappingError>((name, compiled))
        };
        forms.into_iter().map(source).collect::<Result<Vec<_>, _>>()
    };
    let only = form.only.iter().map(|(column, text)| {
        Ok::<_, MappingError>((column.clone(), regex(&place("only"), text)?))
    });
    Ok(TableMapping {
        files: regex(&place("files"), &form.files)?,
        into: form.into,
        form: form.form,
        delimiter: form.delimiter,
        null: form.null,
        melt: form.melt,
        rest: form.rest,
        only: only.collect::<Result<_, _>>()?,
        columns: sources("columns", form.columns)?.into_iter().collect(),
        resource: sources("resource", form.resource)?,
        attributes: sources("attributes", form.attributes)?,
        metrics: sources("metrics", form.metrics)?,
    })
}
