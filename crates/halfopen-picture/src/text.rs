//! Text inside a picture: escaped, measured, cut, and numbers as people read them.

use std::borrow::Cow;

/// Text as it may stand in XML. Characters that XML does not have, and marks that make text read
/// differently from what it says, are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                shown.push('\u{fffd}');
            }
            c if c.is_control() && c != '\n' => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    shown
}

/// Width in pixels at a size, somewhat more than any common sans-serif face needs.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | ';' | '\'' | '|' | '/' | ' '
        | '-' | '(' | ')' | '·' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '→' | '↻' => 0.95,
        'A'..='Z' => 0.72,
        c if c.is_ascii() => 0.62,
        _ => 1.05,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// The text in at most so many pixels.
pub(super) fn cut(text: &str, size: f64, room: f64) -> Cow<'_, str> {
    if width(text, size) <= room {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars() {
        shown.push(c);
        if width(&shown, size) + 0.9 * size > room {
            shown.pop();
            break;
        }
    }
    shown.push('…');
    Cow::Owned(shown)
}

/// `9,830`; from a million on `1.2 M`.
pub(super) fn count(value: f64) -> String {
    if value >= 1e6 {
        return format!("{:.1} M", value / 1e6);
    }
    let digits = format!("{:.0}", value.max(0.0));
    match digits.len() {
        4.. => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
        _ => digits,
    }
}

/// `4.2 ms`, `563 ms`, `2.1 s`: as precise as anybody reads it off a picture.
pub(super) fn short(nanos: i64) -> String {
    let unit = |nanos: f64, unit: &str| match nanos {
        few if few < 9.95 => format!("{few:.1} {unit}").replace(".0 ", " "),
        many => format!("{many:.0} {unit}"),
    };
    match nanos.max(0) as f64 {
        nanos if nanos < 1e3 => unit(nanos, "ns"),
        nanos if nanos < 1e6 => unit(nanos / 1e3, "µs"),
        nanos if nanos < 1e9 => unit(nanos / 1e6, "ms"),
        nanos if nanos < 120e9 => unit(nanos / 1e9, "s"),
        nanos => unit(nanos / 60e9, "min"),
    }
}

/// `4.2 %`, `< 0.1 %`.
pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        none if none <= 0.0 => "0 %".to_owned(),
        few if few < 0.1 => "< 0.1 %".to_owned(),
        most if most < 100.0 && most > 99.9 => "> 99.9 %".to_owned(),
        some if some >= 99.95 || some.fract() < 0.05 => format!("{some:.0} %"),
        some => format!("{some:.1} %"),
    }
}

#[cfg(test)]
#[path = "../tests/unit/text.rs"]
mod tests;
