//! What services use of machines: processor, memory, network, disks, pools and queues.
//!
//! Rule: the median of a series lies far above its median before, in units of its own spread, and
//! uses at least twice as much; and it does so more than the same metric of other services.
//! Confuser: a service that wakes up to what others use all the time, load that rises for all, and
//! one loud point: a median needs several. Metrics are sorted into classes by the words of their
//! names, and each class is judged by itself, so that loud traffic does not drown a busy processor.

mod beside;

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use halfopen_model::UnixNanos;
use halfopen_model::batch::Cells;

use super::eras::{Era, Eras};
pub(super) use beside::OddSeries;

/// Words of metric names (semantic conventions, and what exporters of Kubernetes and Prometheus
/// write) with their class. The first that stands in a name counts.
const CLASSES: &[(&str, &str)] = &[
    ("cpu", "cpu"),
    ("memory", "memory"),
    ("mem", "memory"),
    ("heap", "memory"),
    ("rss", "memory"),
    ("gc", "memory"),
    ("disk", "disk"),
    ("filesystem", "disk"),
    ("fs", "disk"),
    ("network", "network"),
    ("socket", "network"),
    ("tcp", "network"),
    ("pool", "saturation"),
    ("connection", "saturation"),
    ("connections", "saturation"),
    ("queue", "saturation"),
    ("pending", "saturation"),
    ("thread", "saturation"),
    ("threads", "saturation"),
    ("goroutines", "saturation"),
];

/// What belongs to a whole machine, which many services share.
const SHARED: &[&str] = &["node"];

/// Words of names that tell how much may be used and not how much is...
const BOUNDS: &[&str] = &["limit", "limits", "request", "requests", "capacity", "allocatable"];

/// ...unless one of these stands beside them.
const USE: &[&str] = &["usage", "used", "utilization"];

/// Fewer points than this on the side of now are one loud point, perhaps.
const POINTS_MIN: usize = 2;

/// Fewer points than this before have no spread.
const POINTS_BEFORE_MIN: usize = 3;

/// A spread is at least this part of the median (series that hardly move).
const SPREAD_PART: f64 = 0.05;

/// What stands out lies so many spreads from before: usage has heavy tails, ten are common.
const SPREADS_MIN: f64 = 10.0;

/// From so many spreads on it is certain.
const SPREADS_FULL: f64 = 30.0;

/// It must use so many times more...
const RATIO_MIN: f64 = 2.0;

/// ...and with so many times it is as large as it need be.
const RATIO_FULL: f64 = 8.0;

/// It stands out so many times farther than nine in ten series of the same name do.
const LEAD_MIN: f64 = 2.0;

/// Traffic follows from what others ask for.
const NETWORK_WEIGHT: f64 = 0.5;

/// A series that uses more than before.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Loaded {
    pub(super) series: u64,
    pub(super) service: String,
    pub(super) instance: Option<String>,
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) class: &'static str,
    pub(super) before: f64,
    pub(super) now: f64,
    pub(super) points: usize,
    pub(super) points_before: usize,
    pub(super) score: f64,
    /// How its values are to be read.
    pub(super) form: Form,
    /// The first point that was read.
    pub(super) first: UnixNanos,
}

/// One series.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Series {
    pub(super) service: String,
    instance: Option<String>,
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) class: &'static str,
    /// How its values are to be read.
    pub(super) form: Form,
    pub(super) first: UnixNanos,
    points: Vec<(i64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Level,
    Delta,
    Counter,
}

/// All series that belong to a class, read once.
#[derive(Default)]
pub(super) struct Resources {
    series: BTreeMap<u64, Series>,
}

/// Where a series has no service: what names its workload.
const OWNERS: [&str; 4] = [
    "resource.k8s.deployment.name",
    "resource.k8s.container.name",
    "resource.container.name",
    "resource.k8s.pod.name",
];

const INSTANCES: [&str; 3] =
    ["resource.service.instance.id", "resource.k8s.pod.name", "resource.host.name"];

impl Resources {
    pub(super) fn read(batches: &[RecordBatch]) -> Resources {
        let mut resources = Resources::default();
        for batch in batches {
            let cells = Cells::new(batch);
            for row in 0..batch.num_rows() {
                resources.take(batch, &cells, row);
            }
        }
        for series in resources.series.values_mut() {
            series.points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            series.points.dedup_by_key(|point| point.0);
            series.first = UnixNanos(series.points.first().map_or(0, |point| point.0));
            if series.form == Form::Counter {
                series.points = rates(&series.points);
            }
        }
        resources
    }

    fn take(&mut self, batch: &RecordBatch, cells: &Cells<'_>, row: usize) {
        let (Some(id), Some(name)) = (cells.count("series", row), cells.text("name", row)) else {
            return;
        };
        let Some(class) = class(name) else { return };
        let number = cells.double("value_double", row);
        let number = number.or_else(|| cells.int("value_int", row).map(|value| value as f64));
        let (Some(at), Some(value)) = (cells.time("time", row), number) else { return };
        if !value.is_finite() {
            return;
        }
        if let Some(series) = self.series.get_mut(&id) {
            series.points.push((at.0, value));
            return;
        }
        let text = |name: &str| cells.attribute(name, row).map(|value| value.to_text());
        let owner = cells.text("service", row).map(str::to_owned);
        let Some(service) = owner.or_else(|| OWNERS.iter().find_map(|name| text(name))) else {
            return;
        };
        let form = match (cells.text("kind", row), cells.text("temporality", row)) {
            (Some("sum"), Some("cumulative")) if is_monotonic(batch, row) => Form::Counter,
            (Some("sum"), Some("delta")) => Form::Delta,
            _ => Form::Level,
        };
        let series = Series {
            service,
            instance: INSTANCES.iter().find_map(|name| text(name)),
            name: name.to_owned(),
            unit: cells.text("unit", row).unwrap_or_default().to_owned(),
            class,
            form,
            first: at,
            points: vec![(at.0, value)],
        };
        self.series.insert(id, series);
    }

    /// Series that use more than before, and more so than their like.
    pub(super) fn compare(&self, eras: &Eras) -> Vec<Loaded> {
        let mut of_name: BTreeMap<&str, Vec<Compared<'_>>> = BTreeMap::new();
        for (id, series) in &self.series {
            if let Some(compared) = Compared::of(*id, series, eras) {
                of_name.entry(&series.name).or_default().push(compared);
            }
        }
        of_name.values().flat_map(|like| judged(like)).collect()
    }
}

/// One series in both times.
struct Compared<'a> {
    id: u64,
    series: &'a Series,
    now: f64,
    before: f64,
    quartiles: f64,
    points: [usize; 2],
}

impl Compared<'_> {
    fn of<'a>(id: u64, series: &'a Series, eras: &Eras) -> Option<Compared<'a>> {
        let era = |at: i64| match eras.of(at) {
            // Points are rare: whatever was read of the time before now is of use.
            None if UnixNanos(at) < eras.now.from => Some(Era::Before),
            era => era,
        };
        let of = |wanted: Era| {
            let points = series.points.iter().filter(|(at, _)| era(*at) == Some(wanted));
            let mut values: Vec<f64> = points.map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (now, before) = (of(Era::Now), of(Era::Before));
        if now.len() < POINTS_MIN || before.len() < POINTS_BEFORE_MIN {
            return None;
        }
        Some(Compared {
            id,
            series,
            // The lower of two in the middle: half of the points are one loud point, perhaps.
            now: now[(now.len() - 1) / 2],
            before: rank(&before, 0.5),
            quartiles: rank(&before, 0.75) - rank(&before, 0.25),
            points: [now.len(), before.len()],
        })
    }

    /// How many spreads now lies above before; `usual` is what series of this name use.
    fn spreads(&self, usual: f64) -> f64 {
        let floor = SPREAD_PART * self.before.abs().max(usual);
        let spread = self.quartiles.max(floor).max(f64::MIN_POSITIVE);
        (self.now - self.before) / spread
    }
}

/// Those of one name that stand out among them.
fn judged(like: &[Compared<'_>]) -> Vec<Loaded> {
    let mut befores: Vec<f64> = like.iter().map(|one| one.before.abs()).collect();
    befores.sort_by(f64::total_cmp);
    // Half of what a usual service uses is the least that can be doubled.
    let usual = rank(&befores, 0.5) / 2.0;
    let mut distances: Vec<f64> = like.iter().map(|one| one.spreads(usual).abs()).collect();
    distances.sort_by(f64::total_cmp);
    let common = if like.len() > 1 { rank(&distances, 0.9 - 1.0 / like.len() as f64) } else { 0.0 };
    let judge = |one: &Compared<'_>| {
        let spreads = one.spreads(usual);
        let base = one.before.abs().max(usual);
        let ratio = if base > 0.0 { one.now / base } else { f64::INFINITY };
        if spreads < SPREADS_MIN || ratio < RATIO_MIN || spreads < LEAD_MIN * common {
            return None;
        }
        let weight = if one.series.class == "network" { NETWORK_WEIGHT } else { 1.0 };
        let size = (ratio.log2() / RATIO_FULL.log2()).min(1.0);
        Some(Loaded {
            series: one.id,
            service: one.series.service.clone(),
            instance: one.series.instance.clone(),
            name: one.series.name.clone(),
            unit: one.series.unit.clone(),
            class: one.series.class,
            before: one.before,
            now: one.now,
            points: one.points[0],
            points_before: one.points[1],
            score: weight * size * (spreads / SPREADS_FULL).min(1.0),
            form: one.series.form,
            first: one.series.first,
        })
    };
    like.iter().filter_map(judge).collect()
}

/// The class of a metric by the words of its name.
fn class(name: &str) -> Option<&'static str> {
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    let is = |word: &str, known: &str| word.eq_ignore_ascii_case(known);
    let has = |list: &[&str]| words().any(|word| list.iter().any(|known| is(word, known)));
    if has(SHARED) || (has(BOUNDS) && !has(USE)) {
        return None;
    }
    let known = |word: &str| CLASSES.iter().find(|(known, _)| is(word, known));
    words().find_map(known).map(|(_, class)| *class)
}

fn is_monotonic(batch: &RecordBatch, row: usize) -> bool {
    let column = batch.column_by_name("monotonic").and_then(|column| column.as_boolean_opt());
    column.is_some_and(|column| column.is_valid(row) && column.value(row))
}

/// Growth for each second between two points; a counter that fell began anew.
fn rates(points: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let rate = |pair: &[(i64, f64)]| {
        let seconds = (pair[1].0 - pair[0].0) as f64 / 1e9;
        let grown = if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 };
        (pair[1].0, grown / seconds.max(1e-9))
    };
    points.windows(2).map(rate).collect()
}

/// The value of a rank of ordered values.
fn rank(ordered: &[f64], share: f64) -> f64 {
    let place = (ordered.len().saturating_sub(1) as f64 * share.max(0.0)).round() as usize;
    ordered.get(place).copied().unwrap_or(0.0)
}
