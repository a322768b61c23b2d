//! From observations to suspects: the strongest counts, agreement adds a little, what a
//! dependency explains is taken from its callers, and who stands out is judged against the others.

use std::collections::{BTreeMap, BTreeSet};

use halfopen_model::answer::{AfterChange, Deviation, INSTANCE_OUTLIER, Strength, Suspect};

/// What a second kind that agrees adds: a part of its own score.
const AGREEMENT: f64 = 0.1;

/// A caller's change is explained by something below it that stands out at least so much...
const EXPLAINED_PART: f64 = 0.5;

/// ...and then counts only so much.
const EXPLAINED_WEIGHT: f64 = 0.5;

/// A suspect stands out at least so far...
const LIKELY_MIN: f64 = 0.5;

/// ...and so far where it rests on what it writes and whom it calls: these depend on what it is
/// asked for, and the mix of requests of two times is never quite the same...
const LIKELY_MIN_OF_MIX: f64 = 0.8;

/// Kinds that move with the mix of requests.
const OF_MIX: [&str; 3] = ["call_count", "call_shape", "log_statement"];

/// ...and a strong one so far...
const STRONG_MIN: f64 = 0.75;

/// ...and so many times farther than the next one that it does not explain.
const STRONG_LEAD_MIN: f64 = 1.3;

/// Where so many services stand out alike, the times differ as a whole and nobody is suspect...
const ALIKE: usize = 3;

/// ...which is so when the last of them reaches this part of the first.
const ALIKE_PART: f64 = 0.8;

/// More suspects than this are no help.
pub(super) const SUSPECTS_MAX: usize = 10;

/// So much of its evidence is shown for one suspect.
const EVIDENCE_MAX: usize = 8;

/// One observation about a service.
pub(super) struct Observed {
    pub(super) service: String,
    pub(super) instance: Option<String>,
    /// Whether it can only come from the service itself: its own time, its own use of resources.
    /// What a service writes, whom it calls and how it fails may follow from another.
    pub(super) own: bool,
    /// The change that brought the version that it is about.
    pub(super) after: Option<AfterChange>,
    pub(super) deviation: Deviation,
}

/// Who calls whom, by name.
pub(super) type Calls = BTreeMap<String, BTreeSet<String>>;

/// Orders services by how much they stand out. `is_long`: both times are long enough to suspect
/// somebody; load comes in waves.
pub(super) fn suspects(mut observed: Vec<Observed>, calls: &Calls, is_long: bool) -> Vec<Suspect> {
    observed.retain(|one| one.deviation.score > 0.0);
    observed.sort_by(|a, b| {
        let by_score = b.deviation.score.total_cmp(&a.deviation.score);
        by_score.then_with(|| {
            (a.deviation.kind, &a.deviation.subject).cmp(&(b.deviation.kind, &b.deviation.subject))
        })
    });
    let mut of_service: BTreeMap<String, Vec<Observed>> = BTreeMap::new();
    for one in observed {
        of_service.entry(one.service.clone()).or_default().push(one);
    }
    let scores: BTreeMap<&str, f64> =
        of_service.iter().map(|(service, all)| (service.as_str(), score(all, false))).collect();
    let mut found = Vec::new();
    for (service, all) in &of_service {
        let below = below(service, calls);
        let of_below = below.iter().filter_map(|name| scores.get(name)).copied();
        let deepest = of_below.fold(0.0, f64::max);
        let whole = scores[service.as_str()];
        let explained = deepest >= EXPLAINED_PART * whole;
        let weight = if explained { EXPLAINED_WEIGHT } else { 1.0 };
        let score = (whole * weight).max(score(all, true));
        found.push(suspect(service, all, score));
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.service.cmp(&b.service)));
    found.truncate(SUSPECTS_MAX);
    judge(&mut found, calls, is_long);
    found
}

/// The strongest, and a little for each other kind. `own`: only what cannot come from others.
fn score(all: &[Observed], own: bool) -> f64 {
    let mut of_kind: BTreeMap<&str, f64> = BTreeMap::new();
    for one in all.iter().filter(|one| one.own || !own) {
        let best = of_kind.entry(one.deviation.kind).or_default();
        *best = best.max(one.deviation.score);
    }
    let strongest = of_kind.values().copied().fold(0.0, f64::max);
    strongest + AGREEMENT * (of_kind.values().sum::<f64>() - strongest)
}

fn suspect(service: &str, all: &[Observed], score: f64) -> Suspect {
    let mut evidence: Vec<Deviation> = Vec::new();
    for one in all {
        let same = |known: &&Deviation| known.kind == one.deviation.kind;
        if evidence.iter().filter(same).count() < EVIDENCE_MAX / 2 {
            evidence.push(one.deviation.clone());
        }
    }
    evidence.truncate(EVIDENCE_MAX);
    Suspect {
        strength: Strength::Weak,
        service: service.to_owned(),
        instance: instance(all),
        after: all.iter().filter(|one| explains(one, all)).find_map(|one| one.after.clone()),
        score,
        evidence,
        path: Vec::new(),
        explains: Vec::new(),
    }
}

/// The instance of the strongest evidence, or one that is unlike its siblings and stands out well
/// enough to explain the rest.
fn instance(all: &[Observed]) -> Option<String> {
    let first = all.first()?;
    let is_odd = |one: &&Observed| one.deviation.kind == INSTANCE_OUTLIER && explains(one, all);
    first.instance.clone().or_else(|| all.iter().find(is_odd)?.instance.clone())
}

/// Whether one observation stands out well enough to explain the others.
fn explains(one: &Observed, all: &[Observed]) -> bool {
    let most = all.first().map_or(0.0, |first| first.deviation.score);
    one.deviation.score >= EXPLAINED_PART * most
}

/// How much each bears among the others, and what it explains.
fn judge(found: &mut [Suspect], calls: &Calls, is_long: bool) {
    let scores: Vec<f64> = found.iter().map(|suspect| suspect.score).collect();
    let explains: Vec<Vec<String>> = found
        .iter()
        .map(|suspect| {
            let calls_it = |other: &&Suspect| {
                other.service != suspect.service
                    && below(&other.service, calls).contains(suspect.service.as_str())
                    && other.score < suspect.score
            };
            found.iter().filter(calls_it).map(|other| other.service.clone()).collect()
        })
        .collect();
    let first = scores.first().copied().unwrap_or(0.0);
    let alike = scores.get(ALIKE - 1).is_some_and(|score| *score >= ALIKE_PART * first);
    for (place, suspect) in found.iter_mut().enumerate() {
        let others = scores.iter().enumerate().filter(|(other, _)| *other != place);
        let next = others.map(|(_, score)| *score).fold(0.0, f64::max);
        let leads = suspect.score >= STRONG_LEAD_MIN * next;
        let of_mix = suspect.evidence.first().is_some_and(|best| OF_MIX.contains(&best.kind));
        let least = if of_mix { LIKELY_MIN_OF_MIX } else { LIKELY_MIN };
        suspect.strength = if alike || !is_long || suspect.score < least {
            Strength::Weak
        } else if suspect.score >= STRONG_MIN && leads {
            Strength::Strong
        } else {
            Strength::Likely
        };
    }
    let strongest = found.first().map_or(0.0, |suspect| suspect.score);
    for (suspect, explains) in found.iter_mut().zip(explains) {
        if suspect.strength >= Strength::Likely && suspect.score >= strongest {
            suspect.explains = explains;
        }
    }
}

/// These services and all that they call, directly or not.
pub(super) fn with_below(tops: BTreeSet<String>, calls: &Calls) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for top in &tops {
        all.extend(below(top, calls).into_iter().map(str::to_owned));
    }
    all.extend(tops);
    all
}

/// All services that one calls, directly or not, without itself.
fn below<'a>(service: &'a str, calls: &'a Calls) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![service]);
    while let Some(at) = open.pop() {
        for callee in calls.get(at).into_iter().flatten() {
            if seen.insert(callee.as_str()) {
                open.push(callee);
            }
        }
    }
    seen.remove(service);
    seen
}

#[cfg(test)]
#[path = "../../tests/unit/suspects_combine.rs"]
mod tests;
