//! Plain lines by a pattern: a regular expression whose named groups are fields.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};

use super::emit::{Emitter, Halt, LINE_BYTES_MAX};
use super::input::{Input, Line};
use super::record::{Meaning, Record, Records};
use super::value::{Value, typed};
use super::when::any_time;

/// Memory that a pattern of the user may take when it is compiled.
const PATTERN_BYTES_MAX: usize = 4 << 20;
/// A record with the lines that go on with it: a stack trace.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Web servers, "common" and "combined".
const ACCESS: &str = concat!(
    r"^(?<client_address>\S+) \S+ (?<enduser_id>\S+) \[(?<time>[^\]]+)\] ",
    r#""(?:(?<http_request_method>[A-Z]+) (?<url_path>\S+)"#,
    r#"(?: HTTP/(?<network_protocol_version>[0-9.]+))?|(?<request>[^"]*))" "#,
    r"(?<http_response_status_code>[0-9]{3}) (?<http_response_body_size>[0-9]+|-)",
    r#"(?: "(?<http_request_header_referer>[^"]*)""#,
    r#" "(?<user_agent_original>(?:[^"\\]|\\.)*)")?"#,
);
/// A time, perhaps a thread or the like in brackets, a level, a message.
const ISO: &str = concat!(
    r"(?i)^\[?(?<time>[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T _][0-9]{2}:[0-9]{2}",
    r"(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)\]?[ \t]+",
    r"(?:\[(?<thread_name>[^\]]*)\][ \t]+)?",
    r"(?:\[?(?<level>trace|debug|info|notice|warn|warning|err|error|crit|critical|fatal|severe",
    r"|panic)\]?:?[ \t]+)?(?<message>.*)$",
);
/// What Kubernetes keeps on disk for a container (CRI).
const CRI: &str = concat!(
    r"^(?<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2})) ",
    r"(?<log_iostream>stdout|stderr) [FP] (?<message>.*)$",
);

/// How lines are taken apart.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Name and meaning of each group.
    groups: Vec<Option<Group>>,
    /// Whether a line that does not fit goes on with the record before it.
    goes_on: bool,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    meaning: Option<Meaning>,
}

/// Why a pattern cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("the pattern is no regular expression: {0}")]
    Syntax(String),
    /// It names nothing.
    #[error("the pattern has no named group; write (?<time>...) (?<level>...) (?<message>...)")]
    NoGroup,
}

impl Pattern {
    /// The pattern of a user. Groups named `time`, `level`, `message`, `trace_id`, `span_id`,
    /// `service` and `event_name` mean just that; all others are attributes.
    ///
    /// # Errors
    /// When it is no regular expression, or names no group.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let built = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
        let regex = built.map_err(|error| PatternError::Syntax(error.to_string()))?;
        let pattern = Pattern::of(regex, true, false);
        match pattern.groups.iter().flatten().next() {
            Some(_) => Ok(pattern),
            None => Err(PatternError::NoGroup),
        }
    }

    /// The access log of a web server.
    pub(crate) fn access() -> &'static Pattern {
        static BUILT: LazyLock<Pattern> = LazyLock::new(|| Pattern::built_in(ACCESS, false));
        &BUILT
    }

    /// A time, a level, a message.
    pub(crate) fn iso() -> &'static Pattern {
        static BUILT: LazyLock<Pattern> = LazyLock::new(|| Pattern::built_in(ISO, true));
        &BUILT
    }

    /// The log of a container.
    pub(crate) fn cri() -> &'static Pattern {
        static BUILT: LazyLock<Pattern> = LazyLock::new(|| Pattern::built_in(CRI, true));
        &BUILT
    }

    fn built_in(text: &str, goes_on: bool) -> Pattern {
        let regex = Regex::new(text).expect("a test compiles every pattern of ours");
        Pattern::of(regex, goes_on, true)
    }

    fn of(regex: Regex, goes_on: bool, is_ours: bool) -> Pattern {
        let group = |name: &str| {
            let meaning = Meaning::of(name).map(|(meaning, _)| meaning);
            // A name of ours stands for one with points.
            let name = if is_ours { dotted(name) } else { name.to_owned() };
            Group { name, meaning }
        };
        let groups = regex.capture_names().map(|name| name.map(group)).collect();
        Pattern { regex, groups, goes_on }
    }

    /// Whether a line fits.
    pub(crate) fn fits(&self, line: &str) -> bool {
        let Some(captures) = self.regex.captures(line) else { return false };
        let time = captures.name("time").map(|time| time.as_str());
        time.is_none_or(|time| any_time(time).is_some())
    }
}

/// `http_request_method` is `http.request.method`; names of OTLP with an underscore of their own
/// are written out.
fn dotted(name: &str) -> String {
    match name {
        "http_response_status_code" => "http.response.status_code".to_owned(),
        "user_agent_original" => "user_agent.original".to_owned(),
        _ => name.replace('_', "."),
    }
}

/// A record that may go on with the next line.
struct Waiting {
    text: String,
    place: String,
}

/// Reads all lines.
pub(crate) fn read(
    pattern: &Pattern,
    input: &mut Input<'_>,
    out: &mut Emitter<'_>,
) -> Result<(), Halt> {
    let mut records = Records::default();
    let mut bytes = Vec::new();
    let mut waiting: Option<Waiting> = None;
    while let Some(line) = input.line(&mut bytes, LINE_BYTES_MAX)? {
        let text = String::from_utf8_lossy(&bytes);
        if let Some(reason) = odd(&line, matches!(text, Cow::Owned(_))) {
            let items = u64::from(line.is_cut);
            out.reject_sized(line.place(), reason, items, &bytes, line.bytes);
            if line.is_cut {
                continue;
            }
        }
        if pattern.fits(&text) {
            finish(pattern, waiting.take(), &mut records, out);
            waiting = Some(Waiting { text: text.into_owned(), place: line.place() });
        } else if let Some(before) = waiting.as_mut().filter(|_| pattern.goes_on) {
            if before.text.len() + text.len() < BODY_BYTES_MAX {
                before.text.push('\n');
                before.text.push_str(&text);
            }
        } else if !text.trim().is_empty() {
            out.reject(line.place(), "the line does not fit the pattern".to_owned(), 1, &bytes);
        }
        out.breathe()?;
    }
    finish(pattern, waiting.take(), &mut records, out);
    out.breathe()
}

fn odd(line: &Line, is_broken: bool) -> Option<String> {
    if line.is_cut {
        return Some(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
    }
    is_broken.then(|| "not UTF-8; the bytes at fault were replaced".to_owned())
}

/// Writes a record with the lines that went on with it.
fn finish(
    pattern: &Pattern,
    waiting: Option<Waiting>,
    records: &mut Records,
    out: &mut Emitter<'_>,
) {
    let Some(Waiting { text, place }) = waiting else { return };
    let (first, more) = text.split_once('\n').map_or((&text[..], ""), |parts| parts);
    let Some(captures) = pattern.regex.captures(first) else { return };
    let mut body = String::new();
    let record = record(pattern, &captures, (first, more), &mut body);
    if !records.add(&record, out) {
        out.reject(place, "no time, and none before it".to_owned(), 1, text.as_bytes());
    }
}

fn record<'t>(
    pattern: &'t Pattern,
    captures: &Captures<'t>,
    (first, more): (&'t str, &'t str),
    body: &'t mut String,
) -> Record<'t> {
    let mut record = Record::default();
    // Without a group for the message the whole line is one: nothing of it is lost.
    let mut message = first;
    for (index, group) in pattern.groups.iter().enumerate() {
        let (Some(group), Some(found)) = (group, captures.get(index)) else { continue };
        let text = found.as_str();
        match group.meaning {
            Some(Meaning::Time) => record.time = any_time(text),
            Some(Meaning::Level) => record.level = text,
            Some(Meaning::Message) => message = text,
            Some(Meaning::Trace) => record.trace_id = text,
            Some(Meaning::Span) => record.span_id = text,
            Some(Meaning::Service) => record.service = text,
            Some(Meaning::Event) => record.event = text,
            None if text.is_empty() || text == "-" => {}
            None => record.attributes.push((&group.name, typed_unless_version(&group.name, text))),
        }
    }
    body.push_str(message);
    if !more.is_empty() {
        body.push('\n');
        body.push_str(more);
    }
    record.body = Some(Value::Text(body));
    record
}

/// `1.1` is a version of HTTP and no number.
fn typed_unless_version<'t>(name: &str, text: &'t str) -> Value<'t> {
    if name.ends_with("version") { Value::Text(text) } else { typed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_patterns_fit_what_they_are_for() {
        let combined = "10.0.0.7 - ann [20/Nov/2026:14:30:00 +0000] \"GET /cart?x=1 HTTP/1.1\" \
            504 512 \"-\" \"curl/8\"";
        assert!(Pattern::access().fits(combined));
        assert!(!Pattern::access().fits("2026-11-20 14:30:00 INFO hello"));
        for line in [
            "2026-11-20 14:30:00,123 INFO hello",
            "2026-11-20T14:30:00Z [main] WARN c.s.Cart - hello",
            "[2026-11-20 14:30:00] error: hello",
            "2026/11/20 14:30:00 hello",
        ] {
            assert!(Pattern::iso().fits(line), "{line}");
        }
        assert!(!Pattern::iso().fits("2026-99-20 14:30:00 hello"));
        assert!(Pattern::cri().fits("2026-11-20T14:30:00.5Z stderr F hello"));
    }

    #[test]
    fn a_pattern_that_cannot_be_used_says_why() {
        assert!(matches!(Pattern::new("(?<time>"), Err(PatternError::Syntax(_))));
        assert!(matches!(Pattern::new("(.*)"), Err(PatternError::NoGroup)));
        assert!(matches!(Pattern::new("(?<a>\\w{999}){999}"), Err(PatternError::Syntax(_))));
    }
}
