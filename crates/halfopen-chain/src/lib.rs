//! The chain of whys: what users notice, why that happens, why that in turn, down to the change
//! or to where the evidence ends. A view of an answer: it adds no number that the answer does not
//! hold as evidence.
//!
//! **Rule of confidence.** *Confirmed*: each request that is counted shows it in its own trace,
//! the share among failing requests is at least ten times that among healthy ones at the near
//! ends of both 95 % intervals, and nothing else in the window stands out as far. *Likely*: it
//! stands out, and one of these is missing. *Inconclusive*: other things fit as well.

mod cause;
mod change;
mod metric;
mod suspected;

use std::collections::BTreeMap;

use halfopen_model::answer::{
    BaselineKind, Chain, ChainOf, Confidence, Contrast, Hop, HopKind, MetricAnswer, Refutation,
    RuledOut, SlowRule, Strength, Verdict, WhyAnswer,
};
use halfopen_model::figure::{show_about, show_clock, show_percent, show_share};
use halfopen_model::shell::quoted;

/// At the near ends of both intervals, so many times more often among failing requests.
const CONFIRMED_RATIO_MIN: f64 = 10.0;

/// The same for what is likely.
const LIKELY_RATIO_MIN: f64 = 2.0;

/// Fewer failing requests than this are told by their number alone.
const SYMPTOM_MIN: f64 = 5.0;

/// More lines about what was excluded help nobody.
const RULED_OUT_MAX: usize = 20;

/// Gives all evidence of an answer its id, and the answer its chain.
pub fn of_requests(answer: &mut WhyAnswer) {
    let mut ids = Ids::default();
    if let Some(one) = &mut answer.symptom {
        one.id = ids.of(&[one.kind, &one.subject]);
    }
    for cause in &mut answer.causes {
        for one in cause.path.iter_mut().chain(&mut cause.evidence) {
            one.id = ids.of(&[one.kind, &one.subject]);
        }
    }
    if let Some(suspects) = &mut answer.suspects {
        if let Some(one) = &mut suspects.symptom {
            one.id = ids.of(&[one.kind, &one.subject]);
        }
        for suspect in &mut suspects.list {
            for one in &mut suspect.path {
                one.id = ids.of(&[one.kind, &one.subject]);
            }
            for one in &mut suspect.evidence {
                one.id = ids.of(&[one.kind, &suspect.service, &one.subject]);
            }
        }
    }
    answer.chain = chain(answer);
}

/// The same for where a metric comes from.
pub fn of_metric(answer: &mut MetricAnswer) {
    let mut ids = Ids::default();
    for cause in &mut answer.causes {
        cause.id = ids.of(&["metric", &answer.metric, &metric::place(&cause.place)]);
    }
    answer.chain = metric::chain(answer);
}

/// The strongest cause where causes explain the failures, else the first suspect, else what is
/// left to say about the strongest cause.
fn chain(answer: &WhyAnswer) -> Chain {
    let suspect = suspected::first(answer);
    let says_why = answer.change.as_ref().is_some_and(|verdict| !verdict.happens.is_empty());
    let (of, hops) = match (answer.causes.first(), suspect) {
        (Some(cause), _) if answer.verdict == Verdict::Explained => {
            (ChainOf::Cause, cause::hops(answer, cause))
        }
        (_, Some((suspects, suspect))) => {
            (ChainOf::Suspect, suspected::hops(answer, suspects, suspect))
        }
        (Some(cause), None) => (ChainOf::Cause, cause::hops(answer, cause)),
        (None, None) if says_why => (ChainOf::Change, change::hops(answer)),
        (None, None) if answer.failing.count > 0.0 => {
            (ChainOf::Nothing, vec![symptom(answer), unknown(answer)])
        }
        (None, None) => (ChainOf::Nothing, Vec::new()),
    };
    let ruled_out = if hops.is_empty() { Vec::new() } else { ruled_out(answer) };
    Chain { of, hops, ruled_out }
}

/// What was excluded, for causes, for changes and for other services.
fn ruled_out(answer: &WhyAnswer) -> Vec<RuledOut> {
    let of_changes = answer.change.iter().flat_map(|verdict| &verdict.ruled_out);
    let lines = answer.ruled_out.iter().chain(of_changes).filter_map(|line| {
        let (what, how) = line.split_once(": ")?;
        Some(RuledOut { what: what.to_owned(), how: how.to_owned() })
    });
    let mut all: Vec<RuledOut> = Vec::new();
    for one in lines.chain(suspected::ruled_out(answer)) {
        if all.len() < RULED_OUT_MAX && all.iter().all(|known| known.what != one.what) {
            all.push(one);
        }
    }
    all
}

/// Which requests fail, since when.
fn symptom(answer: &WhyAnswer) -> Hop {
    let before = answer.before;
    let was = before.map_or(String::new(), |share| {
        let part = show_percent(share.ratio());
        match &answer.baseline {
            BaselineKind::Version(versions) => format!(", {part} with {}", versions.old),
            _ => format!(", was {part}"),
        }
    });
    let since = answer.onset.map_or(String::new(), |onset| {
        format!(" since {} ±{}", show_clock(onset.at), show_about(onset.within_ns))
    });
    let confidence = match before {
        _ if answer.failing.count < SYMPTOM_MIN => Confidence::Inconclusive,
        // That they fail is counted; that it is new needs a time before.
        None => Confidence::Confirmed,
        Some(before) if answer.failing.interval().0 > before.interval().1 => Confidence::Confirmed,
        Some(before) if answer.failing.ratio() > before.ratio() => Confidence::Likely,
        Some(_) => Confidence::Inconclusive,
    };
    let evidence = answer.symptom.as_ref();
    let result = match before {
        Some(_) if matches!(answer.baseline, BaselineKind::Version(_)) => {
            "failing / failing_of is no larger than healthy / healthy_of (the other version)"
        }
        Some(_) => "failing / failing_of is no larger than healthy / healthy_of (the time before)",
        None => "failing is 0",
    };
    Hop {
        kind: HopKind::Symptom,
        statement: format!("{} {}{since}", requests(answer), words(answer).they_fail),
        numbers: format!("{} ({}{was})", show_share(answer.failing), show_percent(ratio(answer))),
        notes: Vec::new(),
        evidence: evidence.map(|one| one.id.clone()).into_iter().collect(),
        query: evidence.and_then(|one| one.query.clone()),
        confidence,
        refuted_by: by_query(result),
    }
}

fn ratio(answer: &WhyAnswer) -> f64 {
    answer.failing.ratio()
}

/// What is said of requests and calls: they fail, or they are slow.
struct Words {
    they_fail: &'static str,
    fails: &'static str,
    failing: &'static str,
    healthy: &'static str,
    failed: &'static str,
}

fn words(answer: &WhyAnswer) -> Words {
    match answer.slow {
        None => Words {
            they_fail: "fail",
            fails: "fails",
            failing: "failing",
            healthy: "healthy",
            failed: "failed",
        },
        Some(_) => Words {
            they_fail: "are slow",
            fails: "is slow",
            failing: "slow",
            healthy: "other",
            failed: "slow",
        },
    }
}

/// The end of a chain that has nothing but a symptom.
fn unknown(answer: &WhyAnswer) -> Hop {
    Hop {
        kind: HopKind::End,
        statement: "why is not known: nothing tells these requests from the others".to_owned(),
        numbers: String::new(),
        notes: Vec::new(),
        evidence: Vec::new(),
        query: None,
        confidence: Confidence::Inconclusive,
        refuted_by: Refutation {
            check: format!("{} --baseline yesterday", ask(answer)),
            result: "names a cause".to_owned(),
        },
    }
}

/// `requests to gateway POST /checkout`.
fn requests(answer: &WhyAnswer) -> String {
    let scope = [&answer.scope.service, &answer.scope.operation];
    let scope: Vec<&str> = scope.into_iter().flatten().map(String::as_str).collect();
    let requests = match scope.as_slice() {
        [] => "requests".to_owned(),
        scope => format!("requests to {}", scope.join(" ")),
    };
    match &answer.baseline {
        BaselineKind::Version(versions) => {
            format!("{requests} that {} {} served", versions.service, versions.new)
        }
        _ => requests,
    }
}

/// The question again, as a command.
fn ask(answer: &WhyAnswer) -> String {
    let flag = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" --{name} {}", quoted(value))).unwrap_or_default()
    };
    let slow = match answer.slow.map(|slow| slow.rule) {
        None => String::new(),
        Some(SlowRule::Unusual) => " --slow".to_owned(),
        Some(rule) => format!(" --slow={}", rule.to_text()),
    };
    format!(
        "halfopen why{}{}{slow} --from {} --to {}",
        flag("service", &answer.scope.service),
        flag("operation", &answer.scope.operation),
        answer.window.from,
        answer.window.to
    )
}

fn by_query(result: &str) -> Refutation {
    Refutation { check: "halfopen query QUERY".to_owned(), result: result.to_owned() }
}

/// How sure a contrast is, given how far it stands out from everything else.
fn of_contrast(contrast: &Contrast, strength: Strength) -> Confidence {
    let (near, far) = (contrast.failing.interval().0, contrast.healthy.interval().1);
    match strength {
        Strength::Strong if near >= CONFIRMED_RATIO_MIN * far => Confidence::Confirmed,
        Strength::Strong | Strength::Likely if near >= LIKELY_RATIO_MIN * far => Confidence::Likely,
        _ => Confidence::Inconclusive,
    }
}

/// `77 of 77 failing · 0 of 823 healthy`.
fn of_both(answer: &WhyAnswer, contrast: &Contrast) -> String {
    let words = words(answer);
    let healthy = match contrast.healthy.count {
        none if none <= 0.0 => show_share(contrast.healthy),
        _ => {
            format!("{} ({})", show_share(contrast.healthy), show_percent(contrast.healthy.ratio()))
        }
    };
    let failing = show_share(contrast.failing);
    format!("{failing} {} · {healthy} {}", words.failing, words.healthy)
}

/// Ids of evidence: a number made of what the evidence is about, so that it is the same whenever
/// it is asked for again. Two that are about the same are told apart by a second number.
#[derive(Default)]
struct Ids {
    taken: BTreeMap<String, u32>,
}

impl Ids {
    fn of(&mut self, parts: &[&str]) -> String {
        // FNV-1a, 64 bits (G. Fowler, L. Noll, P. Vo).
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in parts.join("\u{1f}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let id = format!("e{:06x}", (hash ^ hash >> 32) & 0xff_ffff);
        let count = self.taken.entry(id.clone()).or_default();
        *count += 1;
        if *count == 1 { id } else { format!("{id}-{count}") }
    }
}

#[cfg(test)]
mod tests;
