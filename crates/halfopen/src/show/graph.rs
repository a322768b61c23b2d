//! Who calls whom, a line for each edge.

use halfopen_model::UnixNanos;
use halfopen_model::time::{SECOND_NS, show_duration};
use halfopen_serve::wire::{MapEdgeV1, MapNodeV1, MapV1};

use super::text::{
    clean, clock, closing, count, cut, date, of, padded, percent, plural, right, width,
};
use crate::Failure;
use crate::terminal::{FAILED, FAINT, STRONG, Terminal};

/// Edges that are shown unless all are asked for.
const EDGES_SHOWN: usize = 30;
/// Changes that are shown unless all are asked for.
const CHANGES_SHOWN: usize = 6;
/// Columns that the numbers of an edge take, with the spaces before them.
const NUMBERS_COLUMNS: usize = 46;
/// Below this a name says nothing.
const NAME_COLUMNS_MIN: usize = 10;

/// Writes the map.
pub(crate) fn show(terminal: &mut Terminal, answer: &MapV1, all: bool) -> Result<(), Failure> {
    headline(terminal, answer)?;
    let shown = if all { answer.edges.len() } else { answer.edges.len().min(EDGES_SHOWN) };
    let edges = &answer.edges[..shown];
    let names = names(answer, edges, terminal.width());
    if !edges.is_empty() {
        let heads = ["calls", "/s", "failed", "p50", "p99"];
        let numbers = numbers(heads.map(str::to_owned));
        let from = padded("from", names[0]);
        let to = padded("to", names[1]);
        terminal.line(format_args!("{STRONG}{from}   {to}{numbers}{STRONG:#}"))?;
    }
    for edge in edges {
        line(terminal, answer, edge, names)?;
    }
    if shown < answer.edges.len() {
        terminal.line(format_args!(" … {} more: --all", answer.edges.len() - shown))?;
    }
    changes(terminal, answer, all)?;
    let (from, to) = (answer.window.from.0, answer.window.to.0);
    let spans = count(answer.spans as f64);
    let time = format!("{} {}..{} UTC", date(from), clock(from), clock(to));
    terminal.line(format_args!("{FAINT}over: {spans} spans · {time}{FAINT:#}"))?;
    if answer.edges_left_out + answer.nodes_left_out > 0 {
        let (edges, nodes) = (answer.edges_left_out, answer.nodes_left_out);
        let text = format!("{edges} edges and {nodes} nodes did not fit, the least failing");
        terminal.line(format_args!("{FAINT}      {text}{FAINT:#}"))?;
    }
    closing(terminal, &answer.gaps, &answer.next)
}

fn headline(terminal: &mut Terminal, answer: &MapV1) -> Result<(), Failure> {
    let number = |kind: &str| answer.nodes.iter().filter(|node| node.kind == kind).count();
    let mut parts = vec![plural(number("service"), "service", "services")];
    for (kind, one, many) in [
        ("database", "database", "databases"),
        ("queue", "queue", "queues"),
        ("external", "other", "others"),
    ] {
        if number(kind) > 0 {
            parts.push(plural(number(kind), one, many));
        }
    }
    let parts = parts.join(", ");
    if answer.requests.total <= 0.0 {
        return terminal.line(format_args!("there were no requests · {parts}"));
    }
    if answer.requests.count <= 0.0 {
        let total = count(answer.requests.total);
        return terminal.line(format_args!("none of {total} requests failed · {parts}"));
    }
    let (failed, ratio) = (of(&answer.requests), percent(answer.requests.ratio));
    terminal.line(format_args!("{FAILED}{failed} requests failed{FAILED:#} ({ratio}) · {parts}"))
}

/// Columns of both names: as wide as they are, as long as the numbers have room.
fn names(answer: &MapV1, edges: &[MapEdgeV1], columns: usize) -> [usize; 2] {
    let widest = |name: &dyn Fn(&MapEdgeV1) -> String| {
        edges.iter().map(|edge| width(&name(edge))).max().unwrap_or(0).max(4)
    };
    let mut names = [widest(&|edge| from(answer, edge)), widest(&|edge| to(answer, edge))];
    let room = columns.saturating_sub(NUMBERS_COLUMNS + 3);
    while names[0] + names[1] > room {
        let wider = usize::from(names[1] >= names[0]);
        if names[wider] <= NAME_COLUMNS_MIN {
            break;
        }
        names[wider] -= 1;
    }
    names
}

fn from(answer: &MapV1, edge: &MapEdgeV1) -> String {
    name(&answer.nodes[edge.from_node])
}

fn to(answer: &MapV1, edge: &MapEdgeV1) -> String {
    name(&answer.nodes[edge.to_node])
}

/// `orders (postgresql)`.
fn name(node: &MapNodeV1) -> String {
    let name = if node.name.is_empty() { "(no name)" } else { &node.name };
    let name = clean(name);
    match (&node.system, node.kind.as_str()) {
        (Some(system), _) if *system != node.name => format!("{name} ({})", clean(system)),
        (None, "queue") => format!("{name} (queue)"),
        _ => name.into_owned(),
    }
}

fn numbers(cells: [String; 5]) -> String {
    let widths = [9, 7, 12, 9, 9];
    cells.iter().zip(widths).map(|(cell, columns)| right(cell, columns)).collect()
}

fn line(
    terminal: &mut Terminal,
    answer: &MapV1,
    edge: &MapEdgeV1,
    names: [usize; 2],
) -> Result<(), Failure> {
    let (from, to) = (from(answer, edge), to(answer, edge));
    let [from, to] = [(&from, names[0]), (&to, names[1])]
        .map(|(name, columns)| padded(&cut(name, columns, "…"), columns));
    let time = |ns: Option<i64>| ns.map_or_else(|| "-".to_owned(), short);
    let failed = match edge.calls.count {
        none if none <= 0.0 => "-".to_owned(),
        failed => format!("{} {}", count(failed), right(&percent(edge.calls.ratio), 6)),
    };
    let cells = [
        count(edge.calls.total),
        rate(edge.per_second),
        failed,
        time(edge.latency.map(|of| of.p50_ns)),
        time(edge.latency.map(|of| of.p99_ns)),
    ];
    let style = if edge.calls.count > 0.0 { FAILED } else { anstyle::Style::new() };
    let arrow = if edge.queue { "~" } else { "→" };
    let head = format!("{from} {arrow} {to}");
    let numbers = numbers(cells);
    let marks = marks(answer, edge);
    let used = width(&head) + width(&numbers);
    if marks.is_empty() {
        return terminal.line(format_args!("{head}{style}{numbers}{style:#}"));
    }
    if used + 2 + width(&marks) <= terminal.width() {
        return terminal
            .line(format_args!("{head}{style}{numbers}{style:#}  {FAINT}{marks}{FAINT:#}"));
    }
    terminal.line(format_args!("{head}{style}{numbers}{style:#}"))?;
    let indent = " ".repeat(names[0] + 3);
    terminal.line(format_args!("{indent}{FAINT}{marks}{FAINT:#}"))
}

/// What is special about an edge.
fn marks(answer: &MapV1, edge: &MapEdgeV1) -> String {
    let mut marks = Vec::new();
    let callee = &answer.nodes[edge.to_node];
    if callee.kind == "service" && !callee.heard {
        marks.push("silent: sends no spans".to_owned());
    }
    if edge.retries > 0.0 {
        marks.push(plural(edge.retries as usize, "retry", "retries"));
    }
    if edge.unheard > 0.0 {
        marks.push(format!("{} not heard there", count(edge.unheard)));
    }
    if let Some(wait) = &edge.wait {
        marks.push(format!("waits {}, p99 {}", short(wait.p50_ns), short(wait.p99_ns)));
    }
    marks.join(" · ")
}

fn short(ns: i64) -> String {
    show_duration(ns).replace(".0 ", " ")
}

fn rate(per_second: f64) -> String {
    match per_second {
        some if some >= 100.0 => count(some),
        some if some >= 0.1 => format!("{some:.1}"),
        _ => "< 0.1".to_owned(),
    }
}

/// What changed, by time.
fn changes(terminal: &mut Terminal, answer: &MapV1, all: bool) -> Result<(), Failure> {
    let of_node = |node: &MapNodeV1| {
        let name = node.name.clone();
        let change = move |change: &halfopen_serve::wire::NodeChangeV1| {
            let to = change.to.as_deref().unwrap_or_default();
            let second = change.at.0.0 - change.at.0.0.rem_euclid(SECOND_NS);
            let at = clock(UnixNanos(second));
            (change.at, format!("{} {name} {to} at {at}", change.kind))
        };
        node.changes.iter().map(change).collect::<Vec<_>>()
    };
    let mut changes: Vec<_> = answer.nodes.iter().flat_map(of_node).collect();
    changes.sort();
    let shown = if all { changes.len() } else { CHANGES_SHOWN };
    for (_, text) in changes.iter().take(shown) {
        terminal.line(format_args!("changed: {}", clean(text)))?;
    }
    if changes.len() > shown {
        terminal.line(format_args!("         … {} more: --all", changes.len() - shown))?;
    }
    Ok(())
}
