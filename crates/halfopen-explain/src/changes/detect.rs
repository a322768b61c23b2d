//! Changes that telemetry itself shows: a value that a service did not have before.
//!
//! The rule is one for versions, commits, images, configurations, flags and instances: among the
//! visits to a service in order of time, a value is *new* where the chance to have missed it so
//! far, had it been there with the share that it has since, is next to none. So nothing is new at
//! the beginning of the data, a rare value is not new because it is rare, and one that comes back
//! after it was gone (a rollback) is new again.

use std::collections::BTreeMap;

use halfopen_model::answer::Share;
use halfopen_model::time::SECOND_NS;

use crate::intern::{FoldMap, NONE};
use crate::threads;

/// A value is new when the chance to have missed it so far, had it been there with the share
/// that it has since, is no larger than this.
const MISSED_P_MAX: f64 = 1e-6;

/// Fewer visits than this never mean that a value is gone: half of each of them might have met
/// it, and 0.5 to this power is the chance above.
const GAP_MIN: usize = 19;

/// Before a value is said to be gone, it was seen so often.
const PRESENCE_MIN: usize = 8;

/// A value that comes and goes more often than this alternates: only its first sight is told.
const PRESENCES_MAX: usize = 3;

/// What was there right before is looked up in so many visits.
const BEFORE_VISITS: usize = 200;

/// An instance that ends and one that begins within this time are one restart.
const REPLACED_NS: i64 = 120 * SECOND_NS;

/// Instances that come or go within this time are one change of scale.
const SCALED_NS: i64 = 120 * SECOND_NS;

/// A new version brings new instances and ends old ones within this time.
const ROLLED_OUT_NS: i64 = 600 * SECOND_NS;

/// What a value is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Facet {
    /// `service.version`.
    Version,
    /// `vcs.ref.head.revision`.
    Commit,
    /// `container.image.*`.
    Image,
    /// A hash of the configuration.
    Config,
    /// One of several equal processes.
    Instance,
    /// When a process began.
    Started,
    /// A feature flag, by the code of its key.
    Flag(u32),
}

impl Facet {
    /// The attribute that it stands for.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Facet::Version => "service.version",
            Facet::Commit => "vcs.ref.head.revision",
            Facet::Image => "container.image",
            Facet::Config => "config.hash",
            Facet::Instance => "service.instance.id",
            Facet::Started => "process.creation.time",
            Facet::Flag(_) => "feature_flag",
        }
    }
}

/// One visit to a service, or one evaluation of a flag in it: the value that was met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Visit {
    pub(crate) service: u32,
    pub(crate) at: i64,
    /// Version, commit, image, configuration, instance, start of the process.
    pub(crate) values: [u32; 6],
}

/// Which of `values` is which.
const FACETS: [Facet; 6] =
    [Facet::Version, Facet::Commit, Facet::Image, Facet::Config, Facet::Instance, Facet::Started];

/// Where the values of a release stand, by what they are of; `None` for what tells no release.
pub(crate) fn release_place(what: &str) -> Option<usize> {
    FACETS[..RELEASE_PLACES].iter().position(|facet| facet.name() == what)
}

const VERSION: usize = 0;
const INSTANCE: usize = 4;

/// The first so many values are of a release.
pub(crate) const RELEASE_PLACES: usize = INSTANCE;

const STARTED: usize = 5;

/// A change that was seen.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Detected {
    /// `deploy`, `config`, `flag`, `restart` or `scale`.
    pub(crate) kind: &'static str,
    pub(crate) facet: Facet,
    pub(crate) service: u32,
    /// What was there before, and what is there now; [`NONE`] where that is not known.
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The one instance that changed, where it was one.
    pub(crate) instance: u32,
    /// Version of that instance.
    pub(crate) version: u32,
    pub(crate) at: i64,
    /// Instances with the new value of all that were seen since.
    pub(crate) instances: Share,
    /// Visits that met the new value, of all since.
    pub(crate) visits: Share,
    /// Number of instances before and after, for a change of scale.
    pub(crate) scale: Option<(u64, u64)>,
}

/// Changes of all services, by time. `visits` need no order.
pub(crate) fn detect(visits: Vec<Visit>) -> Vec<Detected> {
    let mut services: BTreeMap<u32, Vec<Visit>> = BTreeMap::new();
    let count = threads::threads(visits.len());
    for visit in visits {
        services.entry(visit.service).or_default().push(visit);
    }
    let services: Vec<Vec<Visit>> = services.into_values().collect();
    let mut by_service = vec![Vec::new(); services.len()];
    let found = threads::each(count, |thread| {
        let own = services.iter().enumerate().skip(thread).step_by(count);
        own.map(|(number, visits)| (number, of_service(visits))).collect::<Vec<_>>()
    });
    for (number, found) in found.into_iter().flatten() {
        by_service[number] = found;
    }
    let mut found: Vec<Detected> = by_service.into_iter().flatten().collect();
    found.sort_by_key(|change| (change.at, change.service, change.facet, change.to));
    found
}

/// Changes of one service.
fn of_service(visits: &[Visit]) -> Vec<Detected> {
    let mut visits = visits.to_vec();
    visits.sort_unstable();
    let mut found = Vec::new();
    for (place, facet) in FACETS.iter().enumerate().take(INSTANCE) {
        found.extend(new_values(&visits, place, *facet));
    }
    let of_instances = instances(&visits, &found);
    found.extend(of_instances);
    found
}

/// One evaluation of a flag: service, key, variant, when.
pub(crate) type Evaluation = (u32, u32, u32, i64);

/// Flags whose variant changed: every evaluation is told, only changes are of interest.
pub(crate) fn flags(evaluations: &[Evaluation]) -> Vec<Detected> {
    let mut by_flag: BTreeMap<(u32, u32), Vec<Visit>> = BTreeMap::new();
    for (service, key, variant, at) in evaluations {
        let mut values = [NONE; 6];
        values[VERSION] = *variant;
        let visit = Visit { service: *service, at: *at, values };
        by_flag.entry((*service, *key)).or_default().push(visit);
    }
    let mut found = Vec::new();
    for ((_, key), mut visits) in by_flag {
        visits.sort_unstable();
        let of_flag = new_values(&visits, VERSION, Facet::Flag(key));
        found.extend(of_flag.into_iter().map(|change| Detected { kind: "flag", ..change }));
    }
    found.sort_by_key(|change| (change.at, change.service, change.facet, change.to));
    found
}

/// A stretch of visits in which a value was there.
#[derive(Clone, Copy, Debug)]
struct Presence {
    value: u32,
    /// First and last visit that met it, by number among those of the service.
    first: usize,
    last: usize,
    rows: u64,
    /// Whether it was gone afterwards, and not only rare.
    ended: bool,
}

impl Presence {
    /// Its share of the visits while it was there.
    fn share(&self, visits: usize) -> f64 {
        let end = if self.ended { self.last + 1 } else { visits };
        self.rows as f64 / (end - self.first).max(1) as f64
    }

    fn is_new(&self, visits: usize) -> bool {
        self.first > 0 && missed(self.share(visits), self.first) <= MISSED_P_MAX
    }
}

/// The chance that so many visits miss a value that has this share of them.
fn missed(share: f64, visits: usize) -> f64 {
    (1.0 - share.min(1.0)).powf(visits as f64)
}

/// When each value was there, in order of first sight.
fn presences(values: &[u32]) -> Vec<Presence> {
    let mut places: FoldMap<u32, Vec<usize>> = FoldMap::default();
    for (number, value) in values.iter().enumerate().filter(|(_, value)| **value != NONE) {
        places.entry(*value).or_default().push(number);
    }
    let mut found = Vec::new();
    for (value, places) in places {
        let mut begin = 0;
        for end in 1..=places.len() {
            let gap = places.get(end).unwrap_or(&values.len()) - places[end - 1] - 1;
            let (before, after) = (&places[begin..end], &places[end..]);
            let ended = was_gone(&before[before.len().saturating_sub(PRESENCE_MIN)..], gap);
            let back = after.is_empty() || was_gone(&after[..after.len().min(PRESENCE_MIN)], gap);
            if (ended && back) || end == places.len() {
                let (first, last) = (places[begin], places[end - 1]);
                let rows = (end - begin) as u64;
                found.push(Presence { value, first, last, rows, ended });
                begin = end;
            }
        }
    }
    found.sort_by_key(|presence| (presence.first, presence.value));
    found
}

/// Whether so many visits without a value mean that it was gone, by how often it was met on that
/// side of them where it was there: of the nearest few visits, as shares change with every
/// roll-out; and by half of that, as few visits say little.
fn was_gone(near: &[usize], gap: usize) -> bool {
    let [first, .., last] = near else { return false };
    if gap < GAP_MIN {
        return false;
    }
    let share = near.len() as f64 / (last - first + 1) as f64;
    near.len() >= PRESENCE_MIN && missed(share / 2.0, gap) <= MISSED_P_MAX
}

/// Values of one service that were not there before.
fn new_values(visits: &[Visit], place: usize, facet: Facet) -> Vec<Detected> {
    let values: Vec<u32> = visits.iter().map(|visit| visit.values[place]).collect();
    let all = presences(&values);
    let mut found = Vec::new();
    for (number, presence) in all.iter().enumerate() {
        let times = all.iter().filter(|other| other.value == presence.value).count();
        let before = all[..number].iter().any(|other| other.value == presence.value);
        let alternates = times > PRESENCES_MAX && before;
        // What comes back was away for long: that is what ended the stretch before.
        let new = before || presence.is_new(values.len());
        if !new || alternates {
            continue;
        }
        let kind = if facet == Facet::Config { "config" } else { "deploy" };
        let since = &visits[presence.first..];
        found.push(Detected {
            kind,
            facet,
            service: visits[0].service,
            from: before_it(&values[..presence.first], presence.value),
            to: presence.value,
            instance: NONE,
            version: if facet == Facet::Version { presence.value } else { NONE },
            at: since[0].at,
            instances: instance_share(since, place, presence.value),
            visits: share(since, |visit| visit.values[place] == presence.value),
            scale: None,
        });
    }
    found
}

/// The value that most of the visits right before had.
fn before_it(values: &[u32], new: u32) -> u32 {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let known = values.iter().rev().filter(|value| **value != NONE && **value != new);
    known.take(BEFORE_VISITS).for_each(|value| *counts.entry(*value).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(NONE, |(value, _)| value)
}

fn share(visits: &[Visit], with: impl Fn(&Visit) -> bool) -> Share {
    let count = visits.iter().filter(|visit| with(visit)).count();
    Share::new(count as f64, visits.len() as f64)
}

/// Instances that have a value last, of all that were seen.
fn instance_share(visits: &[Visit], place: usize, value: u32) -> Share {
    let mut last: BTreeMap<u32, bool> = BTreeMap::new();
    for visit in visits.iter().filter(|visit| visit.values[INSTANCE] != NONE) {
        last.insert(visit.values[INSTANCE], visit.values[place] == value);
    }
    let with = last.values().filter(|with| **with).count();
    Share::new(with as f64, last.len() as f64)
}

// ===== instances: restarts and scale =====

/// One instance that came or went.
#[derive(Clone, Copy)]
struct Turn {
    instance: u32,
    version: u32,
    at: i64,
}

/// Restarts, and instances that come and go without a new version.
fn instances(visits: &[Visit], deploys: &[Detected]) -> Vec<Detected> {
    let values: Vec<u32> = visits.iter().map(|visit| visit.values[INSTANCE]).collect();
    let rolled_out = |version: u32, at: i64| {
        deploys.iter().any(|deploy| {
            let near = deploy.at.abs_diff(at) <= ROLLED_OUT_NS as u64;
            near && (deploy.facet != Facet::Version || [deploy.from, deploy.to].contains(&version))
        })
    };
    let turn = |number: usize| {
        let visit = &visits[number];
        let version = visit.values[VERSION];
        Turn { instance: visit.values[INSTANCE], version, at: visit.at }
    };
    let (mut came, mut went) = (Vec::new(), Vec::new());
    // An instance that is quiet for a while neither comes nor goes.
    let mut spans: BTreeMap<u32, Presence> = BTreeMap::new();
    for presence in presences(&values) {
        let known = spans.entry(presence.value).or_insert(presence);
        *known = Presence { last: presence.last, ended: presence.ended, ..*known };
    }
    for presence in spans.into_values() {
        let first = turn(presence.first);
        if presence.is_new(values.len()) && !rolled_out(first.version, first.at) {
            came.push(first);
        }
        let last = turn(presence.last);
        if presence.ended && !rolled_out(last.version, last.at) {
            went.push(last);
        }
    }
    let mut found = restarts(visits, deploys);
    let same =
        |a: &Turn, b: &Turn| a.version == b.version && a.at.abs_diff(b.at) <= REPLACED_NS as u64;
    came.retain(|new| {
        let Some(old) = went.iter().position(|old| same(old, new)) else { return true };
        let old = went.remove(old);
        let base = change(visits, "restart", new.at, new.version);
        found.push(Detected {
            from: old.instance,
            to: new.instance,
            instance: new.instance,
            ..base
        });
        false
    });
    found.extend(scaled(visits, &came, true));
    found.extend(scaled(visits, &went, false));
    found
}

fn change(visits: &[Visit], kind: &'static str, at: i64, version: u32) -> Detected {
    Detected {
        kind,
        facet: Facet::Instance,
        service: visits[0].service,
        from: NONE,
        to: NONE,
        instance: NONE,
        version,
        at,
        instances: Share::default(),
        visits: Share::default(),
        scale: None,
    }
}

/// Instances whose process began anew, without a new version.
fn restarts(visits: &[Visit], deploys: &[Detected]) -> Vec<Detected> {
    let mut last: BTreeMap<u32, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for visit in visits {
        let [version, .., instance, started] = visit.values;
        if instance == NONE || started == NONE {
            continue;
        }
        let before = last.insert(instance, started);
        let deployed = deploys.iter().any(|deploy| {
            deploy.at.abs_diff(visit.at) <= ROLLED_OUT_NS as u64 && deploy.version == version
        });
        if before.is_some_and(|before| before != started) && !deployed {
            let base = change(visits, "restart", visit.at, version);
            let from = before.unwrap_or(NONE);
            found.push(Detected { facet: FACETS[STARTED], from, to: started, instance, ..base });
        }
    }
    found
}

/// Instances that came, or went, together.
fn scaled(visits: &[Visit], turns: &[Turn], came: bool) -> Vec<Detected> {
    if turns.is_empty() {
        return Vec::new();
    }
    let mut turns = turns.to_vec();
    turns.sort_by_key(|turn| (turn.at, turn.instance));
    // When each instance was there; only counted, so in any order.
    let mut spans: FoldMap<u32, (i64, i64)> = FoldMap::default();
    for visit in visits.iter().filter(|visit| visit.values[INSTANCE] != NONE) {
        spans.entry(visit.values[INSTANCE]).or_insert((visit.at, visit.at)).1 = visit.at;
    }
    let group = |turns: &[Turn]| {
        let at = turns[0].at;
        let mine = |instance: u32| turns.iter().any(|turn| turn.instance == instance);
        let there = spans.iter().filter(|(_, (first, last))| *first < at && at < *last);
        let others = there.filter(|(instance, _)| !mine(**instance)).count() as u64;
        let all = others + turns.len() as u64;
        let base = change(visits, "scale", at, turns[0].version);
        let instance = if turns.len() == 1 { turns[0].instance } else { NONE };
        let scale = if came { (others, all) } else { (all, others) };
        Detected { instance, scale: Some(scale), ..base }
    };
    let near = |a: &Turn, b: &Turn| b.at - a.at <= SCALED_NS;
    turns.chunk_by(near).map(group).collect()
}

#[cfg(test)]
#[path = "../../tests/unit/changes_detect.rs"]
mod tests;
