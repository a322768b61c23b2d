//! The ids that a query asks for, read off its conditions: the filters of segments are asked for
//! these. `=` and `IN` name ids, `LIKE 'req-8f2%'` and `starts_with` the beginning of some, and so
//! does `hex(trace_id) LIKE '4bf9%'`.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::physical_expr::expressions::{CastExpr, Column, LikeExpr, Literal};
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee, split_conjunction};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use halfopen_model::port::Match;
use halfopen_model::{Table, TraceId};

use crate::index::Probe;

/// The ids of which every row that is wanted has one.
pub(super) fn probe(table: Table, predicate: &Arc<dyn PhysicalExpr>) -> Option<Probe> {
    let guarantees = LiteralGuarantee::analyze(predicate);
    let of_one = |found: &LiteralGuarantee| {
        if found.guarantee != Guarantee::In {
            return None;
        }
        let values: Option<Vec<&[u8]>> = found.literals.iter().map(key).collect();
        Probe::of_values(table, &found.column.name, values?.into_iter())
    };
    let whole = guarantees.iter().filter(|found| !found.literals.is_empty()).find_map(of_one);
    whole.or_else(|| {
        let beginnings = split_conjunction(predicate).into_iter().filter_map(beginning);
        beginnings.filter_map(|matching| Probe::of_match(table, &matching)).next()
    })
}

fn key(literal: &ScalarValue) -> Option<&[u8]> {
    match literal {
        ScalarValue::Utf8(Some(text)) => Some(text.as_bytes()),
        ScalarValue::FixedSizeBinary(_, Some(bytes)) => Some(bytes),
        _ => None,
    }
}

/// What a condition says of the beginning of an id.
fn beginning(condition: &Arc<dyn PhysicalExpr>) -> Option<Match> {
    let (of, prefix) = if let Some(like) = condition.downcast_ref::<LikeExpr>() {
        if like.negated() || like.case_insensitive() {
            return None;
        }
        (like.expr(), literal_part(text(like.pattern())?))
    } else {
        let function = condition.downcast_ref::<ScalarFunctionExpr>()?;
        let [of, prefix] = function.args() else { return None };
        if function.name() != "starts_with" {
            return None;
        }
        (of, text(prefix)?.to_owned())
    };
    if prefix.is_empty() {
        return None;
    }
    match hex_of(of) {
        Some("trace_id") => trace_range(&prefix),
        Some(_) => None,
        None => Some(Match::TextPrefix { column: column(of)?.to_owned(), prefix }),
    }
}

fn text(expr: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    expr.downcast_ref::<Literal>()?.value().try_as_str().flatten()
}

/// The column itself, or as another kind of text.
fn column(expr: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return cast.cast_type().is_string().then(|| column(cast.expr())).flatten();
    }
    Some(expr.downcast_ref::<Column>()?.name())
}

/// The column whose hex form this is.
fn hex_of(expr: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    let function = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let [of] = function.args() else { return None };
    (function.name() == "hex").then(|| column(of)).flatten()
}

/// What stands in a pattern before its first wildcard.
fn literal_part(pattern: &str) -> String {
    let mut literal = String::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '%' | '_' => break,
            // A backslash at the end stands for itself.
            '\\' => literal.push(chars.next().unwrap_or('\\')),
            other => literal.push(other),
        }
    }
    literal
}

/// All traces whose hex form begins so; `hex()` writes small letters.
fn trace_range(prefix: &str) -> Option<Match> {
    let digits = 2 * size_of::<TraceId>();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if prefix.len() > digits || !prefix.bytes().all(hex) {
        return None;
    }
    let end = |filler: &str| format!("{prefix}{}", filler.repeat(digits - prefix.len()));
    Some(Match::TraceRange(end("0").parse().ok()?, end("f").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_literal_up_to_its_first_wildcard() {
        for (pattern, literal) in [
            ("req-8f2%", "req-8f2"),
            ("req_8f2%", "req"),
            (r"req\_8f2%", "req_8f2"),
            (r"a\%b\\_", r"a%b\"),
            (r"a\", r"a\"),
            ("%a", ""),
            ("abc", "abc"),
        ] {
            assert_eq!(literal_part(pattern), literal, "{pattern}");
        }
    }

    #[test]
    fn a_beginning_of_a_trace_is_a_range() {
        let Some(Match::TraceRange(first, last)) = trace_range("4bf") else {
            panic!("it is the beginning of some");
        };
        assert_eq!(first.to_string(), format!("4bf{}", "0".repeat(29)));
        assert_eq!(last.to_string(), format!("4bf{}", "f".repeat(29)));
        assert!(trace_range("4BF").is_none() && trace_range("xyz").is_none());
        assert!(trace_range(&"4".repeat(33)).is_none());
    }
}
