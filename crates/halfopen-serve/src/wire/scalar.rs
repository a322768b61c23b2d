//! Ids, times and shares.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use halfopen_model::answer::Share;
use halfopen_model::{SpanId, TimeRange, TraceId, UnixNanos};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time as RFC 3339 in UTC, always with nine digits: texts sort as the times do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimeV1(pub UnixNanos);

impl fmt::Display for TimeV1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_datetime().to_rfc3339_opts(SecondsFormat::Nanos, true);
        formatter.write_str(&text)
    }
}

impl Serialize for TimeV1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeV1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeV1, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        let nanos = time.timestamp_nanos_opt();
        nanos.map(|nanos| TimeV1(UnixNanos(nanos))).ok_or_else(|| D::Error::custom("out of range"))
    }
}

/// A trace id in hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TraceIdV1(pub TraceId);

impl fmt::Display for TraceIdV1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for TraceIdV1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceIdV1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TraceIdV1, D::Error> {
        String::deserialize(deserializer)?.parse().map(TraceIdV1).map_err(D::Error::custom)
    }
}

/// A span id in hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpanIdV1(pub SpanId);

impl fmt::Display for SpanIdV1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for SpanIdV1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SpanIdV1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SpanIdV1, D::Error> {
        String::deserialize(deserializer)?.parse().map(SpanIdV1).map_err(D::Error::custom)
    }
}

/// From `from` (included) to `to` (not included).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimeRangeV1 {
    /// First moment inside.
    pub from: TimeV1,
    /// First moment no longer inside.
    pub to: TimeV1,
}

impl From<TimeRange> for TimeRangeV1 {
    fn from(range: TimeRange) -> TimeRangeV1 {
        TimeRangeV1 { from: TimeV1(range.from), to: TimeV1(range.to) }
    }
}

/// How many of how many.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ShareV1 {
    /// How many; a fraction where sampling weights are counted in.
    #[serde(serialize_with = "whole_or_float")]
    pub count: f64,
    /// Of how many.
    #[serde(serialize_with = "whole_or_float")]
    pub total: f64,
    /// The share, 0 to 1.
    pub ratio: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
}

impl From<Share> for ShareV1 {
    fn from(share: Share) -> ShareV1 {
        let (low, high) = share.interval();
        ShareV1 {
            count: share.count,
            total: share.total,
            ratio: rounded(share.ratio()),
            interval: (rounded(low), rounded(high)),
        }
    }
}

/// Twelve decimals: more than any sample bears out, and few enough that every reader of JSON
/// gets the same float back.
pub(super) fn rounded(ratio: f64) -> f64 {
    (ratio * 1e12).round() / 1e12
}

/// Up to here every whole number has a float of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn whole_or_float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && (0.0..EXACT_MAX).contains(value) {
        return serializer.serialize_u64(*value as u64);
    }
    serializer.serialize_f64(*value)
}
