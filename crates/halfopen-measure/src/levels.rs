//! A level that went wrong at one service (latency, availability, queue length): which of the
//! services below it in the call graph it comes from.
//!
//! A service stands out when its level leaves what it showed before by more than it ever did but
//! for one time in a hundred. From the service that was asked about the walk goes to callees that
//! stand out, as long as there are any: the last ones are where it comes from, the one first
//! whose level, times how much it is asked for, changed most. What nobody below explains is of the
//! service itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{MetricQuestion, table};
use arrow::array::RecordBatch;
use halfopen_model::answer::{
    Gap, Measured, MetricAnswer, MetricCause, MetricPlace, Strength, Verdict,
};
use halfopen_model::batch::Cells;

/// The metric of calls between services, as the Collector's service graph connector names it.
pub const EDGES_METRIC: &str = "traces_service_graph_request_total";

/// With fewer levels before there is no telling what is usual.
const HISTORY_MIN: usize = 20;
/// What a service showed before but for one time in a hundred is its usual range.
const USUAL: f64 = 0.99;
/// A level that never moved is allowed this part of itself.
const FLOOR_SHARE: f64 = 0.005;
/// From so many usual ranges on the walk goes on.
const WALK_MIN: f64 = 1.5;
/// A cause is named for sure when two levels of the window are so far out...
const SURE_TWICE_MIN: f64 = 1.5;
/// ...or one of them so far.
const SURE_ONCE_MIN: f64 = 5.0;
/// From here on without doubt.
const STRONG_MIN: f64 = 6.0;
/// Causes that are told; the others are told as less probable.
const CAUSES_MAX: usize = 3;
const INSTEAD_MAX: usize = 7;

/// Levels of services, and who calls whom.
#[derive(Clone, Default, Debug)]
pub struct LevelEvidence {
    /// Points of the metric, and of the metric that says how much is asked for, in the window and
    /// the time to compare with.
    pub points: Vec<RecordBatch>,
    /// Points of [`EDGES_METRIC`], of any time.
    pub edges: Vec<RecordBatch>,
}

/// How far the level of a service is out.
#[derive(Clone, Copy, Debug)]
struct Level {
    usual: f64,
    /// The level of the window that is farthest out.
    worst: f64,
    /// How far, in usual ranges; the second one too.
    out: f64,
    out_twice: f64,
    /// How much it changed, times how much it was asked for.
    impact: f64,
}

impl Level {
    fn is_sure(&self) -> bool {
        self.out >= SURE_ONCE_MIN || self.out_twice >= SURE_TWICE_MIN
    }
}

/// Explains where the level of `question.service` comes from.
pub fn levels(question: &MetricQuestion, evidence: &LevelEvidence) -> MetricAnswer {
    let read = Read::new(question, &evidence.points);
    let mut answer = super::empty(question, read.points);
    let asked = question.service.clone().unwrap_or_default();
    let calls = calls(&evidence.edges);
    let paths = paths(&asked, &calls);
    let Some(sign) = read.sign(&asked, &paths) else {
        let what = format!("too few points of {} before or in this window", question.metric);
        answer.gaps.push(Gap::Other(format!("{what} for {asked}")));
        return answer;
    };
    let levels = read.levels(sign);
    if calls.is_empty() {
        let text = format!("who calls whom is not known: no point of {EDGES_METRIC}");
        answer.gaps.push(Gap::Other(text));
    }
    if let Some(level) = levels.get(&asked) {
        answer.now = Some(Measured::Level(level.worst));
        answer.was = Some(Measured::Level(level.usual));
    }
    (answer.during, answer.before) = (Some(question.window), question.baseline);
    let ranked = rank(&asked, &levels, &calls);
    let is_sure = ranked
        .iter()
        .take(CAUSES_MAX)
        .any(|(name, walked)| *walked && levels.get(name).is_some_and(Level::is_sure));
    answer.verdict = if is_sure { Verdict::Explained } else { Verdict::Unexplained };
    let place = |name: &String| MetricPlace::Service {
        service: name.clone(),
        metric: question.metric.clone(),
        path: paths.get(name).cloned().unwrap_or_else(|| vec![name.clone()]),
    };
    let walked = ranked.iter().filter(|(_, walked)| *walked).take(CAUSES_MAX);
    for (name, _) in walked {
        let Some(level) = levels.get(name) else { continue };
        answer.causes.push(MetricCause {
            id: String::new(),
            strength: match level {
                level if level.is_sure() && level.out >= STRONG_MIN => Strength::Strong,
                level if level.is_sure() => Strength::Likely,
                _ => Strength::Weak,
            },
            place: place(name),
            now: Measured::Level(level.worst),
            was: Some(Measured::Level(level.usual)),
            spreads: level.out,
            instead: Vec::new(),
            query: Some(super::sql::levels(question, name)),
        });
    }
    let told = answer.causes.len();
    if let Some(first) = answer.causes.first_mut() {
        let others = ranked.iter().skip(told).take(INSTEAD_MAX);
        first.instead = others.map(|(name, _)| place(name)).collect();
    }
    answer
}

/// Levels by service, before and in the window, and how much each was asked for.
struct Read {
    before: BTreeMap<String, Vec<f64>>,
    now: BTreeMap<String, Vec<f64>>,
    asked_for: BTreeMap<String, (f64, u32)>,
    points: u64,
}

impl Read {
    fn new(question: &MetricQuestion, points: &[RecordBatch]) -> Read {
        let mut read = Read {
            before: BTreeMap::new(),
            now: BTreeMap::new(),
            asked_for: BTreeMap::new(),
            points: 0,
        };
        // What is compared with lies before the window, or where it was said to lie.
        let is_before = |time| match question.baseline {
            Some(range) => range.contains(time) && !question.window.contains(time),
            None => time < question.window.from,
        };
        for batch in points {
            let cells = Cells::new(batch);
            for row in 0..cells.len() {
                let (Some(value), Some(time)) =
                    (table::value(&cells, row), cells.time("time", row))
                else {
                    continue;
                };
                let service = cells.text("service", row).unwrap_or_default().to_owned();
                let name = cells.text("name", row).unwrap_or_default();
                let is_now = question.window.contains(time);
                read.points += 1;
                if name == question.metric && is_now {
                    read.now.entry(service).or_default().push(value);
                } else if name == question.metric && is_before(time) {
                    read.before.entry(service).or_default().push(value);
                } else if question.total.as_deref() == Some(name) && is_now {
                    let sum = read.asked_for.entry(service).or_default();
                    (sum.0, sum.1) = (sum.0 + value, sum.1 + 1);
                }
            }
        }
        for levels in read.before.values_mut().chain(read.now.values_mut()) {
            levels.retain(|level| level.is_finite());
            levels.sort_by(f64::total_cmp);
        }
        read.before.retain(|_, levels| levels.len() >= HISTORY_MIN);
        read.now.retain(|_, levels| !levels.is_empty());
        read
    }

    /// Which way levels went, 1 up, -1 down: the way in which services that stand out changed
    /// more, for the one that was asked about may move little. `None` where it has no level.
    fn sign(&self, asked: &str, below: &BTreeMap<String, Vec<String>>) -> Option<f64> {
        self.level(asked, 1.0)?;
        let changed = |sign: f64| -> f64 {
            let levels = below.keys().filter_map(|name| self.level(name, sign));
            levels.filter(|level| level.out >= WALK_MIN).map(|level| level.impact).sum()
        };
        Some(if changed(1.0) >= changed(-1.0) { 1.0 } else { -1.0 })
    }

    fn levels(&self, sign: f64) -> BTreeMap<String, Level> {
        let level = |name: &String| Some((name.clone(), self.level(name, sign)?));
        self.now.keys().filter_map(level).collect()
    }

    fn level(&self, service: &str, sign: f64) -> Option<Level> {
        let (before, now) = (self.before.get(service)?, self.now.get(service)?);
        let usual = quantile(before, 0.5);
        let tail = if sign > 0.0 { quantile(before, USUAL) } else { quantile(before, 1.0 - USUAL) };
        let quartiles = quantile(before, 0.75) - quantile(before, 0.25);
        let range = (sign * (tail - usual)).max(quartiles).max(FLOOR_SHARE * usual.abs());
        let mut moved: Vec<f64> = now.iter().map(|level| sign * (level - usual)).collect();
        moved.sort_by(|one, other| other.total_cmp(one));
        let out = |place: usize| match moved.get(place) {
            Some(moved) => moved / range.max(f64::MIN_POSITIVE),
            None => 0.0,
        };
        let (sum, count) = self.asked_for.get(service).copied().unwrap_or((1.0, 1));
        Some(Level {
            usual,
            worst: usual + sign * moved[0],
            out: out(0),
            out_twice: out(1),
            impact: moved[0].max(0.0) * sum / f64::from(count.max(1)),
        })
    }
}

/// The value below which a share of sorted values lies, between two of them where need be.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

type Calls = BTreeMap<String, BTreeSet<String>>;

/// Who calls whom.
fn calls(edges: &[RecordBatch]) -> Calls {
    let mut calls = Calls::new();
    for batch in edges {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let end = |name: &str| {
                let found = cells.attribute(name, row).map(|value| value.to_text());
                found.filter(|name| !name.is_empty())
            };
            let (client, server) = (end("metric.client"), end("metric.server"));
            if let (Some(client), Some(server)) = (client, server)
                && client != server
            {
                calls.entry(client).or_default().insert(server);
            }
        }
    }
    calls
}

/// Services, the most probable first, and whether the walk came there.
fn rank(asked: &str, levels: &BTreeMap<String, Level>, calls: &Calls) -> Vec<(String, bool)> {
    let is_out = |name: &String| levels.get(name).is_some_and(|level| level.out >= WALK_MIN);
    let mut walked = BTreeSet::from([asked.to_owned()]);
    let mut waiting = VecDeque::from([asked.to_owned()]);
    while let Some(name) = waiting.pop_front() {
        for callee in calls.get(&name).into_iter().flatten().filter(|callee| is_out(callee)) {
            if walked.insert(callee.clone()) {
                waiting.push_back(callee.clone());
            }
        }
    }
    walked.retain(is_out);
    let reached: BTreeSet<String> = paths(asked, calls).into_keys().collect();
    let mut ranked: Vec<(&String, &Level)> = levels.iter().collect();
    // Ends of the walk, what lies on it, what it could have reached, the others.
    let group = |name: &String| -> u8 {
        // Services that call each other in a circle are one end together.
        let below = |name: &str| reachable(name, calls, &walked);
        let is_end = below(name).iter().all(|callee| below(callee).contains(name));
        match (walked.contains(name), is_end, reached.contains(name)) {
            (true, true, _) => 0,
            (true, false, _) => 1,
            (false, _, true) => 2,
            (false, _, false) => 3,
        }
    };
    let groups: BTreeMap<&String, u8> = levels.keys().map(|name| (name, group(name))).collect();
    ranked.sort_by(|one, other| {
        let (first, second) = (groups[one.0], groups[other.0]);
        let weight = |level: &Level| if first < 2 { level.impact } else { level.out };
        first.cmp(&second).then(weight(other.1).total_cmp(&weight(one.1)))
    });
    ranked.into_iter().map(|(name, _)| (name.clone(), walked.contains(name))).collect()
}

/// What a service calls among `within`, directly or not; itself only where it is called back.
fn reachable(from: &str, calls: &Calls, within: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from.to_owned()];
    while let Some(name) = waiting.pop() {
        for callee in calls.get(&name).into_iter().flatten() {
            if within.contains(callee) && found.insert(callee.clone()) {
                waiting.push(callee.clone());
            }
        }
    }
    found
}

/// The shortest ways from a service to all that it calls, directly or not; itself among them.
fn paths(asked: &str, calls: &Calls) -> BTreeMap<String, Vec<String>> {
    let mut paths = BTreeMap::from([(asked.to_owned(), vec![asked.to_owned()])]);
    let mut waiting = VecDeque::from([asked.to_owned()]);
    while let Some(name) = waiting.pop_front() {
        for callee in calls.get(&name).into_iter().flatten() {
            if paths.contains_key(callee) {
                continue;
            }
            let mut path = paths[&name].clone();
            path.push(callee.clone());
            paths.insert(callee.clone(), path);
            waiting.push_back(callee.clone());
        }
    }
    paths
}

#[cfg(test)]
mod tests;
