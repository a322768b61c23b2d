//! How an edge looks: thicker for more calls, its red part as wide as the share that fails.

use std::fmt::Write as _;

use halfopen_model::answer::{MapAnswer, MapEdge};
use halfopen_model::time::show_duration;

use super::node;
use super::text::{count, escaped, percent, short, width};
use super::{Place, Plan};

const TEXT_SIZE: f64 = 11.0;
/// Both lines of a label, one above and one below the edge.
const LABEL_HEIGHT: f64 = 34.0;
const TIP: f64 = 9.0;
const LINE_MIN: f64 = 1.4;
const LINE_MAX: f64 = 7.0;
/// A failing share is seen from this on, however small it is.
const BAD_MIN: f64 = 0.7;

/// One edge, in the two layers of the picture.
pub(super) struct Drawn {
    pub(super) line: String,
    pub(super) label: String,
}

/// How often, and what failed.
fn above(edge: &MapEdge) -> String {
    let failed = match edge.calls.count {
        none if none <= 0.0 => String::new(),
        _ => format!(" · {}", failed(edge)),
    };
    format!("{}{}{failed}", count(edge.calls.total), marks(edge))
}

fn failed(edge: &MapEdge) -> String {
    format!("{} failed", percent(edge.calls.ratio()))
}

fn marks(edge: &MapEdge) -> String {
    match edge.retries {
        none if none <= 0.0 => String::new(),
        retries => format!(" ↻ {}", count(retries)),
    }
}

/// How long.
fn below(edge: &MapEdge) -> String {
    match (&edge.wait, &edge.latency) {
        (Some(wait), _) => format!("waits {}, p99 {}", short(wait.p50_ns), short(wait.p99_ns)),
        (None, Some(latency)) => {
            format!("{} · p99 {}", short(latency.p50_ns), short(latency.p99_ns))
        }
        (None, None) => "none ended".to_owned(),
    }
}

/// Width and height of the label.
pub(super) fn label_size(edge: &MapEdge) -> (f64, f64) {
    let widest = width(&above(edge), TEXT_SIZE).max(width(&below(edge), TEXT_SIZE));
    (widest.ceil() + 6.0, LABEL_HEIGHT)
}

/// Everything that is known, for the pointer that rests on it.
fn hint(answer: &MapAnswer, edge: &MapEdge) -> String {
    let ends = [edge.from, edge.to].map(|node| node::label(&answer.nodes[node]));
    let mut text = format!(
        "{} to {}{}\n{} calls, {:.1} in a second\n{} failed ({})",
        ends[0],
        ends[1],
        if edge.queue { ", through a queue" } else { "" },
        count(edge.calls.total),
        edge.per_second,
        count(edge.calls.count),
        percent(edge.calls.ratio()),
    );
    for (name, quantiles) in [("took", &edge.latency), ("waited", &edge.wait)] {
        if let Some(of) = quantiles {
            let [p50, p90, p99] = [of.p50_ns, of.p90_ns, of.p99_ns].map(show_duration);
            let _ = write!(text, "\n{name}: p50 {p50}, p90 {p90}, p99 {p99}");
        }
    }
    for (count, what) in [(edge.retries, "retries"), (edge.unheard, "not heard by the callee")] {
        if count > 0.0 {
            let _ = write!(text, "\n{}: {what}", super::count(count));
        }
    }
    text
}

/// Most calls on any edge are the thickest line; by the square root, so that a hundredth of them
/// is still a line.
fn thickness(answer: &MapAnswer, edge: &MapEdge) -> f64 {
    let most = answer.edges.iter().map(|edge| edge.calls.total).fold(1.0, f64::max);
    LINE_MIN + (LINE_MAX - LINE_MIN) * (edge.calls.total / most).sqrt()
}

pub(super) fn draw(answer: &MapAnswer, plan: &Plan, number: usize) -> Drawn {
    let edge = &answer.edges[number];
    let (chain, backward) = &plan.layers.chains[number];
    let thickness = thickness(answer, edge);
    let (path, tip, label) = if chain.is_empty() {
        own(&plan.boxes[edge.from])
    } else {
        let (path, tip) = through(plan, number, chain, *backward);
        let label = &chain[1..chain.len() - 1];
        let is_label =
            |item: &&usize| matches!(plan.layers.items[**item], super::layers::Item::Label(_));
        let label = label.iter().find(is_label).map(|item| plan.boxes[*item]);
        (path, tip, label.unwrap_or_default())
    };
    let dashes = if edge.queue { " queue" } else { "" };
    let title = escaped(&hint(answer, edge));
    let mut line = format!(
        "<g><title>{title}</title><path class=\"line{dashes}\" stroke-width=\"{thickness:.1}\" \
         d=\"{path}\"/>"
    );
    let ratio = edge.calls.ratio();
    if edge.calls.count > 0.0 {
        // By the square root as well: 1 % is a hair, 10 % a third, all of it the whole line.
        let bad = (thickness * ratio.sqrt()).max(BAD_MIN);
        let _ = write!(
            line,
            "<path class=\"badline{dashes}\" stroke-width=\"{bad:.1}\" d=\"{path}\"/>"
        );
    }
    let colour = if ratio >= 0.5 { "badfill" } else { "tip" };
    let _ = writeln!(line, "<path class=\"{colour}\" d=\"{tip}\"/></g>");
    Drawn { line, label: words(edge, &label, &title) }
}

/// Through every item of the chain, level where it crosses a column, with the tip at the callee.
fn through(plan: &Plan, number: usize, chain: &[usize], backward: bool) -> (String, String) {
    let (first, last) = (&plan.boxes[chain[0]], &plan.boxes[chain[chain.len() - 1]]);
    let [leaves, enters] = plan.ports[number];
    // The line ends where the tip begins.
    let begin = first.right() + if backward { TIP } else { 0.0 };
    let end = last.left - if backward { 0.0 } else { TIP };
    let mut path = format!("M{begin:.0} {leaves:.1}");
    let mut at = (begin, leaves);
    let mut turn = |path: &mut String, x: f64, y: f64| {
        let half = (x - at.0) / 2.0;
        let _ =
            write!(path, "C{:.1} {:.1} {:.1} {y:.1} {x:.1} {y:.1}", at.0 + half, at.1, x - half);
        at = (x, y);
    };
    for item in &chain[1..chain.len() - 1] {
        let place = &plan.boxes[*item];
        turn(&mut path, place.left, place.middle);
        if place.width > 0.0 {
            turn(&mut path, place.right(), place.middle);
        }
    }
    turn(&mut path, end, enters);
    let tip = match backward {
        true => tip(first.right(), leaves, 1.0),
        false => tip(last.left, enters, -1.0),
    };
    (path, tip)
}

fn tip(x: f64, y: f64, back: f64) -> String {
    let base = x + back * (TIP + 1.0);
    format!("M{x:.1} {y:.1}L{base:.1} {:.1}V{:.1}Z", y - TIP / 2.0, y + TIP / 2.0)
}

/// From a node to itself: a loop above it, its label beside the loop.
fn own(place: &Place) -> (String, String, Place) {
    let (x, y) = (place.left + place.width - 34.0, place.top());
    let path =
        format!("M{x} {y}C{x} {} {} {} {} {}", y - 16.0, x + 20.0, y - 16.0, x + 20.0, y - TIP);
    let (tip_x, base) = (x + 20.0, y - TIP - 1.0);
    let tip = format!("M{tip_x} {y}L{} {base}H{}Z", tip_x - TIP / 2.0, tip_x + TIP / 2.0);
    let label = Place { left: place.left, middle: y - 8.0, width: place.width - 40.0, height: 0.0 };
    (path, tip, label)
}

fn words(edge: &MapEdge, place: &Place, title: &str) -> String {
    let x = place.left + place.width / 2.0;
    let own = edge.from == edge.to;
    let mut svg = format!("<g><title>{title}</title>");
    let mut write = |y: f64, class: &str, text: &str| {
        let _ = write!(
            svg,
            "<text class=\"{class} halo\" x=\"{x:.1}\" y=\"{y:.1}\" \
             text-anchor=\"middle\">{text}</text>"
        );
    };
    let calls = format!("{}{}", count(edge.calls.total), marks(edge));
    let first = if edge.calls.count > 0.0 {
        format!("{calls} · <tspan class=\"bad\">{}</tspan>", escaped(&failed(edge)))
    } else {
        calls
    };
    if own {
        write(place.middle, "", &first);
    } else {
        write(place.middle - 6.0, "", &first);
        write(place.middle + 14.0, "faint", &below(edge));
    }
    svg + "</g>\n"
}
