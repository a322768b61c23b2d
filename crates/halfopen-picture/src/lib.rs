//! Pictures of answers. The map: one SVG document without script, font or other file; light and
//! dark by the reader's preference; readable without colour.
//!
//! **Invariant:** the same map always gives the same bytes, and no text of telemetry leaves its
//! text element.

mod edge;
mod layers;
mod legend;
mod node;
mod place;
mod text;

use std::fmt::Write as _;

use halfopen_model::UnixNanos;
use halfopen_model::answer::{MapAnswer, NodeKind, cut_map};

use layers::{Item, Layers};
use place::Sizes;
use text::{count, escaped, percent};

/// A picture with more nodes than this cannot be read.
pub const DRAWN_NODES_MAX: usize = 200;
/// A picture with more edges than this cannot be read.
pub const DRAWN_EDGES_MAX: usize = 300;

/// Around everything.
const MARGIN: f64 = 28.0;
/// Title, time and totals.
const HEAD_HEIGHT: f64 = 78.0;
/// The header and the legend need this much.
const WIDTH_MIN: f64 = 860.0;
/// Between two items of one column.
const GAP: f64 = 14.0;
/// Between a node and the labels beside it: edges turn here.
const TURN: f64 = 34.0;
/// So many gaps are told in the picture.
const GAPS_SHOWN: usize = 3;

const STYLE: &str = "\
svg{font-family:'Inter','Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif}\
.paper{fill:#fff}.title{font-size:20px;font-weight:600}.strong{font-size:13px;font-weight:600}\
text{font-size:11px;fill:#1c2430}.faint{fill:#5c6775}.bad{fill:#b3261e;font-weight:600}\
.badfill{fill:#c4302b}.goodfill{fill:#b9c3cf}.box{fill:#f4f6f9;stroke:#8a96a5;stroke-width:1.2}\
.silent{stroke-dasharray:5 4;fill:#fff}.sick{stroke:#c4302b;stroke-width:1.6}\
.line{fill:none;stroke:#93a0ae}.badline{fill:none;stroke:#c4302b}.queue{stroke-dasharray:7 5}\
.tip{fill:#6b7886}.new{fill:#8a5a00;font-weight:600}.halo{stroke:#fff;stroke-width:4px;\
stroke-linejoin:round;paint-order:stroke}\
@media (prefers-color-scheme:dark){.paper{fill:#12171e}text{fill:#e6eaf0}.faint{fill:#9aa6b5}\
.bad{fill:#ff8a80}.badfill{fill:#e5534b}.goodfill{fill:#4a5666}.box{fill:#1c232d;stroke:#6b7888}\
.silent{fill:#12171e}.sick{stroke:#e5534b}.line{stroke:#66727f}.badline{stroke:#e5534b}\
.tip{fill:#8a96a5}.new{fill:#f0b429}.halo{stroke:#12171e}}";

/// Draws the map, at most [`DRAWN_NODES_MAX`] nodes and [`DRAWN_EDGES_MAX`] edges of it: those
/// with most failing calls.
pub fn draw(answer: &MapAnswer) -> String {
    let (nodes, edges, more) =
        cut_map(answer.nodes.clone(), answer.edges.clone(), DRAWN_NODES_MAX, DRAWN_EDGES_MAX);
    let drawn = MapAnswer { nodes, edges, gaps: Vec::new(), next: Vec::new(), ..answer.clone() };
    let plan = Plan::of(&drawn);
    let legend = legend::draw(plan.width, plan.height);
    let mut svg = String::new();
    let (width, height) = (plan.width, plan.height + legend.height);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">Service map</title>\n<desc id=\"desc\">{}</desc>\n\
         <style>{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        escaped(&description(answer)),
    );
    svg += &head(answer, [answer.left_out.edges + more.edges, answer.left_out.nodes + more.nodes]);
    let paths: Vec<edge::Drawn> =
        (0..drawn.edges.len()).map(|edge| edge::draw(&drawn, &plan, edge)).collect();
    paths.iter().for_each(|path| svg += &path.line);
    drawn.nodes.iter().enumerate().for_each(|(at, node)| svg += &node::draw(node, &plan.boxes[at]));
    paths.iter().for_each(|path| svg += &path.label);
    if drawn.nodes.is_empty() {
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{MARGIN}\" y=\"{}\">no span is of that time</text>",
            MARGIN + HEAD_HEIGHT + 10.0
        );
    }
    svg + &legend.text + "</svg>\n"
}

/// What the picture shows, for those who do not see it.
fn description(answer: &MapAnswer) -> String {
    let mut text = totals(answer);
    for edge in answer.edges.iter().filter(|edge| edge.calls.count > 0.0).take(5) {
        let (from, to) = (&answer.nodes[edge.from], &answer.nodes[edge.to]);
        let (from, to) = (node::label(from), node::label(to));
        let (failed, total) = (count(edge.calls.count), count(edge.calls.total));
        let _ = write!(text, "; {from} to {to}: {failed} of {total} failed");
    }
    text
}

fn totals(answer: &MapAnswer) -> String {
    let of = |kind: NodeKind, one: &str, many: &str| {
        let number = answer.nodes.iter().filter(|node| node.kind == kind).count();
        (number > 0).then(|| format!("{number} {}", if number == 1 { one } else { many }))
    };
    let parts = [
        of(NodeKind::Service, "service", "services"),
        of(NodeKind::Database, "database", "databases"),
        of(NodeKind::Queue, "queue", "queues"),
        of(NodeKind::External, "other", "others"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let failing = match answer.requests {
        share if share.count > 0.0 => {
            format!(", {} failed ({})", count(share.count), percent(share.ratio()))
        }
        _ => ", none failed".to_owned(),
    };
    let requests = count(answer.requests.total);
    format!(
        "{requests} requests{failing} · {} · {} spans",
        parts.join(", "),
        count(answer.spans as f64)
    )
}

fn head(answer: &MapAnswer, left_out: [u64; 2]) -> String {
    let mut lines = vec![("faint", when(answer)), ("", totals(answer))];
    let mut gaps: Vec<String> = answer.gaps.iter().map(ToString::to_string).collect();
    if left_out != [0, 0] {
        let [edges, nodes] = left_out;
        gaps.insert(0, format!("{edges} edges and {nodes} nodes are left out, the least failing"));
    }
    gaps.truncate(GAPS_SHOWN);
    if !gaps.is_empty() {
        lines.push(("faint", format!("not known: {}", gaps.join(" · "))));
    }
    let mut text = format!(
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">Service map</text>\n",
        MARGIN + 16.0
    );
    for (number, (class, line)) in lines.iter().enumerate() {
        let y = MARGIN + 36.0 + number as f64 * 16.0;
        let line = text::cut(line, 11.0, 3.0 * WIDTH_MIN);
        let line = escaped(&line);
        let _ = writeln!(text, "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{y}\">{line}</text>");
    }
    text
}

fn when(answer: &MapAnswer) -> String {
    let (from, to) = (answer.window.from, answer.window.to);
    let clock = |time: UnixNanos| time.to_datetime().format("%H:%M:%S").to_string();
    let date = |time: UnixNanos| time.to_datetime().format("%Y-%m-%d").to_string();
    if from == UnixNanos::MIN || to == UnixNanos::MAX {
        return "all of time".to_owned();
    }
    let until = match date(from) == date(to) {
        true => clock(to),
        false => format!("{} {}", date(to), clock(to)),
    };
    format!("{} {} to {until} UTC", date(from), clock(from))
}

/// A rectangle of the picture.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Place {
    left: f64,
    middle: f64,
    width: f64,
    height: f64,
}

impl Place {
    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn top(&self) -> f64 {
        self.middle - self.height / 2.0
    }
}

/// Where everything stands.
struct Plan {
    layers: Layers,
    /// Place of each item; those of nodes come first.
    boxes: Vec<Place>,
    /// Height at which each edge leaves and enters its two nodes.
    ports: Vec<[f64; 2]>,
    width: f64,
    height: f64,
}

impl Plan {
    fn of(answer: &MapAnswer) -> Plan {
        let pairs: Vec<(usize, usize)> =
            answer.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let layers = Layers::of(answer.nodes.len(), &pairs, &entry_points(answer, &pairs));
        let size = |item: &Item| match item {
            Item::Node(node) => node::size(&answer.nodes[*node]),
            Item::Label(edge) => edge::label_size(&answer.edges[*edge]),
            Item::Bend(_) => (0.0, 6.0),
        };
        let sizes: Vec<(f64, f64)> = layers.items.iter().map(size).collect();
        let heights = sizes.iter().map(|(_, height)| *height).collect();
        let middles = place::middles(&layers, &Sizes { height: heights, gap: GAP });
        let mut left = MARGIN;
        let mut boxes = vec![Place::default(); layers.items.len()];
        for column in &layers.columns {
            let widest = column.iter().map(|item| sizes[*item].0).fold(0.0, f64::max);
            for item in column {
                let (width, height) = sizes[*item];
                // Labels fill their column, so that edges run level through it.
                let width =
                    if matches!(layers.items[*item], Item::Node(_)) { width } else { widest };
                let middle = (MARGIN + HEAD_HEIGHT + middles[*item]).round();
                let place = (left + (widest - width) / 2.0).round();
                boxes[*item] = Place { left: place, middle, width, height };
            }
            left += widest + TURN;
        }
        let bottom = boxes.iter().map(|place| place.top() + place.height).fold(0.0, f64::max);
        let ports = ports(&layers, &boxes, answer.nodes.len());
        let width = (left - TURN + MARGIN).max(WIDTH_MIN);
        Plan { layers, boxes, ports, width, height: bottom.max(MARGIN + HEAD_HEIGHT) + 22.0 }
    }
}

/// Where to begin: outside, then who is called by nobody, then all others.
fn entry_points(answer: &MapAnswer, edges: &[(usize, usize)]) -> Vec<usize> {
    let called = |node: usize| edges.iter().any(|(from, to)| *to == node && *from != node);
    let mut order: Vec<usize> = (0..answer.nodes.len()).collect();
    order.sort_by_key(|node| {
        let outside = answer.nodes[*node].kind == NodeKind::Outside;
        (!outside, called(*node), *node)
    });
    order
}

/// Edges share the side of a node evenly, in the order of what they lead to.
fn ports(layers: &Layers, boxes: &[Place], nodes: usize) -> Vec<[f64; 2]> {
    let mut ports = vec![[0.0; 2]; layers.chains.len()];
    let mut sides: Vec<[Vec<(f64, usize)>; 2]> = vec![Default::default(); nodes];
    for (edge, (chain, _)) in layers.chains.iter().enumerate() {
        if let [first, next, .., before, last] | [first, next @ before, last] = chain.as_slice() {
            sides[*first][1].push((boxes[*next].middle, edge));
            sides[*last][0].push((boxes[*before].middle, edge));
        }
    }
    for (node, both) in sides.iter_mut().enumerate() {
        for (side, edges) in both.iter_mut().enumerate() {
            edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let step = (boxes[node].height - 12.0).max(0.0) / edges.len().max(1) as f64;
            let top = boxes[node].middle - step * (edges.len() as f64 - 1.0) / 2.0;
            for (place, (_, edge)) in edges.iter().enumerate() {
                // Side 1, the right one, is where a chain begins.
                ports[*edge][1 - side] = top + step * place as f64;
            }
        }
    }
    ports
}

#[cfg(test)]
#[path = "../tests/unit/map.rs"]
mod tests;
