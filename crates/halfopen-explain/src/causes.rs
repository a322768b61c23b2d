//! From failing requests to causes: groups by the call that failed, the condition under which it
//! fails, and what is left when that is explained.

use crate::anchor::Requests;
use crate::bits::Bits;
use crate::cohorts::Cohorts;
use crate::difference::items::{CALLS, Items, Key, NAME};
use crate::difference::{Coincidence, Comparison, Explanation, Question};
use crate::intern::NONE;
use crate::origin::{self, Origin, Site};
use crate::spans::Spans;

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

/// A cause before it is put into words.
pub(crate) struct Draft {
    /// Where most of its requests fail, where they agree.
    pub(crate) site: Option<Site>,
    /// The failing requests, by slot.
    pub(crate) group: Bits,
    /// All that this group was taken from.
    pub(crate) of: Bits,
    pub(crate) explanation: Option<Explanation>,
    /// The next best explanation's statistic, for calibration.
    pub(crate) next_g: f64,
}

/// Everything that causes are made from.
pub(crate) struct Workshop<'w, 'a> {
    pub(crate) spans: &'w Spans<'a>,
    pub(crate) requests: &'w Requests,
    pub(crate) cohorts: &'w Cohorts,
    pub(crate) items: &'w Items,
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
        let mut rest = Bits::new(self.cohorts.slots());
        for (site, slots) in origin::by_site(self.spans, self.origins) {
            let group = Bits::of(self.cohorts.slots(), slots.iter().copied());
            if group.count() < group_min {
                rest.add(&group);
            } else {
                self.divide(Some(site), group, &mut drafts, &mut coincidences);
            }
        }
        if rest.count() >= group_min {
            self.divide(None, rest, &mut drafts, &mut coincidences);
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
        site: Option<Site>,
        group: Bits,
        drafts: &mut Vec<Draft>,
        coincidences: &mut Vec<Coincidence>,
    ) {
        let rest_min = GROUP_MIN.max((group.count() as f64 * REST_SHARE_MIN).ceil() as u64);
        let peers = site
            .map_or_else(|| Bits::new(self.cohorts.slots()), |site| self.healthy_with_call(site));
        let path = self.path(&group);
        let call_itself = self.call_itself(site);
        let ends = site.map_or([NONE; 2], |site| [site[0], site[1]]);
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
            });
            coincidences.extend(explained.coincidences);
            let Some(best) = explained.best else { break };
            let covered = rest.and(&best.set);
            let of = rest.clone();
            rest = rest.without(&covered);
            let next_g = explained.next_g;
            let site = site.or_else(|| self.main_site(&covered));
            drafts.push(Draft { site, group: covered, of, explanation: Some(best), next_g });
        }
        if rest.count() >= rest_min && site.is_some() {
            let of = rest.clone();
            drafts.push(Draft { site, group: rest, of, explanation: None, next_g: 0.0 });
        }
    }

    /// Healthy requests that made the same call.
    pub(crate) fn healthy_with_call(&self, site: Site) -> Bits {
        let [service, _, name] = site;
        let same = |item: &&crate::difference::items::Item| item.key == [service, self.name, name];
        let item = self.items.list.iter().find(same);
        item.map_or_else(
            || Bits::new(self.cohorts.slots()),
            |item| item.set.and(&self.cohorts.healthy),
        )
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

    /// Items that every request with this call has because of the call.
    fn call_itself(&self, site: Option<Site>) -> Vec<Key> {
        let Some([service, peer, name]) = site else { return Vec::new() };
        vec![[service, self.name, name], [service, self.calls, peer]]
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
            }
            None => merged.push(draft),
        }
    }
    merged
}
