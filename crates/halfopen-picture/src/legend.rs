//! What shapes and lines mean.

use std::fmt::Write as _;

use halfopen_model::answer::NodeKind;

use super::node::{self, text_width};
use super::{MARGIN, Place};

const ROW_HEIGHT: f64 = 22.0;
const SAMPLE_WIDTH: f64 = 30.0;
const SAMPLE_HEIGHT: f64 = 14.0;

/// The legend, to stand below the map.
pub(super) struct Legend {
    pub(super) text: String,
    pub(super) height: f64,
}

enum Sample {
    Shape(NodeKind, &'static str),
    /// Class, thickness and red part of a line.
    Line(&'static str, f64, f64),
}

const ENTRIES: [(Sample, &str); 8] = [
    (Sample::Shape(NodeKind::Service, "box"), "service"),
    (Sample::Shape(NodeKind::Service, "box silent"), "called, never heard"),
    (Sample::Shape(NodeKind::Database, "box"), "database"),
    (Sample::Shape(NodeKind::Queue, "box"), "queue"),
    (Sample::Shape(NodeKind::External, "box"), "external"),
    (Sample::Line("line", 5.0, 0.0), "the wider, the more calls"),
    (Sample::Line("line", 5.0, 2.2), "red: the wider, the more failed"),
    (Sample::Line("line queue", 2.0, 0.0), "through a queue"),
];
const NOTE: &str = "on a line: calls ↻ retries · failed; below: median · p99, as the caller saw it";

pub(super) fn draw(width: f64, top: f64) -> Legend {
    let mut svg = String::from("<g>");
    let (mut x, mut y) = (MARGIN, top + ROW_HEIGHT / 2.0);
    for (sample, text) in &ENTRIES {
        let needed = SAMPLE_WIDTH + 8.0 + text_width(text) + 14.0;
        if x + needed > width - MARGIN && x > MARGIN {
            (x, y) = (MARGIN, y + ROW_HEIGHT);
        }
        svg += &self::sample(sample, x, y);
        let at = x + SAMPLE_WIDTH + 7.0;
        let _ =
            write!(svg, "<text class=\"faint\" x=\"{at:.0}\" y=\"{:.0}\">{text}</text>", y + 4.0);
        x += needed;
    }
    y += ROW_HEIGHT;
    let _ = writeln!(
        svg,
        "<text class=\"faint\" x=\"{MARGIN}\" y=\"{:.0}\">{NOTE}</text></g>",
        y + 4.0
    );
    Legend { text: svg, height: y - top + ROW_HEIGHT }
}

fn sample(sample: &Sample, x: f64, y: f64) -> String {
    match sample {
        Sample::Shape(kind, class) => {
            let place = Place { left: x, middle: y, width: SAMPLE_WIDTH, height: SAMPLE_HEIGHT };
            node::shape(*kind, class, &place)
        }
        Sample::Line(class, thickness, bad) => {
            let path = format!("M{x} {y}H{}", x + SAMPLE_WIDTH);
            let mut svg =
                format!("<path class=\"{class}\" stroke-width=\"{thickness}\" d=\"{path}\"/>");
            if *bad > 0.0 {
                let _ =
                    write!(svg, "<path class=\"badline\" stroke-width=\"{bad}\" d=\"{path}\"/>");
            }
            svg
        }
    }
}
