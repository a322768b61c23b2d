//! Rows of somebody's tables become spans, log records, points and changes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use halfopen_model::AttributeValue;
use xxhash_rust::xxh3::xxh3_128;

use super::cells::{Row, Source};
use super::{Kind, TableMapping};
use crate::import::emit::{Emitter, Origin};

use crate::import::group::{Attribute, CHANGE_TEXTS, Change, message};
use crate::import::jaeger::KINDS;
use crate::import::metric::{self, Point};
use crate::import::record::{Record, Records};
use crate::import::value::{self, NOTES, Value, attribute, some_text, typed};
use crate::json::{Kind as JsonKind, parse};
use crate::settings::Signal;
use crate::wire::Writer;

/// Kinds of changes that there are; any other is `other`.
const CHANGE_KINDS: [&str; 9] = [
    "deploy",
    "config",
    "flag",
    "scale",
    "schema",
    "certificate",
    "restart",
    "fault_begin",
    "fault_end",
];
/// Bytes of a diff that are kept: what a person still reads.
const DIFF_BYTES_MAX: usize = 256 << 10;

/// Writes the rows of one table.
pub(super) struct Writing<'m> {
    mapping: &'m TableMapping,
    /// The time of rows that have none.
    at: i64,
    /// Columns that a field takes: the others are the rest.
    used: Vec<&'m str>,
    /// Values of the row before, of the fields that may repeat them.
    before: BTreeMap<&'m str, String>,
    records: Records,
}

/// A row with what is asked of it most.
struct Asked<'r> {
    row: &'r dyn Row,
    null: &'r [String],
}

impl<'r> Asked<'r> {
    fn text(&self, source: Option<&'r Source>) -> Option<Cow<'r, str>> {
        source?.text(self.row, self.null)
    }
}

type Attributes<'r> = [(&'r str, Cow<'r, str>)];

impl<'m> Writing<'m> {
    pub(super) fn new(mapping: &'m TableMapping, at: i64) -> Writing<'m> {
        let named = mapping.columns.values();
        let listed = mapping.resource.iter().chain(&mapping.attributes).chain(&mapping.metrics);
        let sources = named.chain(listed.map(|(_, source)| source));
        let used = sources.flat_map(Source::columns).collect();
        let (before, records) = (BTreeMap::new(), Records::default());
        Writing { mapping, at, used, before, records }
    }

    /// Whether a cell says nothing.
    pub(super) fn is_null(&self, cell: &str) -> bool {
        self.mapping.null.iter().any(|null| null == cell)
    }

    /// Writes a row.
    pub(super) fn write(&mut self, row: &dyn Row, place: &str, raw: &[u8], out: &mut Emitter<'_>) {
        self.write_with_rest(row, &[], place, raw, out);
    }

    /// Writes a row; the cells of `cells` that no field takes become attributes, where the
    /// mapping wants the rest.
    pub(super) fn write_with_rest(
        &mut self,
        row: &dyn Row,
        cells: &[(&str, &str)],
        place: &str,
        raw: &[u8],
        out: &mut Emitter<'_>,
    ) {
        let mapping = self.mapping;
        let fits = |(column, pattern): &(String, regex::Regex)| {
            row.cell(column).is_some_and(|cell| pattern.is_match(&cell))
        };
        if !mapping.only.iter().all(fits) {
            return;
        }
        let asked = Asked { row, null: &mapping.null };
        let mut attributes: Vec<(&str, Cow<'_, str>)> = Vec::new();
        for (key, source) in &mapping.attributes {
            attributes.extend(asked.text(Some(source)).map(|text| (key.as_str(), text)));
        }
        if mapping.rest {
            let is_rest =
                |(name, cell): &&(&str, &str)| !self.used.contains(name) && !self.is_null(cell);
            let rest = cells.iter().filter(is_rest);
            attributes.extend(rest.map(|(name, cell)| (*name, Cow::Borrowed(*cell))));
        }
        let written = match mapping.into {
            Kind::Spans => self.span(&asked, &attributes, out),
            Kind::Logs => self.log(&asked, &attributes, out),
            Kind::Metrics => self.points(&asked, &attributes, out),
            Kind::Changes => self.change(&asked, &attributes, out),
        };
        if let Err(reason) = written {
            out.reject(place.to_owned(), reason, 1, raw);
        }
    }

    fn source(&self, field: &str) -> Option<&'m Source> {
        self.mapping.columns.get(field)
    }

    fn field<'r>(&'r self, asked: &Asked<'r>, field: &str) -> Cow<'r, str> {
        asked.text(self.source(field)).unwrap_or_default()
    }

    /// A field that may say that it is that of the row before.
    fn repeated(&mut self, asked: &Asked<'_>, field: &'m str) -> String {
        let text = self.field(asked, field).into_owned();
        let repeat = self.source(field).and_then(|source| source.repeat.as_deref());
        if repeat.is_some_and(|repeat| repeat == text) {
            return self.before.get(field).cloned().unwrap_or_default();
        }
        if repeat.is_some() {
            self.before.insert(field, text.clone());
        }
        text
    }

    /// The time in a field; `None` when the row has none.
    fn time(&self, asked: &Asked<'_>, field: &str) -> Result<Option<i64>, String> {
        let Some(source) = self.source(field) else { return Ok(None) };
        let Some(text) = asked.text(Some(source)) else { return Ok(None) };
        let time = source.time(&text);
        time.map(Some).ok_or_else(|| format!("{field} is no time: {:?}", cut(&text)))
    }

    fn resource(&self, asked: &Asked<'_>) -> Vec<(String, String)> {
        let of = |(key, source): &(String, Source)| {
            asked.text(Some(source)).map(|text| (key.clone(), text.into_owned()))
        };
        self.mapping.resource.iter().filter_map(of).collect()
    }

    fn span(
        &mut self,
        asked: &Asked<'_>,
        attributes: &Attributes<'_>,
        out: &mut Emitter<'_>,
    ) -> Result<(), String> {
        let trace_id = self.repeated(asked, "trace_id");
        let span_id = self.repeated(asked, "span_id");
        let start = self.time(asked, "start_time")?.ok_or("no start_time")?;
        let end = match (self.time(asked, "end_time")?, self.source("duration")) {
            (Some(end), _) => Some(end),
            (None, Some(source)) => {
                let text = asked.text(Some(source));
                let read = |text: Cow<'_, str>| {
                    let nanos = source.duration(&text);
                    nanos.ok_or_else(|| format!("duration is no number: {:?}", cut(&text)))
                };
                text.map(read).transpose()?.map(|nanos| start.saturating_add(nanos))
            }
            (None, None) => None,
        };
        let field = |name: &str| self.field(asked, name);
        let mut resource = Writer::new();
        some_text(&mut resource, 1, "service.name", out.service_or(&field("service")));
        for (key, text) in self.resource(asked) {
            some_text(&mut resource, 1, &key, &text);
        }
        let origin = Origin { resource: resource.into_bytes(), scope: Vec::new() };
        let kind = field("kind").to_ascii_lowercase();
        let kind = KINDS.iter().position(|known| kind.ends_with(known)).unwrap_or_default();
        let status = match field("status").to_ascii_lowercase().as_str() {
            "error" | "status_code_error" | "2" | "true" => 2,
            "ok" | "status_code_ok" | "1" | "false" => 1,
            _ => 0,
        };
        out.item(Signal::Traces, &origin, |out| {
            if !value::trace_id(out, [1, NOTES], "trace_id", &trace_id) {
                return Err("the trace id is missing or zero".to_owned());
            }
            if !value::span_id(out, [2, NOTES], "span_id", &span_id) {
                return Err("the span id is missing or zero".to_owned());
            }
            value::span_id(out, [4, NOTES], "parent_span_id", &field("parent_span_id"));
            out.bytes(5, field("name").as_bytes());
            out.varint(6, kind as u64);
            out.fixed64(7, start.max(0) as u64);
            out.fixed64(8, end.unwrap_or_default().max(0) as u64);
            attributes.iter().for_each(|(key, text)| attribute(out, 9, key, typed(text)));
            let said = field("status_message");
            if status != 0 || !said.is_empty() {
                message(out, 15, |out| {
                    out.bytes(2, said.as_bytes());
                    out.varint(3, status);
                });
            }
            Ok(())
        })
    }

    fn log(
        &mut self,
        asked: &Asked<'_>,
        attributes: &Attributes<'_>,
        out: &mut Emitter<'_>,
    ) -> Result<(), String> {
        let time = self.time(asked, "time")?;
        let trace_id = self.repeated(asked, "trace_id");
        let span_id = self.repeated(asked, "span_id");
        let mut records = std::mem::take(&mut self.records);
        let field = |name: &str| self.field(asked, name);
        let (level, body) = (field("level"), field("message"));
        let (service, event) = (field("service"), field("event_name"));
        let resource = self.resource(asked);
        let mut all: Vec<(&str, Value<'_>)> =
            attributes.iter().map(|(key, text)| (*key, typed(text))).collect();
        all.extend(resource.iter().map(|(key, text)| (key.as_str(), Value::Text(text))));
        let record = Record {
            time,
            level: &level,
            body: Some(Value::Text(body.trim_end_matches(['\n', '\r']))),
            trace_id: &trace_id,
            span_id: &span_id,
            service: &service,
            event: &event,
            attributes: all,
        };
        let added = records.add(&record, out);
        self.records = records;
        if added { Ok(()) } else { Err("no time, and none before it".to_owned()) }
    }

    fn points(
        &mut self,
        asked: &Asked<'_>,
        attributes: &Attributes<'_>,
        out: &mut Emitter<'_>,
    ) -> Result<(), String> {
        let time = self.time(asked, "time")?.unwrap_or(self.at);
        let (resource, service) = (self.resource(asked), self.field(asked, "service"));
        let mut write = |name: &str, unit: &str, kind: &str, number: f64, about: &str| {
            let kind = match kind {
                "counter" => metric::Kind::Counter(number),
                "delta" => metric::Kind::Delta(number),
                _ => metric::Kind::Gauge(number),
            };
            let attributes = attributes.iter().map(|(key, text)| (*key, typed(text))).collect();
            let resource = &resource;
            let service = &service;
            Point { name, about, unit, service, time, resource, attributes, kind }.write(out);
        };
        let mut problem = None;
        for (name, source) in &self.mapping.metrics {
            let Some(text) = asked.text(Some(source)) else { continue };
            match text.parse::<f64>() {
                Ok(number) => {
                    let (unit, kind) = (source.unit.as_deref(), source.kind.as_deref());
                    let number = number * source.scale;
                    write(name, unit.unwrap_or_default(), kind.unwrap_or_default(), number, "");
                }
                Err(_) => problem = Some(format!("{name} is no number: {:?}", cut(&text))),
            }
        }
        if let Some(source) = self.source("value")
            && let Some(text) = asked.text(Some(source))
        {
            let number: f64 =
                text.parse().map_err(|_| format!("value is no number: {:?}", cut(&text)))?;
            let field = |name: &str| self.field(asked, name);
            let (name, unit, kind) = (field("name"), field("unit"), field("kind"));
            write(&name, &unit, &kind, number * source.scale, &field("about"));
        }
        problem.map_or(Ok(()), Err)
    }

    fn change(
        &mut self,
        asked: &Asked<'_>,
        attributes: &Attributes<'_>,
        out: &mut Emitter<'_>,
    ) -> Result<(), String> {
        let time = self.time(asked, "time")?.unwrap_or(self.at);
        let end_time = self.time(asked, "end_time")?;
        let mut texts = CHANGE_TEXTS.map(|name| match self.source(name) {
            Some(_) => self.field(asked, name).into_owned(),
            None => String::new(),
        });
        let stored = |(key, text): &(&str, Cow<'_, str>)| {
            let value = match typed(text) {
                Value::Bool(truth) => AttributeValue::Bool(truth),
                Value::Int(number) => AttributeValue::Int(number),
                Value::Double(number) => AttributeValue::Double(number),
                _ => AttributeValue::Text(text.clone().into_owned()),
            };
            let (tag, text) = (value.value_type().tag(), value.to_text());
            Attribute { key: (*key).to_owned(), tag, text }
        };
        let attributes: Vec<Attribute> = attributes.iter().map(stored).collect();
        let [id, kind, title, service, version, ..] = &mut texts;
        if !CHANGE_KINDS.contains(&kind.as_str()) {
            "other".clone_into(kind);
        }
        if service.is_empty() {
            out.service_or("").clone_into(service);
        }
        if title.is_empty() {
            let parts = [kind.as_str(), service, version];
            let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            *title = said.join(" ");
        }
        if id.is_empty() {
            // The same change in another file has the same id, and is kept once.
            let said = format!("{time}{kind}{service}{version}{title}{attributes:?}");
            *id = format!("import-{:032x}", xxh3_128(said.as_bytes()));
        }
        if let Some(diff) = texts.last_mut() {
            while diff.len() > DIFF_BYTES_MAX {
                let end = diff.floor_char_boundary(DIFF_BYTES_MAX);
                diff.truncate(end);
            }
        }
        let files = files(&self.field(asked, "files"));
        out.change(Change { time, end_time, texts, files, attributes });
        Ok(())
    }
}

/// A list in JSON, or names between semicolons.
fn files(text: &str) -> Vec<String> {
    if let Ok(JsonKind::List(items)) = parse(text).map(|json| json.kind) {
        return items.iter().filter_map(value::plain).map(str::to_owned).collect();
    }
    let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The beginning of a text, for a message.
fn cut(text: &str) -> &str {
    const SHOWN_BYTES_MAX: usize = 40;
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}
