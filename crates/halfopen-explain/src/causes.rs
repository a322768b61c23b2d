//! From failing requests to causes: groups by the call that failed, the condition under which it
//! fails, and what is left when that is explained.

use crate::anchor::Requests;
use crate::bits::Bits;
use crate::carriers;
use crate::cohorts::Cohorts;
use crate::difference::items::{CALLS, Items, Key, NAME};
use crate::difference::{Coincidence, Comparison, Explanation, Question};
use crate::intern::{FoldMap, NONE};
use crate::origin::{self, Family, Origin, Site};
use crate::spans::{Kind, Spans};
use crate::tree::Forest;

/// Groups smaller than this share of the failing requests are not causes of their own.
const GROUP_SHARE_MIN: f64 = 0.03;

/// Groups smaller than this say nothing.
const GROUP_MIN: u64 = 3;

/// What is left of a group is looked at again when it is at least this share of it.
const REST_SHARE_MIN: f64 = 0.1;

/// So many causes are looked for in one group.
const ROUNDS_MAX: usize = 4;

/// So many causes are answered.
const CAUSES_MAX: usize = 5;

/// A service that fewer of the requests without a call visit than this is visited because of the
/// call.
const BESIDE_SHARE_MIN: f64 = 0.05;

/// In so many failing requests it is looked up which of their spans carry a value.
const LOOKED_AT_MAX: usize = 64;

/// The requests that visit each service.
pub(crate) type Visits = FoldMap<u32, Bits>;

/// Reads which requests visit which service.
pub(crate) fn visits(spans: &Spans<'_>, cohorts: &Cohorts) -> Visits {
    let mut visits = Visits::default();
    for row in (0..spans.len()).filter(|row| cohorts.slot[*row] != NONE) {
        let of_service =
            visits.entry(spans.service[row]).or_insert_with(|| Bits::new(cohorts.slots()));
        of_service.set(cohorts.slot[row] as usize);
    }
    visits
}

/// A cause before it is put into words.
pub(crate) struct Draft {
    /// Where most of its requests fail, where they agree.
    pub(crate) site: Option<Site>,
    /// The failing requests, by slot.
    pub(crate) group: Bits,
    /// All that this group was taken from.
    pub(crate) of: Bits,
    /// The same in words.
    pub(crate) places: Vec<Place>,
    pub(crate) explanation: Option<Explanation>,
    /// The next best explanation's statistic, for calibration.
    pub(crate) next_g: f64,
}

/// Requests that fail in one call, or in none of several.
#[derive(Clone, Default, Debug)]
pub(crate) struct Place {
    pub(crate) site: Option<Site>,
    pub(crate) not_sites: Vec<Site>,
    /// Items of earlier explanations: requests that carry all of one of these are explained.
    pub(crate) without: Vec<Vec<usize>>,
}

/// Everything that causes are made from.
pub(crate) struct Workshop<'w, 'a> {
    pub(crate) spans: &'w Spans<'a>,
    pub(crate) forest: &'w Forest,
    pub(crate) requests: &'w Requests,
    pub(crate) cohorts: &'w Cohorts,
    pub(crate) items: &'w Items,
    /// The requests that visit each service.
    pub(crate) visits: &'w Visits,
    /// Where each failing request failed, by slot.
    pub(crate) origins: &'w [Origin],
    /// Healthy requests after the onset.
    pub(crate) since: Option<&'w Bits>,
    pub(crate) comparison: &'w Comparison<'w>,
    pub(crate) name: u32,
    pub(crate) calls: u32,
}

impl<'w, 'a> Workshop<'w, 'a> {
    /// Codes of the two attribute names that are no attributes.
    pub(crate) fn codes(spans: &Spans<'_>) -> (u32, u32) {
        let code = |name: &str| spans.words.find(name).unwrap_or(NONE);
        (code(NAME), code(CALLS))
    }

    /// All causes, the largest first, and items that only changed at the same time.
    pub(crate) fn drafts(&self) -> (Vec<Draft>, Vec<Coincidence>) {
        let total = self.cohorts.failing.count();
        let group_min = GROUP_MIN.max((total as f64 * GROUP_SHARE_MIN).ceil() as u64);
        let (mut drafts, mut coincidences) = (Vec::new(), Vec::new());
        let (mut rest, mut sites) = (Bits::new(self.cohorts.slots()), Vec::new());
        for Family { sites: calls, slots } in origin::families(self.spans, self.origins) {
            let group = Bits::of(self.cohorts.slots(), slots.iter().copied());
            if group.count() < group_min {
                rest.add(&group);
            } else {
                let place = |site: &Site| Place { site: Some(*site), ..Place::default() };
                let places = calls.iter().map(place).collect();
                sites.extend(calls);
                self.divide(places, group, &mut drafts, &mut coincidences);
            }
        }
        if rest.count() >= group_min {
            let place = Place { not_sites: sites, ..Place::default() };
            self.divide(vec![place], rest, &mut drafts, &mut coincidences);
        }
        let mut drafts = merge(drafts);
        drafts.sort_by_key(|draft| std::cmp::Reverse(draft.group.count()));
        drafts.truncate(CAUSES_MAX);
        coincidences.sort_by_key(|coincidence| coincidence.item);
        coincidences.dedup_by_key(|coincidence| coincidence.item);
        (drafts, coincidences)
    }

    /// Explains a group, then what the explanation leaves.
    fn divide(
        &self,
        mut places: Vec<Place>,
        group: Bits,
        drafts: &mut Vec<Draft>,
        coincidences: &mut Vec<Coincidence>,
    ) {
        let sites: Vec<Site> = places.iter().filter_map(|place| place.site).collect();
        let site = sites.first().copied();
        let rest_min = GROUP_MIN.max((group.count() as f64 * REST_SHARE_MIN).ceil() as u64);
        let peers = self.healthy_with_calls(&sites);
        let path = self.path(&group);
        let call_itself = self.call_itself(&sites);
        let ends = site.map_or([NONE; 2], |site| [site[0], site[1]]);
        let without_call = match site {
            Some(_) => self.cohorts.healthy.without(&peers),
            None => Bits::new(self.cohorts.slots()),
        };
        let below_call = |service: u32| self.is_below(&without_call, service);
        let all = group.clone();
        let beside_call = |item: usize| {
            let key = self.items.list[item].key;
            self.beside_call(&all, key)
                || carriers::known_in(self.spans, self.cohorts, &without_call, key)
        };
        let mut rest = group;
        for _ in 0..ROUNDS_MAX {
            if rest.count() < rest_min {
                return;
            }
            let explained = self.comparison.explain(&Question {
                group: &rest,
                peers: &peers,
                since: self.since,
                path: &path,
                site: ends,
                call_itself: &call_itself,
                below_call: &below_call,
                beside_call: &beside_call,
            });
            coincidences.extend(explained.coincidences);
            let Some(best) = explained.best else { break };
            let covered = rest.and(&best.set);
            let of = rest.clone();
            rest = rest.without(&covered);
            let next_g = explained.next_g;
            let site = site.or_else(|| self.main_site(&covered));
            let (parts, here) = (best.parts.clone(), places.clone());
            let explanation = Some(best);
            drafts.push(Draft { site, group: covered, of, places: here, explanation, next_g });
            places.iter_mut().for_each(|place| place.without.push(parts.clone()));
        }
        if rest.count() >= rest_min && site.is_some() {
            let of = rest.clone();
            drafts.push(Draft { site, group: rest, of, places, explanation: None, next_g: 0.0 });
        }
    }

    /// Healthy requests that made the same call.
    fn healthy_with_call(&self, site: Site) -> Bits {
        let [service, peer, name] = site;
        let of = |key: Key| self.items.list.iter().find(|item| item.key == key);
        let Some(named) = of([service, self.name, name]) else {
            return Bits::new(self.cohorts.slots());
        };
        let made = named.set.and(&self.cohorts.healthy);
        // One name may stand for calls to several peers: `POST`.
        of([service, self.calls, peer]).map_or_else(|| made.clone(), |item| made.and(&item.set))
    }

    /// Healthy requests that made one of these calls.
    pub(crate) fn healthy_with_calls(&self, sites: &[Site]) -> Bits {
        let mut made = Bits::new(self.cohorts.slots());
        sites.iter().for_each(|site| made.add(&self.healthy_with_call(*site)));
        made
    }

    /// Whether a service is visited only by requests that make a call, given those that do not.
    fn is_below(&self, without_call: &Bits, service: u32) -> bool {
        let without = without_call.count() as f64;
        let visits = self.visits.get(&service).map_or(0, |visits| visits.common(without_call));
        without > 0.0 && (visits as f64) < BESIDE_SHARE_MIN * without
    }

    /// Whether in most of these failing requests a span carries the item that is neither the
    /// failing call nor below it.
    fn beside_call(&self, group: &Bits, item: Key) -> bool {
        let (spans, forest) = (self.spans, self.forest);
        let [service, attribute, value] = item;
        let (name, value) = (spans.words.text(attribute), spans.words.text(value));
        let beside = |slot: &usize| {
            let row = self.origins[*slot].row as usize;
            // The call is the caller's span of it, where there is one.
            let caller = forest.up(row).nth(1).filter(|caller| spans.kind[*caller] == Kind::Exit);
            let call = caller.unwrap_or(row);
            let rows = forest.rows(spans.trace[row] as usize).iter().map(|row| *row as usize);
            rows.filter(|row| spans.service[*row] == service && !forest.is_repetition(*row))
                .filter(|row| carriers::carries(spans, *row, name, value))
                .any(|row| forest.up(row).all(|above| above != call))
        };
        let looked_at: Vec<usize> = group.members().take(LOOKED_AT_MAX).collect();
        looked_at.iter().filter(|slot| beside(slot)).count() * 2 > looked_at.len()
    }

    /// Services that take part in at least half of these failures.
    pub(crate) fn path(&self, group: &Bits) -> Vec<u32> {
        let mut counts: std::collections::BTreeMap<u32, u64> = Default::default();
        for slot in group.members() {
            for service in &self.origins[slot].path {
                *counts.entry(*service).or_default() += 1;
            }
        }
        let half = group.count().div_ceil(2);
        counts.into_iter().filter(|(_, count)| *count >= half).map(|(service, _)| service).collect()
    }

    /// Items that every request with one of these calls has because of the call.
    fn call_itself(&self, sites: &[Site]) -> Vec<Key> {
        let of = |[service, peer, name]: &Site| {
            [[*service, self.name, *name], [*service, self.calls, *peer]]
        };
        sites.iter().flat_map(of).collect()
    }

    /// The place in which more than half of these requests fail.
    fn main_site(&self, group: &Bits) -> Option<Site> {
        let mut counts: std::collections::BTreeMap<Site, u64> = Default::default();
        for slot in group.members() {
            *counts.entry(self.origins[slot].site).or_default() += 1;
        }
        let (site, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (count * 2 > group.count()).then_some(site)
    }
}

/// Drafts with one explanation are one cause that shows in several calls.
fn merge(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut merged: Vec<Draft> = Vec::new();
    for draft in drafts {
        let parts = |draft: &Draft| {
            let mut parts = draft.explanation.as_ref()?.parts.clone();
            parts.sort_unstable();
            Some(parts)
        };
        let wanted = parts(&draft);
        let known = merged.iter_mut().find(|known| wanted.is_some() && parts(known) == wanted);
        match known {
            // The larger group came first; its call speaks for both.
            Some(known) => {
                known.group.add(&draft.group);
                known.of.add(&draft.of);
                known.places.extend(draft.places);
            }
            None => merged.push(draft),
        }
    }
    merged
}
