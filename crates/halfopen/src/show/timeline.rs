//! What happened to an id: its children as a tree, then one timeline over all services.

use halfopen_model::UnixNanos;
use halfopen_model::time::show_duration;
use halfopen_serve::wire::{CandidateV1, EntryV1, FindV1};

use super::text::{clean, clock_ms, closing, cut, date, padded, plural, right, short, width};
use crate::Failure;
use crate::terminal::{FAILED, FAINT, STRONG, Terminal};

/// Entries that are shown unless all are asked for.
pub(crate) const ENTRIES_SHOWN: usize = 200;
/// Ids that are shown unless all are asked for.
const IDS_SHOWN: usize = 40;
/// A longer name of a service leaves no room for what happened.
const SERVICE_COLUMNS_MAX: usize = 20;
/// Indentation ends here; a deeper span is shown as deep as this.
const DEPTH_SHOWN_MAX: usize = 10;
/// Room for a duration: `12 min 30 s`.
const DURATION_COLUMNS: usize = 11;

/// Writes the answer.
pub(crate) fn show(terminal: &mut Terminal, answer: &FindV1, all: bool) -> Result<(), Failure> {
    heading(terminal, answer)?;
    if answer.ids.len() > 1 || answer.matched == "children" {
        ids(terminal, &answer.ids, all)?;
    }
    entries(terminal, answer, all)?;
    closing(terminal, &answer.gaps, &answer.next)
}

/// Writes the ids that a beginning fits.
pub(crate) fn candidates(
    terminal: &mut Terminal,
    ids: &[CandidateV1],
    all: bool,
) -> Result<(), Failure> {
    self::ids(terminal, ids, all)
}

fn heading(terminal: &mut Terminal, answer: &FindV1) -> Result<(), Failure> {
    let name = answer.ids.iter().find(|candidate| candidate.id == answer.id);
    let how = match answer.matched.as_str() {
        "trace" => "a trace".to_owned(),
        "span" => "a span".to_owned(),
        "exact" => name.map_or("an id", |candidate| &candidate.name).to_owned(),
        "children" => "only ids made from it are known".to_owned(),
        "prefix" => match (answer.ids.first(), answer.traces.first()) {
            (Some(candidate), _) => format!("the beginning of {}", candidate.id),
            (None, Some(trace_id)) => format!("the beginning of trace {trace_id}"),
            (None, None) => "a beginning".to_owned(),
        },
        other => other.to_owned(),
    };
    let mut services: Vec<&str> = Vec::new();
    for entry in &answer.timeline {
        if !entry.service.is_empty() && !services.contains(&entry.service.as_str()) {
            services.push(&entry.service);
        }
    }
    let failures = answer.timeline.iter().filter(|entry| entry.failed).count();
    let failing = if failures == 0 { String::new() } else { format!(" · {failures} failed") };
    terminal.line(format_args!(
        "{STRONG}{}{STRONG:#}  {} · {} · {} · {}{failing}",
        clean(&answer.id),
        clean(&how),
        plural(answer.timeline.len(), "entry", "entries"),
        plural(services.len(), "service", "services"),
        plural(answer.traces.len(), "trace", "traces"),
    ))
}

fn ids(terminal: &mut Terminal, ids: &[CandidateV1], all: bool) -> Result<(), Failure> {
    let shown = if all { ids.len() } else { ids.len().min(IDS_SHOWN) };
    let label = |candidate: &CandidateV1| {
        format!("{}{}", "  ".repeat(candidate.depth.min(DEPTH_SHOWN_MAX)), clean(&candidate.id))
    };
    let widest = ids[..shown].iter().map(|candidate| width(&label(candidate))).max().unwrap_or(0);
    for candidate in &ids[..shown] {
        let services = clean(&candidate.services.join(", ")).into_owned();
        let rows = match candidate.rows {
            0 => String::new(),
            rows => plural(rows as usize, "row", "rows"),
        };
        let about = [clean(&candidate.name).into_owned(), services, rows];
        let about: Vec<String> = about.into_iter().filter(|part| !part.is_empty()).collect();
        terminal.line(format_args!(
            "  {}  {FAINT}{}  {}{FAINT:#}",
            padded(&label(candidate), widest),
            clock_ms(candidate.first.0),
            about.join(" · ")
        ))?;
    }
    if shown < ids.len() {
        terminal.line(format_args!("  … {} more: --all", ids.len() - shown))?;
    }
    Ok(())
}

fn entries(terminal: &mut Terminal, answer: &FindV1, all: bool) -> Result<(), Failure> {
    let entries = &answer.timeline;
    let shown = if all { entries.len() } else { entries.len().min(ENTRIES_SHOWN) };
    let services = entries[..shown].iter().map(|entry| width(&clean(&entry.service)));
    let service_columns = services.max().unwrap_or(0).min(SERVICE_COLUMNS_MAX);
    let several_traces = answer.traces.len() > 1;
    let mut day = String::new();
    for entry in &entries[..shown] {
        let today = date(entry.time.0);
        if today != day {
            terminal.line(format_args!("{FAINT}{today} UTC{FAINT:#}"))?;
            day = today;
        }
        line(terminal, entry, service_columns, several_traces)?;
    }
    if shown < entries.len() {
        terminal.line(format_args!("… {} more entries: --all", entries.len() - shown))?;
    }
    Ok(())
}

fn line(
    terminal: &mut Terminal,
    entry: &EntryV1,
    service_columns: usize,
    several_traces: bool,
) -> Result<(), Failure> {
    let time = clock_ms(UnixNanos(entry.time.0.0));
    let mark = match (entry.failed, entry.table.as_str()) {
        (true, _) => "✗",
        (false, "changes" | "faults") => "◆",
        (false, "logs") => "·",
        (false, _) => " ",
    };
    let service = cut(&clean(&entry.service), service_columns, "…").into_owned();
    let trace = match (several_traces, entry.trace_id) {
        (false, _) => String::new(),
        (true, Some(trace_id)) => {
            let trace_id = trace_id.to_string();
            format!("  {FAINT}{}{FAINT:#}", short(&trace_id))
        }
        (true, None) => String::new(),
    };
    let trace_columns = if trace.is_empty() { 0 } else { width(&trace) };
    let taken = 12 + 1 + 1 + 1 + service_columns + 1 + DURATION_COLUMNS + 1;
    let room = terminal.width().saturating_sub(taken + trace_columns).max(20);
    let indent = "  ".repeat(entry.depth.min(DEPTH_SHOWN_MAX));
    let text = format!("{indent}{}", clean(&entry.text));
    let text = padded(&cut(&text, room, "…"), room);
    let duration = entry.duration_ns.map(show_duration).unwrap_or_default();
    let duration = right(&duration, DURATION_COLUMNS);
    let style = if entry.failed { FAILED } else { anstyle::Style::new() };
    let row = format!(
        "{FAINT}{time}{FAINT:#} {style}{mark}{style:#} {} {style}{text}{style:#} {duration}{trace}",
        padded(&service, service_columns)
    );
    terminal.line(row.trim_end())
}
