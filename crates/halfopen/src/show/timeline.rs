//! What happened to an id: its children as a tree, then one timeline over all services.

use halfopen_model::UnixNanos;
use halfopen_model::time::show_duration;
use halfopen_serve::wire::{CandidateV1, EntryV1, FindV1, SentV1};

use super::text::{clean, clock_ms, closing, cut, date, padded, plural, right, short, width};
use crate::Failure;
use crate::terminal::{FAILED, FAINT, STRONG, Terminal};

/// Entries that are shown unless all are asked for.
pub(crate) const ENTRIES_SHOWN: usize = 200;
/// Ids that are shown unless all are asked for.
const IDS_SHOWN: usize = 40;
/// So many entries that say the same are still shown one by one.
const ALIKE_SHOWN_MAX: usize = 4;
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
        let rows = candidate.rows.map(|rows| plural(rows as usize, "row", "rows"));
        let about = [clean(&candidate.name).into_owned(), services, rows.unwrap_or_default()];
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
    let runs = runs(&answer.timeline, all);
    let shown = if all { runs.len() } else { runs.len().min(ENTRIES_SHOWN) };
    let services = runs[..shown].iter().map(|run| width(&clean(&run[0].service)));
    let layout = Layout {
        service_columns: services.max().unwrap_or(0).min(SERVICE_COLUMNS_MAX),
        several_traces: answer.traces.len() > 1,
        several_ids: answer.ids.len() > 1,
    };
    let mut day = String::new();
    for run in &runs[..shown] {
        let today = date(run[0].time.0);
        if today != day {
            terminal.line(format_args!("{FAINT}{today} UTC{FAINT:#}"))?;
            day = today;
        }
        line(terminal, run[0], &layout)?;
        if let [_, .., last] = run.as_slice() {
            let more = plural(run.len() - 1, "more like it", "more like it");
            let until = clock_ms(last.time.0);
            terminal.line(format_args!("{FAINT}{until}   … {more}, to here{FAINT:#}"))?;
        }
    }
    if shown < runs.len() {
        let left: usize = runs[shown..].iter().map(Vec::len).sum();
        terminal.line(format_args!("… {} more: --all", plural(left, "entry", "entries")))?;
    }
    Ok(())
}

/// Entries that follow each other and say the same, together; few of them stay apart.
fn runs(entries: &[EntryV1], all: bool) -> Vec<Vec<&EntryV1>> {
    let same = |a: &EntryV1, b: &EntryV1| {
        let of = |entry: &EntryV1| (entry.failed, entry.depth, entry.trace_id);
        of(a) == of(b) && a.service == b.service && a.text == b.text && a.table == b.table
    };
    let mut runs: Vec<Vec<&EntryV1>> = Vec::new();
    for chunk in entries.chunk_by(same) {
        if all || chunk.len() <= ALIKE_SHOWN_MAX {
            runs.extend(chunk.iter().map(|entry| vec![entry]));
        } else {
            runs.push(chunk.iter().collect());
        }
    }
    runs
}

/// What the lines of one timeline have in common.
struct Layout {
    service_columns: usize,
    several_traces: bool,
    several_ids: bool,
}

/// From where a span took something, and how long that had waited.
fn sent(sent: &SentV1) -> String {
    let service = clean(&sent.service);
    let from = match service.is_empty() {
        true => String::new(),
        false => format!(" from {service}"),
    };
    let others = match sent.count {
        0 | 1 => String::new(),
        count => format!(", first of {count}"),
    };
    match sent.waited_ns {
        _ if sent.clocks_disagree => {
            format!("  (clocks disagree: taken{from}{others} before it was sent)")
        }
        Some(waited) => format!("  ({} queued{from}{others})", show_duration(waited)),
        None => format!("  (taken{from}{others})"),
    }
}

fn line(terminal: &mut Terminal, entry: &EntryV1, layout: &Layout) -> Result<(), Failure> {
    let service_columns = layout.service_columns;
    let time = clock_ms(UnixNanos(entry.time.0.0));
    let mark = match (entry.failed, entry.table.as_str()) {
        (true, _) => "✗",
        (false, "changes" | "faults") => "◆",
        (false, "logs") => "·",
        (false, _) => " ",
    };
    let service = cut(&clean(&entry.service), service_columns, "…").into_owned();
    let trace = entry.trace_id.filter(|_| layout.several_traces).map(|id| id.to_string());
    let trace = trace.map(|id| format!("  {}", short(&id))).unwrap_or_default();
    let trace_columns = width(&trace);
    let taken = 12 + 1 + 1 + 1 + service_columns + 1 + DURATION_COLUMNS + 1;
    let room = terminal.width().saturating_sub(taken + trace_columns).max(20);
    let indent = "  ".repeat(entry.depth.min(DEPTH_SHOWN_MAX));
    let ids = match layout.several_ids && !entry.ids.is_empty() {
        true => format!("  ({})", clean(&entry.ids.join(", "))),
        false => String::new(),
    };
    let sent = entry.sent.as_ref().map(sent).unwrap_or_default();
    let text = format!("{indent}{}{sent}{ids}", clean(&entry.text));
    let mut text = cut(&text, room, "…").into_owned();
    let mut behind = String::new();
    if entry.duration_ns.is_some() || !trace.is_empty() {
        text = padded(&text, room);
        let duration = entry.duration_ns.map(show_duration).unwrap_or_default();
        behind = format!(" {}{FAINT}{trace}{FAINT:#}", right(&duration, DURATION_COLUMNS));
    }
    let style = if entry.failed { FAILED } else { anstyle::Style::new() };
    let row = format!(
        "{FAINT}{time}{FAINT:#} {style}{mark}{style:#} {} {style}{text}{style:#}{behind}",
        padded(&service, service_columns)
    );
    terminal.line(row)
}
