//! Numbers as people read them, in every answer alike.

use chrono::Timelike as _;

use crate::answer::Share;
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
}
