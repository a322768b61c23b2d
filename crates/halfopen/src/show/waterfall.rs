//! One trace as a waterfall: a tree on the left, bars on the right, and everything that is odd
//! about it in words.

use halfopen_model::UnixNanos;
use halfopen_model::time::show_duration;
use halfopen_serve::wire::{EventV1, SpanV1, TraceV1};
use serde_json::Value;

use super::fold::{Line, lines};
use super::text::{
    clean, clock_ms, closing, count, cut, date, padded, plural, right, short, width,
};
use crate::Failure;
use crate::terminal::{FAILED, FAINT, STRONG, Terminal};

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawing {
    /// Fold nothing, leave no event out.
    pub(crate) all: bool,
    /// ASCII characters only.
    pub(crate) ascii: bool,
    /// Spans to show.
    pub(crate) spans_max: usize,
}

/// Room for a duration: `812.0 ms`, `12 min 30 s`.
const DURATION_COLUMNS: usize = 10;
/// Between label, durations and bar.
const SPACES: usize = 4;
/// Records and events shown below one span unless all are asked for.
const EVENTS_SHOWN: usize = 5;
/// Shorter bars tell nothing apart.
const BAR_COLUMNS_MIN: usize = 12;

/// The characters of a drawing.
struct Ink {
    branch: &'static str,
    corner: &'static str,
    rail: &'static str,
    bar: &'static str,
    open: &'static str,
    failed: &'static str,
    more: &'static str,
    dot: &'static str,
    times: &'static str,
}

const UNICODE: Ink = Ink {
    branch: "├ ",
    corner: "└ ",
    rail: "│ ",
    bar: "█",
    open: "▒",
    failed: "✗",
    more: "…",
    dot: "·",
    times: "×",
};

const ASCII: Ink = Ink {
    branch: "|-",
    corner: "`-",
    rail: "| ",
    bar: "#",
    open: ":",
    failed: "!",
    more: "~",
    dot: "-",
    times: "x",
};

/// Writes the trace.
pub(crate) fn show(
    terminal: &mut Terminal,
    trace: &TraceV1,
    drawing: Drawing,
) -> Result<(), Failure> {
    let ink = if drawing.ascii { &ASCII } else { &UNICODE };
    heading(terminal, trace, ink)?;
    let lines = lines(trace, drawing.all);
    let columns = Columns::of(terminal, trace, &lines, ink);
    if !lines.is_empty() {
        let (label, own) = (" ".repeat(columns.label), right("self", DURATION_COLUMNS));
        let took = right("took", DURATION_COLUMNS);
        terminal.line(format_args!("{FAINT}  {label} {took} {own}{FAINT:#}"))?;
    }
    for (position, line) in lines.iter().enumerate() {
        if position >= drawing.spans_max {
            let left: usize = lines[position..].iter().map(spans_of).sum();
            let all = trace.spans.len();
            terminal.line(format_args!("{} {left} more spans: --spans-max {all}", ink.more))?;
            break;
        }
        match line {
            Line::Span { index, rails } => {
                span_line(terminal, trace, *index, rails, &columns, ink)?;
                let below = rails_below(rails, lines.get(position + 1));
                details(terminal, &trace.spans[*index], &below, drawing, ink)?;
            }
            Line::Alike { indexes, rails } => {
                alike_line(terminal, trace, indexes, rails, &columns, ink)?;
            }
        }
    }
    unplaced(terminal, trace, drawing, ink)?;
    closing(terminal, &trace.gaps, &trace.next)
}

fn spans_of(line: &Line) -> usize {
    match line {
        Line::Span { .. } => 1,
        Line::Alike { indexes, .. } => indexes.len() - 1,
    }
}

fn heading(terminal: &mut Terminal, trace: &TraceV1, ink: &Ink) -> Result<(), Failure> {
    let dot = ink.dot;
    let root = trace.roots.first().and_then(|index| trace.spans.get(*index));
    let top = root.or(trace.spans.first());
    let top = top.map(|span| format!("  {} {}", span.service, span.name));
    terminal.line(format_args!(
        "{STRONG}trace {}{STRONG:#}{}",
        trace.trace_id,
        clean(&top.unwrap_or_default())
    ))?;
    let failed = trace.spans.iter().filter(|span| span.failed).count();
    let mut facts = vec![
        format!("{} {} UTC", date(trace.start.0), clock_ms(trace.start.0)),
        show_duration(trace.duration_ns),
        plural(trace.spans.len(), "span", "spans"),
        plural(trace.services.len(), "service", "services"),
    ];
    if failed > 0 {
        facts.push(format!("{failed} failed"));
    }
    if trace.roots.len() > 1 {
        facts.push(format!("{} roots", trace.roots.len()));
    }
    terminal.line(facts.join(&format!(" {dot} ")))?;
    let first = trace.failed_first.and_then(|index| trace.spans.get(index));
    if let Some(span) = first {
        let why = reason(span);
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        terminal.line(format_args!(
            "failed first: {FAILED}{}{FAILED:#}",
            clean(&format!("{} {}{why}", span.service, span.name))
        ))?;
    }
    terminal.line("")
}

/// Widths of the parts of a line.
struct Columns {
    label: usize,
    bar: usize,
    start: UnixNanos,
    duration_ns: i64,
}

impl Columns {
    /// The label gets what it needs, up to half of the line; the bar gets the rest.
    fn of(terminal: &Terminal, trace: &TraceV1, lines: &[Line], ink: &Ink) -> Columns {
        let total = terminal.width();
        let fixed = 2 + 2 * DURATION_COLUMNS + SPACES;
        let needed = lines.iter().map(|line| match line {
            Line::Span { index, rails } => width(&label(&trace.spans[*index], rails, ink)),
            Line::Alike { .. } => 0,
        });
        let most = total.saturating_sub(fixed + BAR_COLUMNS_MIN).max(BAR_COLUMNS_MIN);
        let label = needed.max().unwrap_or(0).min(most);
        let bar = total.saturating_sub(fixed + label).max(BAR_COLUMNS_MIN);
        let (start, duration_ns) = (trace.start.0, trace.duration_ns.max(1));
        Columns { label, bar, start, duration_ns }
    }

    /// A bar from `start` on; at least one character, so that nothing is invisible.
    fn bar(&self, start: UnixNanos, duration_ns: i64, ink: &str) -> String {
        let scale = |ns: i64| {
            let share = ns.max(0) as f64 / self.duration_ns as f64;
            (share * self.bar as f64).floor() as usize
        };
        let offset_ns = start.since(self.start);
        let first = scale(offset_ns).min(self.bar.saturating_sub(1));
        let end_ns = offset_ns.saturating_add(duration_ns.max(0));
        let last = scale(end_ns).clamp(first + 1, self.bar.max(first + 1));
        format!("{}{}", " ".repeat(first), ink.repeat(last - first))
    }
}

fn rails_text(rails: &[bool], ink: &Ink) -> String {
    let Some((own, above)) = rails.split_last() else { return String::new() };
    let mut text: String = above.iter().map(|more| if *more { ink.rail } else { "  " }).collect();
    text.push_str(if *own { ink.branch } else { ink.corner });
    text
}

/// The rails beside the details of a span, which stand between it and the next line.
fn rails_below(rails: &[bool], next: Option<&Line>) -> Vec<bool> {
    let mut below = rails.to_vec();
    let deeper = match next {
        Some(Line::Span { rails: next, .. } | Line::Alike { rails: next, .. }) => {
            next.len() > rails.len()
        }
        None => false,
    };
    below.push(deeper);
    below
}

fn label(span: &SpanV1, rails: &[bool], ink: &Ink) -> String {
    let service = if span.service.is_empty() { "(no service)" } else { &span.service };
    format!("{}{} {}", rails_text(rails, ink), clean(service), clean(&span.name))
}

fn fault_text(fault: &str) -> &str {
    match fault {
        "orphan" => "parent missing",
        "repeated_id" => "id used twice",
        "cycle" => "circle of parents",
        "unended" => "no end",
        "negative_duration" => "ends before it begins",
        "before_parent" => "begins before its parent",
        other => other,
    }
}

fn span_line(
    terminal: &mut Terminal,
    trace: &TraceV1,
    index: usize,
    rails: &[bool],
    columns: &Columns,
    ink: &Ink,
) -> Result<(), Failure> {
    let span = &trace.spans[index];
    let style = if span.failed { FAILED } else { anstyle::Style::new() };
    let mark = if span.failed { ink.failed } else { " " };
    let text = label(span, rails, ink);
    let text = padded(&cut(&text, columns.label, ink.more), columns.label);
    let (duration, bar) = match span.duration_ns {
        Some(duration_ns) => {
            (show_duration(duration_ns), columns.bar(span.start.0, duration_ns, ink.bar))
        }
        None => ("no end".to_owned(), columns.bar(span.start.0, i64::MAX, ink.open)),
    };
    let own = match span.duration_ns {
        Some(duration_ns) if span.self_ns != duration_ns => show_duration(span.self_ns),
        _ => String::new(),
    };
    let row = format!(
        "{style}{mark}{style:#} {text} {} {FAINT}{}{FAINT:#}  {style}{bar}{style:#}",
        right(&duration, DURATION_COLUMNS),
        right(&own, DURATION_COLUMNS),
    );
    terminal.line(row.trim_end())
}

fn alike_line(
    terminal: &mut Terminal,
    trace: &TraceV1,
    indexes: &[usize],
    rails: &[bool],
    columns: &Columns,
    ink: &Ink,
) -> Result<(), Failure> {
    let spans = || indexes.iter().map(|index| &trace.spans[*index]);
    let lengths = || spans().filter_map(|span| span.duration_ns);
    let (shortest, longest) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
    let total: i64 = lengths().fold(0, i64::saturating_add);
    let failed = spans().filter(|span| span.failed).count();
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    let text = format!(
        "{}{}{} in all{failed}",
        rails_text(rails, ink),
        ink.times,
        count(indexes.len() as f64)
    );
    let text = padded(&cut(&text, columns.label, ink.more), columns.label);
    terminal.line(format_args!(
        "{FAINT}  {text} {} {} {} to {}, together{FAINT:#}",
        right(&show_duration(total), DURATION_COLUMNS),
        " ".repeat(DURATION_COLUMNS),
        show_duration(shortest),
        show_duration(longest),
    ))
}

/// What a failing span says of itself, and the log records of every span.
fn details(
    terminal: &mut Terminal,
    span: &SpanV1,
    rails: &[bool],
    drawing: Drawing,
    ink: &Ink,
) -> Result<(), Failure> {
    let rails: String = rails.iter().map(|more| if *more { ink.rail } else { "  " }).collect();
    if !span.faults.is_empty() {
        let faults: Vec<&str> = span.faults.iter().map(|fault| fault_text(fault)).collect();
        detail(terminal, &rails, &format!("[{}]", faults.join(", ")), ink)?;
    }
    if span.failed {
        let why = reason(span);
        if !why.is_empty() {
            detail(terminal, &rails, &why, ink)?;
        }
    }
    let wanted = |event: &&EventV1| span.failed || event.table == "logs" || drawing.all;
    let events: Vec<&EventV1> = span.events.iter().filter(wanted).collect();
    let shown = if drawing.all { events.len() } else { events.len().min(EVENTS_SHOWN) };
    for event in &events[..shown] {
        detail(terminal, &rails, &event_text(event), ink)?;
    }
    if shown < events.len() {
        let left = events.len() - shown;
        detail(terminal, &rails, &format!("{} {left} more: --all", ink.more), ink)?;
    }
    for link in &span.links {
        let trace_id = link.trace_id.to_string();
        detail(terminal, &rails, &format!("linked to trace {}", short(&trace_id)), ink)?;
    }
    Ok(())
}

fn detail(terminal: &mut Terminal, rails: &str, text: &str, ink: &Ink) -> Result<(), Failure> {
    let room = terminal.width().saturating_sub(width(rails) + 4).max(BAR_COLUMNS_MIN);
    let text = clean(text);
    let row = format!("  {FAINT}{rails}{FAINT:#}  {}", cut(&text, room, ink.more));
    terminal.line(row.trim_end())
}

fn event_text(event: &EventV1) -> String {
    let text = format!("{} {} {}", clock_ms(event.time.0), event.label, event.text);
    text.trim_end().to_owned()
}

/// What a failing span says of its failure: its message, else its type of error or status.
pub(crate) fn reason(span: &SpanV1) -> String {
    if let Some(message) = span.status_message.as_deref().filter(|message| !message.is_empty()) {
        return message.to_owned();
    }
    let names = [
        ("span.error.type", ""),
        ("span.rpc.status_code", "gRPC "),
        ("span.rpc.grpc.status_code", "gRPC "),
        ("span.http.response.status_code", "HTTP "),
        ("span.http.status_code", "HTTP "),
    ];
    let said = names.iter().find_map(|(name, kind)| {
        let text = match span.attributes.get(*name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(format!("{kind}{text}"))
    });
    said.unwrap_or_default()
}

fn unplaced(
    terminal: &mut Terminal,
    trace: &TraceV1,
    drawing: Drawing,
    ink: &Ink,
) -> Result<(), Failure> {
    if trace.unplaced.is_empty() {
        return Ok(());
    }
    terminal.line("log records that belong to none of the spans")?;
    let all = trace.unplaced.len();
    let shown = if drawing.all { all } else { all.min(drawing.spans_max) };
    for event in &trace.unplaced[..shown] {
        let text = format!("{} {}", event.service, event_text(event));
        detail(terminal, "", &text, ink)?;
    }
    if shown < all {
        detail(terminal, "", &format!("{} {} more: --all", ink.more, all - shown), ink)?;
    }
    Ok(())
}
