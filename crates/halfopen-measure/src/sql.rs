//! SQL that gives what was measured again: failing ones and all of them, or levels.

use halfopen_model::TimeRange;
use halfopen_model::answer::ConditionPart;

use super::MetricQuestion;

/// One row: `failing` of `failing_of`.
pub(super) fn counts(
    question: &MetricQuestion,
    during: TimeRange,
    parts: &[ConditionPart],
) -> String {
    let total = question.total.as_deref().unwrap_or_default();
    let value = "coalesce(value_double, cast(value_int as double))";
    let sum = |name: &str| format!("sum(case when name = {} then {value} end)", text(name));
    let mut conditions = vec![
        format!("name in ({}, {})", text(&question.metric), text(total)),
        format!("time >= '{}'", during.from),
        format!("time < '{}'", during.to),
    ];
    conditions.extend(question.service.iter().map(|name| format!("service = {}", text(name))));
    conditions.extend(parts.iter().map(|part| match part.attribute.as_str() {
        "resource.service.name" => format!("service = {}", text(&part.value)),
        name => format!("attr({}) = {}", text(name), text(&part.value)),
    }));
    format!(
        "select {} as failing, {} as failing_of from metrics where {}",
        sum(&question.metric),
        sum(total),
        conditions.join(" and ")
    )
}

/// The levels of a service in the window, in order of time.
pub(super) fn levels(question: &MetricQuestion, service: &str) -> String {
    format!(
        "select time, coalesce(value_double, cast(value_int as double)) as level from metrics \
         where name = {} and service = {} and time >= '{}' and time < '{}' order by time",
        text(&question.metric),
        text(service),
        question.window.from,
        question.window.to,
    )
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
