//! From text to one statement that only reads, with four conveniences: `attr('key')` finds an
//! attribute wherever it is stored, old names of attributes are as good as current ones, ids may be
//! written as hex, and `quantile(x, share)` is read off a sketch of `x`.

use std::borrow::Cow;
use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, SelectItem, SetExpr, Statement as Inner, Value,
    VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use halfopen_model::known::{self, SERVICE_NAME, Scope};
use halfopen_model::names;
use halfopen_model::schema::ATTRIBUTES;

use super::problem;
use super::quantile::{OF_SKETCH, SKETCH};
use crate::error::QueryError;

/// Text is never this long by hand; the parser works recursively.
const SQL_BYTES_MAX: usize = 256 * 1024;

/// Reads `sql` as one statement that only reads.
pub(super) fn parse(state: &SessionState, sql: &str) -> Result<Statement, QueryError> {
    if sql.len() > SQL_BYTES_MAX {
        let reason = format!("the query has {} bytes, at most {SQL_BYTES_MAX} fit", sql.len());
        return Err(QueryError::Invalid { reason, hint: None });
    }
    if sql.trim().trim_end_matches(';').is_empty() {
        let hint = Some("for example: SELECT * FROM spans LIMIT 10".to_owned());
        return Err(QueryError::Invalid { reason: "the query is empty".to_owned(), hint });
    }
    let dialect = &state.config_options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(sql, dialect).map_err(problem::explain)?;
    check(&statement)?;
    rewrite(&mut statement);
    Ok(statement)
}

fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(inner) => match inner.as_ref() {
            Inner::Query(_)
            | Inner::ExplainTable { .. }
            | Inner::ShowTables { .. }
            | Inner::ShowColumns { .. }
            | Inner::ShowFunctions { .. } => Ok(()),
            other => Err(refused(&other.to_string())),
        },
        Statement::Explain(explain) => check(&explain.statement),
        other => Err(refused(&other.to_string())),
    }
}

fn refused(statement: &str) -> QueryError {
    let words: Vec<&str> = statement.split_whitespace().take(2).collect();
    QueryError::ReadOnly { reason: format!("{} was asked for", words.join(" ")) }
}

fn rewrite(statement: &mut Statement) {
    match statement {
        Statement::Statement(inner) => {
            let _ = inner.visit(&mut Conveniences);
        }
        Statement::Explain(explain) => rewrite(&mut explain.statement),
        _ => {}
    }
}

struct Conveniences;

impl VisitorMut for Conveniences {
    type Break = ();

    /// A column of `attr('key')` is called `key`, and one asked for by an old name by that.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) = item
                    && let Some(key) = asked_name(expr)
                {
                    let alias = Ident::with_quote('"', key);
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((map, key)) = attribute_call(expr) {
            replace(expr, &attribute(&map, &key));
            return ControlFlow::Continue(());
        }
        if let Some(quantile) = quantile(expr) {
            *expr = quantile;
            return ControlFlow::Continue(());
        }
        if let Some(name) = old_column(expr) {
            *name = Ident::with_quote('"', current(&name.value));
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::BinaryOp { left, op, right } if is_comparison(op) => {
                if let Some(function) = id_function(left) {
                    wrap(right, function);
                } else if let Some(function) = id_function(right) {
                    wrap(left, function);
                }
            }
            Expr::InList { expr, list, .. } => {
                if let Some(function) = id_function(expr) {
                    list.iter_mut().for_each(|item| wrap(item, function));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The name of a column, when it is the old name of an attribute that has one.
fn old_column(expr: &mut Expr) -> Option<&mut Ident> {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => names.last_mut()?,
        _ => return None,
    };
    let current = current(&name.value);
    (current != name.value && column_of(&current).is_some()).then_some(name)
}

fn is_comparison(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// The function that reads the hex form of a column.
fn id_function(column: &Expr) -> Option<&'static str> {
    let name = match column {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => names.last()?,
        _ => return None,
    };
    match name.value.as_str() {
        "trace_id" => Some("trace_id"),
        "span_id" | "parent_span_id" => Some("span_id"),
        _ => None,
    }
}

fn wrap(expr: &mut Expr, function: &str) {
    if let Some(text) = literal(expr) {
        replace(expr, &format!("{function}({})", quoted(&text)));
    }
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Reads `text`, which is of our making, in the place of `expr`.
fn replace(expr: &mut Expr, text: &str) {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(text);
    if let Ok(parsed) = parsed.and_then(|mut parser| parser.parse_expr()) {
        *expr = parsed;
    }
}

/// `quantile(x, share)` in the terms of its sketch.
fn quantile(expr: &Expr) -> Option<Expr> {
    let Expr::Function(asked) = expr else { return None };
    let FunctionArguments::List(list) = &asked.args else { return None };
    let [values, share] = list.args.as_slice() else { return None };
    if !asked.name.to_string().eq_ignore_ascii_case("quantile") {
        return None;
    }
    let with = |function: &Function, name: &str, args: Vec<FunctionArg>| {
        let mut function = function.clone();
        function.name = ObjectName::from(vec![Ident::new(name)]);
        let list = FunctionArgumentList { args, ..list.clone() };
        function.args = FunctionArguments::List(list);
        Expr::Function(function)
    };
    // What else is said, such as FILTER, is about the rows of the sketch.
    let sketch = with(asked, SKETCH, vec![values.clone()]);
    let sketch = FunctionArg::Unnamed(FunctionArgExpr::Expr(sketch));
    let bare = Function { filter: None, over: None, ..asked.clone() };
    Some(with(&bare, OF_SKETCH, vec![sketch, share.clone()]))
}

/// The name by which a column was asked for, where it would have another.
fn asked_name(expr: &mut Expr) -> Option<String> {
    if quantile(expr).is_some() {
        return Some(expr.to_string());
    }
    match attribute_call(expr) {
        Some((_, key)) => Some(key),
        None => old_column(expr).map(|name| name.value.clone()),
    }
}

/// The map and the key of `attr('key')` or `attr(map, 'key')`, where both are plain.
fn attribute_call(expr: &Expr) -> Option<(String, String)> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
        return None;
    };
    if !name.to_string().eq_ignore_ascii_case("attr") {
        return None;
    }
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    match list.args.as_slice() {
        [key] => Some((ATTRIBUTES.to_owned(), literal(&argument(key)?)?)),
        [map, key] => {
            let map = argument(map)?.to_string();
            let plain = map == ATTRIBUTES || map.ends_with(".attributes");
            plain.then_some(())?;
            Some((map, literal(&argument(key)?)?))
        }
        _ => None,
    }
}

/// The value as text: from its column, else from the map, where a value of another type stays and
/// one that came under an old name beside the current one.
fn attribute(map: &str, key: &str) -> String {
    let owner = map.strip_suffix(ATTRIBUTES).unwrap_or_default();
    let current = current(key);
    let column = column_of(&current);
    let mut places: Vec<String> =
        column.map(|column| format!("CAST({owner}\"{column}\" AS VARCHAR)")).into_iter().collect();
    let from_map = |key: &str| format!("attribute_of({map}, {})", quoted(key));
    places.push(from_map(&current));
    if let Some((scope, name)) = Scope::split(&current) {
        let prefixed = |name: &str| format!("{}{name}", scope.prefix());
        places.extend(names::old(name).map(|old| from_map(&prefixed(old))));
        if name == names::GRPC_STATUS {
            let number = from_map(&prefixed(names::GRPC_STATUS_NUMBER));
            places.push(format!("grpc_code({number})"));
        }
    }
    match places.as_slice() {
        [one] => one.clone(),
        several => format!("coalesce({})", several.join(", ")),
    }
}

/// The current name of an attribute, with the prefix that it has.
fn current(key: &str) -> Cow<'_, str> {
    match Scope::split(key).map(|(scope, name)| (scope, name, names::current(name))) {
        Some((scope, name, current)) if name != current => {
            Cow::Owned(format!("{}{current}", scope.prefix()))
        }
        _ => Cow::Borrowed(key),
    }
}

/// The column of an attribute that has one.
fn column_of(name: &str) -> Option<&str> {
    let (scope, key) = Scope::split(name)?;
    if scope == Scope::Resource && key == SERVICE_NAME {
        return Some("service");
    }
    known::known(scope).iter().any(|(known, _)| *known == key).then_some(name)
}
