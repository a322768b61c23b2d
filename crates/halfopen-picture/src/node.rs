//! How a node looks: its kind by its shape, its state by its border and a bar.

use std::fmt::Write as _;

use halfopen_model::answer::{MapNode, NodeChange, NodeKind};

use super::Place;
use super::text::{count, cut, escaped, percent, width};

const WIDTH: f64 = 168.0;
const WIDTH_OUTSIDE: f64 = 72.0;
const HEIGHT: f64 = 50.0;
/// A line more for a change.
const CHANGE_HEIGHT: f64 = 16.0;
const NAME_SIZE: f64 = 13.0;
const TEXT_SIZE: f64 = 11.0;
/// Below this share of failing requests a border stays as it is.
const SICK_RATIO: f64 = 0.01;

/// The name as it is shown.
pub(super) fn label(node: &MapNode) -> &str {
    if node.name.is_empty() { "(no name)" } else { &node.name }
}

/// Width and height.
pub(super) fn size(node: &MapNode) -> (f64, f64) {
    match node.kind {
        NodeKind::Outside => (WIDTH_OUTSIDE, 32.0),
        _ if node.changes.is_empty() => (WIDTH, HEIGHT),
        _ => (WIDTH, HEIGHT + CHANGE_HEIGHT),
    }
}

fn is_silent(node: &MapNode) -> bool {
    node.kind == NodeKind::Service && !node.heard
}

/// What stands below the name.
fn state(node: &MapNode) -> String {
    let system = node.system.as_deref().unwrap_or_default();
    match node.kind {
        NodeKind::Outside => String::new(),
        NodeKind::Service if is_silent(node) => "silent: sends no spans".to_owned(),
        NodeKind::Service if node.requests.count > 0.0 => {
            let (total, ratio) = (count(node.requests.total), percent(node.requests.ratio()));
            format!("{total} req · {ratio} failed")
        }
        NodeKind::Service => format!("{} req", count(node.requests.total)),
        NodeKind::Database if !system.is_empty() && system != node.name => system.to_owned(),
        NodeKind::Queue if !system.is_empty() && system != node.name => format!("queue · {system}"),
        kind => kind.name().to_owned(),
    }
}

/// Everything that is known, for the pointer that rests on it.
fn hint(node: &MapNode) -> String {
    let mut text = format!("{} {}", node.kind.name(), label(node));
    if node.kind != NodeKind::Outside {
        let _ = write!(text, "\n{}", state(node));
    }
    if node.instances > 0 {
        let _ = write!(text, "\ninstances: {}", node.instances);
    }
    if !node.versions.is_empty() {
        let _ = write!(text, "\nversions: {}", node.versions.join(", "));
    }
    for change in &node.changes {
        let to = change.to.as_deref().unwrap_or_default();
        let _ = write!(text, "\n{} {to} at {}", change.kind, change.at);
    }
    text
}

pub(super) fn draw(node: &MapNode, place: &Place) -> String {
    let mut svg = String::from("<g>");
    let _ = write!(svg, "<title>{}</title>", escaped(&hint(node)));
    let sick = node.requests.ratio() >= SICK_RATIO;
    let class = match (is_silent(node), sick) {
        (true, _) => "box silent",
        (_, true) => "box sick",
        _ => "box",
    };
    svg += &shape(node.kind, class, place);
    let mut lines = vec![("strong", NAME_SIZE, label(node).to_owned())];
    let state_class = if node.requests.count > 0.0 { "bad" } else { "faint" };
    lines.push((state_class, TEXT_SIZE, state(node)));
    lines.extend(changed(node).map(|text| ("new", TEXT_SIZE, text)));
    lines.retain(|(_, _, text)| !text.is_empty());
    // The name above, the rest below it, all of it in the middle of the box.
    let heights = |lines: usize| NAME_SIZE + (lines as f64 - 1.0) * CHANGE_HEIGHT;
    let lid = if node.kind == NodeKind::Database { 4.0 } else { 0.0 };
    let mut base = place.middle - heights(lines.len()) / 2.0 + NAME_SIZE - 2.0 + lid;
    let x = place.left + place.width / 2.0;
    for (class, size, text) in lines {
        let text = cut(&text, size, place.width - 16.0);
        let text = escaped(&text);
        let _ = write!(
            svg,
            "<text class=\"{class}\" x=\"{x}\" y=\"{base:.1}\" text-anchor=\"middle\">{text}</text>"
        );
        base += CHANGE_HEIGHT;
    }
    if node.kind == NodeKind::Service && node.heard && node.requests.total > 0.0 {
        svg += &bar(node, place);
    }
    svg + "</g>\n"
}

/// The last change: one of what runs there before one of where it runs.
fn changed(node: &MapNode) -> Option<String> {
    let runs = |change: &&NodeChange| !["restart", "scale"].contains(&change.kind.as_str());
    let change = node.changes.iter().rfind(runs).or(node.changes.last())?;
    let at = change.at.to_datetime().format("%H:%M:%S");
    Some(match (change.kind.as_str(), &change.to) {
        ("restart", _) | (_, None) => format!("{} at {at}", change.kind),
        (_, Some(to)) => format!("→ {to} at {at}"),
    })
}

/// The failing share of its requests, along the lower edge.
fn bar(node: &MapNode, place: &Place) -> String {
    let (x, y, width) = (place.left + 8.0, place.top() + place.height - 6.0, place.width - 16.0);
    let mut svg =
        format!("<rect class=\"goodfill\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"3\"/>");
    if node.requests.count > 0.0 {
        let bad = (width * node.requests.ratio()).max(2.0);
        let _ = write!(
            svg,
            "<rect class=\"badfill\" x=\"{x}\" y=\"{y}\" width=\"{bad:.1}\" height=\"3\"/>"
        );
    }
    svg
}

/// A box, a cylinder that stands, one that lies, a box with cut corners, a pill.
pub(super) fn shape(kind: NodeKind, class: &str, place: &Place) -> String {
    let (left, top, width, height) = (place.left, place.top(), place.width, place.height);
    let (right, bottom) = (left + width, top + height);
    match kind {
        NodeKind::Service | NodeKind::Outside => {
            let round = if kind == NodeKind::Service { 7.0 } else { height / 2.0 };
            format!(
                "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" \
                 height=\"{height}\" rx=\"{round}\"/>"
            )
        }
        NodeKind::Database => {
            let (half, dip) = (width / 2.0, 5.0);
            let lid = top + dip;
            format!(
                "<path class=\"{class}\" d=\"M{left} {lid}A{half} {dip} 0 0 1 {right} {lid}\
                 V{}A{half} {dip} 0 0 1 {left} {}\
                 ZM{left} {lid}A{half} {dip} 0 0 0 {right} {lid}\"/>",
                bottom - dip,
                bottom - dip,
            )
        }
        NodeKind::Queue => {
            let (half, dip) = (height / 2.0, 6.0);
            let (first, last) = (left + dip, right - dip);
            format!(
                "<path class=\"{class}\" d=\"M{first} {top}H{last}A{dip} {half} 0 0 1 {last} \
                 {bottom}H{first}A{dip} {half} 0 0 1 {first} {top}\
                 ZM{last} {top}A{dip} {half} 0 0 0 {last} \
                 {bottom}\"/>"
            )
        }
        NodeKind::External => {
            let cut = (height / 4.0).min(10.0);
            format!(
                "<path class=\"{class}\" d=\"M{} {top}H{}L{right} {}V{}L{} {bottom}H{}L{left} \
                 {}V{}Z\"/>",
                left + cut,
                right - cut,
                top + cut,
                bottom - cut,
                right - cut,
                left + cut,
                bottom - cut,
                top + cut,
            )
        }
    }
}

/// Width that a text of the legend takes.
pub(super) fn text_width(text: &str) -> f64 {
    width(text, TEXT_SIZE)
}
