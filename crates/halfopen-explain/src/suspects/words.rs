//! Observations as records: whose they are, in natural units, with rows to look at.

use halfopen_model::answer::{Deviation, EvidenceRef};

use super::Measured;
use super::combine::Observed;
use super::eras::Eras;
use super::presence::{Presence, Shifted};
use super::resources::Loaded;
use super::timing::Slowed;
use crate::spans::Spans;

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
    pub(super) eras: &'m Eras,
}

impl Teller<'_, '_> {
    fn text(&self, code: u32) -> String {
        self.spans.words.text(code).to_owned()
    }

    /// An operation that takes longer by itself.
    pub(super) fn own(&self, slowed: &Slowed) -> Observed {
        let [service, name] = self.measured.places.pair(slowed.place);
        self.slower("self_time", service, self.text(name), slowed)
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
            self.slower("edge_gap", service, subject, one)
        };
        slowed.iter().map(observed).collect()
    }

    fn slower(&self, kind: &'static str, service: u32, what: String, slowed: &Slowed) -> Observed {
        let [before, now] = slowed.typical_ns.map(|nanos| nanos as f64);
        let part = slowed.now.ratio() * 100.0;
        let deviation = Deviation {
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
        };
        Observed { service: self.text(service), instance: None, own: true, deviation }
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
        let presence = &self.measured.call_shape;
        self.shifted("call_shape", service, subject, shifted, score, presence)
    }

    /// A statement that is written more often or more rarely.
    pub(super) fn statement(&self, shifted: &Shifted) -> Observed {
        let statements = &self.measured.statements;
        let [service, _] = self.measured.places.pair(shifted.place);
        let text = statements.templates.text(shifted.item);
        let text = text.trim_start_matches(['…', ' ']);
        let subject: String = text.chars().take(STATEMENT_CHARS_MAX).collect();
        let rise = shifted.rise();
        let size = match (statements.is_error(shifted.item), rise > 0.0) {
            (true, true) => of_failures(rise),
            (true, false) => 0.0,
            (false, true) => STATEMENT_NEW_WEIGHT * rise,
            (false, false) => -rise,
        };
        let score = size * shifted.certainty();
        self.shifted("log_statement", service, subject, shifted, score, &statements.presence)
    }

    /// Requests that begin to fail in a service.
    pub(super) fn origin(&self, shifted: &Shifted) -> Observed {
        let [service, _] = self.measured.places.pair(shifted.place);
        let score = of_failures(shifted.rise()) * shifted.certainty();
        let subject = "requests that begin to fail here".to_owned();
        let presence = &self.measured.error_origin;
        self.shifted("error_origin", service, subject, shifted, score, presence)
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
        let deviation = Deviation {
            kind: "resource",
            subject: format!("{} ({})", loaded.name, loaded.class),
            before: loaded.before,
            now: loaded.now,
            unit: loaded.unit,
            samples: loaded.points as u64,
            samples_before: loaded.points_before as u64,
            score: loaded.score,
            refs: vec![EvidenceRef::Series(loaded.series)],
            query: Some(self.points_query(loaded.series)),
        };
        Observed { service: loaded.service, instance: loaded.instance, own: true, deviation }
    }

    /// SQL that lists the points of a series.
    fn points_query(&self, series: u64) -> String {
        format!(
            "select time, coalesce(value_double, value_int) as value from metrics where series = \
             {series} and time < timestamp '{}' order by time",
            self.eras.now.to
        )
    }

    fn trace(&self, unit: Option<u32>) -> Vec<EvidenceRef> {
        let trace = unit.and_then(|unit| self.measured.units.trace(unit));
        let id = trace.and_then(|trace| self.spans.trace_ids.get(trace));
        id.map(|id| EvidenceRef::Trace(*id)).into_iter().collect()
    }
}

/// How much a share of failures counts.
fn of_failures(rise: f64) -> f64 {
    FAILURE_LEAST + (1.0 - FAILURE_LEAST) * (rise / FAILURE_FULL).clamp(0.0, 1.0)
}
