//! Time: nanoseconds since the epoch, UTC. Who needs the present takes a [`Clock`].

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};

/// Nanoseconds since 1970-01-01T00:00:00Z. Reaches from the year 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct UnixNanos(pub i64);

/// Nanoseconds in one second.
pub const SECOND_NS: i64 = 1_000_000_000;

/// Tells the time. The system's clock is read in one place of the binary only, so that tests and
/// replays can set the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> UnixNanos;
}

impl UnixNanos {
    /// The earliest time that can be held.
    pub const MIN: UnixNanos = UnixNanos(i64::MIN);
    /// The latest time that can be held.
    pub const MAX: UnixNanos = UnixNanos(i64::MAX);

    /// This time moved by `nanos` (negative: earlier), stopping at the ends of what can be held.
    #[must_use]
    pub fn shifted(self, nanos: i64) -> UnixNanos {
        UnixNanos(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to here; negative when `earlier` is later.
    pub fn since(self, earlier: UnixNanos) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time as `chrono` knows it.
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }

    /// RFC 3339 with as many digits as are needed, in UTC.
    pub fn to_rfc3339(self) -> String {
        self.to_datetime().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_rfc3339())
    }
}

/// From `from` (included) to `to` (not included).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimeRange {
    /// First moment inside.
    pub from: UnixNanos,
    /// First moment no longer inside.
    pub to: UnixNanos,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { from: UnixNanos::MIN, to: UnixNanos::MAX };

    /// Whether `time` lies inside.
    pub fn contains(&self, time: UnixNanos) -> bool {
        self.from <= time && time < self.to
    }

    /// Whether the two have a moment in common.
    pub fn overlaps(&self, other: &TimeRange) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Length in nanoseconds, zero when empty.
    pub fn length_ns(&self) -> i64 {
        self.to.since(self.from).max(0)
    }
}

/// Why a text is no time, duration or range; the text is part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not a duration.
    #[error("\"{0}\" is no duration; write a number and a unit: 90s, 15m, 2h, 1d")]
    Duration(String),
    /// Not a time.
    #[error("\"{0}\" is no time; write 2026-11-20T14:02:10Z, 14:02, 14:02:10 or 10m (ago)")]
    Time(String),
    /// Not a range.
    #[error("\"{0}\" is no range; write FROM..TO, for example 14:02..14:20")]
    Range(String),
    /// A range that ends before it begins.
    #[error("the range \"{0}\" ends before it begins")]
    Backwards(String),
}

/// Reads `250ms`, `90s`, `15m`, `2h`, `1d` or a combination such as `1h30m`, in nanoseconds.
pub fn parse_duration_ns(text: &str) -> Result<i64, TimeError> {
    let refuse = || TimeError::Duration(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut total_ns = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let count: i64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_ns = match &rest[..letters] {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND_NS,
            "m" | "min" => 60 * SECOND_NS,
            "h" => 3_600 * SECOND_NS,
            "d" => 86_400 * SECOND_NS,
            _ => return Err(refuse()),
        };
        rest = &rest[letters..];
        let part_ns = count.checked_mul(unit_ns).ok_or_else(refuse)?;
        total_ns = total_ns.checked_add(part_ns).ok_or_else(refuse)?;
    }
    Ok(total_ns)
}

/// Reads a time: RFC 3339, a date with or without a time of day in UTC, a time of the current UTC
/// day (`14:02`, `14:02:10`; one that lies in the future is taken from the day before), a duration
/// before `now` (`10m`), or `now`.
pub fn parse_time(text: &str, now: UnixNanos) -> Result<UnixNanos, TimeError> {
    let trimmed = text.trim();
    if trimmed == "now" {
        return Ok(now);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(trimmed) {
        return time.timestamp_nanos_opt().map(UnixNanos).ok_or(TimeError::Time(text.into()));
    }
    let day = trimmed.strip_suffix("UTC").unwrap_or(trimmed).trim_end().trim_end_matches('Z');
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(day, format) {
            let nanos = time.and_utc().timestamp_nanos_opt();
            return nanos.map(UnixNanos).ok_or(TimeError::Time(text.into()));
        }
    }
    if let Ok(date) = NaiveDate::parse_from_str(day, "%Y-%m-%d") {
        let nanos = date.and_time(NaiveTime::MIN).and_utc().timestamp_nanos_opt();
        return nanos.map(UnixNanos).ok_or(TimeError::Time(text.into()));
    }
    let clock = trimmed.strip_suffix('Z').unwrap_or(trimmed);
    for format in ["%H:%M:%S%.f", "%H:%M"] {
        if let Ok(time) = NaiveTime::parse_from_str(clock, format) {
            return time_of_day(time, now).ok_or(TimeError::Time(text.into()));
        }
    }
    match parse_duration_ns(trimmed) {
        Ok(ago_ns) => Ok(now.shifted(-ago_ns)),
        Err(_) => Err(TimeError::Time(text.to_owned())),
    }
}

fn time_of_day(time: NaiveTime, now: UnixNanos) -> Option<UnixNanos> {
    let today = now.to_datetime().date_naive().and_time(time).and_utc();
    let today_ns = UnixNanos(today.timestamp_nanos_opt()?);
    if today_ns <= now {
        return Some(today_ns);
    }
    let yesterday = today.checked_sub_signed(TimeDelta::days(1))?;
    yesterday.timestamp_nanos_opt().map(UnixNanos)
}

/// Reads `FROM..TO`, both ends as [`parse_time`] reads them.
pub fn parse_range(text: &str, now: UnixNanos) -> Result<TimeRange, TimeError> {
    let (from, to) = text.split_once("..").ok_or_else(|| TimeError::Range(text.to_owned()))?;
    let range = TimeRange { from: parse_time(from, now)?, to: parse_time(to, now)? };
    if range.to <= range.from {
        return Err(TimeError::Backwards(text.to_owned()));
    }
    Ok(range)
}

/// Writes a duration for people: `1.2 ms`, `2.0 s`, `3 min 20 s`.
pub fn show_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let seconds = size / SECOND_NS as u64;
    match size {
        0..1_000 => format!("{sign}{size} ns"),
        1_000..1_000_000 => format!("{sign}{:.1} us", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{sign}{:.1} ms", size as f64 / 1e6),
        _ if seconds < 60 => format!("{sign}{:.1} s", size as f64 / 1e9),
        _ if seconds < 3_600 => format!("{sign}{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{sign}{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T14:30:00Z
    const NOW: UnixNanos = UnixNanos(1_795_185_000_000_000_000);

    #[test]
    fn durations_are_read_with_their_unit_and_nothing_else() {
        assert_eq!(parse_duration_ns("1h30m"), Ok(5_400 * SECOND_NS));
        assert_eq!(parse_duration_ns("250ms"), Ok(250_000_000));
        for refused in ["", "15", "m", "-5m", "5 parsecs", "99999999999d"] {
            assert_eq!(parse_duration_ns(refused), Err(TimeError::Duration(refused.into())));
        }
    }

    #[test]
    fn times_are_read_in_each_of_their_forms() {
        assert_eq!(NOW.to_rfc3339(), "2026-11-20T14:30:00Z");
        assert_eq!(parse_time("2026-11-20T14:30:00Z", NOW), Ok(NOW));
        assert_eq!(parse_time("14:00", NOW), Ok(NOW.shifted(-1_800 * SECOND_NS)));
        assert_eq!(parse_time("15:00", NOW), Ok(NOW.shifted((1_800 - 86_400) * SECOND_NS)));
        assert_eq!(parse_time("10m", NOW), Ok(NOW.shifted(-600 * SECOND_NS)));
        assert_eq!(parse_time("now", NOW), Ok(NOW));
        assert_eq!(parse_time("2026-11-20 14:30:00", NOW), Ok(NOW));
        assert_eq!(parse_time("2026-11-20 14:30", NOW), Ok(NOW));
        assert_eq!(parse_time("2026-11-20 14:30:00.5 UTC", NOW), Ok(NOW.shifted(SECOND_NS / 2)));
        assert_eq!(parse_time("2026-11-20", NOW), Ok(NOW.shifted(-52_200 * SECOND_NS)));
        assert_eq!(parse_time("soon", NOW), Err(TimeError::Time("soon".into())));
    }

    #[test]
    fn ranges_must_run_forwards() {
        let range = parse_range("14:00..14:20", NOW).expect("a range");
        assert_eq!(range.length_ns(), 1_200 * SECOND_NS);
        assert_eq!(parse_range("5m..10m", NOW), Err(TimeError::Backwards("5m..10m".into())));
        assert_eq!(parse_range("5m", NOW), Err(TimeError::Range("5m".into())));
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        let shown: Vec<_> = [999, 1_500, 2_500_000, 2_000_000_000, 200 * SECOND_NS, -5_000]
            .map(show_duration)
            .into();
        assert_eq!(shown, ["999 ns", "1.5 us", "2.5 ms", "2.0 s", "3 min 20 s", "-5.0 us"]);
    }
}
