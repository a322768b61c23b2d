//! Which change did it, on a few lines.

use halfopen_serve::wire::{ChangeVerdictV1, HappeningV1, NamedChangeV1};

use super::text::{clean, clock, plural, short};
use crate::Failure;
use crate::terminal::{FAINT, STRONG, Terminal};

/// A line of a log is cut here.
const SIGN_COLUMNS_MAX: usize = 88;

/// Writes what happens and the change that can do that.
pub(crate) fn show(
    terminal: &mut Terminal,
    verdict: &ChangeVerdictV1,
    all: bool,
) -> Result<(), Failure> {
    match &verdict.named {
        Some(change) => {
            named(terminal, change)?;
            if let Some(because) = verdict.happens.get(change.happening) {
                happens(terminal, because)?;
            }
        }
        None => {
            // Where nothing happens that is known there is nothing to say, unless all is wanted.
            if verdict.happens.is_empty() && !all {
                return Ok(());
            }
            let reason = clean(verdict.reason.as_deref().unwrap_or_default());
            let changes = plural(verdict.changes, "change", "changes");
            let head = match verdict.verdict.as_str() {
                "none_of_these" => format!("none of {changes}"),
                _ => "not known".to_owned(),
            };
            terminal.line(format_args!("change: {STRONG}{head}{STRONG:#}: {reason}"))?;
            if let Some(first) = verdict.happens.first() {
                happens(terminal, first)?;
            }
        }
    }
    if all {
        for reason in &verdict.ruled_out {
            terminal.line(format_args!("not:  {}", clean(reason)))?;
        }
    }
    Ok(())
}

fn named(terminal: &mut Terminal, change: &NamedChangeV1) -> Result<(), Failure> {
    let commit = change.commit.as_deref().map(short);
    let of = [commit, change.service.as_deref()].into_iter().flatten();
    let of = of.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    terminal.line(format_args!(
        "change: {STRONG}{}{STRONG:#} ({}) at {}",
        clean(&change.title),
        clean(&of),
        clock(change.at.0)
    ))?;
    terminal.line(format_args!("        {}", clean(&change.does)))
}

fn happens(terminal: &mut Terminal, happening: &HappeningV1) -> Result<(), Failure> {
    let sign: String = happening.sign.chars().take(SIGN_COLUMNS_MAX).collect();
    let times = plural(happening.count as usize, "time", "times");
    terminal.line(format_args!(
        "        {}: {} since {}, {times}",
        clean(&happening.says),
        clean(&happening.service),
        clock(happening.since.0),
    ))?;
    terminal.line(format_args!("        {FAINT}{}{FAINT:#}", clean(&sign)))
}
