//! SQL that gives a number of an answer again.

use halfopen_model::TimeRange;
use halfopen_model::answer::ConditionPart;
use halfopen_model::known::{Scope, known};

use crate::difference::items::{CALLS, NAME};

/// The rule of failure for the current names, as far as columns tell.
const FAILED: &str = "(status = 'error' or \"span.http.response.status_code\" >= 500 \
                      or duration_ns is null)";

/// A text in SQL.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// An attribute in SQL: its column, or its key in the map.
fn attribute(name: &str) -> String {
    let is_column = Scope::split(name)
        .is_some_and(|(scope, key)| known(scope).iter().any(|(column, _)| *column == key));
    if is_column { format!("\"{name}\"") } else { format!("attr(attributes, {})", text(name)) }
}

fn within(window: &TimeRange) -> String {
    format!("start_time >= '{}' and start_time < '{}'", window.from, window.to)
}

/// Spans that carry a value.
fn carries(part: &ConditionPart) -> String {
    let service = match part.service.as_str() {
        "" => "service is null".to_owned(),
        service => format!("service = {}", text(service)),
    };
    let value = part.value.as_str();
    let number = |limit: &str| limit.parse::<f64>().is_ok();
    match part.attribute.as_str() {
        NAME => format!("{service} and name = {}", text(value)),
        CALLS => {
            let callee = text(value);
            let parents = format!("select span_id from spans where {service}");
            format!(
                "(service = {callee} and parent_span_id in ({parents}) \
                 or {service} and \"span.service.peer.name\" = {callee})"
            )
        }
        name => match value.split_once(' ') {
            Some((sign @ (">=" | "<"), limit)) if number(limit) => {
                format!("{service} and cast({} as double) {sign} {limit}", attribute(name))
            }
            _ => format!("{service} and cast({} as varchar) = {}", attribute(name), text(value)),
        },
    }
}

/// Traces that carry all of these values.
pub(crate) fn traces_with(window: &TimeRange, parts: &[ConditionPart]) -> String {
    let mut parts = parts.iter().map(|part| {
        format!("select trace_id from spans where {} and {}", within(window), carries(part))
    });
    let first = parts.next().unwrap_or_else(|| "select trace_id from spans".to_owned());
    let rest: String = parts.map(|part| format!(" intersect {part}")).collect();
    format!("select count(distinct trace_id) from ({first}{rest})")
}

/// Traces in which a call fails.
pub(crate) fn traces_failing(window: &TimeRange, service: &str, name: &str) -> String {
    format!(
        "select count(distinct trace_id) from spans where {} and service = {} and name = {} and \
         {FAILED}",
        within(window),
        text(service),
        text(name)
    )
}

/// Requests by version, and how many failed spans each has.
pub(crate) fn by_column(window: &TimeRange, service: &str, column: &str) -> String {
    format!(
        "select {column}, count(distinct trace_id) as traces, count(distinct case when {FAILED} \
         then trace_id end) as failing from spans where {} and service = {} group by 1 order by 2",
        within(window),
        text(service)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_model::UnixNanos;

    #[test]
    fn values_are_quoted_and_columns_told_from_keys() {
        let part = |attribute: &str, value: &str| ConditionPart {
            service: "payment".into(),
            attribute: attribute.into(),
            value: value.into(),
        };
        let window = TimeRange { from: UnixNanos(0), to: UnixNanos(1_000_000_000) };
        let query = traces_with(
            &window,
            &[part("resource.service.version", "2.3.0"), part("span.app.brand", "o'malley")],
        );
        let shown = query
            .replace(" from ", "\n  from ")
            .replace(" where ", "\n  where ")
            .replace(" and ", "\n  and ")
            .replace(" intersect ", "\nintersect ");
        expect_test::expect![[r#"
            select count(distinct trace_id)
              from (select trace_id
              from spans
              where start_time >= '1970-01-01T00:00:00Z'
              and start_time < '1970-01-01T00:00:01Z'
              and service = 'payment'
              and cast("resource.service.version" as varchar) = '2.3.0'
            intersect select trace_id
              from spans
              where start_time >= '1970-01-01T00:00:00Z'
              and start_time < '1970-01-01T00:00:01Z'
              and service = 'payment'
              and cast(attr(attributes, 'span.app.brand') as varchar) = 'o''malley')"#]]
        .assert_eq(&shown);
        assert!(carries(&part("span.cart.items", ">= 50")).ends_with("as double) >= 50"));
    }
}
