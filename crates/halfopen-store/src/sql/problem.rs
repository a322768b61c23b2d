//! Errors of the engine in words of ours: what is wrong, and what to write instead.

use datafusion::common::{Column, DataFusionError, SchemaError};
use halfopen_model::Table;
use halfopen_model::known::Scope;

use crate::error::QueryError;

/// A name with more changes than this is another name.
const CHANGES_MAX: usize = 3;

/// Memory ran out.
pub(super) fn memory(bytes_max: usize) -> QueryError {
    QueryError::Bound {
        reason: format!("it needs more than {bytes_max} bytes of memory"),
        hint: "narrow the time range in WHERE, name fewer columns, or add a LIMIT".to_owned(),
    }
}

/// What an error of the engine means to who asked.
pub(super) fn explain(error: DataFusionError) -> QueryError {
    let invalid = |reason: String, hint: Option<String>| QueryError::Invalid { reason, hint };
    match error.find_root() {
        DataFusionError::ResourcesExhausted(reason) => QueryError::Bound {
            reason: format!("it needs more memory than it may have ({})", first_line(reason)),
            hint: "narrow the time range in WHERE, name fewer columns, or add a LIMIT".to_owned(),
        },
        DataFusionError::SchemaError(error, _) => schema_problem(error),
        DataFusionError::SQL(error, _) => invalid(error.to_string(), None),
        DataFusionError::Plan(reason) => plan_problem(reason),
        DataFusionError::Execution(reason) => invalid(first_line(reason), None),
        DataFusionError::NotImplemented(reason) => invalid(first_line(reason), None),
        DataFusionError::ArrowError(error, _) => invalid(first_line(&error.to_string()), None),
        other => QueryError::Failed { reason: other.strip_backtrace() },
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn schema_problem(error: &SchemaError) -> QueryError {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return QueryError::Invalid { reason: error.to_string(), hint: None };
    };
    let name = whole_name(field);
    let hint = column_hint(&name, valid_fields);
    QueryError::Invalid { reason: format!("there is no column \"{name}\""), hint }
}

/// `span.http.route` without quotes is read as schema, table and column.
fn whole_name(field: &Column) -> String {
    match &field.relation {
        Some(relation) => format!("{relation}.{}", field.name),
        None => field.name.clone(),
    }
}

fn column_hint(name: &str, valid: &[Column]) -> Option<String> {
    let bare = name.rsplit_once('.').map_or(name, |(_, bare)| bare);
    if let Some(exact) = valid.iter().find(|column| column.name.eq_ignore_ascii_case(name)) {
        return Some(format!("write it in double quotes: \"{}\"", exact.name));
    }
    // `time` is start_time rather than `name`, `service_version` is resource.service.version.
    let words = |name: &str| format!(".{}", name.to_ascii_lowercase().replace('_', "."));
    let ending = valid.iter().find(|column| words(&column.name).ends_with(&words(name)));
    if let Some(ending) = ending {
        return Some(format!("did you mean {}?", as_written(&ending.name)));
    }
    let changes = |column: &&Column| edits(&column.name, name).min(edits(&column.name, bare));
    let nearest = valid.iter().min_by_key(changes).filter(|column| changes(column) <= CHANGES_MAX);
    if let Some(nearest) = nearest {
        return Some(format!("did you mean {}?", as_written(&nearest.name)));
    }
    if Scope::split(name).is_some() {
        return Some(format!("attr('{name}') reads any attribute"));
    }
    let names: Vec<_> = valid.iter().map(|column| as_written(&column.name)).take(20).collect();
    (!names.is_empty()).then(|| format!("columns are {}, ...", names.join(", ")))
}

fn as_written(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn plan_problem(reason: &str) -> QueryError {
    let name = reason.strip_prefix("table '").and_then(|rest| rest.split_once("' not found"));
    if let Some((name, _)) = name {
        let name = name.rsplit('.').next().unwrap_or(name);
        let tables: Vec<_> = Table::ALL.iter().map(|table| table.name()).collect();
        return QueryError::Invalid {
            reason: format!("there is no table \"{name}\""),
            hint: Some(format!("tables are {}", tables.join(", "))),
        };
    }
    let mut lines = reason.lines();
    let reason = lines.next().unwrap_or_default().to_owned();
    let hint = lines.find(|line| line.starts_with("Did you mean")).map(str::to_owned);
    QueryError::Invalid { reason, hint }
}

/// How many letters must be changed, added or left out to make one of the other (Levenshtein).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = line + 1;
        for place in 0..other.len() {
            let kept = corner + usize::from(letter != other[place]);
            corner = row[place + 1];
            row[place + 1] = kept.min(row[place] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_dotted_ones_are_quoted() {
        let valid: Vec<Column> =
            ["service", "duration_ns", "span.http.route"].map(Column::new_unqualified).into();
        let hint = |name: &str| column_hint(name, &valid).unwrap_or_default();
        assert_eq!(hint("servce"), "did you mean service?");
        assert_eq!(hint("span.http.route"), "write it in double quotes: \"span.http.route\"");
        assert_eq!(hint("http.route"), "did you mean \"span.http.route\"?");
        assert_eq!(hint("span.card.kind"), "attr('span.card.kind') reads any attribute");
        assert!(hint("colour").starts_with("columns are service"));
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
