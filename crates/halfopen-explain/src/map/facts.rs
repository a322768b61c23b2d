//! What spans say about services: requests, instances, versions.

use std::collections::{BTreeMap, BTreeSet};

use halfopen_model::answer::Share;
use halfopen_model::{TimeRange, UnixNanos};

use crate::intern::NONE;
use crate::spans::{Kind, Spans};
use crate::tree::Forest;

/// More versions of one service are not shown.
const VERSIONS_MAX: usize = 8;

/// One service.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) requests: Share,
    pub(super) instances: BTreeSet<u32>,
    /// When each version was first seen.
    versions: BTreeMap<u32, i64>,
}

impl Facts {
    /// By first sight.
    pub(super) fn versions(&self, spans: &Spans<'_>) -> Vec<String> {
        let mut versions: Vec<(i64, &str)> =
            self.versions.iter().map(|(code, at)| (*at, spans.words.text(*code))).collect();
        versions.sort_unstable();
        versions.into_iter().take(VERSIONS_MAX).map(|(_, version)| version.to_owned()).collect()
    }
}

/// All services of which spans came, by code.
#[derive(Default)]
pub(super) struct Services(BTreeMap<u32, Facts>);

/// A row that may stand for a trace in a service, with its place: the smallest one does.
type Anchor = (u32, (bool, bool, u32, i64, usize));

impl Services {
    pub(super) fn read(spans: &Spans<'_>, forest: &Forest, window: TimeRange) -> Services {
        let mut services = Services::default();
        let mut seen: BTreeSet<[u32; 3]> = BTreeSet::new();
        for row in (0..spans.len()).filter(|row| window.contains(UnixNanos(spans.start[*row]))) {
            let (service, version) = (spans.service[row], spans.version[row]);
            let key = [service, version, spans.instance[row]];
            let facts = match seen.insert(key) {
                true => services.0.entry(service).or_default(),
                // Every key was met: only an earlier first sight would still change something.
                false if version == NONE => continue,
                false => services.0.entry(service).or_default(),
            };
            if spans.instance[row] != NONE {
                facts.instances.insert(spans.instance[row]);
            }
            if version != NONE {
                let first = facts.versions.entry(version).or_insert(spans.start[row]);
                *first = (*first).min(spans.start[row]);
            }
        }
        services.count_requests(spans, forest, window);
        services
    }

    pub(super) fn of(&self, service: u32) -> Option<&Facts> {
        self.0.get(&service)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.keys().copied()
    }

    /// One request for each trace that visits a service: its topmost entry span there, else its
    /// topmost span, by the same rule as `why`.
    fn count_requests(&mut self, spans: &Spans<'_>, forest: &Forest, window: TimeRange) {
        let mut anchors: Vec<Anchor> = Vec::new();
        for trace in 0..forest.traces() {
            anchors.clear();
            for row in forest.rows(trace).iter().map(|row| *row as usize) {
                if forest.is_repetition(row) {
                    continue;
                }
                let orphan = spans.parent_id[row] != 0 && forest.depth[row] == 0;
                let inner = spans.kind[row] != Kind::Entry;
                let place = (inner, orphan, forest.depth[row], spans.start[row], row);
                match anchors.iter_mut().find(|(service, _)| *service == spans.service[row]) {
                    Some((_, known)) => *known = place.min(*known),
                    None => anchors.push((spans.service[row], place)),
                }
            }
            for (service, (.., start, row)) in &anchors {
                if window.contains(UnixNanos(*start)) {
                    let weight = f64::from(spans.weight[*row]);
                    let share = &mut self.0.entry(*service).or_default().requests;
                    share.total += weight;
                    share.count += if spans.failed[*row] { weight } else { 0.0 };
                }
            }
        }
    }
}
