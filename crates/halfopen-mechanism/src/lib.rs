//! Which change did it, judged by what it can do and not by when it came.
//!
//! What happens is read from what systems say of themselves (`symptom`, `moved`), what a change
//! does from its diff (`effect`). A change is named when what it does brings about what happens,
//! in the service where it happens or in what that service is made of, and it ran before. Being
//! the last one before the trouble is no reason: of 24 incidents of RootCauseBench the last deploy
//! did 1.
//!
//! **Invariant:** no IO, no clock; the same evidence always gives the same verdict.
//!
//! It takes more to convict than to abstain: what comes from outside (names, certificates, hosts
//! of others, machines, traffic) is no change's doing, and what is of no known kind is not judged.

mod candidate;
mod diff;
mod effect;
mod known;
mod moved;
mod number;
mod symptom;

use arrow::array::RecordBatch;
use halfopen_model::answer::{ChangeChoice, ChangeVerdict, Happening, NamedChange};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

use candidate::{Candidate, Touch, candidates, touches};
use effect::{Effect, Kind};
use known::Mechanism;
use symptom::{Sign, signs};

/// Clocks of a log and of a deploy tool agree to about a minute.
const CLOCKS_NS: i64 = 60 * SECOND_NS;

/// Happenings and excluded changes that are told.
const TOLD_MAX: usize = 8;

/// What the judgement rests on.
#[derive(Clone, Copy, Debug)]
pub struct MechanismEvidence<'a> {
    /// Log records of warnings and worse, of the window and of as much time before it.
    pub logs: &'a [RecordBatch],
    /// Points of metrics of the window and of the time before it.
    pub points: &'a [RecordBatch],
    /// Changes in the window and in the hours before it.
    pub changes: &'a [RecordBatch],
}

/// A change that can do what happens.
struct Match<'m> {
    candidate: &'m Candidate,
    effect: &'m Effect,
    /// Index into the signs.
    sign: usize,
    /// What speaks for it, the weightiest first.
    weight: (usize, Touch, bool, usize, UnixNanos),
}

/// Judges the changes before and in a window. `None` where there is no change to judge.
pub fn judge(window: TimeRange, evidence: MechanismEvidence<'_>) -> Option<ChangeVerdict> {
    let candidates = candidates(evidence.changes);
    if candidates.is_empty() {
        return None;
    }
    let signs = signs(evidence.logs, evidence.points, window);
    let mut matches = matches(&candidates, &signs);
    matches.sort_by_key(|found| std::cmp::Reverse(found.weight));
    let choice = choose(&candidates, &signs, &matches);
    let named = match &choice {
        ChangeChoice::Named(named) => named.change_id.as_str(),
        _ => "",
    };
    let ruled_out = ruled_out(&candidates, &signs, named);
    let happens = signs.iter().take(TOLD_MAX).map(happening).collect();
    Some(ChangeVerdict { happens, choice, changes: candidates.len(), ruled_out })
}

fn happening(sign: &Sign) -> Happening {
    Happening {
        mechanism: sign.mechanism.name(),
        says: sign.mechanism.says(),
        service: sign.service.clone(),
        sign: sign.text.clone(),
        since: sign.since,
        count: sign.count,
    }
}

/// Every pair of a sign and a change that does what it takes, in time and in place.
fn matches<'m>(candidates: &'m [Candidate], signs: &[Sign]) -> Vec<Match<'m>> {
    let mut found = Vec::new();
    for (number, sign) in signs.iter().take(TOLD_MAX).enumerate() {
        for candidate in candidates {
            let near = nearness(candidate, sign);
            let in_time = candidate.at <= sign.since.shifted(CLOCKS_NS);
            if !in_time || near == Touch::Elsewhere {
                continue;
            }
            for effect in &candidate.effects {
                if sign.mechanism.comes_from(effect) && fits(effect, sign) {
                    let shared = effect.words.iter().filter(|word| sign.words.contains(*word));
                    let shared = shared.collect::<std::collections::BTreeSet<_>>().len();
                    let earliest = signs.len() - number;
                    let weight = (earliest, near, candidate.is_deployed, shared, candidate.at);
                    found.push(Match { candidate, effect, sign: number, weight });
                }
            }
        }
    }
    found
}

/// How near a change is to the service that gives the sign.
fn nearness(candidate: &Candidate, sign: &Sign) -> Touch {
    let files = touches(&candidate.files, &sign.service);
    match &candidate.service {
        Some(service) if *service == sign.service => Touch::Named.max(files),
        // Deployed elsewhere, with files of its own there: not here.
        Some(_)
            if candidate.is_deployed && files == Touch::Shared && candidate.files.is_empty() =>
        {
            Touch::Elsewhere
        }
        _ => files,
    }
}

/// What an effect must share with a sign beyond its kind.
fn fits(effect: &Effect, sign: &Sign) -> bool {
    let shares = || {
        let long = effect.words.iter().filter(|word| word.len() > 3);
        long.into_iter().any(|word| {
            sign.words.iter().any(|sign| {
                sign.len() > 3
                    && (sign.starts_with(word.as_str()) || word.starts_with(sign.as_str()))
            })
        })
    };
    match (sign.mechanism, effect.kind) {
        // The library that does not fit is named by what does not fit.
        (Mechanism::Incompatible | Mechanism::Schema, Kind::Dependency) => shares(),
        // One address that is wrong is one host that fails.
        (Mechanism::NameUnresolved | Mechanism::Unreachable, _) => {
            sign.hosts.len() <= 1
                && sign.hosts.iter().any(|host| effect.says.contains(host.as_str()))
        }
        (Mechanism::Unauthorised | Mechanism::Schema | Mechanism::NotRegistered, _) => shares(),
        _ => true,
    }
}

fn choose(candidates: &[Candidate], signs: &[Sign], matches: &[Match<'_>]) -> ChangeChoice {
    let Some(first) = signs.first() else {
        return ChangeChoice::NotEnough("nothing that happens is of a known kind".to_owned());
    };
    let outside: Vec<&Sign> = signs.iter().filter(|sign| sign.mechanism.is_outside()).collect();
    // What comes from outside explains the rest, unless something of ours came before it.
    if first.mechanism.is_outside() || outside.len() * 2 > signs.len() {
        let sign = outside[0];
        let best = matches.iter().find(|found| signs[found.sign].mechanism == sign.mechanism);
        if best.is_none() {
            return ChangeChoice::NoneOfThese(format!(
                "{}, and no change before it can do that",
                sign.mechanism.says()
            ));
        }
    }
    match matches {
        [] => {
            let before = candidates.iter().filter(|c| c.at <= first.since.shifted(CLOCKS_NS));
            ChangeChoice::NotEnough(format!(
                "{}, and none of the {} changes before it is known to do that",
                first.mechanism.says(),
                before.count()
            ))
        }
        [best, others @ ..] => {
            let rival = others.iter().find(|other| {
                other.candidate.change_id != best.candidate.change_id
                    && other.candidate.commit != best.candidate.commit
                    && other.weight == best.weight
            });
            match rival {
                Some(rival) => ChangeChoice::NotEnough(format!(
                    "\"{}\" and \"{}\" can both do that",
                    best.candidate.title, rival.candidate.title
                )),
                None => ChangeChoice::Named(Box::new(named(best))),
            }
        }
    }
}

fn named(best: &Match<'_>) -> NamedChange {
    let candidate = best.candidate;
    NamedChange {
        change_id: candidate.change_id.clone(),
        commit: candidate.commit.clone(),
        title: candidate.title.clone(),
        service: candidate.service.clone(),
        at: candidate.at,
        does: best.effect.says.clone(),
        happening: best.sign,
    }
}

/// Deployed changes and flags near the begin that were not named, each with the reason.
fn ruled_out(candidates: &[Candidate], signs: &[Sign], named: &str) -> Vec<String> {
    let Some(first) = signs.first() else { return Vec::new() };
    let mut told: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.is_deployed && candidate.change_id != named)
        .collect();
    told.sort_by_key(|candidate| candidate.at.since(first.since).abs());
    let reason = |candidate: &Candidate| {
        if candidate.at > first.since.shifted(CLOCKS_NS) {
            "came after it began".to_owned()
        } else if nearness(candidate, first) == Touch::Elsewhere {
            format!("is of another service than {}", first.service)
        } else if let Some(effect) = candidate.effects.first() {
            format!("{}, which does not bring this about", effect.says)
        } else {
            "does nothing that brings this about".to_owned()
        }
    };
    let line = |candidate: &&Candidate| format!("{}: {}", candidate.title, reason(candidate));
    told.iter().take(TOLD_MAX).map(line).collect()
}
