//! Observations as records: whose they are, in natural units, with rows to look at.

use halfopen_model::answer::{Deviation, EvidenceRef, INSTANCE_OUTLIER};

use super::Measured;
use super::call_count::Multiplied;
use super::combine::Observed;
use super::eras::Eras;
use super::presence::{Presence, Shifted};
use super::resources::{Loaded, OddSeries};
use super::siblings::{Measure, Odd};
use super::sql::{Beside, Sql};
use super::timing::Slowed;
use crate::intern::NONE;
use crate::spans::Spans;
use crate::tree::Forest;

/// Calls that are made or not follow from what others answer more often than statements do.
const SHAPE_GONE_WEIGHT: f64 = 0.8;

/// A call that is new says less than one that is gone: retries and error pages are new calls.
const SHAPE_NEW_WEIGHT: f64 = 0.4;

/// A statement that is only new, and no error: another branch was taken.
const STATEMENT_NEW_WEIGHT: f64 = 0.5;

/// A failure in half of the requests is as much as it need be...
const FAILURE_FULL: f64 = 0.5;

/// ...and a rare one counts so much: failures are rare when all is well.
const FAILURE_LEAST: f64 = 0.4;

/// A caller whose calls to so many others are slower is what they share.
const SHARED_EDGES_MIN: usize = 2;

/// Characters of a statement that are told.
const STATEMENT_CHARS_MAX: usize = 120;

pub(super) struct Teller<'m, 'a> {
    pub(super) measured: &'m Measured,
    pub(super) spans: &'m Spans<'a>,
    pub(super) forest: &'m Forest,
    pub(super) eras: &'m Eras,
    pub(super) sql: &'m Sql,
}

impl Teller<'_, '_> {
    fn text(&self, code: u32) -> String {
        self.spans.words.text(code).to_owned()
    }

    /// An operation that takes longer by itself.
    pub(super) fn own(&self, slowed: &Slowed) -> Observed {
        let [service, name] = self.measured.places.pair(slowed.place);
        let mut observed = self.slower("self_time", service, self.text(name), slowed);
        let words = [service, name].map(|code| self.spans.words.text(code));
        let query = self.sql.self_time(words, slowed.beyond_ns(), None);
        observed.deviation.query = Some(query);
        observed
    }

    /// Pairs of services between which calls take longer. A gap belongs to the callee, until a
    /// second one of the same caller decides that it is the caller's.
    pub(super) fn gaps(&self, slowed: &[Slowed]) -> Vec<Observed> {
        let pair = |one: &Slowed| self.measured.places.pair(one.place);
        let compared = self.measured.edge_gap.compared(&self.measured.units, self.eras);
        let is_callers = |one: &Slowed| {
            let [caller, callee] = pair(one);
            let of_caller = slowed.iter().filter(|other| pair(other)[0] == caller).count();
            let all = compared.iter().filter(|p| self.measured.places.pair(**p)[0] == caller);
            let by_others =
                slowed.iter().any(|other| pair(other)[1] == callee && pair(other)[0] != caller);
            of_caller >= SHARED_EDGES_MIN && of_caller * 2 > all.count() && !by_others
        };
        let observed = |one: &Slowed| {
            let [caller, callee] = pair(one);
            let subject = format!("{} → {}", self.text(caller), self.text(callee));
            let service = if is_callers(one) { caller } else { callee };
            let mut observed = self.slower("edge_gap", service, subject, one);
            let (caller, callee) = (self.text(caller), self.text(callee));
            let query = self.sql.edge_gap([&caller, &callee], one.beyond_ns(), None);
            observed.deviation.query = Some(query);
            observed
        };
        slowed.iter().map(observed).collect()
    }

    fn slower(&self, kind: &'static str, service: u32, what: String, slowed: &Slowed) -> Observed {
        let deviation = self.slowed(kind, what, slowed);
        Observed { service: self.text(service), instance: None, own: true, deviation }
    }

    /// A time that is not what it was.
    pub(super) fn slowed(&self, kind: &'static str, what: String, slowed: &Slowed) -> Deviation {
        let [before, now] = slowed.typical_ns.map(|nanos| nanos as f64);
        let part = slowed.now.ratio() * 100.0;
        Deviation {
            id: String::new(),
            kind,
            subject: if slowed.is_tail { format!("{what}, in {part:.0} %") } else { what },
            before,
            now,
            unit: "ns".to_owned(),
            samples: slowed.now.total as u64,
            samples_before: slowed.before.total as u64,
            score: slowed.score(),
            refs: self.trace(Some(slowed.example)),
            query: None,
        }
    }

    /// An instance that is not as its siblings are, at the same time: theirs is the number before.
    pub(super) fn odd(&self, odd: &Odd) -> Observed {
        let pair = self.measured.places.pair(odd.place);
        let [service, _] = if odd.measure == Measure::To { [pair[1], pair[0]] } else { pair };
        let text = |code: u32| self.spans.words.text(code);
        let (words, value) =
            (pair.map(|code| if code == NONE { "" } else { text(code) }), text(odd.value));
        let names = [self.measured.siblings.name(service)];
        let beside = Beside { names: &names, value };
        let (beyond, is_short) = (odd.beyond_ns(), self.sql.frame.has_queries());
        let (what, query) = match odd.measure {
            Measure::Own => {
                let query = self.sql.self_time(words, beyond, Some(beside));
                (format!("own time of {}", words[1]), Some(query))
            }
            Measure::To | Measure::From => {
                let query = self.sql.edge_gap(words, beyond, Some((odd.measure, beside)));
                (format!("calls {} → {} under way", words[0], words[1]), Some(query))
            }
            Measure::Failures => {
                let query = is_short.then(|| self.sql.failures_beside(words[0], beside));
                ("requests that begin to fail in it".to_owned(), query)
            }
        };
        let is_ratio = odd.measure == Measure::Failures;
        let [others, own] = match is_ratio {
            true => [odd.rest.ratio(), odd.own.ratio()],
            false => odd.typical.map(|nanos| nanos as f64),
        };
        let part = if odd.is_tail && !is_ratio {
            format!(", in {:.0} %", odd.own.ratio() * 100.0)
        } else {
            String::new()
        };
        let deviation = Deviation {
            id: String::new(),
            kind: INSTANCE_OUTLIER,
            subject: format!("{what}, {value} beside {}{part}", others_of(odd.others)),
            before: others,
            now: own,
            unit: if is_ratio { "ratio" } else { "ns" }.to_owned(),
            samples: odd.own.total as u64,
            samples_before: odd.rest.total as u64,
            score: match is_ratio {
                true => of_failures(odd.rise()) * odd.certainty(),
                false => odd.score(),
            },
            refs: self.trace(Some(odd.example)),
            query,
        };
        let instance = Some(value.to_owned());
        Observed { service: text(service).to_owned(), instance, own: true, deviation }
    }

    /// A call that is made more often or more rarely.
    pub(super) fn shape(&self, shifted: &Shifted) -> Observed {
        let [service, name] = self.measured.places.pair(shifted.place);
        let [callee, child] = self.measured.places.pair(shifted.item);
        let child = if callee == service {
            self.text(child)
        } else {
            format!("{} {}", self.text(callee), self.text(child))
        };
        let weight = if shifted.rise() < 0.0 { SHAPE_GONE_WEIGHT } else { SHAPE_NEW_WEIGHT };
        let score = weight * shifted.rise().abs() * shifted.certainty();
        let subject = format!("{} → {child}", self.text(name));
        let (presence, text) = (&self.measured.call_shape, |code| self.spans.words.text(code));
        let mut observed = self.shifted("call_shape", service, subject, shifted, score, presence);
        let [callee, child] = self.measured.places.pair(shifted.item).map(text);
        let query = self.sql.call_shape([text(service), text(name)], [callee, child]);
        observed.deviation.query = Some(query);
        observed
    }

    /// A call that one span makes more often than before.
    pub(super) fn multiplied(&self, one: &Multiplied) -> Observed {
        let [operation, call] = self.measured.places.pair(one.place);
        let [[service, name], [callee, child]] =
            [operation, call].map(|code| self.measured.places.pair(code));
        let words = [service, name, callee, child].map(|code| self.spans.words.text(code));
        let called = if callee == service { String::new() } else { format!("{} ", words[2]) };
        let part = one.now.ratio() * 100.0;
        let of = if one.is_tail { format!(", in {part:.0} %") } else { String::new() };
        let deviation = Deviation {
            id: String::new(),
            kind: "call_count",
            subject: format!("{} → {called}{}{of}", words[1], words[3]),
            before: one.typical[0],
            now: one.typical[1],
            unit: "calls".to_owned(),
            samples: one.now.total as u64,
            samples_before: one.before.total as u64,
            score: one.score(),
            refs: self.trace(Some(one.example)),
            query: Some(self.sql.call_count(
                [words[0], words[1]],
                [words[2], words[3]],
                one.beyond(),
            )),
        };
        Observed { service: words[0].to_owned(), instance: None, own: false, deviation }
    }

    /// A statement that is written more often or more rarely.
    pub(super) fn statement(&self, shifted: &Shifted) -> Observed {
        let statements = &self.measured.statements;
        let [service, name] = self.measured.places.pair(shifted.place);
        let text = statements.templates.text(shifted.item);
        let shown = text.trim_start_matches(['…', ' ']);
        let subject: String = shown.chars().take(STATEMENT_CHARS_MAX).collect();
        let rise = shifted.rise();
        let size = match (statements.is_error(shifted.item), rise > 0.0) {
            (true, true) => of_failures(rise),
            (true, false) => 0.0,
            (false, true) => STATEMENT_NEW_WEIGHT * rise,
            (false, false) => -rise,
        };
        let score = size * shifted.certainty();
        let presence = &statements.presence;
        let mut observed =
            self.shifted("log_statement", service, subject, shifted, score, presence);
        let name = (name != NONE).then(|| self.spans.words.text(name));
        let query = self.sql.log_statement(self.spans.words.text(service), name, &text);
        observed.deviation.query = Some(query);
        observed
    }

    /// Requests that begin to fail in a service.
    pub(super) fn origin(&self, shifted: &Shifted) -> Observed {
        let [service, _] = self.measured.places.pair(shifted.place);
        let score = of_failures(shifted.rise()) * shifted.certainty();
        let subject = "requests that begin to fail here".to_owned();
        let presence = &self.measured.error_origin;
        let mut observed = self.shifted("error_origin", service, subject, shifted, score, presence);
        let is_short = self.sql.frame.has_queries();
        let query = is_short.then(|| self.sql.error_origin(self.spans.words.text(service)));
        observed.deviation.query = query;
        observed
    }

    fn shifted(
        &self,
        kind: &'static str,
        service: u32,
        subject: String,
        shifted: &Shifted,
        score: f64,
        presence: &Presence,
    ) -> Observed {
        let example = || presence.example(shifted, &self.measured.units, self.eras);
        let deviation = Deviation {
            id: String::new(),
            kind,
            subject,
            before: shifted.before.ratio(),
            now: shifted.now.ratio(),
            unit: "ratio".to_owned(),
            samples: shifted.now.total as u64,
            samples_before: shifted.before.total as u64,
            score,
            refs: if score > 0.0 { self.trace(example()) } else { Vec::new() },
            query: None,
        };
        Observed { service: self.text(service), instance: None, own: false, deviation }
    }

    /// A series that uses more.
    pub(super) fn resource(&self, loaded: Loaded) -> Observed {
        let query = self.sql.resource(&loaded);
        let deviation = Deviation {
            id: String::new(),
            kind: "resource",
            subject: format!("{} ({})", loaded.name, loaded.class),
            before: loaded.before,
            now: loaded.now,
            unit: loaded.unit,
            samples: loaded.points as u64,
            samples_before: loaded.points_before as u64,
            score: loaded.score,
            refs: vec![EvidenceRef::Series(loaded.series)],
            query: Some(query),
        };
        Observed { service: loaded.service, instance: loaded.instance, own: true, deviation }
    }

    /// A series of one instance that uses more than those of its siblings.
    pub(super) fn odd_series(&self, odd: &OddSeries<'_>) -> Observed {
        let (series, instance) = (odd.series, odd.instance);
        let others = others_of(odd.count);
        let deviation = Deviation {
            id: String::new(),
            kind: INSTANCE_OUTLIER,
            subject: format!("{} ({}), {instance} beside {others}", series.name, series.class),
            before: odd.typical[0],
            now: odd.typical[1],
            unit: series.unit.clone(),
            samples: odd.points[0] as u64,
            samples_before: odd.points[1] as u64,
            score: odd.score,
            refs: vec![EvidenceRef::Series(odd.id)],
            query: (!odd.others.is_empty()).then(|| self.sql.resource_beside(odd)),
        };
        let (service, instance) = (series.service.clone(), Some(instance.to_owned()));
        Observed { service, instance, own: true, deviation }
    }

    fn trace(&self, unit: Option<u32>) -> Vec<EvidenceRef> {
        let trace = unit.and_then(|unit| self.measured.units.trace(unit));
        let id = trace.and_then(|trace| self.spans.trace_ids.get(trace));
        id.map(|id| EvidenceRef::Trace(*id)).into_iter().collect()
    }
}

fn others_of(count: usize) -> String {
    if count == 1 { "1 other".to_owned() } else { format!("{count} others") }
}

/// How much a share of failures counts.
fn of_failures(rise: f64) -> f64 {
    FAILURE_LEAST + (1.0 - FAILURE_LEAST) * (rise / FAILURE_FULL).clamp(0.0, 1.0)
}
