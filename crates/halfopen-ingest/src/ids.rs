//! Correlation ids: which values are some, and the rows that lead from them to their traces.
//!
//! The plain trace ids of spans and log records are no rows of `ids`: `trace_id` of their own
//! table serves those.

use halfopen_model::{Table, TraceId, names};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::{IdRow, IdsTable};
use crate::otlp::AnyValue;

/// The longest id; longer values are no ids that anybody would look up, and stay attributes.
const ID_BYTES_MAX: usize = 256;
/// Ids of one row. A row with more is a dump of something else.
const IDS_PER_ROW_MAX: usize = 64;
/// The part of a log body that is searched for ids: they stand at its beginning.
const BODY_SCAN_BYTES_MAX: usize = 16 * 1024;
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
        let prefixes = names::HEADER_PREFIXES.iter();
        let bare = prefixes.filter_map(|prefix| key.strip_prefix(prefix)).next().unwrap_or(key);
        let is_added = || self.added.iter().any(|name| names::same_name(name, bare));
        let name = names::correlation_name(key).or_else(|| is_added().then_some(bare))?;
        Some(IdName { name: name.to_owned(), rank: names::request_id_rank(key) })
    }

    /// Looks for `name=value`, `name: value` and `"name":"value"` in the body of a log record.
    pub(crate) fn scan(&self, body: &[u8], found: &mut FoundIds) {
        let bytes = &body[..body.len().min(BODY_SCAN_BYTES_MAX)];
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
        for found in &self.found {
            let name = &self.text[found.start..found.name_end];
            let id = &self.text[found.name_end..found.value_end];
            let recognised = recognised_trace(name, id);
            let is_own = recognised.is_some() && recognised == carrier.trace_id;
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
            let is_context = names::same_name("traceparent", name);
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

/// The trace that an id names by itself.
fn recognised_trace(name: &str, id: &str) -> Option<[u8; 16]> {
    let is_any = |known: &[&str]| known.iter().any(|known| names::same_name(known, name));
    let hex = if is_any(&["traceparent"]) {
        let mut parts = id.split('-');
        let version = parts.next()?;
        let trace_id = parts.next()?;
        (version.len() == 2).then_some(trace_id)?
    } else if is_any(&["trace_id", "traceid", "x_b3_traceid"]) {
        id
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
