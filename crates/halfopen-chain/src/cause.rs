//! The chain of a cause: requests that fail, the calls on the way down, where it begins, under
//! which condition, after which change.

use halfopen_model::answer::{
    Call, Cause, Condition, ConditionPart, Confidence, Contrast, Evidence, Hop, HopKind, Novelty,
    NoveltyKind, Refutation, Strength, WhyAnswer,
};
use halfopen_model::figure::{show_about, show_novelty, show_part, show_percent};

use super::{by_query, change, of_both, of_contrast, symptom, words};

pub(super) fn hops(answer: &WhyAnswer, cause: &Cause) -> Vec<Hop> {
    let mut hops = vec![symptom(answer)];
    hops.extend(cause.path.iter().map(|one| call(answer, one)));
    hops.extend(cause.call.as_ref().map(|call| origin(answer, cause, call)));
    let conditions = cause.conditions.iter().zip(of_kind(cause, "attribute"));
    let told =
        conditions.map(|(condition, evidence)| self::condition(answer, cause, condition, evidence));
    hops.extend(told);
    add_novelty(answer, cause, &mut hops);
    if cause.call.is_none() && cause.conditions.is_empty() {
        hops.push(super::unknown(answer));
    }
    hops.push(change::of_cause(answer, cause));
    hops
}

fn of_kind<'c>(cause: &'c Cause, kind: &'c str) -> impl Iterator<Item = &'c Evidence> {
    cause.evidence.iter().filter(move |one| one.kind == kind)
}

/// A call to another service fails, and so does the request.
fn call(answer: &WhyAnswer, evidence: &Evidence) -> Hop {
    let contrast = Contrast { failing: evidence.failing, healthy: evidence.healthy };
    Hop {
        kind: HopKind::Call,
        statement: format!("{} {}", evidence.subject, words(answer).fails),
        numbers: of_both(answer, &contrast),
        notes: Vec::new(),
        evidence: vec![evidence.id.clone()],
        query: evidence.query.clone(),
        confidence: of_contrast(&contrast, Strength::Strong),
        refuted_by: by_query(
            "healthy / healthy_of comes near failing / failing_of: then this call fails without \
             harm, and is not why",
        ),
    }
}

/// The deepest failing call: nothing below it fails.
fn origin(answer: &WhyAnswer, cause: &Cause, call: &Call) -> Hop {
    let evidence = of_kind(cause, "error_origin").next();
    let silent = answer.gaps.iter().any(|gap| {
        matches!(gap, halfopen_model::answer::Gap::SilentService { service, .. }
            if Some(service) == call.peer.as_ref())
    });
    let refuted_by = match &call.peer {
        Some(peer) if silent => Refutation {
            check: format!("look into {peer} itself: it sends no spans"),
            result: format!("its log of these calls shows that they never reached {peer}"),
        },
        _ => by_query(
            "healthy / healthy_of comes near failing / failing_of; or a span below this one fails \
             in `halfopen trace`",
        ),
    };
    let notes = match &call.peer {
        Some(peer) if silent => vec![format!("{peer} sends no spans: the evidence ends here")],
        _ => Vec::new(),
    };
    Hop {
        kind: HopKind::Origin,
        statement: call_text(call, answer.slow.is_some()),
        numbers: of_both(answer, &cause.contrast),
        notes,
        evidence: evidence.map(|one| one.id.clone()).into_iter().collect(),
        query: evidence.and_then(|one| one.query.clone()),
        confidence: of_contrast(&cause.contrast, cause.strength),
        refuted_by,
    }
}

/// Only requests with these values fail there.
fn condition(answer: &WhyAnswer, cause: &Cause, condition: &Condition, evidence: &Evidence) -> Hop {
    let words = words(answer);
    let call = if condition.implied_by_call { ", as in every request with this call" } else { "" };
    let mut notes = Vec::new();
    if !condition.same_as.is_empty() {
        notes.push(format!("the same {}", parts(&condition.same_as, ", ")));
    }
    let contrast = &condition.contrast;
    let healthy = match contrast.healthy.count {
        none if none <= 0.0 => halfopen_model::figure::show_share(contrast.healthy),
        _ => show_percent(contrast.healthy.ratio()),
    };
    let confidence = match of_contrast(contrast, cause.strength) {
        // It tells which requests make the call, not which of these calls fail.
        Confidence::Confirmed if condition.implied_by_call => Confidence::Likely,
        confidence => confidence,
    };
    let of_failing = show_percent(contrast.failing.ratio());
    Hop {
        kind: HopKind::Condition,
        statement: format!("only when {}{call}", parts(&condition.parts, " and ")),
        numbers: format!("{of_failing} of {} · {healthy} {}", words.failing, words.healthy),
        notes,
        evidence: vec![evidence.id.clone()],
        query: evidence.query.clone(),
        confidence,
        refuted_by: by_query(
            "failing falls below failing_of (requests fail in the same call without it), or \
             healthy rises (requests with it are well)",
        ),
    }
}

/// `payment → card-gateway POST /pay: times out after 2.0 s`.
fn call_text(call: &Call, is_slow: bool) -> String {
    let place = match &call.peer {
        Some(peer) => format!("{} → {peer}", call.service),
        None => call.service.clone(),
    };
    // A bare method says no more than that a call was made.
    let is_method = !call.operation.contains(|c: char| !c.is_ascii_uppercase());
    let operation = match call.operation.as_str() {
        _ if is_method && call.peer.is_some() => String::new(),
        operation => format!(" {operation}"),
    };
    let reason = if call.reason.is_empty() { "fails" } else { &call.reason };
    let after = match call.duration_ns {
        // `takes 2.1 s` is the duration already.
        Some(duration_ns) if !is_slow && !reason.contains(" after ") => {
            format!(" after {}", show_about(duration_ns))
        }
        _ => String::new(),
    };
    format!("{place}{operation}: {reason}{after}")
}

fn parts(parts: &[ConditionPart], between: &str) -> String {
    let told = |part: &'_ ConditionPart| show_part(texts(part), parts.iter().map(texts));
    parts.iter().map(told).collect::<Vec<_>>().join(between)
}

fn texts(part: &ConditionPart) -> [&str; 3] {
    [&part.service, &part.attribute, &part.value]
}

/// What is no news: these requests failed before as well. On the last hop that is about them.
fn add_novelty(answer: &WhyAnswer, cause: &Cause, hops: &mut [Hop]) {
    let old = cause.novelty.as_ref().filter(|novelty| novelty.kind != NoveltyKind::New);
    if let (Some(Novelty { kind, before, since }), Some(hop)) = (old, hops.last_mut()) {
        let told = show_novelty(*kind, *before, *since, words(answer).failed);
        hop.notes.insert(0, format!("before: {told}"));
    }
}
