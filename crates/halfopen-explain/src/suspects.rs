//! What stands out when requests do not say that they failed, and beside it when they do.
//!
//! Two times are compared: now, and a time when all was well. Each kind of evidence (a file each)
//! gives observations: how long operations work by themselves, how long calls are under way,
//! which calls are made, what is logged, where requests begin to fail, what machines are used
//! for. `combine` makes suspects of them.
//!
//! When it began may be given a minute too early or too late: the time from a minute before and
//! that from a minute after are looked at too, and the one in which something stands out most is
//! the answer.

mod call_count;
mod call_shape;
mod combine;
mod edge_gap;
mod eras;
mod error_origin;
mod kinship;
mod log_statement;
mod presence;
mod resources;
mod self_time;
mod siblings;
mod sql;
mod templates;
mod timing;
mod ways;
mod words;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use halfopen_model::answer::Suspects;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

use crate::anchor::Requests;
use crate::changes::{self, Change};
use crate::intern::{FoldMap, NONE};
use crate::spans::Spans;
use crate::sql::Frame;
use crate::tree::Forest;
use call_count::Counts;
use combine::{Calls, Observed};
use eras::{Eras, Units};
use kinship::Kinship;
use log_statement::Statements;
use presence::Presence;
use resources::Resources;
use siblings::Siblings;
use sql::Sql;
pub(crate) use templates::STATEMENTS_MAX;
use timing::Timing;
use ways::Ways;

/// The begin of what is wrong may be given so much too early or too late...
const OFF_NS: i64 = 60 * SECOND_NS;

/// ...where at least so much time is left to look at.
const LENGTH_MIN_NS: i64 = 60 * SECOND_NS;

/// Load comes in waves (scripts, batches, jobs of every minute): two times shorter than this may
/// be two waves, and nobody is suspect for that.
const WAVE_NS: i64 = 45 * SECOND_NS;

/// Another begin is only taken where something stands out by so much more.
const MOVED_COST: f64 = 0.02;

/// Cuts of a window that nothing is known about: what is wrong may have begun inside of it.
const CUTS: [f64; 3] = [1.0 / 3.0, 0.5, 2.0 / 3.0];

/// Logs, metrics and changes beside the spans.
#[derive(Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    pub(crate) logs: &'a [RecordBatch],
    pub(crate) metrics: &'a [RecordBatch],
    /// Changes that somebody told of.
    pub(crate) changes: &'a [RecordBatch],
}

/// Pairs of codes as one number.
#[derive(Default)]
struct Places {
    codes: FoldMap<[u32; 2], u32>,
    pairs: Vec<[u32; 2]>,
}

impl Places {
    fn code(&mut self, pair: [u32; 2]) -> u32 {
        let next = self.pairs.len() as u32;
        let code = *self.codes.entry(pair).or_insert(next);
        if code == next {
            self.pairs.push(pair);
        }
        code
    }

    fn find(&self, pair: [u32; 2]) -> Option<u32> {
        self.codes.get(&pair).copied()
    }

    fn pair(&self, code: u32) -> [u32; 2] {
        self.pairs[code as usize]
    }
}

/// Everything that was measured once and is compared several times.
struct Measured {
    units: Units,
    places: Places,
    self_time: Timing,
    edge_gap: Timing,
    call_shape: Presence,
    call_count: Counts,
    statements: Statements,
    error_origin: Presence,
    resources: Resources,
    siblings: Siblings,
    ways: Ways,
    calls: Calls,
    /// The services that the question is about; `None` for all.
    wanted: Option<BTreeSet<String>>,
    services: usize,
}

impl Measured {
    fn of(
        spans: &mut Spans<'_>,
        forest: &Forest,
        asked: &Asked<'_>,
        beside: Beside<'_>,
    ) -> Measured {
        let eras = &asked.eras();
        let kin = Kinship::of(spans, forest);
        let units = Units::of(spans, forest, eras);
        let mut places = Places::default();
        let mut siblings = Siblings::of(spans);
        let self_time = self_time::measure(spans, forest, &kin, &mut places, &mut siblings);
        let edge_gap = edge_gap::measure(spans, forest, &kin, &mut places, &mut siblings);
        siblings.count_failures(spans, forest, &kin, &mut places);
        siblings.settle();
        let call_shape = call_shape::count(spans, forest, &kin, &mut places);
        let call_count = call_count::count(spans, forest, &kin, &mut places);
        let error_origin = error_origin::count(spans, forest, &kin, &mut places);
        let statements = log_statement::mine(spans, forest, &units, beside.logs, &mut places);
        let resources = Resources::read(beside.metrics);
        let calls = calls(spans, forest, &kin);
        let wanted = asked.members.map(|members| {
            let tops = members.iter().map(|number| {
                spans.words.text(asked.requests.all[*number as usize].service).to_owned()
            });
            combine::with_below(tops.collect(), &calls)
        });
        let ways = Ways::of(spans, forest, &kin, asked.requests, &mut places);
        let kept = (0..spans.len()).filter(|row| !forest.is_repetition(*row));
        let services: BTreeSet<u32> = kept.map(|row| spans.service[row]).collect();
        Measured {
            units,
            places,
            self_time,
            edge_gap,
            call_shape,
            call_count,
            statements,
            error_origin,
            resources,
            siblings,
            ways,
            calls,
            wanted,
            services: services.into_iter().filter(|service| *service != NONE).count(),
        }
    }

    fn suspects(
        &self,
        spans: &Spans<'_>,
        forest: &Forest,
        sql: &Sql,
        changes: &dyn Fn() -> Vec<Change>,
    ) -> Suspects {
        let eras = &sql.eras;
        let teller = words::Teller { measured: self, spans, forest, eras, sql, changes };
        let mut observed: Vec<Observed> = Vec::new();
        observed.extend(self.self_time.compare(&self.units, eras).iter().map(|s| teller.own(s)));
        observed.extend(teller.gaps(&self.edge_gap.compare(&self.units, eras)));
        let shapes = self.call_shape.compare(&self.units, eras);
        observed.extend(shapes.iter().map(|shifted| teller.shape(shifted)));
        let counts = self.call_count.compare(&self.units, eras);
        observed.extend(counts.iter().map(|one| teller.multiplied(one)));
        let statements = self.statements.presence.compare(&self.units, eras);
        observed.extend(statements.iter().map(|shifted| teller.statement(shifted)));
        let origins = self.error_origin.compare(&self.units, eras);
        observed.extend(origins.iter().filter(|o| o.rise() > 0.0).map(|o| teller.origin(o)));
        observed.extend(self.resources.compare(eras).into_iter().map(|one| teller.resource(one)));
        let odd = self.siblings.compare(&self.units, eras);
        observed.extend(teller.odd_ones(&odd));
        observed.extend(self.resources.beside(eras).iter().map(|one| teller.odd_series(one)));
        if let Some(wanted) = &self.wanted {
            observed.retain(|one| wanted.contains(&one.service));
        }
        let is_long = [eras.now, eras.before].iter().all(|era| era.length_ns() >= WAVE_NS);
        let mut list = combine::suspects(observed, &self.calls, is_long);
        for suspect in &mut list {
            suspect.path = self.ways.path(suspect, &self.units, &teller);
        }
        let symptom = self.ways.symptom(&self.units, &teller);
        Suspects {
            now: eras.now,
            before: eras.before,
            list,
            compared: self.services,
            unread_lines: self.statements.templates.unread,
            symptom,
        }
    }
}

/// What is asked.
pub(crate) struct Asked<'q> {
    pub(crate) now: TimeRange,
    pub(crate) before: TimeRange,
    /// Whether the begin of now was given or found; where it was not, what is wrong may have begun
    /// later in the window.
    pub(crate) known: bool,
    pub(crate) requests: &'q Requests,
    /// The requests that the question names, by number; `None` where it names none.
    pub(crate) members: Option<&'q [u32]>,
    /// How SQL finds the spans and the requests of the question.
    pub(crate) frame: Frame,
}

impl Asked<'_> {
    fn eras(&self) -> Eras {
        Eras { now: self.now, before: self.before }
    }
}

/// What stands out in `asked.now` against `asked.before`. Where requests are named, only in them
/// and in the services that they reach.
pub(crate) fn find(
    spans: &mut Spans<'_>,
    forest: &Forest,
    asked: &Asked<'_>,
    beside: Beside<'_>,
) -> Suspects {
    let narrowed = asked.members.map(|members| {
        let traces = members.iter().map(|number| asked.requests.all[*number as usize].trace);
        forest.only(&traces.collect())
    });
    let forest = narrowed.as_ref().unwrap_or(forest);
    let (eras, is_scoped) = (asked.eras(), asked.members.is_some());
    let measured = Measured::of(spans, forest, asked, beside);
    let spans = &*spans;
    // What was first seen between the two times is new as well.
    let changes = || changes::collect(spans, forest, beside.changes, spans.len());
    let sql = |eras: Eras| Sql { frame: asked.frame.clone(), is_scoped, eras };
    let mut best = measured.suspects(spans, forest, &sql(eras), &changes);
    for eras in others(&eras, asked.known) {
        let found = measured.suspects(spans, forest, &sql(eras), &changes);
        if first(&found) > first(&best) + MOVED_COST {
            best = found;
        }
    }
    best
}

fn first(found: &Suspects) -> f64 {
    found.list.first().map_or(0.0, |suspect| suspect.score)
}

/// Other times that may be meant.
fn others(eras: &Eras, known: bool) -> Vec<Eras> {
    let (from, to) = (eras.now.from, eras.now.to);
    let mut all = Vec::new();
    if known {
        let early = TimeRange { from: from.shifted(-OFF_NS), to };
        let late = TimeRange { from: from.shifted(OFF_NS), to };
        all.extend([early, late].map(|now| Eras { now, before: eras.before }));
    } else {
        let cut = |part: f64| {
            let at = from.shifted((eras.now.length_ns() as f64 * part) as i64);
            let before = TimeRange { from: eras.before.from.min(from), to: at };
            Eras { now: TimeRange { from: at, to }, before }
        };
        all.extend(CUTS.map(cut));
    }
    all.retain(|eras| eras.now.length_ns() >= LENGTH_MIN_NS);
    all
}

/// The time before a window that it is compared with where nothing else is known: as long, and at
/// most so long that what was deployed since is rarely part of it.
pub(crate) fn time_before(window: TimeRange) -> TimeRange {
    const BEFORE_NS_MAX: i64 = 15 * 60 * SECOND_NS;
    let length_ns = window.length_ns().clamp(OFF_NS, BEFORE_NS_MAX);
    TimeRange { from: UnixNanos(window.from.0.saturating_sub(length_ns)), to: window.from }
}

fn calls(spans: &Spans<'_>, forest: &Forest, kin: &Kinship) -> Calls {
    let mut pairs = BTreeSet::new();
    for row in 0..spans.len() {
        let parent = forest.parent[row];
        if parent != NONE && spans.service[row] != spans.service[parent as usize] {
            pairs.insert([spans.service[parent as usize], spans.service[row]]);
        }
        if kin.calls_out[row] && kin.children(row).is_empty() && spans.peer[row] != NONE {
            pairs.insert([spans.service[row], spans.peer[row]]);
        }
    }
    let mut calls = Calls::new();
    for [caller, callee] in pairs.into_iter().filter(|pair| !pair.contains(&NONE)) {
        let (caller, callee) = (spans.words.text(caller), spans.words.text(callee));
        calls.entry(caller.to_owned()).or_default().insert(callee.to_owned());
    }
    calls
}
