//! Times as people and programs write them. Without an offset they are in UTC.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};

/// The largest number of seconds, milliseconds and microseconds since the epoch, by size: the
/// year 5138 in each unit, while today's in the next one is later.
const SECONDS_MAX: f64 = 1e11;
const MILLIS_MAX: f64 = 1e14;
const MICROS_MAX: f64 = 1e17;
const SECOND_NS: i64 = 1_000_000_000;

/// Nanoseconds since the epoch of a time in any known form; `None` when it is none.
pub(crate) fn any_time(text: &str) -> Option<i64> {
    let text = text.trim().trim_matches(['[', ']']);
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return epoch(text);
    }
    iso(text).or_else(|| access_log(text))
}

/// A time in the form that `format` describes (strftime); without an offset it is in UTC.
pub(crate) fn formatted(text: &str, format: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_str(text, format) {
        return time.timestamp_nanos_opt();
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
        return time.and_utc().timestamp_nanos_opt();
    }
    let day = NaiveDate::parse_from_str(text, format).ok()?;
    day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_nanos_opt()
}

/// A number since the epoch: seconds, milliseconds, microseconds or nanoseconds, by its size.
pub(crate) fn epoch(digits: &str) -> Option<i64> {
    let size: f64 = digits.parse().ok()?;
    let unit_ns = match size {
        size if size < SECONDS_MAX => SECOND_NS,
        size if size < MILLIS_MAX => 1_000_000,
        size if size < MICROS_MAX => 1_000,
        _ => 1,
    };
    in_unit(digits, unit_ns)
}

/// A number of units since the epoch, fractions to the nanosecond.
pub(crate) fn in_unit(digits: &str, unit_ns: i64) -> Option<i64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = whole.strip_prefix('-').unwrap_or(whole);
    if bare.is_empty() || !is_plain(bare) || !is_plain(fraction) {
        // Exponents and the like.
        let float: f64 = digits.parse().ok()?;
        let nanos = float * unit_ns as f64;
        return (nanos.abs() < i64::MAX as f64).then_some(nanos as i64);
    }
    let mut nanos = i128::from(whole.parse::<i64>().ok()?) * i128::from(unit_ns);
    let mut unit = i128::from(unit_ns);
    for digit in fraction.bytes() {
        unit /= 10;
        let part = i128::from(digit - b'0') * unit;
        nanos += if whole.starts_with('-') { -part } else { part };
    }
    i64::try_from(nanos).ok()
}

/// `2026-11-20T14:02:10.5Z` and its relatives: a space for the T, slashes in the date, a comma
/// before the fraction, any or no offset, words behind it (Go writes `+0000 UTC m=+0.1`).
fn iso(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<u32> {
        let part = text.get(from..to)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let is_at = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
    if !is_at(4, b"-/") || !is_at(7, b"-/") {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(digits(0, 4)? as i32, digits(5, 7)?, digits(8, 10)?)?;
    if bytes.len() == 10 {
        return day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_nanos_opt();
    }
    if !is_at(10, b"T t_") || !is_at(13, b":") {
        return None;
    }
    let has_seconds = is_at(16, b":");
    let seconds = if has_seconds { digits(17, 19)? } else { 0 };
    let mut at = if has_seconds { 19 } else { 16 };
    let mut nanos = 0;
    if is_at(at, b".,") {
        let fraction: String =
            text.get(at + 1..)?.chars().take_while(char::is_ascii_digit).collect();
        at += 1 + fraction.len();
        nanos = format!("{:0<9.9}", fraction).parse().ok()?;
    }
    let time = day.and_hms_nano_opt(digits(11, 13)?, digits(14, 16)?, seconds, nanos)?;
    let offset_s = offset(text.get(at..)?.trim_start())?;
    time.and_utc().timestamp_nanos_opt()?.checked_sub(i64::from(offset_s) * SECOND_NS)
}

/// Seconds east of UTC.
fn offset(text: &str) -> Option<i32> {
    let word = text.split_whitespace().next().unwrap_or("Z");
    let sign = match word.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        b'Z' | b'z' => return Some(0),
        _ if word == "UTC" || word == "GMT" => return Some(0),
        _ => return None,
    };
    let digits: String = word[1..].chars().filter(|c| *c != ':').collect();
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = match digits.len() {
        2 if is_plain => (digits.parse::<i32>().ok()?, 0),
        4 if is_plain => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    let seconds = sign * (hours * 3_600 + minutes * 60);
    FixedOffset::east_opt(seconds).map(|_| seconds)
}

/// `20/Nov/2026:14:02:10 +0000`, as web servers write it.
fn access_log(text: &str) -> Option<i64> {
    formatted(text, "%d/%b/%Y:%H:%M:%S %z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_their_forms() {
        let expected = Some(1_795_185_000_500_000_000);
        for text in [
            "2026-11-20T14:30:00.5Z",
            "2026-11-20 14:30:00,500",
            "[2026/11/20 15:30:00.500000000 +01:00]",
            "2026-11-20 14:30:00.5 +0000 UTC m=+0.15",
            "1795185000.5",
            "1795185000500",
            "1795185000500000",
            "1795185000500000000",
        ] {
            assert_eq!(any_time(text), expected, "{text}");
        }
        let second = Some(1_795_185_000_000_000_000);
        assert_eq!(any_time("20/Nov/2026:14:30:00 +0000"), second);
        assert_eq!(any_time("2026-11-20T14:30"), second);
        assert_eq!(any_time("2026-11-20"), Some(1_795_132_800_000_000_000));
        assert_eq!(formatted("20.11.2026 14:30", "%d.%m.%Y %H:%M"), second);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "soon",
            "2026-13-01",
            "2026-11-20T25:00:00Z",
            "14:30",
            "1.2.3",
            "éééééééé",
            "2026-11-20 14:30:00 +99:99",
            "99999999999999999999999",
            "2026-11-20T14:30:00.5+é",
        ] {
            assert_eq!(any_time(text), None, "{text}");
        }
    }
}
