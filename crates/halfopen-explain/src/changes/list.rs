//! What changed, told and seen, as one list.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use halfopen_model::answer::{ChangesAnswer, Gap, KnownChange, SeenChange};
use halfopen_model::batch::Cells;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{AttributeValue, Table, TimeRange, UnixNanos};

use super::detect::{self, Detected, Evaluation, Facet};
use super::{SAME_CHANGE_NS, same_version, shown, visits};
use crate::intern::{NONE, Words};
use crate::spans::Spans;
use crate::tree::Forest;
use halfopen_model::shell::quoted;

/// More changes nobody reads; `query` has them all.
pub const CHANGES_SHOWN_MAX: usize = 1_000;

/// Services that begin inside the data are named up to this number.
const UNKNOWN_BEFORE_MAX: usize = 5;

/// A service whose first span comes so much later than the first of all began later.
const LATER_NS: i64 = 60 * SECOND_NS;

/// The name of the event that every evaluation of a flag makes, and its form as a span event.
pub const FLAG_EVENT: &str = "feature_flag.evaluation";
const FLAG_EVENT_OLD: &str = "feature_flag";
const FLAG_KEY: &str = "feature_flag.key";
const FLAG_VARIANTS: [&str; 3] =
    ["feature_flag.result.variant", "feature_flag.variant", "feature_flag.result.value"];

/// Columns of `spans` that changes are detected from.
pub const CHANGES_COLUMNS: &[&str] = &[
    "trace_id",
    "span_id",
    "start_time",
    "duration_ns",
    "service",
    "name",
    "events",
    "attributes",
    "resource.service.version",
    "resource.service.instance.id",
    "resource.k8s.pod.name",
    "resource.host.name",
    "resource.vcs.ref.head.revision",
];

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangesQuestion {
    /// The time to look at; spans from before it tell what is new.
    pub window: TimeRange,
    /// Only changes of this service.
    pub service: Option<String>,
    /// Only changes of this kind.
    pub kind: Option<String>,
}

/// What the answer may rest on.
#[derive(Clone, Default, Debug)]
pub struct ChangesEvidence {
    /// Rows of `changes`.
    pub told: Vec<RecordBatch>,
    /// Spans of the window and of some time before it. Columns may be missing.
    pub spans: Vec<RecordBatch>,
    /// Log records of evaluations of flags.
    pub logs: Vec<RecordBatch>,
    /// The bound that was reached when spans were read, where one was.
    pub truncated: Option<usize>,
}

/// Lists what changed.
pub fn list(question: &ChangesQuestion, evidence: &ChangesEvidence) -> ChangesAnswer {
    let mut spans = Spans::load(&evidence.spans, &[]);
    let forest = Forest::grow(&spans);
    let visits = visits(&spans, &forest, spans.baseline_from);
    let mut seen = detect::detect(visits);
    let evaluations = evaluations(&mut spans, &evidence.logs);
    seen.extend(detect::flags(&evaluations));
    let mut changes: Vec<KnownChange> = evidence.told.iter().flat_map(told).collect();
    for detected in &seen {
        fold(&mut changes, known(&spans.words, detected));
    }
    let wanted = |change: &KnownChange| {
        question.window.contains(change.at)
            && (question.service.is_none() || question.service == change.service)
            && question.kind.as_ref().is_none_or(|kind| *kind == change.kind)
    };
    changes.retain(wanted);
    changes.sort_by(|a, b| {
        (a.at, &a.service, &a.kind, &a.to).cmp(&(b.at, &b.service, &b.kind, &b.to))
    });
    let mut gaps = unknown_before(&spans, question.window);
    if let Some(rows_max) = evidence.truncated {
        gaps.push(Gap::Truncated { table: Table::Spans, rows_max });
    }
    if changes.len() > CHANGES_SHOWN_MAX {
        gaps.push(Gap::Truncated { table: Table::Changes, rows_max: CHANGES_SHOWN_MAX });
        changes.drain(..changes.len() - CHANGES_SHOWN_MAX);
    }
    let next = next(&changes);
    ChangesAnswer { window: question.window, spans: spans.len() as u64, changes, gaps, next }
}

/// The rows of `changes`.
fn told(rows: &RecordBatch) -> Vec<KnownChange> {
    let cells = Cells::new(rows);
    let read = |row: usize| {
        let text = |name: &str| cells.text(name, row).map(str::to_owned);
        let version = text("version");
        Some(KnownChange {
            id: text("change_id"),
            kind: text("kind").unwrap_or_else(|| "other".to_owned()),
            at: cells.time("time", row)?,
            until: cells.time("end_time", row),
            service: text("service"),
            instance: text("instance"),
            environment: text("environment"),
            what: version.as_ref().map(|_| Facet::Version.name().to_owned()),
            from: text("previous_version"),
            to: version,
            title: text("title").unwrap_or_default(),
            commit: text("commit"),
            author: text("author"),
            files: cells.texts("files", row).into_iter().map(str::to_owned).collect(),
            diff: text("diff"),
            url: cells.attribute("url", row).map(|url| url.to_text()),
            told_by: Some(text("source").unwrap_or_else(|| "api".to_owned())),
            seen: None,
        })
    };
    (0..cells.len()).filter_map(read).collect()
}

/// What was seen, in the form in which it is listed.
fn known(words: &Words, seen: &Detected) -> KnownChange {
    let text = |code: u32| (code != NONE).then(|| shown(words.text(code)).into_owned());
    let (from, to) = match seen.scale {
        Some((from, to)) => (Some(from.to_string()), Some(to.to_string())),
        None => (text(seen.from), text(seen.to)),
    };
    let what = match seen.facet {
        Facet::Flag(key) => words.text(key).to_owned(),
        _ if seen.scale.is_some() => "instances".to_owned(),
        facet => facet.name().to_owned(),
    };
    let service = text(seen.service);
    let title =
        format!("{what} {} → {}", from.as_deref().unwrap_or("?"), to.as_deref().unwrap_or("?"));
    KnownChange {
        id: None,
        kind: seen.kind.to_owned(),
        at: UnixNanos(seen.at),
        until: None,
        service,
        instance: text(seen.instance),
        environment: None,
        what: Some(what),
        from,
        commit: if seen.facet == Facet::Commit { to.clone() } else { None },
        to,
        title,
        author: None,
        files: Vec::new(),
        diff: None,
        url: None,
        told_by: None,
        seen: Some(SeenChange {
            at: UnixNanos(seen.at),
            instances: seen.instances,
            visits: seen.visits,
        }),
    }
}

/// Adds what was seen to the change that speaks of the same, or as one of its own.
fn fold(changes: &mut Vec<KnownChange>, new: KnownChange) {
    let same = |change: &&mut KnownChange| {
        let near = change.at.0.abs_diff(new.at.0) <= SAME_CHANGE_NS as u64;
        near && change.service == new.service && change.kind == new.kind && agree(change, &new)
    };
    let Some(known) = changes.iter_mut().filter(same).min_by_key(|c| c.at.0.abs_diff(new.at.0))
    else {
        return changes.push(new);
    };
    let versions = known.what == new.what || known.to.is_none();
    if versions {
        known.what = known.what.take().or(new.what);
        known.from = known.from.take().or(new.from);
        known.to = known.to.take().or(new.to);
    }
    known.commit = known.commit.take().or(new.commit);
    known.instance = known.instance.take().or(new.instance);
    known.seen = known.seen.or(new.seen);
}

/// Whether two changes of one service, kind and time may be one: they say nothing that differs.
fn agree(known: &KnownChange, new: &KnownChange) -> bool {
    if new.kind == "restart" || new.kind == "scale" {
        let instance = known.instance.is_none() || known.instance == new.instance;
        return known.told_by.is_some() && instance;
    }
    match (&known.to, &new.to) {
        _ if new.kind == "flag" && known.told_by.is_some() => {
            // The title of a flag is all that is told of it.
            let key = new.what.as_deref().unwrap_or_default();
            known.what.is_none() && (known.title.contains(key) || known.to == new.to)
        }
        (Some(known_to), new_to) if known.what == new.what => {
            same_version(known_to, new_to.as_deref())
        }
        // Version, commit and image of one roll-out.
        _ => new.kind == "deploy" || known.told_by.is_some(),
    }
}

/// Evaluations of flags, as log records and as events of spans.
fn evaluations(spans: &mut Spans<'_>, logs: &[RecordBatch]) -> Vec<Evaluation> {
    let mut found = Vec::new();
    for rows in logs {
        let cells = Cells::new(rows);
        for row in 0..cells.len() {
            let value = |name: &str| cells.attribute(&format!("log.{name}"), row);
            let service = cells.text("service", row).unwrap_or_default();
            let at = cells.time("time", row).unwrap_or_default();
            found.extend(evaluation(&mut spans.words, service, at, &value));
        }
    }
    for part in 0..spans.parts.len() {
        let rows = spans.parts[part].rows;
        let Some(lists) = rows.column_by_name("events").and_then(|c| c.as_list_opt::<i32>()) else {
            continue;
        };
        let Some(items) = lists.values().as_struct_opt() else { continue };
        let items = RecordBatch::from(items);
        let (events, cells) = (Cells::new(&items), Cells::new(rows));
        let offsets = lists.value_offsets();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            for item in offsets[row] as usize..offsets[row + 1] as usize {
                let name = events.text("name", item);
                if !name.is_some_and(|name| [FLAG_EVENT, FLAG_EVENT_OLD].contains(&name)) {
                    continue;
                }
                let value = |name: &str| events.attribute(name, item);
                let service = cells.text("service", row).unwrap_or_default();
                let at = events.time("time", item).unwrap_or_default();
                found.extend(evaluation(&mut spans.words, service, at, &value));
            }
        }
    }
    found
}

fn evaluation(
    words: &mut Words,
    service: &str,
    at: UnixNanos,
    value: &dyn Fn(&str) -> Option<AttributeValue>,
) -> Option<Evaluation> {
    let key = value(FLAG_KEY)?.to_text();
    let variant = FLAG_VARIANTS.iter().find_map(|name| value(name))?.to_text();
    Some((words.code(service), words.code(&key), words.code(&variant), at.0))
}

/// Before its first span nothing is known of a service: that is said, and nothing that came with
/// that span is called new.
fn unknown_before(spans: &Spans<'_>, window: TimeRange) -> Vec<Gap> {
    let mut first: BTreeMap<u32, i64> = BTreeMap::new();
    for (service, start) in spans.service.iter().zip(&spans.start) {
        let known = first.entry(*service).or_insert(*start);
        *known = (*known).min(*start);
    }
    let Some(begin) = first.values().copied().min() else {
        return vec![Gap::Other("no span is of that time: only what was told is listed".into())];
    };
    let second = |at: i64| UnixNanos(at - at.rem_euclid(SECOND_NS));
    let mut gaps = Vec::new();
    if begin > window.from.0 {
        gaps.push(Gap::Other(format!("nothing is known before {}, the first span", second(begin))));
    }
    let mut later: Vec<(i64, &str)> = first
        .iter()
        .filter(|(_, at)| **at - begin > LATER_NS && **at >= window.from.0)
        .map(|(service, at)| (*at, spans.words.text(*service)))
        .collect();
    later.sort_unstable();
    for (at, service) in later.into_iter().take(UNKNOWN_BEFORE_MAX) {
        let at = second(at);
        gaps.push(Gap::Other(format!(
            "{service} was first heard at {at}: it may be new as a whole"
        )));
    }
    gaps
}

/// Why requests fail since the last deploy.
fn next(changes: &[KnownChange]) -> Vec<String> {
    let last = changes.iter().rev().find(|change| change.service.is_some());
    let ask = last.map(|change| {
        let service = change.service.as_deref().unwrap_or_default();
        let from = UnixNanos(change.at.0 - change.at.0.rem_euclid(SECOND_NS));
        let from = from.shifted(-SAME_CHANGE_NS);
        format!("halfopen why {} --from {from}", quoted(service))
    });
    ask.into_iter().collect()
}

#[cfg(test)]
#[path = "../../tests/unit/changes_list.rs"]
mod tests;
