//! The chain of a metric: its course, where it comes from, and that a metric knows no more.

use halfopen_model::answer::{
    Chain, ChainOf, ConditionPart, Confidence, Hop, HopKind, Measured, MetricAnswer, MetricCause,
    MetricPlace, Refutation, RuledOut, Strength,
};
use halfopen_model::figure::{show_about, show_amount, show_clock, show_percent, show_share};
use halfopen_model::shell::quoted;

use super::by_query;

/// Places that fit less well, and are told.
const INSTEAD_MAX: usize = 3;

pub(super) fn chain(answer: &MetricAnswer) -> Chain {
    let Some(cause) = answer.causes.first() else { return Chain::default() };
    let mut hops = vec![symptom(answer)];
    if let MetricPlace::Service { path, .. } = &cause.place {
        let last = path.len().saturating_sub(1);
        hops.extend(path.windows(2).take(last).map(|pair| call(answer, pair)));
    }
    hops.push(origin(cause));
    hops.push(end(answer, cause));
    let instead = cause.instead.iter().take(INSTEAD_MAX);
    let told = instead.map(|other| RuledOut {
        what: place(other),
        how: "it explains less of what is more than before".to_owned(),
    });
    Chain { of: ChainOf::Cause, hops, ruled_out: told.collect() }
}

/// A place in words.
pub(super) fn place(place: &MetricPlace) -> String {
    let part = |part: &ConditionPart| {
        let name = part.attribute.strip_prefix("metric.").unwrap_or(&part.attribute);
        format!("{name} = {}", part.value)
    };
    match place {
        MetricPlace::Attributes { parts, .. } => {
            parts.iter().map(part).collect::<Vec<_>>().join(" and ")
        }
        MetricPlace::Service { service, .. } => service.clone(),
    }
}

fn measured(measured: Measured) -> String {
    match measured {
        Measured::Count(share) => {
            format!("{} ({})", show_share(share), show_percent(share.ratio()))
        }
        Measured::Level(level) => show_amount(level, ""),
    }
}

fn was(was: Option<Measured>) -> String {
    was.map_or(String::new(), |was| match was {
        Measured::Count(share) => format!(", was {}", show_percent(share.ratio())),
        Measured::Level(level) => format!(", was {}", show_amount(level, "")),
    })
}

fn hop(kind: HopKind, statement: String, numbers: String, confidence: Confidence) -> Hop {
    Hop {
        kind,
        statement,
        numbers,
        notes: Vec::new(),
        evidence: Vec::new(),
        query: None,
        confidence,
        refuted_by: by_query("the numbers are those of the time before"),
    }
}

fn of_strength(strength: Strength) -> Confidence {
    match strength {
        Strength::Strong => Confidence::Confirmed,
        Strength::Likely => Confidence::Likely,
        Strength::Weak => Confidence::Inconclusive,
    }
}

fn symptom(answer: &MetricAnswer) -> Hop {
    let of = answer.service.as_ref().map_or(String::new(), |service| format!(" of {service}"));
    let since = answer.during.map_or(String::new(), |during| {
        let length = show_about(during.length_ns());
        format!(" from {} for {length}", show_clock(during.from))
    });
    let now = answer.now.map_or(String::new(), measured);
    let strongest = answer.causes.iter().map(|cause| cause.strength).max();
    let confidence = strongest.map_or(Confidence::Inconclusive, of_strength);
    let statement = format!("{}{of} is not as before{since}", answer.metric);
    let mut hop = hop(HopKind::Symptom, statement, format!("{now}{}", was(answer.was)), confidence);
    hop.refuted_by = Refutation {
        check: format!("{} --baseline yesterday", ask(answer)),
        result: "nothing stands out: it is so every day at this hour".to_owned(),
    };
    hop
}

fn call(answer: &MetricAnswer, pair: &[String]) -> Hop {
    let [caller, callee] = [&pair[0], &pair[1]];
    let statement = format!("{caller} calls {callee}, whose {} stands out too", answer.metric);
    let mut hop = hop(HopKind::Call, statement, String::new(), Confidence::Likely);
    hop.refuted_by = Refutation {
        check: ask(&MetricAnswer { service: Some(callee.clone()), ..answer.clone() }),
        result: format!("nothing stands out at {callee}"),
    };
    hop
}

fn origin(cause: &MetricCause) -> Hop {
    let statement = match &cause.place {
        MetricPlace::Attributes { .. } => format!("only where {}", place(&cause.place)),
        MetricPlace::Service { service, metric, .. } => {
            format!("{service}: {metric} stands out, and of nobody that it calls")
        }
    };
    let numbers = format!("{}{}", measured(cause.now), was(cause.was));
    let mut hop = hop(HopKind::Origin, statement, numbers, of_strength(cause.strength));
    hop.evidence = vec![cause.id.clone()];
    hop.query.clone_from(&cause.query);
    if let MetricPlace::Attributes { explains, .. } = &cause.place {
        let part = show_percent(explains.ratio());
        hop.notes.push(format!("{part} of what is more than before"));
        hop.refuted_by = by_query("other values of these attributes rose as much");
    }
    hop
}

fn end(answer: &MetricAnswer, cause: &MetricCause) -> Hop {
    let statement = "why there is not known: a metric alone does not tell".to_owned();
    let mut hop = hop(HopKind::End, statement, String::new(), Confidence::Inconclusive);
    let service = match &cause.place {
        MetricPlace::Service { service, .. } => format!(" --service {}", quoted(service)),
        MetricPlace::Attributes { .. } => String::new(),
    };
    let window = answer.during.unwrap_or(answer.window);
    hop.refuted_by = Refutation {
        check: format!("halfopen why{service} --from {} --to {}", window.from, window.to),
        result: "spans or logs of this time name a cause".to_owned(),
    };
    hop
}

/// The question again, as a command.
fn ask(answer: &MetricAnswer) -> String {
    let flag = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" --{name} {}", quoted(value))).unwrap_or_default()
    };
    format!(
        "halfopen why{} --metric {}{} --from {} --to {}",
        flag("service", &answer.service),
        quoted(&answer.metric),
        flag("total", &answer.total),
        answer.window.from,
        answer.window.to
    )
}
