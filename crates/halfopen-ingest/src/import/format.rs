//! Formats, and how a source shows its own.

use std::fmt;

use super::input::Input;
use super::items::{Found, Items};
use super::log_json::is_log;
use super::logfmt::is_logfmt;
use super::otlp::{signal_of_json, signal_of_proto};
use super::pattern::Pattern;
use super::prometheus;
use crate::json::{Json, Kind, parse};

/// Bytes of a source that [`detect`] looks at.
pub const HEAD_BYTES: usize = 64 << 10;

/// A format that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// OTLP export requests in JSON, of any size.
    OtlpJson,
    /// The same, one in each line: the Collector's file exporter.
    OtlpJsonLines,
    /// An OTLP export request in protobuf.
    OtlpProto,
    /// The same, each behind its length in four bytes: the Collector's file exporter.
    OtlpProtoLengths,
    /// Jaeger's JSON.
    Jaeger,
    /// Zipkin's JSON, version 2.
    Zipkin,
    /// HTTP Archive, version 1.2.
    Har,
    /// Log lines in JSON, an object per line.
    JsonLines,
    /// A list of objects in JSON.
    JsonList,
    /// Lines of `key=value`.
    Logfmt,
    /// The access log of a web server, "common" or "combined".
    AccessLog,
    /// Lines that begin with a time, mostly followed by a level.
    TimedLines,
    /// The log of a container as Kubernetes keeps it on disk.
    ContainerLog,
    /// Lines by a pattern of the user.
    Pattern,
    /// The text exposition format of Prometheus.
    Prometheus,
    /// Somebody's table, by a mapping file.
    Mapped,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 16] = [
        Format::OtlpJson,
        Format::OtlpJsonLines,
        Format::OtlpProto,
        Format::OtlpProtoLengths,
        Format::Jaeger,
        Format::Zipkin,
        Format::Har,
        Format::JsonLines,
        Format::JsonList,
        Format::Logfmt,
        Format::AccessLog,
        Format::TimedLines,
        Format::ContainerLog,
        Format::Pattern,
        Format::Prometheus,
        Format::Mapped,
    ];

    /// Its name in `--format` and in rejects.
    pub fn name(self) -> &'static str {
        match self {
            Format::OtlpJson => "otlp-json",
            Format::OtlpJsonLines => "otlp-json-lines",
            Format::OtlpProto => "otlp-proto",
            Format::OtlpProtoLengths => "otlp-proto-lengths",
            Format::Jaeger => "jaeger",
            Format::Zipkin => "zipkin",
            Format::Har => "har",
            Format::JsonLines => "json-lines",
            Format::JsonList => "json-list",
            Format::Logfmt => "logfmt",
            Format::AccessLog => "access-log",
            Format::TimedLines => "timed-lines",
            Format::ContainerLog => "container-log",
            Format::Pattern => "pattern",
            Format::Prometheus => "prometheus",
            Format::Mapped => "mapping",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why no format fits, in words: what the source begins with, and what was looked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoFormat(pub String);

/// The format of a source by its first bytes ([`HEAD_BYTES`] of them, or all there are); `None`
/// for a source without content.
///
/// # Errors
/// When none fits.
pub fn detect(head: &[u8]) -> Result<Option<Format>, NoFormat> {
    let bare = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let begin = bare.iter().position(|byte| !byte.is_ascii_whitespace());
    let Some(begin) = begin else { return Ok(None) };
    if let Some(format) = protobuf(head) {
        return Ok(Some(format));
    }
    let text = &bare[begin..];
    match text[0] {
        b'{' | b'[' => json(text).map(Some),
        _ => lines(text).map(Some),
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(24)]).into_owned()
}

fn protobuf(head: &[u8]) -> Option<Format> {
    // An export request has one field, so its first byte is a line feed to who reads text.
    if head[0] == 0x0a && !head[1..].first().is_some_and(|byte| b"\r\n{[ \t".contains(byte)) {
        return signal_of_proto(head).map(|_| Format::OtlpProto);
    }
    let length = head.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
    let is_first = head[0] < 0x09 && head.get(4) == Some(&0x0a) && length > 0;
    is_first.then_some(Format::OtlpProtoLengths)
}

fn has(text: &[u8], name: &str) -> bool {
    let quoted = format!("\"{name}\"");
    text.windows(quoted.len()).any(|window| window == quoted.as_bytes())
}

fn json(text: &[u8]) -> Result<Format, NoFormat> {
    let is_object = text[0] == b'{';
    if is_object && signal_of_json(text).is_some() {
        return Ok(if first_line_is_whole(text) {
            Format::OtlpJsonLines
        } else {
            Format::OtlpJson
        });
    }
    if is_object && has(text, "data") && (has(text, "traceID") || is_empty_data(text)) {
        return Ok(Format::Jaeger);
    }
    if is_object && has(text, "log") && has(text, "entries") {
        return Ok(Format::Har);
    }
    if !is_object && (has(text, "traceId") && has(text, "id") || is_empty_list(text)) {
        return Ok(Format::Zipkin);
    }
    let first = first_object(text);
    if first.is_some_and(|object| is_log_text(&object)) {
        return Ok(if is_object { Format::JsonLines } else { Format::JsonList });
    }
    Err(NoFormat(format!(
        "it is JSON that begins with {:?}; OTLP has \"resourceSpans\", \"resourceLogs\" or \
         \"resourceMetrics\", Jaeger \"data\" with \"traceID\", Zipkin a list with \"traceId\", \
         HAR \"log\" with \"entries\", a log line a message, or a time and a level",
        shown(text)
    )))
}

/// The text of the first object: of the first line, or of a list.
fn first_object(text: &[u8]) -> Option<Vec<u8>> {
    let mut source = text;
    let mut input = Input::new(&mut source);
    let mut item = Vec::new();
    if text[0] == b'{' {
        input.line(&mut item, HEAD_BYTES).ok()??;
        return Some(item);
    }
    match Items::new(&[&[]]).next(&mut input, &mut item) {
        Ok(Found::Item(_)) => Some(item),
        _ => None,
    }
}

fn is_log_text(text: &[u8]) -> bool {
    let text = str::from_utf8(text).ok();
    text.and_then(|text| parse(text).ok()).is_some_and(|object| is_log(&object))
}

/// Lines that are looked at; most of them must fit.
const LINES_LOOKED_AT: usize = 20;

fn lines(text: &[u8]) -> Result<Format, NoFormat> {
    let lossy = String::from_utf8_lossy(text);
    let whole: Vec<&str> =
        lossy.lines().filter(|line| !line.trim().is_empty()).take(LINES_LOOKED_AT).collect();
    let share = |fits: &dyn Fn(&str) -> bool| {
        whole.iter().filter(|line| fits(line)).count() * 2 >= whole.len()
    };
    if share(&prometheus::is_line) {
        return Ok(Format::Prometheus);
    }
    let first = |pattern: &Pattern| whole.first().is_some_and(|line| pattern.fits(line));
    let (access, container, timed) = (Pattern::access(), Pattern::cri(), Pattern::iso());
    if share(&|line| access.fits(line)) {
        return Ok(Format::AccessLog);
    }
    if first(container) {
        return Ok(Format::ContainerLog);
    }
    if share(&is_logfmt) {
        return Ok(Format::Logfmt);
    }
    // Records of many lines, as stack traces are, begin with a time once.
    if first(timed) {
        return Ok(Format::TimedLines);
    }
    Err(NoFormat(format!(
        "it begins with {:?}; looked for JSON, OTLP in protobuf, metrics of Prometheus, an access \
         log, logfmt, and lines that begin with a time; tables need --mapping FILE",
        shown(text)
    )))
}

/// Whether the first line is a document of its own.
fn first_line_is_whole(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else { return false };
    let line = str::from_utf8(&text[..end]).ok();
    line.is_some_and(|line| parse(line).is_ok())
}

fn parsed(text: &[u8]) -> Option<Kind<'_>> {
    let text = str::from_utf8(text).ok()?;
    parse(text).ok().map(|Json { kind, .. }| kind)
}

fn is_empty_list(text: &[u8]) -> bool {
    matches!(parsed(text), Some(Kind::List(items)) if items.is_empty())
}

fn is_empty_data(text: &[u8]) -> bool {
    let Some(Kind::Object(fields)) = parsed(text) else { return false };
    fields.iter().any(|(name, value)| {
        name == "data" && matches!(&value.kind, Kind::List(items) if items.is_empty())
    })
}
