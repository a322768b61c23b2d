//! Writes `docs/schema.md`, so that the document cannot differ from the code.

use std::fmt::Write as _;

use super::{Form, attribute_scopes, columns};
use crate::known::{self, KnownType};
use crate::names;
use crate::table::Table;

const HEAD: &str = "\
# Tables and columns

Written from `halfopen-model::schema` by `cargo xtask schema`; a test compares them. Times are \
nanoseconds since the epoch in UTC, durations signed nanoseconds. *word* is text in a dictionary \
column, *text* is plain text. A column marked `*` has a value in every row.

Attributes with a column of their own are listed behind the fixed columns of a table; their \
prefix says where they were set (`resource.`, `span.`, `log.`, `metric.`). Everything else is in \
`attributes`, a map from the prefixed key to a typed value: a struct of `type` (0 empty, 1 text, \
2 bool, 3 int, 4 double, 5 bytes in base64, 6 list as JSON, 7 map as JSON, 8 bytes of a text \
that was not UTF-8, in base64) and `text`. A value whose type is not that of its column is kept \
in the map.
";

const ALIASES: &str = "
## Old names of attributes

Values that come under an old name of the semantic conventions are stored under the current one; \
in SQL `attr('span.<name>')` and a column `\"span.<name>\"` take both. Where one row brings both, \
the first stands under the current name and the other stays in `attributes` under its own.

| old | current |
|---|---|
";

/// What a form is called in the document.
fn form_name(form: Form) -> &'static str {
    match form {
        Form::TraceId => "16 bytes",
        Form::SpanId => "8 bytes",
        Form::Time => "time",
        Form::Nanos => "int64, ns",
        Form::Text => "text",
        Form::Word => "word",
        Form::Bool => "bool",
        Form::Small => "uint32",
        Form::Int => "int64",
        Form::Count => "uint64",
        Form::Double => "float64",
        Form::Bytes => "bytes",
        Form::Texts => "list of text",
        Form::Doubles => "list of float64",
        Form::Counts => "list of uint64",
        Form::Attributes => "map of typed values",
        Form::Events => "list of (time, name, attributes, dropped_attributes)",
        Form::Links => {
            "list of (trace_id, span_id, trace_state, flags, attributes, dropped_attributes)"
        }
        Form::Quantiles => "list of (quantile, value)",
        Form::Exemplars => "list of (time, value_int, value_double, trace_id, span_id, attributes)",
        Form::Headers => "list of (name, value)",
        Form::Evidence => {
            "list of (kind, subject, effect, unit, failing and healthy count and total, \
             strength, trace_id, span_id, query)"
        }
    }
}

/// The whole document.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for table in Table::ALL {
        let _ = write!(text, "\n## {table}\n\n| column | type | meaning |\n|---|---|---|\n");
        for column in columns(table) {
            let star = if column.required { " *" } else { "" };
            let form = form_name(column.form);
            let _ = writeln!(text, "| `{}`{star} | {form} | {} |", column.name, column.about);
        }
        for scope in attribute_scopes(table) {
            for (key, known_type) in known::known(*scope) {
                let form = match known_type {
                    KnownType::Word => "word",
                    KnownType::Int => "int64",
                };
                let prefix = scope.prefix();
                let _ = writeln!(text, "| `{prefix}{key}` | {form} | {scope} attribute `{key}` |");
            }
        }
    }
    text.push_str(ALIASES);
    for (old, new) in names::RENAMED {
        let _ = writeln!(text, "| `{old}` | `{new}` |");
    }
    let (number, name) = (names::GRPC_STATUS_NUMBER, names::GRPC_STATUS);
    let _ = writeln!(text, "| `{number}`, a number | `{name}`, the name of the code |");
    text
}
