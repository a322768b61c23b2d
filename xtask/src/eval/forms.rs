//! The five forms of labels: what a user would ask, and what the true answer is.

use std::fs;
use std::path::Path;

use halfopen_model::time::{SECOND_NS, parse_time};
use halfopen_model::{TimeRange, UnixNanos};
use serde_json::Value;

use super::labels::{Evidence, Kind, Question, When, seconds, text_of};
use super::naming::Naming;

/// Minutes before an alert that are asked about: the onset should lie inside.
const BEFORE_ALERT_S: i64 = 30 * 60;
/// An alert is looked at some minutes after it fired.
const AFTER_ALERT_S: i64 = 5 * 60;
/// A metric of five minutes is complete by then.
const AROUND_ALERT_S: i64 = 10 * 60;

/// How the labels of one form are read.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// What causes are.
    pub(super) kind: Kind,
    /// The file of docs/import, where there are tables.
    pub(super) mapping: Option<&'static str>,
    /// Reads the label of one case.
    pub(super) read: fn(&Path, &Value) -> Option<Read>,
}

/// What the label of a case says.
pub(super) struct Read {
    pub(super) evidence: Evidence,
    pub(super) question: Question,
    pub(super) truth: Vec<String>,
    pub(super) decoys: Vec<String>,
}

/// The form of labels, by the fields of the first one.
pub(super) fn of(label: &Value) -> Option<Form> {
    let has = |name: &str| !label[name].is_null();
    Some(match () {
        () if has("root_cause_service") => {
            Form { kind: Kind::Service, mapping: Some("nezha.toml"), read: service }
        }
        () if has("anomaly_unix") => {
            Form { kind: Kind::Attributes, mapping: Some("riskloc.toml"), read: attributes }
        }
        () if has("root_cause_node") => {
            Form { kind: Kind::Node, mapping: Some("petshop.toml"), read: node }
        }
        () if has("root_cause_commit") => {
            Form { kind: Kind::Commit, mapping: Some("rootcausebench.toml"), read: commit }
        }
        () if has("demo") => Form { kind: Kind::Change, mapping: None, read: demo },
        () => return None,
    })
}

fn question(window: When, baseline: Option<When>) -> Question {
    Question { window, baseline, service: None, metric: None, total: None, naming: None }
}

/// All of a set is one store, as one system has one; the case's time against the minute without a
/// fault.
fn service(_: &Path, label: &Value) -> Option<Read> {
    let case = text_of(label, "case")?;
    let baseline = text_of(label, "baseline").map(|day| When::Of(format!("baseline/{day}/")));
    Some(Read {
        evidence: Evidence { beginnings: vec![String::new()], root: String::new() },
        question: question(When::Of(format!("cases/{case}/")), baseline),
        truth: vec![text_of(label, "root_cause_service")?],
        decoys: Vec::new(),
    })
}

/// The failing minute.
fn attributes(_: &Path, label: &Value) -> Option<Read> {
    let case = text_of(label, "case")?;
    let at = label["anomaly_unix"].as_i64()?;
    let combinations = label["root_cause"].as_array()?;
    let truth = combinations.iter().map(|parts| {
        let parts = parts.as_object()?.iter();
        let parts = parts.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Some(combination(parts.collect::<Option<Vec<_>>>()?))
    });
    let mut question = question(When::At(seconds(at, at + 60)), None);
    question.metric = Some("requests.failed".to_owned());
    question.total = Some("requests".to_owned());
    Some(Read {
        evidence: Evidence {
            beginnings: vec![format!("cases/{case}.")],
            root: "cases/".to_owned(),
        },
        question,
        truth: truth.collect::<Option<Vec<_>>>()?,
        decoys: Vec::new(),
    })
}

/// A combination of attributes as one text: `bitrate=500 & p2p=1`, by name.
pub(super) fn combination(mut parts: Vec<(String, String)>) -> String {
    parts.sort();
    let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parts.join(" & ")
}

/// The time of the alert against the days without a fault; a scenario that has none of its own is
/// compared with the one that has.
fn node(_: &Path, label: &Value) -> Option<Read> {
    let scenario = text_of(label, "scenario")?;
    let at = label["target_unix"].as_i64()?;
    let has_own = label["has_own_baseline"].as_bool().unwrap_or(true);
    let quiet = if has_own { scenario.clone() } else { "low_traffic".to_owned() };
    let quiet = format!("{quiet}/noissue");
    let window = When::At(seconds(at - AROUND_ALERT_S, at + AROUND_ALERT_S));
    let mut question = question(window, Some(When::Of(quiet.clone())));
    question.service = text_of(label, "target_node");
    let (metric, statistic) = (text_of(label, "target_metric")?, text_of(label, "target_agg")?);
    question.metric = Some(format!("{metric}.{statistic}"));
    question.total = Some("requests.Sum".to_owned());
    Some(Read {
        evidence: Evidence {
            beginnings: vec![format!("{scenario}/issue"), format!("{scenario}/graph"), quiet],
            root: String::new(),
        },
        question,
        truth: vec![text_of(label, "root_cause_node")?],
        decoys: Vec::new(),
    })
}

/// The whole run, as the demo asks about it.
fn demo(_: &Path, label: &Value) -> Option<Read> {
    let case = text_of(label, "case")?;
    let time = |text: &Value| parse_time(text.as_str()?, UnixNanos(0)).ok();
    let (from, to) = (time(&label["window"]["from"])?, time(&label["window"]["to"])?);
    let mut question = question(When::At(TimeRange { from, to }), None);
    let naming = Naming::read(&label["truth"])?;
    let truth = vec![naming.candidate()];
    question.naming = Some(naming);
    Some(Read {
        evidence: Evidence { beginnings: vec![format!("{case}/")], root: format!("{case}/") },
        question,
        truth,
        decoys: Vec::new(),
    })
}

/// The half hour before the alert, about the service that it names.
fn commit(folder: &Path, label: &Value) -> Option<Read> {
    let case = text_of(label, "case")?;
    let texts = |name: &str| {
        let list = label[name].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let (service, window) =
        alert(&fs::read_to_string(folder.join(&case).join("alert.json")).ok()?)?;
    let mut question = question(When::At(window), None);
    question.service = Some(service);
    Some(Read {
        evidence: Evidence { beginnings: vec![format!("{case}/")], root: format!("{case}/") },
        question,
        truth: vec![text_of(label, "root_cause_commit")?],
        decoys: texts("decoy_deploy_commits"),
    })
}

/// What the alert of a case says: its service and the time that a user would ask about.
fn alert(text: &str) -> Option<(String, TimeRange)> {
    let alert: Value = serde_json::from_str(text).ok()?;
    let at = parse_time(alert["fired_at"].as_str()?, UnixNanos(0)).ok()?;
    let from = at.shifted(-BEFORE_ALERT_S * SECOND_NS);
    let to = at.shifted(AFTER_ALERT_S * SECOND_NS);
    Some((text_of(&alert, "service")?, TimeRange { from, to }))
}
