//! logfmt: `key=value key="value with spaces" flag`.

use std::borrow::Cow;

use super::emit::{Emitter, Halt, each_line};
use super::input::Input;
use super::record::{Meaning, Record, Records};
use super::value::{Value, typed};
use super::when::any_time;

/// Reads all lines.
pub(crate) fn read(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let mut records = Records::default();
    each_line(input, out, &mut |bytes, text, place, out| {
        let pairs = pairs(text);
        let reason = match pairs.iter().any(|pair| pair.value.is_some()) {
            false => Some("no key=value in it"),
            true if !records.add(&record(&pairs), out) => Some("no time, and none before it"),
            true => None,
        };
        if let Some(reason) = reason {
            out.reject(place.to_owned(), reason.to_owned(), 1, bytes);
        }
    })
}

/// Whether a line looks like logfmt: keys with values, one of which means something.
pub(crate) fn is_logfmt(text: &str) -> bool {
    let pairs = pairs(text);
    let known = pairs.iter().filter(|pair| pair.value.is_some() && Meaning::of(pair.key).is_some());
    let flags = pairs.iter().filter(|pair| pair.value.is_none()).count();
    known.count() >= 2 && flags * 2 <= pairs.len()
}

/// A key and its value.
struct Pair<'t> {
    key: &'t str,
    value: Option<Cow<'t, str>>,
    is_quoted: bool,
}

fn pairs(text: &str) -> Vec<Pair<'_>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, behind) = rest.split_at(end);
        let Some(value) = behind.strip_prefix('=') else {
            pairs.push(Pair { key, value: None, is_quoted: false });
            rest = behind.trim_start();
            continue;
        };
        let (found, behind, is_quoted) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (found, behind) = unquoted(quoted);
                (found, behind, true)
            }
            None => {
                let end = value.find(char::is_whitespace).unwrap_or(value.len());
                (Cow::Borrowed(&value[..end]), &value[end..], false)
            }
        };
        if !key.is_empty() {
            pairs.push(Pair { key, value: Some(found), is_quoted });
        }
        rest = behind.trim_start();
    }
    pairs
}

/// The text up to the quote that ends it, and what is behind.
fn unquoted(text: &str) -> (Cow<'_, str>, &str) {
    let mut found = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' if found.is_empty() => return (Cow::Borrowed(&text[..at]), &text[at + 1..]),
            '"' => return (Cow::Owned(found), &text[at + 1..]),
            '\\' => {
                if found.is_empty() {
                    found.push_str(&text[..at]);
                }
                match characters.next().map(|(_, c)| c) {
                    Some('n') => found.push('\n'),
                    Some('t') => found.push('\t'),
                    Some('r') => found.push('\r'),
                    Some(other) => found.push(other),
                    None => {}
                }
            }
            _ if found.is_empty() => {}
            _ => found.push(c),
        }
    }
    // A quote that does not end: everything belongs to it.
    if found.is_empty() { (Cow::Borrowed(text), "") } else { (Cow::Owned(found), "") }
}

fn record<'t>(pairs: &'t [Pair<'t>]) -> Record<'t> {
    let mut best: [Option<(usize, usize)>; 7] = [None; 7];
    for (index, pair) in pairs.iter().enumerate() {
        let Some((meaning, rank)) = Meaning::of(pair.key) else { continue };
        let Some(value) = &pair.value else { continue };
        let fits = meaning != Meaning::Time || any_time(value).is_some();
        let known = &mut best[meaning as usize];
        if fits && known.is_none_or(|(_, other)| rank < other) {
            *known = Some((index, rank));
        }
    }
    let text = |meaning: Meaning| -> &'t str {
        let found = best[meaning as usize].and_then(|(index, _)| pairs[index].value.as_deref());
        found.unwrap_or_default()
    };
    let is_used = |index: usize| best.iter().flatten().any(|(used, _)| *used == index);
    let attributes =
        pairs.iter().enumerate().filter(|(index, _)| !is_used(*index)).map(|(_, pair)| {
            let value = match &pair.value {
                Some(value) if pair.is_quoted => Value::Text(value),
                Some(value) => typed(value),
                None => Value::Bool(true),
            };
            (pair.key, value)
        });
    Record {
        time: any_time(text(Meaning::Time)),
        level: text(Meaning::Level),
        body: best[Meaning::Message as usize].map(|_| Value::Text(text(Meaning::Message))),
        trace_id: text(Meaning::Trace),
        span_id: text(Meaning::Span),
        service: text(Meaning::Service),
        event: text(Meaning::Event),
        attributes: attributes.collect(),
    }
}
