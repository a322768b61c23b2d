//! Observations as records: whose they are, in natural units, with rows to look at.

use halfopen_model::answer::{
    AfterChange, Deviation, EvidenceRef, INSTANCE_OUTLIER, Share, VERSION_SPLIT, VersionSplit,
};

use super::Measured;
use super::call_count::Multiplied;
use super::combine::Observed;
use super::eras::Eras;
use super::presence::{Presence, Shifted};
use super::resources::{Loaded, OddSeries};
use super::siblings::{By, Measure, Odd};
use super::sql::{Beside, Sql};
use super::timing::Slowed;
use crate::changes::{Change, shown};
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
    /// What changed, told and seen.
    pub(super) changes: &'m dyn Fn() -> Vec<Change>,
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
        Observed { service: self.text(service), instance: None, own: true, after: None, deviation }
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

    /// Instances and versions that are not as the others are. A version is told where a known
    /// change brought it; and goes before the one instance that runs it.
    pub(super) fn odd_ones(&self, all: &[Odd]) -> Vec<Observed> {
        let of = |by: By| all.iter().filter(move |odd| odd.by == by);
        let changes = if of(By::Version).count() > 0 { (self.changes)() } else { Vec::new() };
        let told = |odd| Some((odd, self.after(odd, &changes)?));
        let versions: Vec<(&Odd, AfterChange)> = of(By::Version).filter_map(told).collect();
        let is_apart = |odd: &&Odd| versions.iter().all(|(one, _)| one.same() != odd.same());
        let instances = of(By::Instance).filter(is_apart).map(|odd| self.odd(odd, None));
        let instances: Vec<Observed> = instances.collect();
        let versions = versions.into_iter().map(|(odd, after)| self.odd(odd, Some(after)));
        versions.chain(instances).collect()
    }

    /// An instance or a version that is not as the others are, at the same time: theirs is the
    /// number before.
    fn odd(&self, odd: &Odd, after: Option<AfterChange>) -> Observed {
        let pair = self.measured.places.pair(odd.place);
        let service = self.service_of(odd);
        let text = |code: u32| self.spans.words.text(code);
        let (words, value) =
            (pair.map(|code| if code == NONE { "" } else { text(code) }), text(odd.value));
        let beside = Beside { names: self.measured.siblings.names(odd.by, service), value };
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
        let others_told = match (odd.by, odd.others) {
            (By::Version, 1) => shown(text(odd.next)).into_owned(),
            (_, count) => others_of(count),
        };
        let deviation = Deviation {
            id: String::new(),
            kind: if after.is_some() { VERSION_SPLIT } else { INSTANCE_OUTLIER },
            subject: format!("{what}, {} beside {others_told}{part}", shown(value)),
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
        let instance = Some(value.to_owned()).filter(|_| after.is_none());
        Observed { service: text(service).to_owned(), instance, own: true, after, deviation }
    }

    /// The last change that brought a version, and how many requests begin to fail in both.
    fn after(&self, odd: &Odd, changes: &[Change]) -> Option<AfterChange> {
        let value = shown(self.spans.words.text(odd.value));
        let service = self.spans.words.text(self.service_of(odd));
        let place = changes.iter().rposition(|one| one.brings(service, &value))?;
        let next = shown(self.spans.words.text(odd.next));
        // An older version that is slower is no fault of the change that brought it.
        if changes[place + 1..].iter().any(|one| one.brings(service, &next)) {
            return None;
        }
        let split = match odd.measure {
            Measure::Failures => {
                let split = |value: String, failing: Share| VersionSplit { value, failing };
                let others = others_of(odd.others);
                vec![split(value.into_owned(), odd.own), split(others, odd.rest)]
            }
            _ => Vec::new(),
        };
        Some(changes[place].told(self.eras.now.from, split))
    }

    /// Whose instance or version it is.
    fn service_of(&self, odd: &Odd) -> u32 {
        self.measured.places.pair(odd.place)[usize::from(odd.measure == Measure::To)]
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
        Observed {
            service: words[0].to_owned(),
            instance: None,
            own: false,
            after: None,
            deviation,
        }
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
        Observed { service: self.text(service), instance: None, own: false, after: None, deviation }
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
        Observed {
            service: loaded.service,
            instance: loaded.instance,
            own: true,
            after: None,
            deviation,
        }
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
        Observed { service, instance, own: true, after: None, deviation }
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
