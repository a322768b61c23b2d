//! Log records out of lines: which field is the time, the level, the message, and what the level
//! means.

use super::emit::{Emitter, Origin};
use super::group::message;
use super::value::{self, NOTES, Value, any_value, attribute, some_text};
use crate::settings::Signal;
use crate::wire::Writer;

/// What a field of a log line means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    Time,
    Level,
    Message,
    Trace,
    Span,
    Service,
    Event,
}

/// Names under which loggers write what OTLP has fields for; of several the first listed counts.
const NAMES: [(Meaning, &[&str]); 7] = [
    (
        Meaning::Time,
        &["time", "timestamp", "@timestamp", "ts", "datetime", "eventTime", "asctime", "date"],
    ),
    (
        Meaning::Level,
        &[
            "level",
            "severity",
            "severity_text",
            "severityText",
            "lvl",
            "log.level",
            "levelname",
            "loglevel",
        ],
    ),
    (Meaning::Message, &["message", "msg", "body", "log", "text"]),
    (
        Meaning::Trace,
        &["trace_id", "traceId", "traceID", "trace.id", "otelTraceID", "TraceId", "traceid"],
    ),
    (Meaning::Span, &["span_id", "spanId", "spanID", "span.id", "otelSpanID", "SpanId", "spanid"]),
    (
        Meaning::Service,
        &["service.name", "service", "service_name", "serviceName", "otelServiceName"],
    ),
    (Meaning::Event, &["event_name", "event.name", "eventName"]),
];

impl Meaning {
    /// What a field of this name means, and how good the name is: 0 is the best.
    pub(crate) fn of(name: &str) -> Option<(Meaning, usize)> {
        NAMES.iter().find_map(|(meaning, names)| {
            let rank = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
            Some((*meaning, rank))
        })
    }
}

/// Levels in words, and the severity number of OTLP.
const LEVELS: [(&str, u64); 19] = [
    ("trace", 1),
    ("verbose", 1),
    ("debug", 5),
    ("fine", 5),
    ("info", 9),
    ("information", 9),
    ("informational", 9),
    ("notice", 10),
    ("warn", 13),
    ("warning", 13),
    ("error", 17),
    ("err", 17),
    ("severe", 17),
    ("critical", 21),
    ("crit", 21),
    ("fatal", 21),
    ("panic", 21),
    ("alert", 22),
    ("emerg", 23),
];

/// The severity number of a level: a word in any case, one letter, or a number as pino and bunyan
/// write it. 0 when it means nothing.
pub(crate) fn severity(level: &str) -> u64 {
    let bare = level.trim().trim_matches(['[', ']', '<', '>']);
    if let Ok(number) = bare.parse::<u64>() {
        return match number {
            10..20 => 1,
            20..30 => 5,
            30..40 => 9,
            40..50 => 13,
            50..60 => 17,
            60..70 => 21,
            _ => 0,
        };
    }
    let is_one = bare.chars().count() == 1;
    let fits = |known: &str| match is_one {
        true => known.starts_with(&bare.to_ascii_lowercase()),
        false => known.eq_ignore_ascii_case(bare),
    };
    // One letter: T, D, I, W, E and F mean the first level that begins with it.
    let mut found = LEVELS.iter().filter(|(known, _)| fits(known));
    match (is_one, bare.to_ascii_uppercase().as_str()) {
        (true, "F") => 21,
        _ => found.next().map_or(0, |(_, number)| *number),
    }
}

/// A log record on its way.
#[derive(Default)]
pub(crate) struct Record<'t> {
    pub(crate) time: Option<i64>,
    pub(crate) level: &'t str,
    pub(crate) body: Option<Value<'t>>,
    pub(crate) trace_id: &'t str,
    pub(crate) span_id: &'t str,
    pub(crate) service: &'t str,
    pub(crate) event: &'t str,
    pub(crate) attributes: Vec<(&'t str, Value<'t>)>,
}

/// Writes log records. One without a time has that of the record before it.
#[derive(Default)]
pub(crate) struct Records {
    last: Option<i64>,
}

impl Records {
    /// Writes a record; false when it has no time and there is none before it.
    pub(crate) fn add(&mut self, record: &Record<'_>, out: &mut Emitter<'_>) -> bool {
        let Some(time) = record.time.or(self.last) else { return false };
        self.last = Some(time);
        let mut resource = Writer::new();
        some_text(&mut resource, 1, "service.name", out.service_or(record.service));
        let origin = Origin { resource: resource.into_bytes(), scope: Vec::new() };
        out.sure_item(Signal::Logs, &origin, |out| write(record, time, out));
        true
    }
}

fn write(record: &Record<'_>, time: i64, out: &mut Writer) {
    out.fixed64(1, time.max(0) as u64);
    out.varint(2, severity(record.level));
    out.bytes(3, record.level.as_bytes());
    if let Some(body) = record.body {
        message(out, 5, |out| any_value(out, body));
    }
    record.attributes.iter().for_each(|(key, value)| attribute(out, 6, key, *value));
    value::trace_id(out, [9, NOTES], "trace_id", record.trace_id);
    value::span_id(out, [10, NOTES], "span_id", record.span_id);
    out.bytes(12, record.event.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_mean_the_same_however_they_are_written() {
        let check = |level: &str, number: u64| assert_eq!(severity(level), number, "{level}");
        for level in ["error", "ERROR", "Err", "[ERROR]", "50", "E"] {
            check(level, 17);
        }
        for level in ["warn", "WARNING", "40", "W"] {
            check(level, 13);
        }
        check("F", 21);
        for level in ["", "loud", "7", "é"] {
            check(level, 0);
        }
    }
}
