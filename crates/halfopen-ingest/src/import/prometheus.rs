//! The text exposition format of Prometheus, and OpenMetrics as far as it is the same.

use std::collections::BTreeMap;

use super::emit::{Emitter, Halt, each_line};
use super::input::Input;
use super::metric::{Kind, Point};
use super::value::Value;
use super::when::in_unit;

/// Histograms and summaries of one family that are put together at once.
const FAMILY_SERIES_MAX: usize = 10_000;
const MILLISECOND_NS: i64 = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// What a `# TYPE` says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Type {
    Counter,
    Histogram,
    Summary,
    #[default]
    Other,
}

/// Metrics of one name: what their comments say, and the parts of those that have several.
#[derive(Default)]
struct Family {
    name: String,
    about: String,
    unit: String,
    kind: Type,
    /// By labels and time.
    parts: BTreeMap<(Vec<(String, String)>, i64), Parts>,
}

/// Parts of a histogram or summary.
#[derive(Default)]
struct Parts {
    count: Option<f64>,
    sum: Option<f64>,
    /// Bounds or quantiles with their values.
    steps: Vec<(f64, f64)>,
}

/// A line with a value.
struct Sample<'t> {
    name: &'t str,
    labels: Vec<(String, String)>,
    value: f64,
    time: Option<&'t str>,
}

/// Reads all lines. Values without a time are those of `at`.
pub(crate) fn read(input: &mut Input<'_>, at: i64, out: &mut Emitter<'_>) -> Result<(), Halt> {
    let mut family = Family::default();
    each_line(input, out, &mut |bytes, text, place, out| {
        let text = text.trim();
        if let Some(comment) = text.strip_prefix('#') {
            family.comment(comment, out);
            return;
        }
        match sample(text) {
            Ok(sample) => family.take(sample, at, out),
            Err(reason) => out.reject(place.to_owned(), reason.to_owned(), 1, bytes),
        }
    })?;
    family.finish(out);
    out.breathe()
}

/// Whether a line belongs to this format.
pub(crate) fn is_line(text: &str) -> bool {
    let text = text.trim();
    match text.strip_prefix('#') {
        Some(comment) => {
            let word = comment.split_whitespace().next();
            matches!(word, Some("HELP" | "TYPE" | "UNIT" | "EOF"))
        }
        None => sample(text).is_ok(),
    }
}

impl Family {
    /// Takes what a comment says; one about another name begins another family.
    fn comment(&mut self, comment: &str, out: &mut Emitter<'_>) {
        let mut words = comment.trim_start().splitn(3, [' ', '\t']);
        let (Some(kind), Some(name)) = (words.next(), words.next()) else { return };
        if !matches!(kind, "HELP" | "TYPE" | "UNIT") {
            return;
        }
        if self.name != name {
            self.finish(out);
            *self = Family { name: name.to_owned(), ..Family::default() };
        }
        let rest = words.next().unwrap_or_default().trim();
        match kind {
            "HELP" => self.about = unescaped(rest),
            "UNIT" => rest.clone_into(&mut self.unit),
            _ => {
                self.kind = match rest {
                    "counter" => Type::Counter,
                    "histogram" => Type::Histogram,
                    "summary" => Type::Summary,
                    _ => Type::Other,
                }
            }
        }
    }

    /// Takes a value: a part of a histogram or summary, or a point.
    fn take(&mut self, sample: Sample<'_>, at: i64, out: &mut Emitter<'_>) {
        let suffix = sample.name.strip_prefix(self.name.as_str());
        let is_own = !self.name.is_empty()
            && matches!(
                suffix,
                Some("" | "_bucket" | "_sum" | "_count" | "_total" | "_created" | "_info")
            );
        if !is_own {
            self.finish(out);
            *self = Family { name: sample.name.to_owned(), ..Family::default() };
        }
        let time = sample.time.and_then(time_of).unwrap_or(at);
        let is_whole = matches!(self.kind, Type::Histogram | Type::Summary);
        if is_whole && suffix != Some("_created") {
            return self.take_part(sample, time, out);
        }
        let kind = match self.kind {
            Type::Counter if suffix != Some("_created") => Kind::Counter(sample.value),
            _ => Kind::Gauge(sample.value),
        };
        self.write(sample.name, &sample.labels, time, kind, out);
    }

    fn take_part(&mut self, mut sample: Sample<'_>, time: i64, out: &mut Emitter<'_>) {
        let step = if self.kind == Type::Histogram { "le" } else { "quantile" };
        let at = sample.labels.iter().position(|(name, _)| name == step);
        let step = at.map(|at| sample.labels.remove(at).1);
        if self.parts.len() >= FAMILY_SERIES_MAX {
            self.finish(out);
        }
        let parts = self.parts.entry((sample.labels, time)).or_default();
        match sample.name.strip_prefix(self.name.as_str()).unwrap_or_default() {
            "_sum" => parts.sum = Some(sample.value),
            "_count" => parts.count = Some(sample.value),
            _ => {
                let step = step.and_then(|step| number(&step)).unwrap_or(f64::INFINITY);
                parts.steps.push((step, sample.value));
            }
        }
    }

    /// Writes what was put together.
    fn finish(&mut self, out: &mut Emitter<'_>) {
        for ((labels, time), parts) in std::mem::take(&mut self.parts) {
            let kind = match self.kind {
                Type::Histogram => histogram(parts),
                _ => Kind::Summary {
                    count: parts.count.unwrap_or_default().max(0.0) as u64,
                    sum: parts.sum.unwrap_or_default(),
                    quantiles: parts.steps,
                },
            };
            self.write(&self.name, &labels, time, kind, out);
        }
    }

    fn write(
        &self,
        name: &str,
        labels: &[(String, String)],
        time: i64,
        kind: Kind,
        out: &mut Emitter<'_>,
    ) {
        let job = labels.iter().find(|(name, _)| name == "job");
        let attributes = labels.iter().map(|(name, value)| (name.as_str(), Value::Text(value)));
        Point {
            name,
            about: &self.about,
            unit: &self.unit,
            service: job.map_or("", |(_, job)| job.as_str()),
            time,
            resource: &[],
            attributes: attributes.collect(),
            kind,
        }
        .write(out);
    }
}

/// Buckets of Prometheus hold everything below their bound, those of OTLP what lies between.
fn histogram(mut parts: Parts) -> Kind {
    parts.steps.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let total = parts.count.or(parts.steps.last().map(|(_, below)| *below)).unwrap_or_default();
    let (mut bounds, mut counts, mut before) = (Vec::new(), Vec::new(), 0_u64);
    for (bound, below) in parts.steps.iter().filter(|(bound, _)| bound.is_finite()) {
        let below = below.max(0.0) as u64;
        bounds.push(*bound);
        counts.push(below.saturating_sub(before));
        before = before.max(below);
    }
    let count = total.max(0.0) as u64;
    counts.push(count.saturating_sub(before));
    Kind::Histogram { count, sum: parts.sum, bounds, counts }
}

/// Milliseconds, or seconds where there is a point or too few digits for milliseconds.
fn time_of(text: &str) -> Option<i64> {
    let is_seconds = text.contains('.') || text.trim_start_matches('-').len() <= 11;
    in_unit(text, if is_seconds { SECOND_NS } else { MILLISECOND_NS })
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

/// `name{label="value",...} value [time]`, perhaps with an exemplar behind it.
fn sample(text: &str) -> Result<Sample<'_>, &'static str> {
    let end = text.find(|c: char| c == '{' || c.is_whitespace()).ok_or("no value")?;
    let (name, rest) = text.split_at(end);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.';
    let begins = name.starts_with(|c: char| !c.is_ascii_digit());
    if !begins || !name.chars().all(is_name) {
        return Err("no name of a metric");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let rest = rest.split(" # ").next().unwrap_or_default();
    let mut words = rest.split_whitespace();
    let value = words.next().and_then(number).ok_or("no number behind the name")?;
    let time = words.next();
    if words.next().is_some() || time.is_some_and(|time| time_of(time).is_none()) {
        return Err("no time behind the value");
    }
    Ok(Sample { name, labels, value, time })
}

/// Names and values.
type Labels = Vec<(String, String)>;

/// Labels up to the bracket that ends them, and what is behind.
fn labels(text: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok((labels, behind));
        }
        let (name, value) = rest.split_once('=').ok_or("a label without a value")?;
        let quoted = value.trim_start().strip_prefix('"').ok_or("a label without quotes")?;
        let mut end = None;
        let mut escaped = false;
        for (at, c) in quoted.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or("a label that does not end")?;
        labels.push((name.trim().to_owned(), unescaped(&quoted[..end])));
        rest = quoted[end + 1..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
}

fn unescaped(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n') => found.push('\n'),
                Some(other) => found.push(other),
                None => {}
            },
            _ => found.push(c),
        }
    }
    found
}
