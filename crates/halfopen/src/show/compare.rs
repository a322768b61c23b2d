//! One trace beside others, call by call: only what is unlike them, unless all is asked for.

use halfopen_model::figure::bare_name;
use halfopen_model::time::show_duration;
use halfopen_serve::wire::{ComparedAttributeV1, ComparedCallV1, ComparisonV1};

use super::text::{
    about, clean, clock_ms, closing, count, cut, date, padded, plural, right, short, width,
};
use crate::Failure;
use crate::terminal::{FAILED, FAINT, STRONG, Terminal};

/// Room for a duration: `812.0 ms`, `12 min 30 s`.
const DURATION_COLUMNS: usize = 10;
/// Columns of durations: here, twin, peers.
const TIMES: usize = 3;
/// The label of a call gets no more than this.
const LABEL_COLUMNS_MAX: usize = 44;
/// And no less.
const LABEL_COLUMNS_MIN: usize = 24;
/// Attributes that are shown unless all are asked for.
const ATTRIBUTES_SHOWN: usize = 8;

/// Writes the comparison.
pub(crate) fn show(
    terminal: &mut Terminal,
    comparison: &ComparisonV1,
    all: bool,
) -> Result<(), Failure> {
    heading(terminal, comparison)?;
    calls(terminal, comparison, all)?;
    let shown = if all { comparison.attributes.len() } else { ATTRIBUTES_SHOWN };
    for one in comparison.attributes.iter().take(shown) {
        attribute(terminal, one)?;
    }
    let left = comparison.attributes.len().saturating_sub(shown);
    if left > 0 {
        terminal.line(format_args!("{FAINT}… {left} more attributes: --all{FAINT:#}"))?;
    }
    closing(terminal, &comparison.gaps, &comparison.next)
}

fn took(nanos: Option<i64>) -> String {
    nanos.map_or_else(|| "no end".to_owned(), show_duration)
}

fn heading(terminal: &mut Terminal, comparison: &ComparisonV1) -> Result<(), Failure> {
    let id = comparison.trace_id.to_string();
    let what = clean(&format!("{} {}", comparison.service, comparison.operation)).into_owned();
    terminal.line(format_args!("{STRONG}trace {}{STRONG:#}  {what}", short(&id)))?;
    let outcome = if comparison.failed { ", failed" } else { "" };
    let at = comparison.start.0;
    terminal.line(format_args!(
        "{} {} UTC · {}{outcome}",
        date(at),
        clock_ms(at),
        took(comparison.took_ns)
    ))?;
    let mut beside = Vec::new();
    if let Some(twin) = &comparison.twin {
        let name = if twin.named { "trace" } else { "twin" };
        beside.push(format!(
            "{name} {} ({})",
            short(&twin.trace_id.to_string()),
            took(twin.took_ns)
        ));
    }
    if let Some(took) = &comparison.peers_took {
        beside.push(format!(
            "{} within {} of it (median {}, p95 {})",
            plural(comparison.peers as usize, "healthy request", "healthy requests"),
            about(comparison.window.to.0.since(comparison.start.0)),
            show_duration(took.median_ns),
            show_duration(took.p95_ns),
        ));
    }
    if !beside.is_empty() {
        terminal.line(format_args!("beside {}", beside.join(" and ")))?;
    }
    let mut left_out = Vec::new();
    for (requests, why) in [
        (comparison.peers_failed, "failed too"),
        (comparison.peers_slow, "were slow too"),
        (comparison.peers_another_way, "went elsewhere first"),
    ] {
        if requests > 0 {
            left_out.push(format!("{} that {why}", count(requests as f64)));
        }
    }
    if !left_out.is_empty() {
        terminal.line(format_args!("{FAINT}not beside {}{FAINT:#}", left_out.join(", ")))?;
    }
    terminal.line("")
}

/// Calls that are shown: odd ones and those above them.
fn wanted(calls: &[ComparedCallV1], all: bool) -> Vec<bool> {
    let mut wanted = vec![all; calls.len()];
    let mut above: Vec<usize> = Vec::new();
    let mut gone_at: Option<usize> = None;
    for (index, call) in calls.iter().enumerate() {
        above.truncate(call.depth);
        // What hangs below a call that is missing or new is missing or new because of it.
        if gone_at.is_some_and(|depth| call.depth <= depth) {
            gone_at = None;
        }
        let follows = gone_at.is_some();
        let is = |odd: &str| call.odd.iter().any(|one| one == odd);
        if gone_at.is_none() && (is("not_here") || is("only_here")) {
            gone_at = Some(call.depth);
        }
        if !call.odd.is_empty() && (!follows || is("fails")) {
            wanted[index] = true;
            above.iter().for_each(|index| wanted[*index] = true);
        }
        above.push(index);
    }
    wanted
}

fn calls(terminal: &mut Terminal, comparison: &ComparisonV1, all: bool) -> Result<(), Failure> {
    let mut wanted = wanted(&comparison.calls, all);
    if let Some(telling) = comparison.telling {
        wanted[telling] = true;
    }
    let hidden = wanted.iter().filter(|wanted| !**wanted).count();
    if hidden == wanted.len() {
        let calls = plural(hidden, "call", "calls");
        return terminal
            .line(format_args!("no call is unlike those of the others ({calls}): --all"));
    }
    let fixed = 2 + TIMES * (DURATION_COLUMNS + 1);
    let shown = comparison.calls.iter().zip(&wanted).filter(|(_, wanted)| **wanted);
    let longest = shown.map(|(call, _)| width(&label(call))).max().unwrap_or(0);
    let room = terminal.width().saturating_sub(fixed);
    let columns = longest.min(room).clamp(LABEL_COLUMNS_MIN, LABEL_COLUMNS_MAX);
    let head = ["here", "twin", "usual"].map(|name| right(name, DURATION_COLUMNS));
    terminal.line(format_args!("{FAINT}  {} {}{FAINT:#}", " ".repeat(columns), head.join(" ")))?;
    for (index, call) in comparison.calls.iter().enumerate().filter(|(index, _)| wanted[*index]) {
        self::call(terminal, call, comparison, comparison.telling == Some(index), columns)?;
    }
    if hidden > 0 {
        let those = plural(hidden, "call", "calls");
        terminal.line(format_args!("{FAINT}… {those} as usual or below these: --all{FAINT:#}"))?;
    }
    Ok(())
}

fn label(call: &ComparedCallV1) -> String {
    let label = format!("{}{} {}", "  ".repeat(call.depth), call.service, call.name);
    clean(&label).into_owned()
}

fn call(
    terminal: &mut Terminal,
    call: &ComparedCallV1,
    comparison: &ComparisonV1,
    telling: bool,
    columns: usize,
) -> Result<(), Failure> {
    let fails = call.odd.iter().any(|odd| odd == "fails");
    let style = match (fails, telling) {
        (true, _) => FAILED,
        (_, true) => STRONG,
        _ => anstyle::Style::new(),
    };
    let mark = if telling { ">" } else { " " };
    let label = padded(&cut(&self::label(call), columns, "…"), columns);
    let time = |nanos: Option<i64>| {
        right(&nanos.map_or_else(|| "-".to_owned(), show_duration), DURATION_COLUMNS)
    };
    let times = [
        time(call.here.as_ref().map(|times| times.duration_ns)),
        time(call.twin.as_ref().map(|times| times.duration_ns)),
        time(call.peers_duration.as_ref().map(|spread| spread.median_ns)),
    ];
    let notes = notes(call, comparison.peers).join(", ");
    let row = format!("{style}{mark} {label}{style:#} {}", times.join(" "));
    let used = 2 + columns + TIMES * (DURATION_COLUMNS + 1) + 2;
    if notes.is_empty() {
        terminal.line(row)
    } else if used + width(&notes) <= terminal.width() {
        terminal.line(format_args!("{row}  {style}{notes}{style:#}"))
    } else {
        terminal.line(row)?;
        let indent = "  ".repeat(call.depth + 2);
        terminal.line(format_args!("{indent}{style}{notes}{style:#}"))
    }
}

/// What is unlike the peers, in words.
fn notes(call: &ComparedCallV1, peers: u64) -> Vec<String> {
    let here = call.here.as_ref().map_or(0, |times| times.count);
    let of = |count: u64| format!("{} of {}", self::count(count as f64), self::count(peers as f64));
    let note = |odd: &String| match odd.as_str() {
        "only_here" => format!("only here ({})", of(call.peers_with)),
        "not_here" => format!("not here ({} do)", of(call.peers_with)),
        "more" | "fewer" => format!("{here} × instead of {} ×", call.peers_count),
        "fails" => "fails".to_owned(),
        "slower" => {
            let (by, own) = (call.slower_by_ns.unwrap_or(0), call.slower_own_ns.unwrap_or(0));
            match own * 10 >= by {
                true => format!("+{}, {} of it own", show_duration(by), show_duration(own)),
                false => format!("+{}", show_duration(by)),
            }
        }
        other => other.to_owned(),
    };
    call.odd.iter().map(note).collect()
}

fn attribute(terminal: &mut Terminal, one: &ComparedAttributeV1) -> Result<(), Failure> {
    let bare = bare_name(&one.attribute);
    let here =
        one.here.as_ref().map_or_else(|| "is missing".to_owned(), |here| format!("= {here}"));
    let values: Vec<String> = one
        .peers_values
        .iter()
        .map(|value| format!("{} ({} of {})", value.value, value.peers, one.peers_with))
        .collect();
    let usual = match values.is_empty() {
        true => format!("none of {} has it", one.peers_with),
        false => format!("usually {}", values.join(", ")),
    };
    let text = format!("{}.{bare} {here}; {usual}", one.service);
    let room = terminal.width().saturating_sub("differs ".len());
    terminal.line(format_args!("differs {}", cut(&clean(&text), room, "…")))
}
