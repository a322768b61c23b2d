use super::*;
use crate::call::{RefusalReason, TimeoutKind};
use std::collections::BTreeSet;
use std::time::Duration;

/// One event of each name.
fn each() -> Vec<Event<'static>> {
    let (took, attempt, outcome, cause) = (Duration::from_millis(3), 1, "ok", "503");
    let reason = DenyReason::Deadline;
    let refused = |reason| Event::Refused { reason };
    vec![
        Event::CallEnded { attempts: 1, outcome, took },
        Event::AttemptEnded { attempt, outcome, took },
        Event::RetryMade { attempt, cause, delay: took },
        Event::RetryDenied { attempt, cause, reason },
        Event::BreakerChanged { from: "closed", to: "open", failures: 0.5, slow: 0.0, calls: 20 },
        refused(RefusalReason::BreakerOpen),
        Event::BulkheadQueued { waited: took },
        refused(RefusalReason::QueueFull),
        Event::LimitChanged { limit: 7 },
        refused(RefusalReason::Overloaded),
        refused(RefusalReason::DeadlineSpent),
        Event::TimedOut { kind: TimeoutKind::Attempt, after: took },
        Event::HedgeSent { delay: took },
        Event::HedgeWon,
        Event::HedgeDenied { reason },
        Event::OutlierEjected { endpoint: "a", cause, pause: took },
        Event::OutlierReadmitted { endpoint: "a" },
        Event::OutlierKept { endpoint: "a", cause },
        Event::FallbackUsed { part: "reviews", kind: "skipped", cause: "error" },
        Event::LevelChanged { from: "full", to: "reduced", cause: "reviews" },
    ]
}

/// The rows of the table of events: name and attributes.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let document = include_str!("../../docs/telemetry.md");
    let table = document.split("## Events").nth(1).and_then(|rest| rest.split("## Values").next());
    let rows = table.unwrap_or_default().lines().filter(|line| line.starts_with("| `halfopen."));
    rows.map(|row| {
        let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
        (names.next().unwrap_or_default(), names.collect())
    })
    .collect()
}

#[test]
fn the_document_lists_every_event_with_its_attributes() {
    let told: Vec<(String, BTreeSet<String>)> = each()
        .iter()
        .map(|event| {
            let mut names = BTreeSet::new();
            event.attributes(&mut |name, _| {
                names.insert(name.to_owned());
            });
            (event.name().as_str().to_owned(), names)
        })
        .collect();
    assert_eq!(told, documented());
}

#[test]
fn every_name_has_its_event_and_its_counter() {
    let names: Vec<Name> = each().iter().map(Event::name).collect();
    assert_eq!(names, Name::ALL);
    let meter = Meter::new("peer");
    each().iter().for_each(|event| meter.note(event));
    assert!(meter.counts().all(|(_, count)| count == 1));
}
