//! Asks about a shop and writes the answer down.

use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::{Cause, ConditionPart, Scope, SlowRule, WhyAnswer};
use halfopen_model::time::{SECOND_NS, show_duration};

use super::rows::batches;
use super::{BEGIN_NS, Shop};

pub(crate) fn ask(shop: &Shop) -> WhyAnswer {
    ask_with(shop, None)
}

/// Asks about slow requests.
pub(crate) fn ask_slow(shop: &Shop, rule: SlowRule) -> WhyAnswer {
    ask_with(shop, Some(rule))
}

fn ask_with(shop: &Shop, slow: Option<SlowRule>) -> WhyAnswer {
    let spans = shop.spans();
    let evidence = WhyEvidence { spans: batches(&spans, 1_000), ..WhyEvidence::default() };
    why(&WhyQuestion { slow, ..question(shop) }, &evidence)
}

pub(crate) fn question(shop: &Shop) -> WhyQuestion {
    let window = shop.window();
    let now = window.to.shifted(60 * SECOND_NS);
    WhyQuestion { scope: Scope::default(), window, baseline: None, slow: None, now }
}

pub(crate) fn show_part(part: &ConditionPart) -> String {
    format!("{} {}={}", part.service, part.attribute, part.value)
}

pub(crate) fn show_cause(cause: &Cause) -> String {
    let mut shown = format!("{}:", cause.strength);
    if let Some(call) = &cause.call {
        let peer = call.peer.as_ref().map(|peer| format!(" -> {peer}")).unwrap_or_default();
        shown += &format!(" {}{peer} | {} | {}", call.service, call.operation, call.reason);
    }
    for condition in &cause.conditions {
        let parts: Vec<_> = condition.parts.iter().map(show_part).collect();
        let call = if condition.implied_by_call { " (the call implies it)" } else { "" };
        shown += &format!("\n    when {}{call}", parts.join(" and "));
        for same in &condition.same_as {
            shown += &format!("\n      = {}", show_part(same));
        }
    }
    for change in &cause.after {
        let split: Vec<String> = change
            .split
            .iter()
            .map(|split| format!("{} {}/{}", split.value, split.failing.count, split.failing.total))
            .collect();
        shown += &format!(
            "\n    after {} {} {} ({})",
            change.kind,
            change.service.as_deref().unwrap_or("-"),
            change.version.as_deref().unwrap_or("-"),
            split.join(", ")
        );
    }
    shown
}

pub(crate) fn show(answer: &WhyAnswer) -> String {
    let name = |scope: &Scope| {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".into());
        format!("{} {}", part(&scope.service), part(&scope.operation))
    };
    let mut lines = vec![format!(
        "{:?}: {}: {} of {}",
        answer.verdict,
        name(&answer.scope),
        answer.failing.count,
        answer.failing.total
    )];
    if let Some(onset) = answer.onset {
        let at = show_duration(onset.at.0 - BEGIN_NS);
        let until = onset.until.map(|until| show_duration(until.0 - BEGIN_NS));
        lines.push(format!("  since {at} ±{} until {until:?}", show_duration(onset.within_ns)));
    }
    lines.extend(answer.causes.iter().map(|cause| format!("  {}", show_cause(cause))));
    let folded = |line: &String| format!("  not {}", line.replace(": ", ":\n    "));
    lines.extend(answer.ruled_out.iter().map(folded));
    lines.extend(answer.gaps.iter().map(|gap| format!("  gap {gap}")));
    lines.join("\n")
}
