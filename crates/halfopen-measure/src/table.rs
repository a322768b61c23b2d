//! Two counted metrics as a table: one row for each combination of attributes, a column for each
//! step of time.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use halfopen_model::batch::Cells;
use halfopen_model::known::Scope;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

use super::MetricQuestion;

/// No value.
pub(super) const NO_VALUE: u32 = u32::MAX;
/// A window has at most so many steps; longer ones have longer steps.
const STEPS_MAX: i64 = 120;
/// Where no series tells how often it is measured.
const STEP_NS_DEFAULT: i64 = 60 * SECOND_NS;
/// Series that are asked how often they are measured.
const SERIES_ASKED_MAX: usize = 1_000;
/// An attribute with more values than this is an id.
const VALUES_MAX: usize = 1_000;

/// An attribute that has several values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attribute {
    /// Its name with prefix.
    pub(super) name: String,
    /// Its values by code.
    pub(super) values: Vec<String>,
    /// Attributes that say the same, each with its values in the same order.
    pub(super) same: Vec<(String, Vec<String>)>,
}

/// Counts by attributes and time.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) attributes: Vec<Attribute>,
    /// Codes of values, for each row one of each attribute.
    codes: Vec<u32>,
    /// Failing ones by row, for each step.
    failed: BTreeMap<i64, Vec<f64>>,
    /// All of them.
    all: BTreeMap<i64, Vec<f64>>,
    pub(super) rows: usize,
    /// Length of a step.
    pub(super) step_ns: i64,
    /// Begin of step 0: of the window.
    from: UnixNanos,
    /// Points that were read.
    pub(super) points: u64,
}

struct Series {
    row: usize,
    is_failed: bool,
    /// Whether each point holds all since a start.
    is_cumulative: bool,
    points: Vec<(i64, f64)>,
}

impl Table {
    /// Reads points of both metrics.
    pub(super) fn read(question: &MetricQuestion, total: &str, points: &[RecordBatch]) -> Table {
        let mut keys: Vec<BTreeMap<String, String>> = Vec::new();
        let mut series = read_series(question, total, points, &mut keys);
        let count = series.values().map(|series| series.points.len() as u64).sum();
        series.values_mut().for_each(Series::settle);
        let window_ns = question.window.length_ns().max(SECOND_NS);
        let step_ns = step(&series).max(window_ns / STEPS_MAX);
        let (attributes, codes) = code(&keys);
        let mut table = Table {
            attributes,
            codes,
            failed: BTreeMap::new(),
            all: BTreeMap::new(),
            rows: keys.len(),
            step_ns,
            from: question.window.from,
            points: count,
        };
        for series in series.values() {
            for (time, value) in &series.points {
                let step = time.saturating_sub(table.from.0).div_euclid(step_ns);
                let column = if series.is_failed { &mut table.failed } else { &mut table.all };
                column.entry(step).or_insert_with(|| vec![0.0; keys.len()])[series.row] += value;
            }
        }
        table
    }

    /// Steps with a count of all, in order.
    pub(super) fn steps(&self) -> Vec<i64> {
        let has_some = |counts: &Vec<f64>| counts.iter().sum::<f64>() > 0.0;
        self.all.iter().filter(|(_, counts)| has_some(counts)).map(|(step, _)| *step).collect()
    }

    /// Whether failing ones were counted at all, be it none.
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The code of an attribute in a row.
    pub(super) fn code(&self, row: usize, attribute: usize) -> u32 {
        self.codes[row * self.attributes.len() + attribute]
    }

    /// Failing ones and all of them, by row, summed over steps.
    pub(super) fn sums(&self, steps: &[i64]) -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0); self.rows];
        for step in steps {
            let (failed, all) = (self.failed.get(step), self.all.get(step));
            for (row, sum) in sums.iter_mut().enumerate() {
                sum.0 += failed.map_or(0.0, |counts| counts[row]);
                sum.1 += all.map_or(0.0, |counts| counts[row]);
            }
        }
        // More failing ones than ones: they were counted elsewhere, or later.
        sums.iter_mut().for_each(|sum| sum.1 = sum.1.max(sum.0));
        sums
    }

    /// The time from one step to before another.
    pub(super) fn range(&self, first: i64, end: i64) -> TimeRange {
        let at = |step: i64| self.from.shifted(step.saturating_mul(self.step_ns));
        TimeRange { from: at(first), to: at(end) }
    }

    /// The step in which a time lies, and whether it begins with it.
    pub(super) fn step_of(&self, at: UnixNanos) -> i64 {
        at.since(self.from).div_euclid(self.step_ns)
    }
}

impl Series {
    /// Puts points in order, makes counts since a start counts of each step.
    fn settle(&mut self) {
        self.points.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        if !self.is_cumulative {
            return;
        }
        let before = self.points.clone();
        let grown = before.windows(2).map(|pair| {
            let grown = pair[1].1 - pair[0].1;
            // A counter that fell began again.
            (pair[1].0, if grown < 0.0 { pair[1].1 } else { grown })
        });
        self.points = grown.collect();
    }
}

fn read_series(
    question: &MetricQuestion,
    total: &str,
    points: &[RecordBatch],
    keys: &mut Vec<BTreeMap<String, String>>,
) -> BTreeMap<u64, Series> {
    let mut rows: BTreeMap<BTreeMap<String, String>, usize> = BTreeMap::new();
    let mut found: BTreeMap<u64, Series> = BTreeMap::new();
    for batch in points {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let name = cells.text("name", row).unwrap_or_default();
            let is_failed = name == question.metric;
            let service = cells.text("service", row);
            let is_asked = question.service.is_none() || question.service.as_deref() == service;
            let value = value(&cells, row).filter(|value| value.is_finite() && *value >= 0.0);
            let (Some(value), Some(time)) = (value, cells.time("time", row)) else { continue };
            if !is_asked || !(is_failed || name == total) {
                continue;
            }
            let id = cells.count("series", row).unwrap_or_default();
            let series = found.entry(id).or_insert_with(|| {
                let key = key(&cells, row);
                let next = rows.len();
                let number = *rows.entry(key.clone()).or_insert(next);
                if number == keys.len() {
                    keys.push(key);
                }
                let is_cumulative = cells.text("temporality", row) == Some("cumulative");
                Series { row: number, is_failed, is_cumulative, points: Vec::new() }
            });
            series.points.push((time.0, value));
        }
    }
    found
}

/// The value of a point; points without one have none.
pub(super) fn value(cells: &Cells<'_>, row: usize) -> Option<f64> {
    let whole = cells.int("value_int", row).map(|value| value as f64);
    cells.double("value_double", row).or(whole)
}

/// Attributes of a point, the service among them.
fn key(cells: &Cells<'_>, row: usize) -> BTreeMap<String, String> {
    let named = cells.attributes(row).into_iter();
    let mut key: BTreeMap<String, String> = named
        .filter(|(name, _)| Scope::split(name).is_some())
        .map(|(name, value)| (name.to_owned(), value.to_text()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if let Some(service) = cells.text("service", row) {
        key.insert("resource.service.name".to_owned(), service.to_owned());
    }
    key
}

/// How often series are measured: the median time from one point to the next.
fn step(series: &BTreeMap<u64, Series>) -> i64 {
    let mut gaps = Vec::new();
    for series in series.values().filter(|series| series.points.len() > 1).take(SERIES_ASKED_MAX) {
        let pairs = series.points.windows(2).map(|pair| pair[1].0 - pair[0].0);
        gaps.extend(pairs.filter(|gap| *gap > 0));
    }
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(STEP_NS_DEFAULT).max(SECOND_NS)
}

/// Codes of all values. Attributes that never vary, and those that say the same as another one,
/// get no codes of their own.
fn code(keys: &[BTreeMap<String, String>]) -> (Vec<Attribute>, Vec<u32>) {
    let names: BTreeSet<&String> = keys.iter().flat_map(BTreeMap::keys).collect();
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut columns: Vec<Vec<u32>> = Vec::new();
    for name in names {
        let mut values: Vec<String> = Vec::new();
        let mut codes: BTreeMap<&str, u32> = BTreeMap::new();
        let column: Vec<u32> = keys
            .iter()
            .map(|key| match key.get(name) {
                None => NO_VALUE,
                Some(value) => *codes.entry(value).or_insert_with(|| {
                    values.push(value.clone());
                    values.len() as u32 - 1
                }),
            })
            .collect();
        let is_same_everywhere = values.len() < 2 && !column.contains(&NO_VALUE);
        if is_same_everywhere || values.len() > VALUES_MAX {
            continue;
        }
        // Codes count in order of appearance, so equal columns say the same.
        match columns.iter().position(|other| *other == column) {
            Some(twin) => attributes[twin].same.push((name.clone(), values)),
            None => {
                attributes.push(Attribute { name: name.clone(), values, same: Vec::new() });
                columns.push(column);
            }
        }
    }
    let codes = (0..keys.len()).flat_map(|row| columns.iter().map(move |column| column[row]));
    (attributes, codes.collect())
}
