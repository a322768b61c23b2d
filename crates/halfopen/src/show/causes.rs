//! Why requests fail, on a few lines.

use halfopen_model::answer::Share;
use halfopen_model::figure::{show_novelty, show_part};
use halfopen_serve::wire::{
    AfterV1, CallV1, CauseV1, ConditionV1, ContrastV1, OnsetV1, PartV1, ScopeV1, ShareV1, SlowV1,
    WhyV1,
};

use super::text::{
    about, clean, clock, closing, count, date, of, padded, percent, plural, short, width,
};
use super::{chain, suspects};
use crate::Failure;
use crate::terminal::{COMMAND, FAILED, FAINT, STRONG, Terminal};

/// Further causes that are shown unless all are asked for.
const CAUSES_SHOWN: usize = 2;
/// Conditions and changes of one cause that are shown unless all are asked for.
const CONDITIONS_SHOWN: usize = 2;
/// Versions of a split that are shown.
const SPLIT_SHOWN: usize = 4;
/// Other kinds of requests that fail too.
const ALSO_SHOWN: usize = 5;
/// Where the lines below a cause begin.
const INDENT: &str = "          ";
/// Where numbers stand when there is room.
const NUMBERS_COLUMN: usize = 64;

/// Writes the answer.
pub(crate) fn show(terminal: &mut Terminal, answer: &WhyV1, all: bool) -> Result<(), Failure> {
    let words = Words::of(answer);
    headline(terminal, answer, &words)?;
    let told = answer.chain.of.as_str();
    if !answer.chain.hops.is_empty() && told != "nothing" {
        // The headline is the symptom, where requests fail.
        let symptom = answer.symptom.as_ref().map(|symptom| &symptom.id);
        let headline = symptom.is_some() && answer.chain.hops[0].evidence.first() == symptom;
        chain::show(terminal, &answer.chain, headline, all)?;
    }
    let first = answer.causes.first().filter(|_| told == "cause");
    if let Some(cause) = first {
        see(terminal, "    see          ", cause)?;
    }
    let others = &answer.causes[usize::from(first.is_some())..];
    let shown = if all { others.len() } else { others.len().min(CAUSES_SHOWN) };
    for (position, cause) in others[..shown].iter().enumerate() {
        let number = position + 1 + usize::from(first.is_some());
        self::cause(terminal, number, cause, (answer.onset.as_ref(), &words), all)?;
    }
    if shown < others.len() {
        terminal.line(format_args!(" … {} more: --all", others.len() - shown))?;
    }
    if let Some(verdict) = answer.change.as_ref().filter(|_| all || told == "nothing") {
        super::change::show(terminal, verdict, all)?;
    }
    let also = if all { answer.also_failing.len() } else { ALSO_SHOWN };
    for other in answer.also_failing.iter().take(also) {
        terminal.line(format_args!(
            "also: {} {} {} ({})",
            of(&other.failing),
            clean(&requests(&other.scope)),
            words.failed,
            percent(other.failing.ratio),
        ))?;
    }
    suspects::show(terminal, answer, all)?;
    terminal.line(format_args!("{FAINT}over: {}{FAINT:#}", looked_at(answer, &words)))?;
    closing(terminal, &answer.gaps, &answer.next)
}

/// What is said of requests: they fail, or they are slow.
struct Words {
    failing: &'static str,
    failed: &'static str,
    healthy: &'static str,
}

impl Words {
    fn of(answer: &WhyV1) -> Words {
        match answer.slow {
            None => Words { failing: "failing", failed: "failed", healthy: "healthy" },
            Some(_) => Words { failing: "slow", failed: "were slow", healthy: "other" },
        }
    }
}

/// `: longer than 480 ms, usually 120 ms`.
fn slow_text(slow: &SlowV1) -> String {
    let limit = slow.limit_ns.map(|limit| format!(": longer than {}", about(limit)));
    let usual = slow.usual_ns.map(|usual| format!(", usually {}", about(usual)));
    limit.map_or_else(String::new, |limit| limit + &usual.unwrap_or_default())
}

fn requests(scope: &ScopeV1) -> String {
    match (&scope.service, &scope.operation) {
        (Some(service), Some(operation)) => format!("requests to {service} {operation}"),
        (Some(service), None) => format!("requests to {service}"),
        (None, Some(operation)) => format!("requests to {operation}"),
        (None, None) => "requests".to_owned(),
    }
}

fn headline(terminal: &mut Terminal, answer: &WhyV1, words: &Words) -> Result<(), Failure> {
    let versions = answer.baseline.versions.as_ref();
    let served = versions.map(|one| format!(" that {} {} served", one.service, one.new));
    let requests = requests(&answer.scope) + &served.unwrap_or_default();
    let requests = clean(&requests).into_owned();
    if answer.failing.total <= 0.0 {
        return terminal.line(format_args!("there were no {requests}"));
    }
    if answer.failing.count <= 0.0 {
        let total = count(answer.failing.total);
        let requests =
            if total == "1" { requests.replacen("requests", "request", 1) } else { requests };
        return match &answer.slow {
            None => terminal.line(format_args!("{total} {requests}, none failed")),
            Some(slow) => {
                terminal.line(format_args!("{total} {requests}, none slow{}", slow_text(slow)))
            }
        };
    }
    let before = match (&answer.before, versions) {
        (Some(before), Some(one)) => {
            format!(", {} with {}", percent(before.ratio), clean(&one.old))
        }
        (Some(before), None) => format!(", was {}", percent(before.ratio)),
        (None, _) => String::new(),
    };
    let since = match &answer.onset {
        Some(onset) => {
            let until = match &onset.until {
                Some(until) => format!(" until {}", clock(until.0)),
                None => String::new(),
            };
            format!(" since {} ±{}{until}", clock(onset.at.0), about(onset.within_ns))
        }
        None => String::new(),
    };
    terminal.line(format_args!(
        "{FAILED}{} {requests} {}{FAILED:#} ({}{before}){since}",
        of(&answer.failing),
        words.failed,
        percent(answer.failing.ratio),
    ))?;
    if let Some(slow) = &answer.slow {
        terminal.line(format_args!(" slow{}", slow_text(slow)))?;
    }
    match answer.verdict.as_str() {
        "unexplained" => terminal.line(unexplained(answer, words)),
        "not_enough_evidence" => terminal.line(" not enough evidence to say why"),
        _ => Ok(()),
    }
}

/// What is said where no cause stands out: never more than the causes below it say.
fn unexplained(answer: &WhyV1, words: &Words) -> String {
    let healthy = words.healthy;
    if answer.gaps.iter().any(|gap| gap.kind == "few_requests") {
        format!(" there are too few {healthy} ones to tell them from")
    } else if answer.causes.iter().any(|cause| !cause.conditions.is_empty()) {
        format!(" nothing tells them from the {healthy} ones for sure")
    } else {
        format!(" nothing tells them from the {healthy} ones")
    }
}

fn looked_at(answer: &WhyV1, words: &Words) -> String {
    let (from, to) = (answer.window.from.0, answer.window.to.0);
    let against = match (&answer.baseline.window, &answer.baseline.versions) {
        (_, Some(one)) => {
            let version = format!("{} {}", one.service, one.old);
            format!("against {} requests that {} served then", words.healthy, clean(&version))
        }
        (None, None) => format!("against all {} requests of that time", words.healthy),
        (Some(window), None) => {
            format!("against {}..{}", clock(window.from.0), clock(window.to.0))
        }
    };
    format!(
        "{} · {} {}..{} UTC · {against}",
        plural(answer.spans as usize, "span", "spans"),
        date(from),
        clock(from),
        clock(to),
    )
}

fn cause(
    terminal: &mut Terminal,
    number: usize,
    cause: &CauseV1,
    (onset, words): (Option<&OnsetV1>, &Words),
    all: bool,
) -> Result<(), Failure> {
    let what = match &cause.call {
        Some(call) => call_text(call),
        None => format!("no one call is {} in all of them", words.failing),
    };
    let head = format!("{number:>2} {} ", padded(&cause.strength, 6));
    with_numbers(terminal, &head, &what, &numbers(&cause.contrast, words, true), true)?;
    let shown = if all { cause.conditions.len() } else { CONDITIONS_SHOWN };
    for (position, condition) in cause.conditions.iter().take(shown).enumerate() {
        let head = if position == 0 { "only when " } else { "or when   " };
        let text = format!("{head}{}", condition_text(condition));
        with_numbers(terminal, INDENT, &text, &numbers(&condition.contrast, words, false), false)?;
        if !condition.same_as.is_empty() {
            let same = same_text(condition, terminal.width().saturating_sub(INDENT.len()));
            terminal.line(format_args!("{INDENT}{FAINT}{same}{FAINT:#}"))?;
        }
    }
    // Where requests failed so rarely before that the headline says it, nothing is added.
    if let Some(novelty) = cause.novelty.as_ref().filter(|novelty| all || novelty.kind != "new") {
        let share = |share: &ShareV1| Share::new(share.count, share.total);
        let (before, since) = (share(&novelty.before), share(&novelty.since));
        let text = show_novelty(novelty.kind(), before, since, words.failed);
        terminal.line(format_args!("{INDENT}before    {text}"))?;
    }
    let shown = if all { cause.after.len() } else { CONDITIONS_SHOWN };
    for change in cause.after.iter().take(shown) {
        after(terminal, change, (onset, words))?;
    }
    see(terminal, &format!("{INDENT}see       "), cause)
}

/// A text with its numbers on the same line where they fit, on the next one where not.
fn with_numbers(
    terminal: &mut Terminal,
    head: &str,
    text: &str,
    numbers: &str,
    strong: bool,
) -> Result<(), Failure> {
    let style = if strong { STRONG } else { anstyle::Style::new() };
    let used = width(head) + width(text);
    if numbers.is_empty() {
        return terminal.line(format_args!("{head}{style}{text}{style:#}"));
    }
    if used + 2 + width(numbers) <= terminal.width() {
        let gap = NUMBERS_COLUMN.min(terminal.width() - width(numbers)).saturating_sub(used).max(2);
        let gap = " ".repeat(gap);
        return terminal
            .line(format_args!("{head}{style}{text}{style:#}{gap}{FAINT}{numbers}{FAINT:#}"));
    }
    terminal.line(format_args!("{head}{style}{text}{style:#}"))?;
    terminal.line(format_args!("{INDENT}          {FAINT}{numbers}{FAINT:#}"))
}

fn numbers(contrast: &ContrastV1, words: &Words, counts: bool) -> String {
    let Words { failing, healthy, .. } = words;
    let failing = match counts {
        true => format!("{} {failing}", of(&contrast.failing)),
        false => format!("{} of {failing}", percent(contrast.failing.ratio)),
    };
    let healthy = match contrast.healthy.count {
        none if none <= 0.0 => format!("0 of {} {healthy}", count(contrast.healthy.total)),
        _ => format!("{} of {healthy}", percent(contrast.healthy.ratio)),
    };
    format!("{failing} · {healthy}")
}

fn call_text(call: &CallV1) -> String {
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
    let reason = match call.reason.as_str() {
        "" => "fails",
        reason => reason,
    };
    let after = match call.duration_ns {
        Some(duration_ns) if !reason.contains(" after ") && !reason.starts_with("takes ") => {
            format!(" after {}", about(duration_ns))
        }
        _ => String::new(),
    };
    clean(&format!("{place}{operation}  {reason}{after}")).into_owned()
}

fn condition_text(condition: &ConditionV1) -> String {
    let parts: Vec<String> =
        condition.parts.iter().map(|part| part_text(part, &condition.parts)).collect();
    let call = if condition.implied_by_call { ", as in every request with this call" } else { "" };
    clean(&format!("{}{call}", parts.join(" and "))).into_owned()
}

fn part_text(part: &PartV1, beside: &[PartV1]) -> String {
    show_part(texts(part), beside.iter().map(texts))
}

fn texts(part: &PartV1) -> [&str; 3] {
    [&part.service, &part.attribute, &part.value]
}

/// Attributes that say the same as a condition: as many as one line holds.
fn same_text(condition: &ConditionV1, columns: usize) -> String {
    let same = &condition.same_as;
    let mut text = "the same  ".to_owned();
    for (position, part) in same.iter().enumerate() {
        let part = clean(&part_text(part, same)).into_owned();
        let comma = if position == 0 { "" } else { ", " };
        let left = same.len() - position;
        let room = columns.saturating_sub(width(" and 99 more"));
        if position > 0 && width(&text) + 2 + width(&part) > room {
            return format!("{text} and {left} more");
        }
        text = format!("{text}{comma}{part}");
    }
    text
}

/// A change near the onset, and how its versions did.
fn after(
    terminal: &mut Terminal,
    after: &AfterV1,
    (onset, words): (Option<&OnsetV1>, &Words),
) -> Result<(), Failure> {
    let what = match (&after.service, &after.version) {
        (Some(service), Some(version)) => format!("{} {service} {version}", after.kind),
        (Some(service), None) => format!("{} {service}: {}", after.kind, after.title),
        _ => format!("{}: {}", after.kind, after.title),
    };
    let distance = match (onset, after.before_onset_ns) {
        (None, _) => String::new(),
        // Which of the two came first cannot be told.
        (Some(onset), before) if before.saturating_abs() <= onset.within_ns => {
            " (at the onset)".to_owned()
        }
        (_, before @ 0..) => format!(" ({} before the onset)", about(before)),
        (_, late) => format!(" ({} after the onset)", about(late.saturating_neg())),
    };
    let text = format!("after     {what} at {}{distance}", clock(after.at.0));
    let split: Vec<String> = after
        .split
        .iter()
        .take(SPLIT_SHOWN)
        .map(|version| format!("{}: {} {}", version.value, of(&version.failing), words.failed))
        .collect();
    with_numbers(terminal, INDENT, &clean(&text), &clean(&split.join(" · ")), false)
}

fn see(terminal: &mut Terminal, head: &str, cause: &CauseV1) -> Result<(), Failure> {
    let Some(example) = &cause.example else { return Ok(()) };
    let example = example.to_string();
    let twin = match &cause.healthy_twin {
        Some(twin) => format!("     healthy twin {}", short(&twin.to_string())),
        None => String::new(),
    };
    let command = terminal.command(&format!("halfopen trace {}", short(&example)));
    terminal.line(format_args!("{head}{COMMAND}{command}{COMMAND:#}{twin}"))
}
