//! Words, numbers, times and ids as people read them.

use std::borrow::Cow;
use std::fmt::Write as _;

use halfopen_model::UnixNanos;
pub(crate) use halfopen_model::figure::{
    show_about as about, show_clock as clock, show_count as count, show_percent as percent,
};
use halfopen_serve::wire::{GapV1, ShareV1};
use unicode_width::UnicodeWidthChar as _;

use crate::Failure;
use crate::terminal::{COMMAND, FAINT, Terminal};

/// Hex digits of a shortened id. Among a million traces, two share these once in 500 million.
const SHORT_ID_DIGITS: usize = 12;

/// Text without anything that a terminal would act upon; control characters become escapes.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    // Directional marks can make a line read differently from what it says.
    let acts =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if acts(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text in at most `columns` columns; `mark` stands for what was cut off.
pub(crate) fn cut<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(width(mark));
    let mut taken = 0;
    let mut shown = String::new();
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > room {
            break;
        }
        shown.push(c);
    }
    shown.push_str(mark);
    Cow::Owned(shown)
}

/// The text, filled up with spaces to `columns`.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text at the right end of `columns`.
pub(crate) fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `398 of 412`.
pub(crate) fn of(share: &ShareV1) -> String {
    format!("{} of {}", count(share.count), count(share.total))
}

/// `1 row`, `2 rows`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as f64), if number == 1 { one } else { many })
}

/// The time of day with milliseconds, always: for columns.
pub(crate) fn clock_ms(time: UnixNanos) -> String {
    time.to_datetime().format("%H:%M:%S%.3f").to_string()
}

/// The date.
pub(crate) fn date(time: UnixNanos) -> String {
    time.to_datetime().format("%Y-%m-%d").to_string()
}

/// An id short enough for a line and long enough to be pasted into a command. One that begins
/// with many zeros (64-bit ids) is left whole: its beginning says nothing.
pub(crate) fn short(id: &str) -> &str {
    if id.starts_with("00000000") || !id.is_ascii() {
        return id;
    }
    &id[..id.len().min(SHORT_ID_DIGITS)]
}

/// Writes what is missing and what to do next: the last lines of every answer.
pub(crate) fn closing(
    terminal: &mut Terminal,
    gaps: &[GapV1],
    next: &[String],
) -> Result<(), Failure> {
    for (position, gap) in gaps.iter().enumerate() {
        let head = if position == 0 { "gaps:" } else { "     " };
        terminal.line(format_args!("{FAINT}{head} {}{FAINT:#}", clean(&gap.text)))?;
    }
    for (position, command) in next.iter().enumerate() {
        let head = if position == 0 { "next:" } else { "     " };
        let command = terminal.command(&clean(command));
        terminal.line(format_args!("{head} {COMMAND}{command}{COMMAND:#}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_cannot_act_on_the_terminal() {
        assert_eq!(clean("\u{1b}]0;gone\u{7}"), "\\u{1b}]0;gone\\u{7}");
        assert_eq!(clean("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(clean("\u{202e}evil"), "\\u{202e}evil");
        assert_eq!(clean("größe → 大"), "größe → 大");
    }

    #[test]
    fn what_is_cut_says_so_and_keeps_to_its_columns() {
        assert_eq!(cut("checkout", 8, "…"), "checkout");
        assert_eq!(cut("checkout", 5, "…"), "chec…");
        assert_eq!(cut("大大大大", 5, "…"), "大大…");
        assert_eq!(width(&padded("大", 4)), 4);
    }

    #[test]
    fn a_shortened_id_still_finds_its_trace() {
        assert_eq!(short("7f3a91c2d0e4b5a67f3a91c2d0e4b5a6"), "7f3a91c2d0e4");
        assert_eq!(short("00000000000000007f3a91c2d0e4b5a6"), "00000000000000007f3a91c2d0e4b5a6");
    }
}
