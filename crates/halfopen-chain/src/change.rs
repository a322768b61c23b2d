//! The last hop: the change that began it, none of those that are known, or nothing known.

use halfopen_model::answer::{
    AfterChange, Cause, ChangeChoice, ChangeVerdict, Confidence, Contrast, Deviation, Evidence,
    Hop, HopKind, NamedChange, Refutation, Strength, WhyAnswer,
};
use halfopen_model::figure::{show_about, show_clock, show_share};
use halfopen_model::time::SECOND_NS;

use super::{by_query, of_contrast, words};

/// Versions of a split that are told.
const SPLIT_MAX: usize = 4;

/// Changes are looked for so long before what they would explain.
const BEFORE_NS: i64 = 6 * 3_600 * SECOND_NS;

/// Characters of a line of a log that are told.
const SIGN_CHARS_MAX: usize = 120;

/// After which change a cause began: one that its requests support, else one whose diff can do
/// what happens.
pub(super) fn of_cause(answer: &WhyAnswer, cause: &Cause) -> Hop {
    let split = cause.evidence.iter().find(|one| one.kind == "version_split");
    let verdict = answer.change.as_ref();
    let can_do = verdict.and_then(named);
    match (cause.after.first(), can_do) {
        (Some(after), Some(can)) if after.change_id.as_ref() == Some(&can.change_id) => {
            let mut hop = self::after(answer, after, split, true);
            hop.notes.push(can.does.clone());
            hop
        }
        (Some(after), _) => self::after(answer, after, split, false),
        (None, _) => of_verdict(answer),
    }
}

/// The change that brought the one version of a service that is not as the others are at the same
/// time.
pub(super) fn of_version(
    answer: &WhyAnswer,
    after: &AfterChange,
    split: &Deviation,
    numbers: String,
) -> Hop {
    let can_do = answer.change.as_ref().and_then(named);
    let can_do = can_do.filter(|can| after.change_id.as_ref() == Some(&can.change_id));
    let hop = self::after(answer, after, None, can_do.is_some());
    Hop {
        numbers: format!("{}  {numbers}", split.subject),
        notes: can_do.map(|can| can.does.clone()).into_iter().collect(),
        evidence: vec![split.id.clone()],
        query: split.query.clone(),
        confidence: Confidence::Likely,
        refuted_by: by_query("the other versions take as long, or fail as often (before)"),
        ..hop
    }
}

/// The chain of what services say of themselves, where no requests tell more.
pub(super) fn hops(answer: &WhyAnswer) -> Vec<Hop> {
    let verdict = answer.change.as_ref();
    let place = verdict.and_then(named).map_or(0, |change| change.happening);
    let happening = verdict.and_then(|verdict| verdict.happens.get(place));
    let mut hops: Vec<Hop> =
        (answer.failing.count > 0.0).then(|| super::symptom(answer)).into_iter().collect();
    hops.extend(happening.map(|one| {
        let line: String = one.sign.chars().take(SIGN_CHARS_MAX).collect();
        let kind = if hops.is_empty() { HopKind::Symptom } else { HopKind::Origin };
        Hop {
            kind,
            statement: format!("{}: {} since {}", one.service, one.says, show_clock(one.since)),
            numbers: format!("{} times", one.count),
            notes: vec![line],
            evidence: Vec::new(),
            query: None,
            confidence: Confidence::Likely,
            refuted_by: Refutation {
                check: format!(
                    "halfopen query \"select time, body from logs where service = {} and \
                     time >= '{}' order by time limit 20\"",
                    halfopen_model::shell::quoted(&one.service),
                    one.since
                ),
                result: "the lines speak of something else".to_owned(),
            },
        }
    }));
    let mut last = of_verdict(answer);
    // What happens is told already.
    last.notes.truncate(usize::from(verdict.and_then(named).is_some()));
    hops.push(last);
    hops
}

/// What can be said without requests that tell versions apart.
pub(super) fn of_verdict(answer: &WhyAnswer) -> Hop {
    let Some(verdict) = &answer.change else { return not_known(answer, None) };
    match &verdict.choice {
        ChangeChoice::Named(change) => by_mechanism(answer, verdict, change),
        ChangeChoice::NoneOfThese(reason) => none(answer, verdict, reason),
        ChangeChoice::NotEnough(reason) => not_known(answer, Some(reason)),
    }
}

fn named(verdict: &ChangeVerdict) -> Option<&NamedChange> {
    match &verdict.choice {
        ChangeChoice::Named(change) => Some(change),
        ChangeChoice::NoneOfThese(_) | ChangeChoice::NotEnough(_) => None,
    }
}

/// A change near the onset. `can_do`: its diff does what happens, too.
fn after(answer: &WhyAnswer, after: &AfterChange, split: Option<&Evidence>, can_do: bool) -> Hop {
    let what = match (&after.service, &after.version) {
        (Some(service), Some(version)) => format!("{} {service} {version}", after.kind),
        _ => format!("{}: {}", after.kind, after.title),
    };
    let distance = match (answer.onset, after.before_onset_ns) {
        (None, _) => String::new(),
        // Which of the two came first cannot be told.
        (Some(onset), before) if before.saturating_abs() <= onset.within_ns => {
            " (at the onset)".to_owned()
        }
        (_, before @ 0..) => format!(" ({} before the onset)", show_about(before)),
        (_, late) => format!(" ({} after the onset)", show_about(late.saturating_neg())),
    };
    let of_value = after.split.iter().take(SPLIT_MAX);
    let values = of_value
        .map(|one| format!("{}: {} {}", one.value, show_share(one.failing), words(answer).failed));
    let contrast = split.map(|one| Contrast { failing: one.failing, healthy: one.healthy });
    let compared = contrast.filter(|contrast| contrast.healthy.total > 0.0);
    let confidence = match compared {
        Some(contrast) => of_contrast(&contrast, Strength::Strong),
        // All requests met it: that it came just before is no proof.
        None if can_do => Confidence::Likely,
        None => Confidence::Inconclusive,
    };
    let refuted_by = match compared {
        Some(_) => by_query("the other versions fail as often (healthy / healthy_of)"),
        None => Refutation {
            check: "take it back, then ask again".to_owned(),
            result: "requests fail as before".to_owned(),
        },
    };
    Hop {
        kind: HopKind::Change,
        statement: format!("after {what} at {}{distance}", show_clock(after.at)),
        numbers: values.collect::<Vec<_>>().join(" · "),
        notes: Vec::new(),
        evidence: split.map(|one| one.id.clone()).into_iter().collect(),
        query: split.and_then(|one| one.query.clone()),
        confidence,
        refuted_by,
    }
}

/// A change whose diff does what happens.
fn by_mechanism(answer: &WhyAnswer, verdict: &ChangeVerdict, change: &NamedChange) -> Hop {
    let mut notes = vec![change.does.clone()];
    notes.extend(sign(verdict, change.happening));
    let of = change.service.as_deref().map_or(String::new(), |service| format!(" of {service}"));
    let commit = change.commit.as_deref().map_or(String::new(), |commit| {
        format!(" ({})", commit.chars().take(12).collect::<String>())
    });
    let at = show_clock(change.at);
    Hop {
        kind: HopKind::Change,
        statement: format!("after the change{of}{commit} at {at}: {}", change.title),
        numbers: String::new(),
        notes,
        evidence: Vec::new(),
        query: None,
        // What it does is what happens; whether it is the only thing that could is not tested.
        confidence: Confidence::Likely,
        refuted_by: Refutation {
            check: changes(answer),
            result: "it was not running yet when this began, or not in this service; or take it \
                     back, and it happens as before"
                .to_owned(),
        },
    }
}

/// What a service says of itself: the sign of a way of failing.
fn sign(verdict: &ChangeVerdict, happening: usize) -> Vec<String> {
    let Some(one) = verdict.happens.get(happening) else { return Vec::new() };
    let line: String = one.sign.chars().take(SIGN_CHARS_MAX).collect();
    let since = show_clock(one.since);
    vec![format!("{}: {} since {since}, {} times", one.says, one.service, one.count), line]
}

fn none(answer: &WhyAnswer, verdict: &ChangeVerdict, reason: &str) -> Hop {
    let changes_known = match verdict.changes {
        1 => "the 1 known change".to_owned(),
        count => format!("none of {count} known changes"),
    };
    let did_it = if verdict.changes == 1 { "did not do it" } else { "did it" };
    Hop {
        kind: HopKind::End,
        statement: format!("{changes_known} {did_it}: {reason}"),
        numbers: String::new(),
        notes: sign(verdict, 0),
        evidence: Vec::new(),
        query: None,
        confidence: Confidence::Likely,
        refuted_by: Refutation {
            check: changes(answer),
            result: "lists a change that can do this, before it began, in the service where it \
                     happens"
                .to_owned(),
        },
    }
}

fn not_known(answer: &WhyAnswer, reason: Option<&String>) -> Hop {
    let statement = match reason {
        Some(reason) => format!("what began it is not known: {reason}"),
        None => "what began it is not known: no change is known of this time".to_owned(),
    };
    Hop {
        kind: HopKind::End,
        statement,
        numbers: String::new(),
        notes: Vec::new(),
        evidence: Vec::new(),
        query: None,
        confidence: Confidence::Inconclusive,
        refuted_by: Refutation {
            check: changes(answer),
            result: "lists a change of these services just before it began".to_owned(),
        },
    }
}

/// The command that lists what changed before and in the window.
fn changes(answer: &WhyAnswer) -> String {
    let from = answer.window.from.shifted(-BEFORE_NS);
    format!("halfopen changes --from {from} --to {}", answer.window.to)
}
