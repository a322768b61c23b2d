//! The chain of a suspect: requests that take longer, or none that do; the calls on the way down;
//! what stands out at the service.

use halfopen_model::answer::{
    Confidence, Deviation, Hop, HopKind, Refutation, RuledOut, Strength, Suspect, Suspects,
    VERSION_SPLIT, Verdict, WhyAnswer,
};
use halfopen_model::figure::{show_amount, show_clock, show_count};

use super::{ask, by_query, change, requests};

/// A call carries what makes the request slow when it adds this part of it...
const CARRIES_MIN: f64 = 0.5;

/// ...and without doubt with this part, in so many requests of each time.
const CARRIES_SURELY_MIN: f64 = 0.8;
const SAMPLES_MIN: u64 = 10;

/// More evidence of one hop is told in `--all`.
const EVIDENCE_MAX: usize = 4;

/// Other services that are told to stand out less.
const OTHERS_MAX: usize = 3;

/// The first suspect, where there is one.
pub(super) fn first(answer: &WhyAnswer) -> Option<(&Suspects, &Suspect)> {
    let suspects = answer.suspects.as_ref()?;
    let first = suspects.list.first().filter(|suspect| suspect.strength >= Strength::Likely)?;
    Some((suspects, first))
}

pub(super) fn hops(answer: &WhyAnswer, suspects: &Suspects, suspect: &Suspect) -> Vec<Hop> {
    let mut hops = vec![symptom(answer, suspects)];
    // What takes no longer than before carries nothing: then the way alone is told.
    let mut slower: Vec<&Deviation> = suspect.path.iter().filter(|call| call.score > 0.0).collect();
    if slower.len() < suspect.path.len() {
        slower.retain(|call| Some(*call) == suspect.path.last());
    }
    let mut above = suspects.symptom.as_ref();
    for one in slower {
        hops.push(call(one, above));
        above = Some(one);
    }
    let mut origin = origin(answer, suspect);
    origin.notes.extend(way(suspect));
    hops.push(origin);
    let best = suspect.evidence.iter().find(|one| one.kind == VERSION_SPLIT);
    hops.push(match suspect.after.as_ref().zip(best) {
        Some((after, split)) => change::of_version(answer, after, split, times(split)),
        None => change::of_verdict(answer),
    });
    hops
}

/// Which requests take longer; that none does is told too.
fn symptom(answer: &WhyAnswer, suspects: &Suspects) -> Hop {
    let failing = answer.failing.count > 0.0;
    let since = format!(" since {}", show_clock(suspects.now.from));
    match &suspects.symptom {
        _ if failing && suspects.symptom.is_none() => super::symptom(answer),
        Some(slow) => Hop {
            kind: HopKind::Symptom,
            statement: format!("requests to {} take longer{since}", slow.subject),
            numbers: times(slow),
            notes: Vec::new(),
            evidence: vec![slow.id.clone()],
            query: slow.query.clone(),
            confidence: match slow.samples.min(slow.samples_before) {
                few if few < SAMPLES_MIN => Confidence::Likely,
                _ => Confidence::Confirmed,
            },
            refuted_by: by_query("now is no longer than before"),
        },
        None => Hop {
            kind: HopKind::Symptom,
            statement: format!(
                "no kind of {} is known to fail more or to take longer",
                requests(answer)
            ),
            numbers: String::new(),
            notes: Vec::new(),
            evidence: Vec::new(),
            query: None,
            confidence: Confidence::Likely,
            refuted_by: Refutation {
                check: format!("{} --all", ask(answer)),
                result: "a kind of request is slow or fails".to_owned(),
            },
        },
    }
}

/// `reached by gateway → orders → stock`, where the calls on the way are no hops of their own.
fn way(suspect: &Suspect) -> Option<String> {
    let (first, rest) = suspect.path.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let told = suspect.path.iter().all(|call| call.score > 0.0);
    let last = |call: &Deviation| call.subject.split(" → ").last().map(str::to_owned);
    let mut names = vec![subject(first).to_owned()];
    names.extend(rest.iter().filter_map(last));
    (!told).then(|| format!("reached by {}", names.join(" → ")))
}

/// What was measured, without the part of it that is slower.
fn subject(one: &Deviation) -> &str {
    one.subject.split(", in ").next().unwrap_or(&one.subject)
}

/// A call on the way takes longer.
fn call(call: &Deviation, above: Option<&Deviation>) -> Hop {
    let added = |one: &Deviation| one.now - one.before;
    let part = above.filter(|above| added(above) > 0.0).map(|above| added(call) / added(above));
    let enough = call.samples.min(call.samples_before) >= SAMPLES_MIN;
    let confidence = match part {
        Some(part) if part >= CARRIES_SURELY_MIN && enough => Confidence::Confirmed,
        Some(part) if part >= CARRIES_MIN => Confidence::Likely,
        // There is nothing above to hold it against; that it is slower is counted.
        None if call.score > 0.0 => Confidence::Likely,
        _ => Confidence::Inconclusive,
    };
    Hop {
        kind: HopKind::Call,
        statement: format!("calls {} take longer", call.subject),
        numbers: times(call),
        notes: Vec::new(),
        evidence: vec![call.id.clone()],
        query: call.query.clone(),
        confidence,
        refuted_by: by_query(
            "now - before is less than half of that of the hop above: then the time is spent \
             elsewhere",
        ),
    }
}

/// What stands out at the service.
fn origin(answer: &WhyAnswer, suspect: &Suspect) -> Hop {
    let name = match &suspect.instance {
        Some(instance) => format!("{} ({instance})", suspect.service),
        None => suspect.service.clone(),
    };
    let best = suspect.evidence.first();
    let mut kinds: Vec<&str> = suspect.evidence.iter().map(|one| one.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let told = suspect.evidence.iter().skip(1).take(EVIDENCE_MAX - 1);
    let notes = told.map(|one| format!("{}  {}", phrase(one), times(one))).collect();
    let shown = suspect.evidence.iter().take(EVIDENCE_MAX);
    Hop {
        kind: HopKind::Origin,
        statement: best.map_or(name.clone(), |best| format!("{name}: {}", phrase(best))),
        numbers: best.map_or(String::new(), times),
        notes,
        evidence: shown.map(|one| one.id.clone()).collect(),
        query: best.and_then(|best| best.query.clone()),
        confidence: match suspect.strength {
            // One kind of evidence alone may have its own reason.
            Strength::Strong if kinds.len() > 1 => Confidence::Confirmed,
            Strength::Strong | Strength::Likely => Confidence::Likely,
            Strength::Weak => Confidence::Inconclusive,
        },
        refuted_by: Refutation {
            check: format!("{} --baseline FROM..TO of another quiet time", ask(answer)),
            result: format!(
                "{} stands out there no more, or others stand out as far",
                suspect.service
            ),
        },
    }
}

/// What a deviation says, without its numbers.
pub(super) fn phrase(one: &Deviation) -> String {
    let subject = &one.subject;
    match one.kind {
        "self_time" => format!("{subject} works longer by itself"),
        "edge_gap" => format!("calls {subject} are longer under way"),
        "call_shape" if one.now > one.before => format!("{subject} is called more often"),
        "call_shape" => format!("{subject} is called more rarely"),
        "call_count" => format!("{subject} is called many times in one request"),
        "log_statement" if one.now > one.before => format!("writes more often \"{subject}\""),
        "log_statement" => format!("writes more rarely \"{subject}\""),
        "resource" => format!("uses more: {subject}"),
        _ => subject.clone(),
    }
}

/// `3.0 ms → 240 ms (n 120, before 118)`, or `240 ms, others 3.0 ms (n 40, others 80)`.
fn times(one: &Deviation) -> String {
    let [before, now] = [one.before, one.now].map(|number| show_amount(number, &one.unit));
    let [n, n_before] = [one.samples, one.samples_before].map(|count| show_count(count as f64));
    if one.is_beside() {
        return format!("{now}, others {before} (n {n}, others {n_before})");
    }
    format!("{before} → {now} (n {n}, before {n_before})")
}

/// Services that stand out less, and why they are not the one.
pub(super) fn ruled_out(answer: &WhyAnswer) -> Vec<RuledOut> {
    let Some((suspects, first)) = first(answer) else { return Vec::new() };
    if answer.verdict == Verdict::Explained {
        return Vec::new();
    }
    let others = suspects.list.iter().skip(1).take(OTHERS_MAX);
    let told = others.map(|other| {
        let how = if first.explains.contains(&other.service) {
            format!("it calls {}, whose change explains its own", first.service)
        } else {
            let part = other.score / first.score * 100.0;
            format!("it stands out {part:.0} % as far")
        };
        RuledOut { what: other.service.clone(), how }
    });
    told.collect()
}
