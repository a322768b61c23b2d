//! The chain of whys: a line or two for each hop, from the symptom to where the evidence ends.

use halfopen_serve::wire::{ChainV1, HopV1};

use super::text::{clean, cut, padded, width};
use crate::Failure;
use crate::terminal::{COMMAND, FAINT, STRONG, Terminal};

/// Calls on the way that are shown unless all are asked for, the first ones and the last.
const CALLS_SHOWN: usize = 4;
/// Notes of one hop that are shown unless all are asked for.
const NOTES_SHOWN: usize = 2;
/// What was excluded is shown up to so many lines unless all is asked for.
const RULED_OUT_SHOWN: usize = 2;
/// Columns of the word of confidence.
const CONFIDENCE_COLUMNS: usize = 13;
/// Where the text of a hop begins.
const INDENT: usize = 4 + CONFIDENCE_COLUMNS;

/// Writes the hops. `headline`: the symptom stands above already.
pub(crate) fn show(
    terminal: &mut Terminal,
    chain: &ChainV1,
    headline: bool,
    all: bool,
) -> Result<(), Failure> {
    let calls = chain.hops.iter().filter(|hop| hop.kind == "call").count();
    let mut passed = 0;
    for (number, hop) in chain.hops.iter().enumerate().skip(usize::from(headline)) {
        if hop.kind == "call" {
            passed += 1;
            let folded = !all && calls > CALLS_SHOWN && passed >= CALLS_SHOWN && passed < calls;
            if folded && passed == CALLS_SHOWN {
                let more = calls - CALLS_SHOWN;
                terminal.line(format_args!("    {FAINT}… {more} more calls: --all{FAINT:#}"))?;
            }
            if folded {
                continue;
            }
        }
        self::hop(terminal, number, hop, all)?;
    }
    let shown = if all { chain.ruled_out.len() } else { RULED_OUT_SHOWN };
    for one in chain.ruled_out.iter().take(shown) {
        let text = clean(&format!("{}: {}", one.what, one.how)).into_owned();
        block(terminal, &format!("    {}", padded("not", CONFIDENCE_COLUMNS)), &text, FAINT)?;
    }
    Ok(())
}

fn hop(terminal: &mut Terminal, number: usize, hop: &HopV1, all: bool) -> Result<(), Failure> {
    let head = format!("{number:>2}  {}", padded(&hop.confidence, CONFIDENCE_COLUMNS));
    let strong = if hop.kind == "origin" { STRONG } else { anstyle::Style::new() };
    let (statement, numbers) = (clean(&hop.statement), clean(&hop.numbers));
    let together = width(&statement) + 2 + width(&numbers) + INDENT <= terminal.width();
    if together && !numbers.is_empty() {
        terminal
            .line(format_args!("{head}{strong}{statement}{strong:#}  {FAINT}{numbers}{FAINT:#}"))?;
    } else {
        block(terminal, &head, &statement, strong)?;
        if !numbers.is_empty() {
            block(terminal, &" ".repeat(INDENT), &numbers, FAINT)?;
        }
    }
    let shown = if all { hop.notes.len() } else { NOTES_SHOWN };
    for note in hop.notes.iter().take(shown) {
        let note = clean(note);
        // One line each: the rest of it is one of many names of the same.
        let columns = terminal.width().saturating_sub(INDENT);
        let note = if all { note } else { cut(&note, columns, "…") };
        block(terminal, &" ".repeat(INDENT), &note, FAINT)?;
    }
    Ok(())
}

/// One hop with all that it rests on.
pub(crate) fn one(terminal: &mut Terminal, chain: &ChainV1, number: usize) -> Result<(), Failure> {
    let Some(hop) = chain.hops.get(number) else {
        let hint = match chain.hops.len() {
            0 => "there is nothing to explain".to_owned(),
            hops => format!("the chain has the hops 0 to {}", hops - 1),
        };
        return Err(Failure::usage(format!("there is no hop {number}")).hint(hint));
    };
    self::hop(terminal, number, hop, true)?;
    let fact = |terminal: &mut Terminal, name: &str, text: &str| {
        block(terminal, &format!("    {}", padded(name, CONFIDENCE_COLUMNS)), &clean(text), FAINT)
    };
    if !hop.evidence.is_empty() {
        fact(terminal, "evidence", &hop.evidence.join(", "))?;
    }
    fact(terminal, "refuted if", &hop.refuted_by.result)?;
    match &hop.query {
        // Pasted into a shell it has to be one line.
        Some(query) => {
            let command = format!("halfopen query {}", halfopen_model::shell::quoted(query));
            let command = terminal.command(&clean(&command));
            terminal.line(format_args!("{COMMAND}{command}{COMMAND:#}"))
        }
        None => fact(terminal, "check", &hop.refuted_by.check),
    }
}

/// A text behind a head, on as many lines as it needs, each as far in as the first.
fn block(
    terminal: &mut Terminal,
    head: &str,
    text: &str,
    style: anstyle::Style,
) -> Result<(), Failure> {
    let indent = width(head);
    let columns = terminal.width().saturating_sub(indent).max(20);
    for (place, line) in wrapped(text, columns).iter().enumerate() {
        let head = if place == 0 { head.to_owned() } else { " ".repeat(indent) };
        terminal.line(format_args!("{head}{style}{line}{style:#}"))?;
    }
    Ok(())
}

/// A text in lines of so many columns, parted at spaces where there are any.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_parted_at_spaces_and_loses_nothing() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-long-word of words", 4), ["a-long-word", "of", "words"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
