//! What stands out against another time, below the causes of `why`.

use halfopen_model::answer::{INSTANCE_OUTLIER, VERSION_SPLIT};
use halfopen_model::figure::show_amount;
use halfopen_serve::wire::{DeviationV1, SuspectV1, SuspectsV1, WhyV1};

use super::text::{clean, clock, count, cut, padded, plural};
use crate::Failure;
use crate::terminal::{FAINT, STRONG, Terminal};

/// Suspects that are shown unless all are asked for.
const SUSPECTS_SHOWN: usize = 3;
/// Evidence of one suspect that is shown unless all is asked for.
const EVIDENCE_SHOWN: usize = 3;
/// Services that a suspect explains, and that are named.
const EXPLAINS_SHOWN: usize = 4;
/// Where the lines below a suspect begin.
const INDENT: &str = "          ";

/// Writes the suspects. Where causes explain the failures they are told only when asked for.
pub(crate) fn show(terminal: &mut Terminal, answer: &WhyV1, all: bool) -> Result<(), Failure> {
    let Some(suspects) = &answer.suspects else { return Ok(()) };
    if answer.verdict == "explained" && !all {
        return Ok(());
    }
    let against = format!(
        "{}..{} against {}..{}",
        clock(suspects.now.from.0),
        clock(suspects.now.to.0),
        clock(suspects.before.from.0),
        clock(suspects.before.to.0),
    );
    let shown = shown(suspects, all);
    if shown.is_empty() {
        let services = plural(suspects.compared, "service", "services");
        return terminal
            .line(format_args!("{FAINT}nothing stands out in {services}, {against}{FAINT:#}"));
    }
    let is_told = answer.chain.of == "suspect";
    if let Some(first) = shown.first().filter(|_| is_told) {
        if let Some(command) = see(first) {
            let command = terminal.command(&command);
            terminal.line(format_args!("    see          {command}"))?;
        }
        terminal.line(format_args!("{FAINT}compared: {against}{FAINT:#}"))?;
    } else {
        terminal.line(format_args!("stands out, {against}:"))?;
    }
    // The first one is the chain above; with --all its evidence is told as it is, too.
    let skipped = usize::from(is_told && !all);
    for (position, suspect) in shown.iter().enumerate().skip(skipped) {
        one(terminal, position + 1, suspect, all)?;
    }
    Ok(())
}

/// Whether a service is suspect, not only possible.
pub(crate) fn is_suspect(suspect: &SuspectV1) -> bool {
    suspect.strength != "weak"
}

fn shown(suspects: &SuspectsV1, all: bool) -> Vec<&SuspectV1> {
    let shown = suspects.list.iter().filter(|suspect| all || is_suspect(suspect));
    shown.take(if all { usize::MAX } else { SUSPECTS_SHOWN }).collect()
}

fn one(
    terminal: &mut Terminal,
    number: usize,
    suspect: &SuspectV1,
    all: bool,
) -> Result<(), Failure> {
    let name = match &suspect.instance {
        Some(instance) => format!("{} ({instance})", suspect.service),
        None => suspect.service.clone(),
    };
    let strength = padded(&suspect.strength, 6);
    let name = clean(&name);
    terminal.line(format_args!("{number:>2} {strength} {STRONG}{name}{STRONG:#}"))?;
    let shown = if all { suspect.evidence.len() } else { EVIDENCE_SHOWN };
    for deviation in suspect.evidence.iter().take(shown) {
        let text = format!("{INDENT}{}", clean(&deviation_text(deviation, terminal.width())));
        terminal.line(format_args!("{text}"))?;
    }
    if let Some(after) = &suspect.after {
        let what = after.version.as_deref().unwrap_or(&after.title);
        let at = clock(after.at.0);
        let text = format!("after     {} {} {what} at {at}", after.kind, suspect.service);
        terminal.line(format_args!("{INDENT}{}", clean(&text)))?;
    }
    if let Some(command) = see(suspect) {
        let command = terminal.command(&command);
        terminal.line(format_args!("{INDENT}see       {command}"))?;
    }
    if !suspect.explains.is_empty() {
        let named = suspect.explains.iter().take(EXPLAINS_SHOWN).map(String::as_str);
        let mut text = named.collect::<Vec<_>>().join(", ");
        if suspect.explains.len() > EXPLAINS_SHOWN {
            text.push_str(", ...");
        }
        terminal.line(format_args!("{INDENT}{FAINT}explains  {}{FAINT:#}", clean(&text)))?;
    }
    Ok(())
}

/// `self time of POST /pay  3.0 → 240 ms  (n 120, before 118)`; the numbers are never cut off.
fn deviation_text(deviation: &DeviationV1, columns: usize) -> String {
    let kind = match deviation.kind.as_str() {
        "self_time" => "self time of ",
        "edge_gap" => "under way, ",
        "call_count" => "calls of each span, ",
        "call_shape" => "calls ",
        "log_statement" => "logs ",
        "error_origin" | "resource" | INSTANCE_OUTLIER | VERSION_SPLIT => "",
        other => other,
    };
    let value = |number: f64| show_amount(number, &deviation.unit);
    let (before, now) = (value(deviation.before), value(deviation.now));
    let [n, n_before] = [deviation.samples, deviation.samples_before].map(|n| count(n as f64));
    let numbers = match is_beside(deviation) {
        true => format!("  {now}, others {before}  (n {n}, others {n_before})"),
        false => format!("  {before} → {now}  (n {n}, before {n_before})"),
    };
    let taken = INDENT.len() + kind.chars().count() + numbers.chars().count();
    let subject = cut(&deviation.subject, columns.saturating_sub(taken).max(20), "…");
    format!("{kind}{subject}{numbers}")
}

/// Whether its number before is that of others at the same time.
fn is_beside(deviation: &DeviationV1) -> bool {
    [INSTANCE_OUTLIER, VERSION_SPLIT].contains(&deviation.kind.as_str())
}

/// A request that shows it.
fn see(suspect: &SuspectV1) -> Option<String> {
    let refs = suspect.evidence.iter().flat_map(|deviation| &deviation.refs);
    let trace = refs.filter_map(|row| row.strip_prefix("trace:")).next()?;
    Some(format!("halfopen trace {}", super::text::short(trace)))
}
