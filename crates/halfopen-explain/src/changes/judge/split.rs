//! Requests split by the versions, configurations or instances of the services that changed.

use std::collections::BTreeSet;

use super::{
    Change, Counts, Facts, SPLIT_MIN, SPLIT_P_MAX, SPLIT_RATIO_MIN, Seen, SplitBy, same_version,
    since, split_by,
};
use crate::difference::significance::Sides;
use crate::intern::{FoldMap, NONE};

/// (value, request) pairs by service.
type Pairs = FoldMap<u32, Vec<(u32, u32)>>;

/// Versions, configurations and instances of changed services, by request.
#[derive(Default)]
pub(super) struct Values {
    versions: Pairs,
    configs: Pairs,
    instances: Pairs,
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
        let mut values = Values::default();
        for row in (0..spans.baseline_from).filter(|row| services.contains(&spans.service[*row])) {
            let trace = spans.trace[row] as usize;
            let Some(request) = by_trace.get(trace).copied().filter(|r| *r != NONE) else {
                continue;
            };
            let [version, _, _, config, instance, _] = spans.state(row);
            for (value, into) in [
                (version, &mut values.versions),
                (config, &mut values.configs),
                (instance, &mut values.instances),
            ] {
                if value != NONE {
                    into.entry(spans.service[row]).or_default().push((value, request));
                }
            }
        }
        for pairs in [&mut values.versions, &mut values.configs, &mut values.instances] {
            for pairs in pairs.values_mut() {
                pairs.sort_unstable();
                pairs.dedup();
            }
        }
        values
    }

    /// Splits requests since a change by what it changed in its service.
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
        let (by, wanted) = split_by(change);
        let pairs = match by {
            SplitBy::Version => &self.versions,
            SplitBy::Config => &self.configs,
            SplitBy::Instance => &self.instances,
        };
        let pairs = pairs.get(&service).map(Vec::as_slice).unwrap_or_default();
        seen.split = split(facts, pairs, since(facts, change));
        seen.new = wanted.and_then(|wanted| {
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
