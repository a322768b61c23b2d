//! Numbers as people read them, in every answer alike.

use chrono::Timelike as _;

use crate::answer::{NoveltyKind, Share};
use crate::time::{UnixNanos, show_duration};

/// A count with separators: 9,830. Weighted counts are rounded.
pub fn show_count(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut shown = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A share in percent, with digits enough to tell it from nothing: 96 %, 4.2 %, 0.03 %.
pub fn show_percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        _ if percent <= 0.0 => "0 %".to_owned(),
        _ if percent < 0.01 => "< 0.01 %".to_owned(),
        _ if percent < 0.1 => format!("{percent:.2} %"),
        _ if percent < 10.0 || (percent > 99.0 && percent < 100.0) => {
            let shown = format!("{percent:.1}");
            format!("{} %", shown.strip_suffix(".0").unwrap_or(&shown))
        }
        _ => format!("{percent:.0} %"),
    }
}

/// `398 of 412`.
pub fn show_share(share: Share) -> String {
    format!("{} of {}", show_count(share.count), show_count(share.total))
}

/// A duration in a sentence: 18 s, 2.1 s, 15 min.
pub fn show_about(nanos: i64) -> String {
    let shown = show_duration(nanos);
    let shown = shown.strip_suffix(" 0 s").or(shown.strip_suffix(" 0 min")).unwrap_or(&shown);
    shown.replace(".0 ", " ")
}

/// The time of day: seconds, and milliseconds where there are any.
pub fn show_clock(time: UnixNanos) -> String {
    let time = time.to_datetime();
    let form = if time.nanosecond() == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
    time.format(form).to_string()
}

/// A number of a metric with its unit, three digits of it.
pub fn show_amount(number: f64, unit: &str) -> String {
    match unit {
        "ns" => return show_duration(number as i64),
        "ratio" => return show_percent(number),
        _ => {}
    }
    let digits = match number.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let unit = unit.trim_matches(|c| "{}".contains(c));
    let unit = if unit == "1" { "" } else { unit };
    let space = if unit.is_empty() { "" } else { " " };
    format!("{number:.digits$}{space}{unit}")
}

/// The name of an attribute without where it was set: `k8s.pod.name`.
pub fn bare_name(attribute: &str) -> &str {
    match attribute.split_once('.') {
        Some(("resource" | "scope" | "span" | "log" | "metric", name)) => name,
        _ => attribute,
    }
}

/// `payment.k8s.pod.name = payment-7c9-x2`, `checkout.cart.items >= 51`: service, attribute and
/// value. Where the attribute was set is said only where its name alone could be taken for one
/// of those `beside` it.
pub fn show_part<'p>(
    [service, attribute, value]: [&'p str; 3],
    mut beside: impl Iterator<Item = [&'p str; 3]>,
) -> String {
    let bare = bare_name(attribute);
    let is_other =
        |[of, other, _]: [&str; 3]| of == service && bare_name(other) == bare && other != attribute;
    let name = if beside.any(is_other) { attribute } else { bare };
    let dot = if service.is_empty() { "" } else { "." };
    format!("{service}{dot}{name} {}{value}", sign_of(value))
}

/// What stands between a name and its value: a range of numbers has its own sign.
pub fn sign_of(value: &str) -> &'static str {
    if value.starts_with(">= ") || value.starts_with("< ") { "" } else { "= " }
}

/// What was before: `5 % of 240 such requests failed, 5.2 % of 1,600 since: more of the same`.
pub fn show_novelty(kind: NoveltyKind, before: Share, since: Share, failed: &str) -> String {
    if before.total <= 0.0 {
        return "there was no such request: new".to_owned();
    }
    let what = match kind {
        NoveltyKind::New => "new",
        NoveltyKind::Worse => "more often than before",
        NoveltyKind::MoreOfTheSame => "more of the same",
    };
    format!(
        "{} of {} such requests {failed}, {} of {} since: {what}",
        show_percent(before.ratio()),
        show_count(before.total),
        show_percent(since.ratio()),
        show_count(since.total),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let counts = [0.0, 999.0, 9830.0, 1_234_567.0].map(show_count);
        assert_eq!(counts, ["0", "999", "9,830", "1,234,567"]);
        let percents = [0.0, 0.000_01, 0.000_3, 0.001, 0.042, 0.5, 0.999, 1.0].map(show_percent);
        assert_eq!(
            percents,
            ["0 %", "< 0.01 %", "0.03 %", "0.1 %", "4.2 %", "50 %", "99.9 %", "100 %"]
        );
        assert_eq!(show_amount(2.5e9, "ns"), "2.5 s");
        assert_eq!(show_amount(12.34, "{thread}"), "12.3 thread");
        assert_eq!(show_about(900_000_000_000), "15 min");
    }

    #[test]
    fn a_part_says_where_it_was_set_only_where_it_must() {
        let pod = ["pay", "resource.pod", "pay-2"];
        assert_eq!(show_part(pod, [pod].into_iter()), "pay.pod = pay-2");
        let twice = [pod, ["pay", "span.pod", "x"]];
        assert_eq!(show_part(pod, twice.into_iter()), "pay.resource.pod = pay-2");
        let range = ["", "span.items", ">= 5 and < 9"];
        assert_eq!(show_part(range, [pod].into_iter()), "items >= 5 and < 9");
    }

    #[test]
    fn what_was_so_before_is_told_with_both_shares() {
        let (before, since) = (Share::new(12.0, 240.0), Share::new(80.0, 1_600.0));
        assert_eq!(
            show_novelty(NoveltyKind::MoreOfTheSame, before, since, "failed"),
            "5 % of 240 such requests failed, 5 % of 1,600 since: more of the same"
        );
        let never = show_novelty(NoveltyKind::New, Share::default(), since, "failed");
        assert_eq!(never, "there was no such request: new");
    }
}
