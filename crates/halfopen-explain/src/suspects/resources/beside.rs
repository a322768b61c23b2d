//! What one instance of a service uses, beside its siblings at the same time.
//!
//! Rule: it uses at least twice as much as the next one, and lies ten times farther from it than
//! the others do from each other and than the points of each of them scatter, with three quarters
//! of its own points; more of these lie beyond twice the next one than chance brings there; where
//! the time before is known, it did not use twice as much then. Confusers: a leader among
//! followers, which always uses more (where nothing is known of the time before it cannot be told
//! from an outlier), and load that rises for all.

use std::collections::BTreeMap;

use halfopen_model::UnixNanos;
use halfopen_model::answer::Share;

use super::{
    NETWORK_WEIGHT, POINTS_BEFORE_MIN, RATIO_FULL, RATIO_MIN, Resources, SPREAD_PART, SPREADS_FULL,
    SPREADS_MIN, Series, rank,
};
use crate::suspects::eras::{Era, Eras};
use crate::suspects::siblings::{CHANCE_MAX, TRIES, chance};

/// Siblings that are needed where the time before is not known.
const SIBLINGS_MIN: usize = 2;

/// More series are not named in one query.
const SERIES_MAX: usize = 100;

/// A series of an instance that uses more than those of its siblings.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::suspects) struct OddSeries<'a> {
    pub(in crate::suspects) series: &'a Series,
    pub(in crate::suspects) id: u64,
    pub(in crate::suspects) instance: &'a str,
    /// The series of the others; empty where there are too many to name.
    pub(in crate::suspects) others: Vec<u64>,
    pub(in crate::suspects) count: usize,
    /// The first point that was read.
    pub(in crate::suspects) first: UnixNanos,
    /// What the other one uses that uses most, and what it uses itself.
    pub(in crate::suspects) typical: [f64; 2],
    /// Points of it and of the others.
    pub(in crate::suspects) points: [usize; 2],
    pub(in crate::suspects) score: f64,
}

/// What an instance used now and, where that is known, before.
struct Used<'a> {
    id: u64,
    series: &'a Series,
    instance: &'a str,
    now: f64,
    before: Option<f64>,
    /// Its lower and its upper quartile.
    quartiles: [f64; 2],
    /// Its points of now, in order.
    points: Vec<f64>,
}

impl Used<'_> {
    fn beyond(&self, limit: f64) -> Share {
        let above = self.points.len() - self.points.partition_point(|value| *value <= limit);
        Share::new(above as f64, self.points.len() as f64)
    }
}

impl Resources {
    /// Every instance that uses more than its siblings do.
    pub(in crate::suspects) fn beside(&self, eras: &Eras) -> Vec<OddSeries<'_>> {
        let mut of_name: BTreeMap<&str, BTreeMap<&str, Vec<Used<'_>>>> = BTreeMap::new();
        for (id, series) in &self.series {
            let instance = series.instance.as_deref().filter(|name| !name.is_empty());
            if let Some(used) = instance.and_then(|name| used(*id, series, name, eras)) {
                let services = of_name.entry(&series.name).or_default();
                services.entry(&series.service).or_default().push(used);
            }
        }
        let compared = of_name.values().flat_map(|services| services.values());
        let looked_at: usize = compared.map(Vec::len).filter(|count| *count > 1).sum();
        let of_services = of_name.values().flat_map(|services| {
            let mut all: Vec<f64> = services.values().flatten().map(|one| one.now.abs()).collect();
            all.sort_by(f64::total_cmp);
            // Half of what is usual is the least that can be doubled; of two the lower one is.
            let usual = all[(all.len() - 1) / 2] / 2.0;
            services.values().filter_map(move |all| odd(all, usual, looked_at * TRIES))
        });
        of_services.collect()
    }
}

fn used<'a>(id: u64, series: &'a Series, instance: &'a str, eras: &Eras) -> Option<Used<'a>> {
    let of = |wanted: Era| {
        let points = series.points.iter().filter(|(at, _)| eras.of(*at) == Some(wanted));
        let mut values: Vec<f64> = points.map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (now, before) = (of(Era::Now), of(Era::Before));
    (now.len() >= POINTS_BEFORE_MIN).then(|| Used {
        id,
        series,
        instance,
        now: now[(now.len() - 1) / 2],
        before: (before.len() >= POINTS_BEFORE_MIN).then(|| rank(&before, 0.5)),
        quartiles: [rank(&now, 0.25), rank(&now, 0.75)],
        points: now,
    })
}

/// The one that uses more. Instances with several series of one name are left out: what each of
/// them is of is not known.
fn odd<'a>(all: &[Used<'a>], usual: f64, looked_at: usize) -> Option<OddSeries<'a>> {
    let mut names: Vec<&str> = all.iter().map(|one| one.instance).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let mut all: Vec<&Used<'_>> = all.iter().collect();
    all.sort_by(|a, b| b.now.total_cmp(&a.now).then(a.id.cmp(&b.id)));
    let (one, others) = all.split_first()?;
    let (next, last) = (others.first()?.now, others.last()?.now);
    let scatters = others.iter().map(|other| other.quartiles[1] - other.quartiles[0]);
    let scatter = scatters.fold(next - last, f64::max);
    let spread = scatter.max(SPREAD_PART * next.abs().max(usual));
    let base = next.max(usual);
    if spread <= 0.0 || base <= 0.0 {
        return None;
    }
    let (spreads, ratio) = ((one.quartiles[0] - next) / spread, one.now / base);
    if spreads < SPREADS_MIN || ratio < RATIO_MIN {
        return None;
    }
    let mut rest = Share::default();
    for share in others.iter().map(|other| other.beyond(RATIO_MIN * base)) {
        rest = Share::new(rest.count + share.count, rest.total + share.total);
    }
    if chance(one.beyond(RATIO_MIN * base), rest) * looked_at as f64 > CHANCE_MAX {
        return None;
    }
    let before = others.iter().filter_map(|other| other.before).max_by(f64::total_cmp);
    match one.before.zip(before) {
        // How far it stood out then, by what was usual for all.
        Some((own, others)) if own.max(usual) * RATIO_MIN > others.max(usual) * ratio => {
            return None;
        }
        None if others.len() < SIBLINGS_MIN => return None,
        _ => {}
    }
    let weight = if one.series.class == "network" { NETWORK_WEIGHT } else { 1.0 };
    let size = (ratio.log2() / RATIO_FULL.log2()).min(1.0);
    let is_short = others.len() < SERIES_MAX;
    Some(OddSeries {
        series: one.series,
        id: one.id,
        instance: one.instance,
        others: if is_short { others.iter().map(|other| other.id).collect() } else { Vec::new() },
        count: others.len(),
        first: all.iter().map(|one| one.series.first).min().unwrap_or(one.series.first),
        typical: [next, one.now],
        points: [one.points.len(), rest.total as usize],
        score: weight * size * (spreads / SPREADS_FULL).min(1.0),
    })
}
