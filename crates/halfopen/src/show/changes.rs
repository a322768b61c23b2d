//! What was changed, a line for each change.

use halfopen_model::UnixNanos;
use halfopen_model::time::SECOND_NS;
use halfopen_serve::wire::{ChangesV1, KnownChangeV1};

use super::text::{about, clean, clock, closing, count, cut, date, of, padded, percent, width};
use crate::Failure;
use crate::terminal::{FAINT, STRONG, Terminal};

/// Changes that are shown unless all are asked for, the latest ones.
const CHANGES_SHOWN: usize = 40;
/// Files of a change that are shown.
const FILES_SHOWN: usize = 8;
/// Wider names of kinds and services are cut.
const WORD_COLUMNS_MAX: usize = 24;
/// Where the lines below a change begin.
const INDENT: &str = "          ";

/// Writes the list.
pub(crate) fn show(terminal: &mut Terminal, answer: &ChangesV1, all: bool) -> Result<(), Failure> {
    let left = if all { 0 } else { answer.changes.len().saturating_sub(CHANGES_SHOWN) };
    if answer.changes.is_empty() {
        terminal.line("nothing changed")?;
    }
    if left > 0 {
        terminal.line(format_args!(" … {left} earlier: --all"))?;
    }
    let changes = &answer.changes[left..];
    let widest = |word: &dyn Fn(&KnownChangeV1) -> usize| {
        changes.iter().map(word).max().unwrap_or(0).min(WORD_COLUMNS_MAX)
    };
    let columns = [
        widest(&|change| width(&change.kind)),
        widest(&|change| width(change.service.as_deref().unwrap_or("-"))),
    ];
    let mut day = String::new();
    for change in changes {
        let of_change = date(change.at.0);
        if of_change != day {
            terminal.line(format_args!("{FAINT}{of_change}{FAINT:#}"))?;
            day = of_change;
        }
        line(terminal, change, columns)?;
        if all {
            details(terminal, change)?;
        }
    }
    let (from, to) = (answer.window.from.0, answer.window.to.0);
    let spans = count(answer.spans as f64);
    let [from, to] = [whole(from), whole(to)];
    let day = Some(date(to)).filter(|day| *day != date(from));
    let day = day.map_or_else(String::new, |day| format!("{day} "));
    let time = format!("{} {}..{day}{} UTC", date(from), clock(from), clock(to));
    terminal.line(format_args!("{FAINT}over: {spans} spans · {time}{FAINT:#}"))?;
    closing(terminal, &answer.gaps, &answer.next)
}

fn line(
    terminal: &mut Terminal,
    change: &KnownChangeV1,
    columns: [usize; 2],
) -> Result<(), Failure> {
    let kind = clean(&change.kind).into_owned();
    let service = clean(change.service.as_deref().unwrap_or("-")).into_owned();
    let [kind, service] = [(&kind, columns[0]), (&service, columns[1])]
        .map(|(word, columns)| padded(&cut(word, columns, "…"), columns));
    let head = format!("{}  {kind}  {service}  ", clock(whole(change.at.0)));
    let what = clean(&what(change)).into_owned();
    let seen = seen(change);
    if width(&head) + width(&what) + 2 + width(&seen) <= terminal.width() {
        return terminal
            .line(format_args!("{head}{STRONG}{what}{STRONG:#}  {FAINT}{seen}{FAINT:#}"));
    }
    terminal.line(format_args!("{head}{STRONG}{what}{STRONG:#}"))?;
    terminal.line(format_args!("{INDENT}{FAINT}{seen}{FAINT:#}"))
}

/// Seconds line up; `--json` has the rest.
fn whole(time: UnixNanos) -> UnixNanos {
    UnixNanos(time.0 - time.0.rem_euclid(SECOND_NS))
}

/// `2.3.0 → 2.3.1`, `new-tax off → on`, or the title where nothing else is told.
fn what(change: &KnownChangeV1) -> String {
    let name = match change.what.as_deref() {
        Some("service.version") | None => String::new(),
        Some(what) => format!("{what} "),
    };
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{name}{from} → {to}"),
        (None, Some(to)) => format!("{name}→ {to}"),
        _ => change.title.clone(),
    }
}

/// Who told, and what was seen.
fn seen(change: &KnownChangeV1) -> String {
    let mut parts = Vec::new();
    parts.extend(change.told_by.as_ref().map(|by| format!("told ({by})")));
    if let Some(seen) = &change.seen {
        let far = match (&seen.instances, &seen.visits) {
            (instances, _) if instances.total > 0.0 => format!(", {} instances", of(instances)),
            (_, visits) if visits.total > 0.0 => format!(", {} of visits", percent(visits.ratio)),
            _ => String::new(),
        };
        let later = seen.at.0.since(change.at.0);
        let when = match later {
            0 => String::new(),
            1.. => format!(" {} later", about(later)),
            _ => format!(" {} before", about(later.saturating_neg())),
        };
        parts.push(format!("seen{when}{far}"));
    }
    clean(&parts.join(" · ")).into_owned()
}

fn details(terminal: &mut Terminal, change: &KnownChangeV1) -> Result<(), Failure> {
    let mut parts = Vec::new();
    for (name, value) in [
        ("title", Some(&change.title).filter(|title| !title.is_empty())),
        ("instance", change.instance.as_ref()),
        ("environment", change.environment.as_ref()),
        ("commit", change.commit.as_ref()),
        ("by", change.author.as_ref()),
        ("see", change.url.as_ref()),
        ("id", change.id.as_ref()),
    ] {
        parts.extend(value.map(|value| format!("{name} {value}")));
    }
    for file in change.files.iter().take(FILES_SHOWN) {
        parts.push(format!("file {file}"));
    }
    if change.files.len() > FILES_SHOWN {
        parts.push(format!("… {} more files", change.files.len() - FILES_SHOWN));
    }
    parts
        .iter()
        .try_for_each(|part| terminal.line(format_args!("{INDENT}{FAINT}{}{FAINT:#}", clean(part))))
}
