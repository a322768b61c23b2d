//! What the demo says: the tour on stderr, the answer and the check on stdout.

use std::collections::BTreeMap;

use halfopen_lab::{FailedVisit, LoadReport, Running, SCENARIOS};
use halfopen_serve::wire::WhyV1;
use serde_json::json;

use super::ask::Question;
use super::check::{Check, time_of_day};
use super::stage::Stage;
use crate::show::causes;
use crate::terminal::{COMMAND, FAILED, FAINT, STRONG};
use crate::{Failure, Session};

/// The scenarios, one line each.
pub(super) fn list(session: &mut Session) -> Result<(), Failure> {
    if session.terminal.is_json() {
        let scenarios: Vec<_> = SCENARIOS
            .iter()
            .map(|scenario| json!({"name": scenario.name, "about": scenario.about}))
            .collect();
        return session.terminal.line(json!({"v": 1, "scenarios": scenarios}));
    }
    for scenario in SCENARIOS {
        session.terminal.line(format!("{:<18} {}", scenario.name, scenario.about))?;
    }
    session.terminal.note("next: halfopen demo gift-card");
    Ok(())
}

/// Lines of trouble that are shown one by one; a server that is gone troubles everybody alike.
const TROUBLE_LINES_MAX: usize = 3;

/// Some things did not go well, but the demo goes on.
pub(super) fn warnings(trouble: &[String], session: &mut Session) {
    for text in trouble.iter().take(TROUBLE_LINES_MAX) {
        session.terminal.note(format!("warning: {text}"));
    }
    if trouble.len() > TROUBLE_LINES_MAX {
        let more = trouble.len() - TROUBLE_LINES_MAX;
        session.terminal.note(format!("warning: and {more} more of the kind"));
    }
}

/// What runs, before anything goes wrong.
pub(super) fn opening(stage: &Stage, session: &mut Session) {
    let seed = stage.shop.plan().seed;
    let name = stage.scenario.name;
    let mut note = |text: String| session.terminal.note(text);
    note(format!("{STRONG}{name}{STRONG:#}, seed {seed}"));
    let fate = if stage.is_temporary() { " (removed in the end)" } else { "" };
    note(format!("halfopen  {} takes OTLP at {}", stage.url(), stage.addresses.otlp_grpc));
    note(format!("          keeps it in {}{fate}", stage.folder.display()));
    let mut services: Vec<(&str, Vec<Running>)> = Vec::new();
    for instance in stage.shop.instances() {
        match services.iter_mut().find(|(service, _)| *service == instance.service) {
            Some((_, instances)) => instances.push(instance),
            None => services.push((instance.service, vec![instance])),
        }
    }
    let count: usize = services.iter().map(|(_, instances)| instances.len()).sum();
    note(format!("the shop  {} services, {count} instances on 127.0.0.1", services.len()));
    for (service, instances) in services {
        let version = &instances[0].version;
        let ports: Vec<_> =
            instances.iter().map(|running| format!(":{}", running.address.port())).collect();
        note(format!("          {service:<13} {version:<8} {}", ports.join(" ")));
    }
    let seconds = stage.shop.plan().length.as_secs();
    note(format!("customers come for {seconds} s; somewhere on the way something goes wrong"));
}

/// How the customers fared since it was told the last time.
pub(super) fn progress(told: &LoadReport, now: &LoadReport, session: &mut Session) {
    let time = time_of_day(session.clock.now());
    let (visits, failed) = (now.sent - told.sent, now.failed - told.failed);
    let style = if failed > 0 { FAILED } else { FAINT };
    session
        .terminal
        .note(format!("{time}  {visits:>5} visits, {style}{failed:>3} failed{style:#}"));
}

/// The question, as it can be typed.
pub(super) fn question(question: &Question, session: &mut Session) {
    session.terminal.note(format!("\n{COMMAND}{}{COMMAND:#}", question.command()));
}

/// The answer, and how it compares with the truth.
pub(super) fn result(
    stage: &Stage,
    report: &LoadReport,
    answer: &WhyV1,
    check: &Check,
    session: &mut Session,
) -> Result<(), Failure> {
    if session.terminal.is_json() {
        return session.terminal.line(document(stage, report, answer, check));
    }
    causes::show(&mut session.terminal, answer, false)?;
    let truth = stage.truth();
    let terminal = &mut session.terminal;
    terminal.line(format!("\n{STRONG}what the lab knows{STRONG:#}"))?;
    for item in &check.items {
        let (style, mark) = if item.named { (FAINT, "named") } else { (FAILED, "NOT NAMED") };
        terminal.line(format!("  {:<10} {:<42} {style}{mark}{style:#}", item.name, item.truth))?;
    }
    terminal.line(format!("  {:<10} {}", "began", check.began))?;
    terminal.line(format!("  {:<10} {} changed too, and is innocent", "decoy", truth.decoy))?;
    if check.is_named() {
        return terminal.line("why named the cause");
    }
    let seed = stage.shop.plan().seed;
    terminal.line(format!("{FAILED}why did not name the cause{FAILED:#} (seed {seed})"))
}

fn document(
    stage: &Stage,
    report: &LoadReport,
    answer: &WhyV1,
    check: &Check,
) -> serde_json::Value {
    let truth = stage.truth();
    let named: BTreeMap<_, _> = check.items.iter().map(|item| (item.name, item.named)).collect();
    json!({
        "v": 1,
        "scenario": stage.scenario.name,
        "seed": stage.shop.plan().seed,
        "named": check.is_named(),
        "named_parts": named,
        "truth": {
            "service": truth.service,
            "peer": truth.peer,
            "change": truth.change.kind,
            "changed": truth.change.attribute,
            "before": truth.change.before,
            "now": truth.change.now,
            "pod": truth.pod,
            "route": truth.route,
            "attribute": truth.condition.as_ref().map(|(attribute, _)| attribute),
            "value": truth.condition.as_ref().map(|(_, value)| value),
            "decoy": truth.decoy,
            "began_at": check.began_at.map(|began| began.to_rfc3339()),
        },
        "load": {
            "sent": report.sent,
            "served": report.served,
            "refused": report.refused,
            "failed": report.failed,
            "skipped": report.skipped,
        },
        "why": answer,
    })
}

/// What to try while everything is running.
pub(super) fn invitation(stage: &Stage, session: &mut Session) {
    let url = stage.url();
    let report = stage.report();
    let failed = report.failures.iter().rev().find(|visit| visit.concerned);
    let mut commands = vec![format!("halfopen why --url {url}")];
    if let Some(FailedVisit { request_id: Some(id), .. }) = failed {
        commands.push(format!("halfopen find {id} --url {url}"));
        commands.push(format!("halfopen trace {id} --url {url}"));
    }
    let sql = "SELECT service, count(*) AS spans FROM spans GROUP BY service ORDER BY spans DESC";
    commands.push(format!("halfopen query \"{sql}\" --url {url}"));
    session.terminal.note("\nall of it keeps running until Ctrl-C; in another terminal:");
    for command in commands {
        session.terminal.note(format!("  {COMMAND}{command}{COMMAND:#}"));
    }
}
