//! What a failing span says of its failure, in a form in which equal reasons are equal.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use halfopen_model::batch::{Cells, map_entries, text_at};
use halfopen_model::names::GRPC_CODES;
use halfopen_model::time::show_duration;

use crate::spans::{Spans, UNENDED};
use halfopen_model::request::{GRPC_STATUS, HTTP_STATUS};

/// Longer messages are cut: the beginning says what happened.
const REASON_CHARS_MAX: usize = 160;

/// From this many hexadecimal digits on, a word with a digit in it is an id.
const HEX_ID_DIGITS_MIN: usize = 8;

/// Durations are one constant when half of them lie within this share of their median.
const TIGHT_SPREAD_MAX: f64 = 0.1;

/// Fewer durations than this say nothing about a constant.
const TIGHT_COUNT_MIN: usize = 3;

/// Words that speak of time that ran out.
const TIMEOUT_WORDS: [&str; 5] = ["timeout", "timed out", "time out", "deadline", "http 504"];

/// What a span says of its failure: its kind and its message.
fn of_span(spans: &Spans<'_>, row: usize) -> String {
    let (cells, row_in_part) = spans.cells(row);
    if spans.duration[row] == UNENDED {
        return "never ended".to_owned();
    }
    let exception = exception(spans.part(row), row_in_part);
    let status = cells.text("status_message", row_in_part).map(str::to_owned);
    let kind = kind(&cells, row_in_part).or(exception.0);
    let message = status.filter(|text| !text.is_empty()).or(exception.1);
    match (kind, message) {
        (Some(kind), Some(message)) if message.contains(&kind) => message,
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => "status error".to_owned(),
    }
}

/// `error.type`, the gRPC code or the HTTP status.
fn kind(cells: &Cells<'_>, row: usize) -> Option<String> {
    let text = |name: &str| cells.attribute(name, row).map(|value| value.to_text());
    let grpc = GRPC_STATUS.iter().find_map(|name| text(name)).map(|code| {
        let known = code.parse::<usize>().ok().and_then(|number| GRPC_CODES.get(number));
        known.map_or(code.clone(), |name| (*name).to_owned())
    });
    let http = HTTP_STATUS.iter().find_map(|name| text(name)).map(|code| format!("HTTP {code}"));
    let named = text("span.error.type").filter(|name| !name.is_empty() && name != "_OTHER");
    // An error type that only repeats a status is shown as that status.
    let named = named.filter(|name| name.parse::<u32>().is_err());
    let telling = |code: &String| code != "OK" && code != "ok";
    let failing = |code: &String| !code.ends_with(" 200");
    named.or(grpc.filter(telling)).or(http.filter(failing)).or_else(|| {
        text("span.error.type").filter(|name| !name.is_empty()).map(|code| format!("HTTP {code}"))
    })
}

/// Type and message of the last exception event.
fn exception(rows: &RecordBatch, row: usize) -> (Option<String>, Option<String>) {
    let mut found = (None, None);
    let events = rows.column_by_name("events").and_then(|column| column.as_list_opt::<i32>());
    let Some(events) = events.filter(|events| events.is_valid(row)) else { return found };
    let offsets = events.value_offsets();
    let Some(fields) = events.values().as_struct_opt() else { return found };
    let (names, maps) = (fields.column_by_name("name"), fields.column_by_name("attributes"));
    let Some(maps) = maps.and_then(|maps| maps.as_map_opt()) else { return found };
    for event in offsets[row] as usize..offsets[row + 1] as usize {
        let name = names.and_then(|names| text_at(names.as_ref(), event));
        if name != Some("exception") {
            continue;
        }
        map_entries(maps, event, &mut |key, _, text| match key {
            "exception.type" => found.0 = Some(text.to_owned()),
            "exception.message" => found.1 = Some(text.to_owned()),
            _ => {}
        });
    }
    found
}

/// Replaces numbers and ids, so that equal reasons are equal, and cuts the text.
fn folded(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.lines().next().unwrap_or("");
    while !rest.is_empty() && shown.chars().count() < REASON_CHARS_MAX {
        let word = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(word);
        shown.push_str(&folded_word(word, &shown));
        let mark = behind.find(char::is_alphanumeric).unwrap_or(behind.len());
        let (mark, behind) = behind.split_at(mark);
        shown.push_str(mark);
        rest = behind;
    }
    cut(&shown)
}

/// A word without what differs each time. Three digits behind HTTP are a status and stay.
fn folded_word(word: &str, before: &str) -> String {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let hex = word.chars().all(|c| c.is_ascii_hexdigit());
    let status = word.len() == 3 && before.trim_end().to_ascii_lowercase().ends_with("http");
    if digits == 0 || status {
        word.to_owned()
    } else if digits == word.len() || (hex && word.len() >= HEX_ID_DIGITS_MIN) {
        "#".to_owned()
    } else {
        // Digits inside a word: "2000ms" differs by its number, "v2" and "x509" are names.
        let leading = word.chars().take_while(char::is_ascii_digit).count();
        if leading == 0 { word.to_owned() } else { format!("#{}", &word[leading..]) }
    }
}

/// The most frequent reason of these spans, and the median of their durations. Reasons of time
/// that ran out name the time, where it is one.
pub(crate) fn of_all(spans: &Spans<'_>, rows: &[u32]) -> (String, Option<i64>) {
    let reason = most_frequent(rows.iter().take(ROWS_MAX).map(|row| of_span(spans, *row as usize)));
    let mut durations: Vec<i64> = rows.iter().map(|row| spans.duration[*row as usize]).collect();
    durations.retain(|duration| *duration >= 0);
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2).copied();
    let at = |share: usize| durations[durations.len() * share / 4];
    match median {
        Some(median) if is_of_time(&reason) && durations.len() >= TIGHT_COUNT_MIN => {
            let tight = (at(3) - at(1)) as f64 <= TIGHT_SPREAD_MAX * median as f64;
            let text = format!("times out after {}", show_duration(median));
            (if tight { text } else { reason }, Some(median))
        }
        _ => (reason, median),
    }
}

/// Whether a span says that its time ran out.
pub(crate) fn speaks_of_time(spans: &Spans<'_>, row: usize) -> bool {
    is_of_time(&of_span(spans, row))
}

fn is_of_time(reason: &str) -> bool {
    let spoken = reason.to_ascii_lowercase();
    TIMEOUT_WORDS.iter().any(|word| spoken.contains(word))
}

/// The most frequent reason with numbers and ids folded; word for word where all who give it say
/// the same.
fn most_frequent(reasons: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, (usize, Option<String>)> = BTreeMap::new();
    for reason in reasons {
        let entry = counts.entry(folded(&reason)).or_insert_with(|| (0, Some(reason.clone())));
        entry.0 += 1;
        entry.1 = entry.1.take().filter(|first| *first == reason);
    }
    let most = counts.into_iter().max_by_key(|(_, (count, _))| *count);
    let Some((folded, (_, word_for_word))) = most else { return String::new() };
    word_for_word.map_or(folded, |text| cut(&text))
}

/// The first line, up to the bound.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    line.chars().take(REASON_CHARS_MAX).collect::<String>().trim().to_owned()
}

/// Reasons of this many spans are read; more do not change which is the most frequent.
const ROWS_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_all_give_is_told_word_for_word() {
        let told = |reasons: &[&str]| most_frequent(reasons.iter().map(|text| (*text).to_owned()));
        assert_eq!(told(&["byte 0xc3", "byte 0xc3", "other"]), "byte 0xc3");
        assert_eq!(told(&["order 12 lost", "order 17 lost", "other"]), "order # lost");
        assert_eq!(told(&[]), "");
    }

    #[test]
    fn equal_reasons_are_equal() {
        assert_eq!(folded("timeout after 2000ms (attempt 3)"), "timeout after #ms (attempt #)");
        assert_eq!(folded("order 7f3a99c2d1e04b55 not found"), "order # not found");
        assert_eq!(folded("HTTP 503"), "HTTP 503");
        assert_eq!(folded("x509: bad certificate\nat line 3"), "x509: bad certificate");
        assert!(folded(&"long ".repeat(100)).len() <= REASON_CHARS_MAX);
        assert_eq!(folded("é".repeat(500).as_str()).chars().count(), REASON_CHARS_MAX);
    }
}
