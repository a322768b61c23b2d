//! OTLP/JSON, rewritten as protobuf so that one decoder gives both their meaning. Keys may be in
//! lower camel case, as OTLP demands, or in snake case.
//!
//! **Invariant:** what is broken inside one item loses that item only, with its JSON in
//! `rejects`; a body that is cut short keeps its whole items.

mod fields;
mod logs;
mod mend;
mod metrics;
mod parse;
mod traces;
mod value;

use std::borrow::Cow;

use crate::settings::Signal;
use crate::wire::Writer;

pub(crate) use fields::{JsonError, Object};
pub(crate) use parse::{Json, Kind, parse};

/// Something that could not be read.
pub(crate) struct Problem {
    /// The JSON at fault.
    pub(crate) raw: Vec<u8>,
    /// Items lost by it.
    pub(crate) items: u64,
    pub(crate) reason: String,
}

/// A request in protobuf, and what is not in it.
pub(crate) struct Rewritten {
    pub(crate) protobuf: Vec<u8>,
    pub(crate) problems: Vec<Problem>,
}

/// Rewrites a request.
///
/// # Errors
/// Why nothing of it can be read.
pub(crate) fn rewrite(signal: Signal, body: &[u8]) -> Result<Rewritten, String> {
    let mut problems = Vec::new();
    let text = readable(body, &mut problems);
    let error = match parse(&text) {
        Ok(root) => return rewrite_tree(signal, &root, problems),
        Err(error) => error,
    };
    let unreadable = || format!("the body is no JSON: {error}");
    let mended = mend::mend(&text, &error, &mut problems).ok_or_else(unreadable)?;
    let root = parse(&mended).map_err(|_| unreadable())?;
    rewrite_tree(signal, &root, problems)
}

fn rewrite_tree(
    signal: Signal,
    root: &Json<'_>,
    problems: Vec<Problem>,
) -> Result<Rewritten, String> {
    let mut rewriter = Rewriter { signal, problems };
    let mut out = Writer::new();
    rewriter.request(root, &mut out)?;
    Ok(Rewritten { protobuf: out.into_bytes(), problems: rewriter.problems })
}

/// The body as text. JSON has no place for bytes that are not UTF-8; they are replaced, and the
/// original is reported.
fn readable<'a>(body: &'a [u8], problems: &mut Vec<Problem>) -> Cow<'a, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let error = match str::from_utf8(body) {
        Ok(text) => return Cow::Borrowed(text),
        Err(error) => error,
    };
    let position = error.valid_up_to();
    let start = position.saturating_sub(64);
    let reason = format!("at byte {position}: not UTF-8; the bytes at fault were replaced");
    problems.push(Problem { raw: body[start..].to_vec(), items: 0, reason });
    String::from_utf8_lossy(body)
}

/// A request on its way into protobuf.
struct Rewriter {
    signal: Signal,
    problems: Vec<Problem>,
}

/// Stands for a value whose text would say nothing.
const NOTHING: Json<'static> = Json { raw: "", kind: Kind::Null };

/// The names of the lists on the way to the items.
struct Names {
    resources: [&'static str; 2],
    scopes: [&'static str; 2],
    items: [&'static str; 2],
}

impl Names {
    fn of(signal: Signal) -> Names {
        match signal {
            Signal::Traces => Names {
                resources: ["resourceSpans", "resource_spans"],
                scopes: ["scopeSpans", "scope_spans"],
                items: ["spans", "spans"],
            },
            Signal::Logs => Names {
                resources: ["resourceLogs", "resource_logs"],
                scopes: ["scopeLogs", "scope_logs"],
                items: ["logRecords", "log_records"],
            },
            Signal::Metrics => Names {
                resources: ["resourceMetrics", "resource_metrics"],
                scopes: ["scopeMetrics", "scope_metrics"],
                items: ["metrics", "metrics"],
            },
        }
    }
}

impl Rewriter {
    fn request(&mut self, root: &Json<'_>, out: &mut Writer) -> Result<(), String> {
        let names = Names::of(self.signal);
        let Ok(object) = Object::of(root) else {
            return Err("the body is JSON, but no object".to_owned());
        };
        if !object.is_empty() && object.get(names.resources).is_none() {
            return Err(format!("the body is JSON, but has no \"{}\"", names.resources[0]));
        }
        for (index, resource) in self.list(object, names.resources, "") {
            let path = format!("{}[{index}]", names.resources[0]);
            self.part(resource, &path, out, 1, |this, fields, out| {
                this.resource(fields, &path, out);
            });
        }
        Ok(())
    }

    fn resource(&mut self, object: Object<'_>, path: &str, out: &mut Writer) {
        let names = Names::of(self.signal);
        if let Some(resource) = object.get(["resource", "resource"]) {
            let path = format!("{path}.resource");
            self.part(resource, &path, out, 1, |this, fields, out| {
                this.common(fields, &path, out, (1, 2));
            });
        }
        for (index, scope) in self.list(object, names.scopes, path) {
            let path = format!("{path}.{}[{index}]", names.scopes[0]);
            self.part(scope, &path, out, 2, |this, fields, out| this.scope(fields, &path, out));
        }
        self.text(object, ["schemaUrl", "schema_url"], path, out, 3);
    }

    fn scope(&mut self, object: Object<'_>, path: &str, out: &mut Writer) {
        let names = Names::of(self.signal);
        if let Some(scope) = object.get(["scope", "scope"]) {
            let path = format!("{path}.scope");
            self.part(scope, &path, out, 1, |this, fields, out| {
                this.text(fields, ["name", "name"], &path, out, 1);
                this.text(fields, ["version", "version"], &path, out, 2);
                this.common(fields, &path, out, (3, 4));
            });
        }
        for (index, item) in self.list(object, names.items, path) {
            let path = format!("{path}.{}[{index}]", names.items[0]);
            self.item(item, &path, out);
        }
        self.text(object, ["schemaUrl", "schema_url"], path, out, 3);
    }

    fn item(&mut self, item: &Json<'_>, path: &str, out: &mut Writer) {
        if item.kind == Kind::Null {
            return; // reported where the body was mended
        }
        let result = Object::of(item).and_then(|object| match self.signal {
            Signal::Traces => out.message(2, |out| traces::span(object, out)),
            Signal::Logs => out.message(2, |out| logs::record(object, out)),
            Signal::Metrics => {
                let problems = &mut self.problems;
                out.message(2, |out| metrics::metric(object, path, problems, out))
            }
        });
        if let Err(error) = result {
            self.problem(item, path, error, 1);
        }
    }

    /// Attributes and their dropped count, of resources and scopes.
    fn common(&mut self, object: Object<'_>, path: &str, out: &mut Writer, fields: (u32, u32)) {
        for (index, attribute) in self.list(object, ["attributes", "attributes"], path) {
            if let Err(error) = value::attribute(attribute, fields.0, out) {
                self.problem(attribute, &format!("{path}.attributes[{index}]"), error, 0);
            }
        }
        let dropped = object.number(["droppedAttributesCount", "dropped_attributes_count"]);
        match dropped {
            Ok(count) => out.varint(fields.1, count),
            Err(error) => self.problem(&NOTHING, path, error, 0),
        }
    }

    fn text(
        &mut self,
        object: Object<'_>,
        name: [&str; 2],
        path: &str,
        out: &mut Writer,
        field: u32,
    ) {
        match object.text(name) {
            Ok(text) => out.bytes(field, text.as_bytes()),
            Err(error) => self.problem(&NOTHING, path, error, 0),
        }
    }

    /// A message made of the fields of an object; anything else is reported.
    fn part(
        &mut self,
        value: &Json<'_>,
        path: &str,
        out: &mut Writer,
        field: u32,
        fill: impl FnOnce(&mut Rewriter, Object<'_>, &mut Writer),
    ) {
        let result = Object::of(value).and_then(|object| {
            out.message(field, |out| {
                fill(self, object, out);
                Ok(())
            })
        });
        if let Err(error) = result {
            self.problem(value, path, error, 1);
        }
    }

    /// The items of a list with their positions; empty, and reported, when it is none.
    fn list<'v>(
        &mut self,
        object: Object<'v>,
        name: [&str; 2],
        path: &str,
    ) -> impl Iterator<Item = (usize, &'v Json<'v>)> + use<'v> {
        let items = object.list(name).unwrap_or_else(|error| {
            let value = object.get(name).unwrap_or(&NOTHING);
            self.problem(value, path, error, 1);
            &[]
        });
        items.iter().enumerate()
    }

    fn problem(&mut self, value: &Json<'_>, path: &str, error: JsonError, items: u64) {
        self.problems.push(problem(value, path, error, items));
    }
}

fn problem(value: &Json<'_>, path: &str, error: JsonError, items: u64) -> Problem {
    let raw = value.raw.as_bytes().to_vec();
    Problem { raw, items, reason: format!("{path}{}: {}", error.path, error.reason) }
}
