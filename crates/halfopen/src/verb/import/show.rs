//! The report of an import.

use halfopen_model::{Table, UnixNanos};
use halfopen_serve::import::Taken;
use halfopen_serve::wire::ImportV1;

use crate::show::text::{clean, plural, right};
use crate::terminal::{COMMAND, FAILED, FAINT};
use crate::{Failure, Terminal};

/// Reasons that are shown.
const REASONS_SHOWN_MAX: usize = 12;
/// Width of the longest name of a table.
const NAME_COLUMNS: usize = 10;
/// Width of a number of rows.
const COUNT_COLUMNS: usize = 12;

/// What to ask next: why something failed at the time of the spans, or what there is.
pub(super) fn next(taken: &Taken, terminal: &Terminal) -> Vec<String> {
    let mut next = Vec::new();
    let spans = taken.tables.get(&Table::Spans).and_then(|rows| rows.times);
    if let Some((first, last)) = spans {
        let end = UnixNanos(last.0).shifted(1);
        next.push(terminal.command(&format!("halfopen why --from {first} --to {end}")));
    }
    if !taken.rejected.is_empty() {
        let sql = "\"select sender, reason, raw from rejects\"";
        next.push(terminal.command(&format!("halfopen query {sql}")));
    }
    next
}

/// Shows a report.
pub(super) fn show(terminal: &mut Terminal, report: &ImportV1) -> Result<(), Failure> {
    let mut formats: Vec<&str> =
        report.sources.iter().filter_map(|source| source.format.as_deref()).collect();
    formats.sort_unstable();
    formats.dedup();
    let files = report.sources.len() + report.sources_more as usize;
    let formats =
        if formats.is_empty() { "nothing to read".to_owned() } else { formats.join(", ") };
    let files = plural(files, "source", "sources");
    terminal.line(format_args!("{files}, {} bytes: {formats}", report.bytes))?;
    let unknown = report.sources.iter().filter(|source| source.format.is_none());
    for source in unknown {
        let name = clean(&source.source).into_owned();
        let why = clean(source.problem.as_deref().unwrap_or_default()).into_owned();
        terminal.line(format_args!("passed over: {name} {FAINT}({why}){FAINT:#}"))?;
    }
    for table in Table::ALL {
        let Some(rows) = report.tables.get(table.name()) else { continue };
        let name = format!("{:NAME_COLUMNS$}", table.name());
        let kept = right(&rows.kept.to_string(), COUNT_COLUMNS);
        let there = match rows.collapsed {
            0 => String::new(),
            collapsed => format!("  {collapsed} there already"),
        };
        terminal.line(format_args!("{name}{kept} kept{there}"))?;
    }
    let rejected: u64 = report.rejected.iter().map(|rejected| rejected.count).sum();
    if rejected > 0 {
        terminal.line(format_args!("{FAILED}rejected{FAILED:#}  {rejected}"))?;
    }
    for rejected in report.rejected.iter().take(REASONS_SHOWN_MAX) {
        let count = right(&rejected.count.to_string(), COUNT_COLUMNS - 2);
        let reason = clean(&rejected.reason).into_owned();
        let example = clean(&rejected.example).into_owned();
        terminal.line(format_args!("{count} x {reason} {FAINT}({example}){FAINT:#}"))?;
    }
    for note in &report.notes {
        terminal.line(format_args!("note: {}", clean(note)))?;
    }
    if let Some(next) = report.next.first() {
        terminal.line(format_args!("next: {COMMAND}{next}{COMMAND:#}"))?;
    }
    Ok(())
}
