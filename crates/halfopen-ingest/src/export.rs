//! Rows of evidence as OTLP/JSON, the way back: lines that the Collector's file receiver, any
//! OTLP/HTTP port and `halfopen import` read.
//!
//! **Invariant:** what is written here and read again gives the same rows. The one exception is
//! text that was not UTF-8, which JSON cannot hold: it comes back as bytes.

mod json;
mod logs;
mod metrics;
mod spans;
mod value;

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use halfopen_model::batch::Cells;
use halfopen_model::known::Scope;
use halfopen_model::{AttributeValue, Table};

use json::Json;

/// Rows in one line: a line is one request, and receivers take a few megabytes.
pub const LINE_ROWS_MAX: usize = 1_000;

/// A table that OTLP has no form for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("OTLP has no form for rows of {0}")]
pub struct NotOtlp(pub Table);

/// Writes rows of one table as OTLP/JSON.
#[derive(Clone, Copy)]
pub struct OtlpJson {
    names: Names,
}

impl OtlpJson {
    /// A writer for rows of `table`.
    ///
    /// # Errors
    /// When OTLP has no form for them: only spans, logs and metrics have one.
    pub fn of(table: Table) -> Result<OtlpJson, NotOtlp> {
        Ok(OtlpJson { names: names(table)? })
    }

    /// Appends rows to `out`: export requests, one in each line, of at most [`LINE_ROWS_MAX`]
    /// rows.
    pub fn write(&self, rows: &RecordBatch, out: &mut Vec<u8>) {
        let cells = Cells::new(rows);
        let mut first = 0;
        while first < cells.len() {
            let last = cells.len().min(first + LINE_ROWS_MAX);
            line(&self.names, Rows { rows, cells }, first..last, out);
            first = last;
        }
    }
}

/// A batch and its cells.
#[derive(Clone, Copy)]
struct Rows<'a> {
    rows: &'a RecordBatch,
    cells: Cells<'a>,
}

impl<'a> Rows<'a> {
    /// The items of a list of structs, as rows of their own.
    fn items(self, name: &str, row: usize) -> Option<RecordBatch> {
        let column = self.rows.column_by_name(name)?;
        let lists = column.as_list_opt::<i32>().filter(|lists| lists.is_valid(row))?;
        lists.value(row).as_struct_opt().map(RecordBatch::from)
    }
}

/// The names of one signal, and how rows of it are written.
#[derive(Clone, Copy)]
struct Names {
    resources: &'static str,
    scopes: &'static str,
    items: &'static str,
    write: fn(&mut Json<'_>, Rows<'_>, &[usize]),
}

fn names(table: Table) -> Result<Names, NotOtlp> {
    let of = |resources, scopes, items, write| Names { resources, scopes, items, write };
    match table {
        Table::Spans => Ok(of("resourceSpans", "scopeSpans", "spans", spans::write)),
        Table::Logs => Ok(of("resourceLogs", "scopeLogs", "logRecords", logs::write)),
        Table::Metrics => Ok(of("resourceMetrics", "scopeMetrics", "metrics", metrics::write)),
        other => Err(NotOtlp(other)),
    }
}

/// One request: rows by what they share, in the order in which that is first met.
fn line(names: &Names, rows: Rows<'_>, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    let mut groups: Vec<(Shared, Vec<usize>)> = Vec::new();
    let mut known: HashMap<Shared, usize> = HashMap::new();
    for row in range {
        let shared = Shared::of(rows.cells, row);
        let group = *known.entry(shared.clone()).or_insert_with(|| {
            groups.push((shared, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(row);
    }
    let mut json = Json::new(out);
    json.object(|json| {
        json.name(names.resources);
        json.list(&groups, |json, (shared, members)| {
            json.object(|json| {
                json.name("resource").raw(&shared.resource);
                json.name(names.scopes);
                json.list([members], |json, members| {
                    json.object(|json| {
                        json.name("scope").raw(&shared.scope);
                        json.name(names.items);
                        (names.write)(json, rows, members);
                        json.some_text("schemaUrl", shared.scope_schema.as_deref());
                    });
                });
                json.some_text("schemaUrl", shared.resource_schema.as_deref());
            });
        });
    });
    out.push(b'\n');
}

/// What rows share: resource and scope.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shared {
    resource: Vec<u8>,
    scope: Vec<u8>,
    resource_schema: Option<String>,
    scope_schema: Option<String>,
}

impl Shared {
    fn of(cells: Cells<'_>, row: usize) -> Shared {
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        let attributes = cells.attributes(row);
        Json::new(&mut resource).object(|json| {
            json.name("attributes");
            let service = cells.text("service", row).map(|name| ("service.name", name));
            value::pairs(json, service, value::of_scope(&attributes, Scope::Resource));
            dropped(json, &attributes, value::RESOURCE_DROPPED);
        });
        Json::new(&mut scope).object(|json| {
            json.some_text("name", cells.text("scope_name", row));
            json.some_text("version", cells.text("scope_version", row));
            json.name("attributes");
            value::pairs(json, None, value::of_scope(&attributes, Scope::Instrumentation));
            dropped(json, &attributes, value::SCOPE_DROPPED);
        });
        let text = |name| cells.text(name, row).map(str::to_owned);
        Shared {
            resource,
            scope,
            resource_schema: text("resource_schema_url"),
            scope_schema: text("scope_schema_url"),
        }
    }
}

fn dropped(json: &mut Json<'_>, attributes: &[(&str, AttributeValue)], column: &str) {
    let count = value::original(attributes, column).and_then(|count| count.parse().ok());
    json.some_small("droppedAttributesCount", count);
}
