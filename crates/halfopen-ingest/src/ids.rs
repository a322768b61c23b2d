//! Correlation ids: which values are some, and the rows that lead from them to their traces.
//!
//! The plain trace ids of spans and log records are no rows of `ids`: `trace_id` of their own
//! table serves those.

use halfopen_model::{SpanId, Table, TraceId, names};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::{IdRow, IdsTable};
use crate::otlp::AnyValue;

/// The longest id; longer values are no ids that anybody would look up, and stay attributes.
const ID_BYTES_MAX: usize = 256;
/// Ids of one row. A row with more is a dump of something else.
const IDS_PER_ROW_MAX: usize = 64;
/// Links of one span that are filed. A consumer takes some hundred messages at once.
const LINKS_PER_ROW_MAX: usize = 1_024;
/// The part of a log body that is searched for ids: they stand at its beginning.
const BODY_SCAN_BYTES_MAX: usize = 16 * 1024;
/// How ids of requests that stand without a name begin; `-` or `_` follows.
const REQUEST_PREFIX: &str = "req";
/// Characters behind that beginning; fewer are a word.
const REQUEST_ID_BYTES_MIN: usize = 4;
/// The longest name that is looked for in a log body.
const NAME_BYTES_MAX: usize = 64;

/// The name of a correlation id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IdName {
    /// Headers without their prefix.
    pub(crate) name: String,
    /// Rank among the names of request ids, 0 the preferred one.
    pub(crate) rank: Option<usize>,
}

/// The names of correlation ids: the known ones and those that the user added.
pub(crate) struct IdNames {
    added: Vec<String>,
}

impl IdNames {
    pub(crate) fn new(added: &[String]) -> IdNames {
        let folded = added.iter().map(|name| name.to_ascii_lowercase().replace('-', "_"));
        IdNames { added: folded.collect() }
    }

    /// The name under which values of this key are filed, if they are correlation ids.
    pub(crate) fn find(&self, key: &str) -> Option<IdName> {
        let bare = names::header_name(key);
        let is_added = || self.added.iter().any(|name| names::same_name(name, bare));
        let name = names::correlation_name(key).or_else(|| is_added().then_some(bare))?;
        Some(IdName { name: name.to_owned(), rank: names::request_id_rank(key) })
    }

    /// Looks for `name=value`, `name: value` and `"name":"value"` in the body of a log record,
    /// then for ids that are told by their form.
    pub(crate) fn scan(&self, body: &[u8], found: &mut FoundIds) {
        let bytes = &body[..body.len().min(BODY_SCAN_BYTES_MAX)];
        self.scan_names(bytes, found);
        scan_forms(bytes, found);
    }

    fn scan_names(&self, bytes: &[u8], found: &mut FoundIds) {
        for (position, byte) in bytes.iter().enumerate() {
            if !matches!(byte, b'=' | b':') {
                continue;
            }
            let Some(name) = name_before(&bytes[..position]) else { continue };
            let Some(name) = self.find(name) else { continue };
            if let Some(value) = value_after(&bytes[position + 1..]) {
                found.add(&name, value);
            }
        }
    }
}

/// Looks for ids without a name: a whole `traceparent`, and what begins with `req-` or `req_`.
/// A name counts more than a form.
fn scan_forms(bytes: &[u8], found: &mut FoundIds) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut rest = bytes;
    while let Some(begin) = rest.iter().position(is_part) {
        let length = rest[begin..].iter().position(|byte| !is_part(byte));
        let (word, behind) = rest[begin..].split_at(length.unwrap_or(rest.len() - begin));
        rest = behind;
        let Ok(word) = str::from_utf8(word) else { continue };
        let word = word.trim_end_matches(['-', '_']);
        if is_request_id(word) {
            found.add_new("request_id", Some(names::REQUEST_IDS.len()), word);
        } else if is_traceparent(word) {
            found.add_new("traceparent", None, word);
        }
    }
}

/// `req-` or `req_` and something with a digit that is long enough for an id: `req-8f2c41`, and
/// not `req_body`.
fn is_request_id(word: &str) -> bool {
    let prefix = word.get(..REQUEST_PREFIX.len()).map(|begin| begin.to_ascii_lowercase());
    let id = &word.as_bytes()[word.len().min(REQUEST_PREFIX.len() + 1)..];
    prefix.as_deref() == Some(REQUEST_PREFIX)
        && matches!(word.as_bytes().get(REQUEST_PREFIX.len()), Some(b'-' | b'_'))
        && id.len() >= REQUEST_ID_BYTES_MIN
        && id.iter().any(u8::is_ascii_digit)
}

/// version-trace-span-flags (W3C Trace Context, section 3.2).
fn is_traceparent(word: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    word.len() == lengths.iter().sum::<usize>() + lengths.len() - 1
        && word.split('-').map(str::len).eq(lengths)
        && word.split('-').all(is_hex)
}

/// The name that ends here, without quotes around it.
fn name_before(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b"\"").or(text.strip_suffix(b"'")).unwrap_or(text);
    let text = text.strip_suffix(b"\\").unwrap_or(text);
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = text.iter().rev().take(NAME_BYTES_MAX + 1).take_while(is_name).count();
    if length == 0 || length > NAME_BYTES_MAX {
        return None;
    }
    str::from_utf8(&text[text.len() - length..]).ok()
}

/// The value that begins here, without quotes around it.
fn value_after(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\\").unwrap_or(text);
    let is_quoted = matches!(text, [b'"' | b'\'', ..]);
    let text = if is_quoted { &text[1..] } else { text };
    let ends = |byte: &u8| match byte {
        b'"' | b'\'' | b'\\' => true,
        _ if is_quoted => false,
        b',' | b';' | b'&' | b')' | b']' | b'}' | b'<' | b'>' | b'|' => true,
        _ => byte.is_ascii_whitespace(),
    };
    let length = text.iter().take(ID_BYTES_MAX + 1).position(ends).unwrap_or(text.len());
    let value = str::from_utf8(text.get(..length)?).ok()?;
    Some(if is_quoted { value } else { value.trim_end_matches(['.', ':', '!', '?']) })
}

/// The ids that one row carries. Used again for each row, so that no row allocates.
#[derive(Default)]
pub(crate) struct FoundIds {
    text: String,
    found: Vec<Found>,
    links: Vec<TraceId>,
    content: Vec<u8>,
}

/// A found id: its name and its value are parts of the common text.
struct Found {
    start: usize,
    name_end: usize,
    value_end: usize,
    rank: Option<usize>,
}

impl FoundIds {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.found.clear();
        self.links.clear();
    }

    /// Adds a value that may be an id.
    pub(crate) fn add(&mut self, name: &IdName, value: &str) {
        self.add_named(&name.name, name.rank, value);
    }

    /// Adds a value that may be an id.
    pub(crate) fn add_named(&mut self, name: &str, rank: Option<usize>, value: &str) {
        let fits = (1..=ID_BYTES_MAX).contains(&value.len());
        if !fits || self.found.len() >= IDS_PER_ROW_MAX {
            return;
        }
        let start = self.text.len();
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        self.found.push(Found { start, name_end, value_end: self.text.len(), rank });
    }

    /// Adds the trace that a span is linked to.
    pub(crate) fn add_link(&mut self, trace_id: [u8; 16]) {
        self.links.truncate(LINKS_PER_ROW_MAX - 1);
        self.links.push(TraceId(trace_id));
    }

    /// Adds a value unless it is there, under whatever name.
    fn add_new(&mut self, name: &str, rank: Option<usize>, value: &str) {
        if self.each().all(|(_, known)| known != value) {
            self.add_named(name, rank, value);
        }
    }

    /// Adds a value of an attribute: text, an integer, or a list of them (headers are lists).
    pub(crate) fn add_value(&mut self, name: &IdName, value: AnyValue<'_>) {
        value.each(&mut |item| match item {
            AnyValue::Text(text) => {
                if let Ok(text) = str::from_utf8(text) {
                    self.add(name, text);
                }
            }
            AnyValue::Int(number) => self.add(name, &number.to_string()),
            _ => {}
        });
    }

    /// All ids: their names and values.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().map(|found| {
            (&self.text[found.start..found.name_end], &self.text[found.name_end..found.value_end])
        })
    }

    /// The id of the request: that of the preferred name.
    pub(crate) fn request_id(&self) -> Option<&str> {
        let ranked = self.found.iter().filter(|found| found.rank.is_some());
        let best = ranked.min_by_key(|found| found.rank)?;
        Some(&self.text[best.name_end..best.value_end])
    }

    /// Writes the rows of all ids found.
    pub(crate) fn write(&mut self, carrier: &Carrier<'_>, ids: &mut IdsTable, seen: &mut SeenIds) {
        self.write_links(carrier, ids, seen);
        for found in &self.found {
            let name = &self.text[found.start..found.name_end];
            let id = &self.text[found.name_end..found.value_end];
            let recognised = recognised_trace(name, id);
            let is_own = (recognised.is_some() && recognised == carrier.trace_id)
                || is_own_span(name, id, carrier);
            let trace_id = carrier.trace_id.or(recognised);
            let row = IdRow {
                id,
                name,
                trace_id,
                span_id: carrier.span_id,
                table: carrier.table,
                time: carrier.time,
                service: carrier.service,
            };
            let is_context = is_any(CONTEXTS, name);
            if is_context || !is_own {
                write_new(&row, ids, seen, &mut self.content);
            }
            if is_context
                && !is_own
                && let Some(trace_id) = recognised
            {
                let hex = TraceId(trace_id).to_string();
                write_new(&IdRow { id: &hex, ..row }, ids, seen, &mut self.content);
            }
        }
    }
}

impl FoundIds {
    fn write_links(&mut self, carrier: &Carrier<'_>, ids: &mut IdsTable, seen: &mut SeenIds) {
        for link in self.links.iter().filter(|link| carrier.trace_id != Some(link.0)) {
            let row = IdRow {
                id: &link.to_string(),
                name: names::SPAN_LINK,
                trace_id: carrier.trace_id,
                span_id: carrier.span_id,
                table: carrier.table,
                time: carrier.time,
                service: carrier.service,
            };
            write_new(&row, ids, seen, &mut self.content);
        }
    }
}

/// The row that carries ids.
pub(crate) struct Carrier<'a> {
    pub(crate) table: Table,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
    pub(crate) time: i64,
    pub(crate) service: Option<&'a str>,
}

/// Fingerprints of the ids that a builder holds: each is kept once.
#[derive(Default)]
pub(crate) struct SeenIds(HashTable<u128>);

impl SeenIds {
    /// Whether this one is new.
    fn insert(&mut self, fingerprint: u128) -> bool {
        let low = |fingerprint: &u128| *fingerprint as u64;
        if self.0.find(low(&fingerprint), |known| *known == fingerprint).is_some() {
            return false;
        }
        self.0.insert_unique(low(&fingerprint), fingerprint, low);
        true
    }
}

fn write_new(row: &IdRow<'_>, ids: &mut IdsTable, seen: &mut SeenIds, content: &mut Vec<u8>) {
    content.clear();
    content.extend_from_slice(row.table.name().as_bytes());
    content.push(0);
    content.extend_from_slice(row.name.as_bytes());
    content.push(0);
    match row.trace_id {
        Some(trace_id) => content.extend_from_slice(&trace_id),
        None => content.push(0),
    }
    content.extend_from_slice(row.id.as_bytes());
    let fingerprint = xxh3_128(content);
    if seen.insert(fingerprint) {
        ids.push(row, fingerprint);
    }
}

/// Headers whose value holds a trace id beside other things.
const CONTEXTS: &[&str] =
    &["traceparent", "b3", "uber_trace_id", "x_amzn_trace_id", "x_cloud_trace_context"];
/// Names of plain trace ids.
const TRACE_IDS: &[&str] = &["trace_id", "traceid", "x_trace_id", "x_b3_traceid"];
/// Names of span ids.
const SPAN_IDS: &[&str] = &["span_id", "spanid", "x_b3_spanid"];

fn is_any(known: &[&str], name: &str) -> bool {
    known.iter().any(|known| names::same_name(known, name))
}

fn is_own_span(name: &str, id: &str, carrier: &Carrier<'_>) -> bool {
    let own = carrier.span_id.map(|id| SpanId(id).to_string());
    is_any(SPAN_IDS, name) && own.is_some_and(|own| own.eq_ignore_ascii_case(id))
}

/// The trace that an id names by itself.
fn recognised_trace(name: &str, id: &str) -> Option<[u8; 16]> {
    let joined;
    let hex = if is_any(TRACE_IDS, name) {
        id
    } else if is_any(&["traceparent"], name) {
        let (version, rest) = id.split_once('-')?;
        (version.len() == 2).then(|| rest.split('-').next())??
    } else if is_any(&["b3"], name) {
        id.split('-').next()?
    } else if is_any(&["uber_trace_id"], name) {
        id.split(':').next()?
    } else if is_any(&["x_cloud_trace_context"], name) {
        id.split('/').next()?
    } else if is_any(&["x_amzn_trace_id"], name) {
        // Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1
        let root = id.split(';').find_map(|part| part.trim().strip_prefix("Root=1-"))?;
        joined = root.replace('-', "");
        &joined
    } else {
        return None;
    };
    // Half as long is a 64-bit id as B3 has them.
    if hex.len() != 32 && hex.len() != 16 {
        return None;
    }
    let trace_id: TraceId = hex.parse().ok()?;
    (!trace_id.is_zero()).then_some(trace_id.0)
}

#[cfg(test)]
mod tests;
