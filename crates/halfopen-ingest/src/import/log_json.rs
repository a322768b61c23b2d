//! Log lines in JSON: an object per line, or a list of objects.

use std::borrow::Cow;

use super::emit::{Emitter, Halt, each_line};
use super::input::Input;
use super::items::each_item;
use super::record::{Meaning, Record, Records};
use super::value::{self, Value, plain};
use super::when::any_time;
use crate::json::{Json, Kind, parse};

/// Reads one object per line.
pub(crate) fn lines(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let mut records = Records::default();
    each_line(input, out, &mut |bytes, _, place, out| object(bytes, place, &mut records, out))
}

/// Reads a list of objects.
pub(crate) fn list(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let mut records = Records::default();
    each_item(&[&[]], "item", input, out, &mut |item, place, out| {
        object(item, place, &mut records, out);
        Ok(())
    })
}

fn object(raw: &[u8], place: &str, records: &mut Records, out: &mut Emitter<'_>) {
    let text: Cow<'_, str> = String::from_utf8_lossy(raw);
    let refuse =
        |out: &mut Emitter<'_>, reason: String| out.reject(place.to_owned(), reason, 1, raw);
    let object = match parse(&text) {
        Ok(object) => object,
        Err(error) => return refuse(out, format!("no JSON: {error}")),
    };
    let Kind::Object(fields) = &object.kind else {
        return refuse(out, "JSON, but no object".to_owned());
    };
    if !records.add(&record(fields), out) {
        refuse(out, "no time, and none before it".to_owned());
    }
}

/// Whether an object looks like a log line: it has a message, or a time and a level.
pub(crate) fn is_log(object: &Json<'_>) -> bool {
    let Kind::Object(fields) = &object.kind else { return false };
    let has = |wanted: Meaning| {
        fields.iter().any(|(name, _)| Meaning::of(name).is_some_and(|(known, _)| known == wanted))
    };
    has(Meaning::Message) || has(Meaning::Time) && has(Meaning::Level)
}

/// The best field of each meaning.
fn best(fields: &[(Cow<'_, str>, Json<'_>)]) -> [Option<usize>; 7] {
    let mut best: [Option<(usize, usize)>; 7] = [None; 7];
    for (index, (name, value)) in fields.iter().enumerate() {
        let Some((meaning, rank)) = Meaning::of(name) else { continue };
        let fits = match meaning {
            Meaning::Message => value.kind != Kind::Null,
            Meaning::Time => plain(value).is_some_and(|text| any_time(text).is_some()),
            Meaning::Service => service(value).is_some(),
            _ => plain(value).is_some(),
        };
        let known = &mut best[meaning as usize];
        if fits && known.is_none_or(|(_, other)| rank < other) {
            *known = Some((index, rank));
        }
    }
    best.map(|found| found.map(|(index, _)| index))
}

/// A name, or an object with one (Elastic Common Schema).
fn service<'j>(value: &'j Json<'j>) -> Option<&'j str> {
    plain(value).or_else(|| value::field(value, "name").and_then(plain))
}

fn record<'j>(fields: &'j [(Cow<'j, str>, Json<'j>)]) -> Record<'j> {
    let best = best(fields);
    let found = |meaning: Meaning| best[meaning as usize].map(|index| &fields[index].1);
    let text = |meaning: Meaning| found(meaning).and_then(plain).unwrap_or_default();
    let mut record = Record {
        time: any_time(text(Meaning::Time)),
        level: text(Meaning::Level),
        body: found(Meaning::Message).map(Value::Json),
        trace_id: text(Meaning::Trace),
        span_id: text(Meaning::Span),
        service: found(Meaning::Service).and_then(service).unwrap_or_default(),
        event: text(Meaning::Event),
        attributes: Vec::new(),
    };
    for (index, (name, value)) in fields.iter().enumerate() {
        if !best.contains(&Some(index)) {
            record.attributes.push((name, Value::Json(value)));
        }
    }
    record
}
