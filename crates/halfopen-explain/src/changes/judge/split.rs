//! Requests split by the versions, or instances, of the services that changed.

use std::collections::BTreeSet;

use super::{
    Change, Counts, Facts, SPLIT_MIN, SPLIT_P_MAX, SPLIT_RATIO_MIN, Seen, same_version, since,
};
use crate::difference::significance::Sides;
use crate::intern::{FoldMap, NONE};

/// Versions and instances of changed services, by request.
pub(super) struct Values {
    versions: FoldMap<u32, Vec<(u32, u32)>>,
    instances: FoldMap<u32, Vec<(u32, u32)>>,
}

impl Values {
    /// Reads (value, request) pairs of every changed service in one pass.
    pub(super) fn read(facts: &Facts<'_, '_>, changes: &[&Change]) -> Values {
        let spans = facts.spans;
        let code = |change: &&Change| {
            change.service.as_deref().and_then(|service| spans.words.find(service))
        };
        let services: BTreeSet<u32> = changes.iter().filter_map(code).collect();
        let mut by_trace = vec![NONE; spans.trace_ids.len()];
        for number in facts.members {
            let request = &facts.requests.all[*number as usize];
            if !request.baseline {
                by_trace[request.trace as usize] = *number;
            }
        }
        let mut values = Values { versions: FoldMap::default(), instances: FoldMap::default() };
        for row in (0..spans.baseline_from).filter(|row| services.contains(&spans.service[*row])) {
            let trace = spans.trace[row] as usize;
            let Some(request) = by_trace.get(trace).copied().filter(|r| *r != NONE) else {
                continue;
            };
            for (column, into) in
                [(&spans.version, &mut values.versions), (&spans.instance, &mut values.instances)]
            {
                if column[row] != NONE {
                    into.entry(spans.service[row]).or_default().push((column[row], request));
                }
            }
        }
        for pairs in values.versions.values_mut().chain(values.instances.values_mut()) {
            pairs.sort_unstable();
            pairs.dedup();
        }
        values
    }

    /// Splits requests since a change by its service's versions, or instances.
    pub(super) fn see(&self, facts: &Facts<'_, '_>, change: &Change, tests: f64) -> Seen {
        let mut seen = Seen {
            change: change.clone(),
            split: Vec::new(),
            new: None,
            p_value: 1.0,
            supported: false,
            splits: false,
        };
        let words = &facts.spans.words;
        let service = change.service.as_deref().and_then(|service| words.find(service));
        let Some(service) = service else { return seen };
        let by_instance = change.instance.is_some();
        let pairs = if by_instance { &self.instances } else { &self.versions };
        let pairs = pairs.get(&service).map(Vec::as_slice).unwrap_or_default();
        seen.split = split(facts, pairs, since(facts, change));
        let wanted = if by_instance { &change.instance } else { &change.version };
        seen.new = wanted.as_deref().and_then(|wanted| {
            let same = |(value, _): &&(u32, Counts)| same_version(wanted, Some(words.text(*value)));
            seen.split.iter().find(same).map(|(value, _)| *value)
        });
        let Some(new) = seen.new else { return seen };
        let (mut with, mut without) = (Counts::default(), Counts::default());
        for (value, counts) in &seen.split {
            let side = if *value == new { &mut with } else { &mut without };
            side.failing += counts.failing;
            side.total += counts.total;
        }
        seen.splits = without.total >= SPLIT_MIN && with.total > 0;
        if seen.splits {
            let (failing_total, total) =
                (with.failing + without.failing, with.total + without.total);
            let sides = Sides {
                failing: with.failing,
                failing_total,
                healthy: with.total - with.failing,
                healthy_total: total - failing_total,
            };
            let rate = |counts: &Counts| counts.failing as f64 / counts.total.max(1) as f64;
            seen.p_value = sides.p_value() * tests;
            seen.supported =
                seen.p_value <= SPLIT_P_MAX && rate(&with) >= SPLIT_RATIO_MIN * rate(&without);
        }
        seen
    }
}

/// Counts requests since `since` by value. Requests that fail for another cause are left out.
fn split(facts: &Facts<'_, '_>, pairs: &[(u32, u32)], since: i64) -> Vec<(u32, Counts)> {
    let mut counts: Vec<(u32, Counts)> = Vec::new();
    for (value, number) in pairs {
        let request = &facts.requests.all[*number as usize];
        let failing = facts.failing.contains(number);
        if request.start < since || request.start >= facts.until || (request.failed && !failing) {
            continue;
        }
        if counts.last().is_none_or(|(last, _)| last != value) {
            counts.push((*value, Counts::default()));
        }
        let Some((_, last)) = counts.last_mut() else { continue };
        let weight = f64::from(request.weight);
        last.total += 1;
        last.share.total += weight;
        if failing {
            last.failing += 1;
            last.share.count += weight;
        }
    }
    counts
}
