//! Sets and their cases, from `labels.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use halfopen_ingest::import::Mapping;
use halfopen_model::{TimeRange, UnixNanos};
use serde_json::Value;

use super::evidence::Stored;
use super::forms;
use super::naming::Naming;

/// What the true cause of a case is, and so what candidates are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A service, from traces, logs and metrics.
    Service,
    /// A combination of attributes, from counts.
    Attributes,
    /// A node of a call graph, from its metrics.
    Node,
    /// A commit, or none.
    Commit,
    /// A service and its new version or configuration.
    Change,
}

/// One set.
pub(super) struct Set {
    /// The name of its folder.
    pub(super) name: String,
    /// What causes are.
    pub(super) kind: Kind,
    /// How its tables are read.
    pub(super) mapping: Arc<Mapping>,
    /// The folder.
    pub(super) folder: PathBuf,
    /// What is imported into one store each.
    pub(super) evidence: Vec<Evidence>,
    /// The cases.
    pub(super) cases: Vec<Case>,
}

/// What is imported into one store: files below the set's folder whose path begins so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Evidence {
    /// Beginnings of paths.
    pub(super) beginnings: Vec<String>,
    /// The part of a path that is no part of a source's name.
    pub(super) root: String,
}

/// One labelled incident.
pub(super) struct Case {
    /// Its name.
    pub(super) name: String,
    /// Number of its evidence in the set.
    pub(super) evidence: usize,
    /// What a user would ask.
    pub(super) question: Question,
    /// The true causes.
    pub(super) truth: Vec<String>,
    /// Causes that are laid out to mislead.
    pub(super) decoys: Vec<String>,
}

/// A time: as it is, or that of what a source holds.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum When {
    /// This time.
    At(TimeRange),
    /// From the first to the last row of the sources whose name begins so.
    Of(String),
}

/// What a user would ask.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Question {
    /// `--from`, `--to`
    pub(super) window: When,
    /// `--baseline`
    pub(super) baseline: Option<When>,
    /// `--service`
    pub(super) service: Option<String>,
    /// `--metric`
    pub(super) metric: Option<String>,
    /// `--total`
    pub(super) total: Option<String>,
    /// What a cause has to name to be the true one, where that is more than one word.
    pub(super) naming: Option<Naming>,
}

impl When {
    fn placed(&self, stored: &Stored) -> Result<TimeRange, String> {
        match self {
            When::At(range) => Ok(*range),
            When::Of(source) => stored
                .times_of(source)
                .ok_or_else(|| format!("nothing was imported from \"{source}\"")),
        }
    }

    /// The time itself; all of it where it is that of a source.
    pub(super) fn range(&self) -> TimeRange {
        match self {
            When::At(range) => *range,
            When::Of(_) => TimeRange::ALL,
        }
    }
}

impl Question {
    /// The same with times.
    ///
    /// # Errors
    /// When a source that gives a time was not imported.
    pub(super) fn placed(&self, stored: &Stored) -> Result<Question, String> {
        let baseline = self.baseline.as_ref().map(|when| when.placed(stored)).transpose()?;
        Ok(Question {
            window: When::At(self.window.placed(stored)?),
            baseline: baseline.map(When::At),
            ..self.clone()
        })
    }

    /// The same about another time; the baseline stays, and where `end_stays` the end, unless
    /// nothing would be left.
    pub(super) fn shifted(&self, ns: i64, end_stays: bool) -> Question {
        let right = self.window.range();
        let mut wrong = shifted(right, ns);
        if end_stays && wrong.from < right.to {
            wrong.to = right.to;
        }
        Question { window: When::At(wrong), ..self.clone() }
    }
}

/// A range moved by so many nanoseconds.
pub(super) fn shifted(range: TimeRange, ns: i64) -> TimeRange {
    TimeRange { from: range.from.shifted(ns), to: range.to.shifted(ns) }
}

/// A range by seconds since the epoch.
pub(super) fn seconds(from: i64, to: i64) -> TimeRange {
    let at = |seconds: i64| UnixNanos(seconds.saturating_mul(halfopen_model::time::SECOND_NS));
    TimeRange { from: at(from), to: at(to) }
}

/// The sets of a folder, by name.
///
/// # Errors
/// When there is none, or labels do not read.
pub(super) fn sets(folder: &Path, only: Option<&str>) -> Result<Vec<Set>, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut sets = Vec::new();
    for folder in folders.into_iter().filter(|folder| folder.join("labels.json").is_file()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if only.is_none_or(|only| only == name) {
            sets.push(set(folder, name)?);
        }
    }
    if sets.is_empty() {
        let which = only.map_or("a set".to_owned(), |name| format!("the set \"{name}\""));
        let fact = format!("{which} is not in \"{}\"", folder.display());
        return Err(format!("{fact}\nhint: a set is a folder with labels.json"));
    }
    Ok(sets)
}

fn set(folder: PathBuf, name: String) -> Result<Set, String> {
    let wrong = |why: String| format!("the labels of \"{name}\" cannot be used\n  {why}");
    let text = fs::read_to_string(folder.join("labels.json")).map_err(|e| wrong(e.to_string()))?;
    let labels: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let listed = labels["cases"].as_array().filter(|cases| !cases.is_empty());
    let listed = listed.ok_or_else(|| wrong("there is no list \"cases\"".to_owned()))?;
    let form = forms::of(&listed[0]).ok_or_else(|| wrong("their form is not known".to_owned()))?;
    let mapping = form.mapping.map_or_else(
        || Ok(String::new()),
        |name| fs::read_to_string(crate::tree::root().join("docs/import").join(name)),
    );
    let mapping = mapping.map_err(|error| wrong(error.to_string()))?;
    let mapping = Mapping::parse(&mapping).map_err(|error| wrong(error.to_string()))?;
    let mut evidence: BTreeMap<Evidence, usize> = BTreeMap::new();
    let mut cases = Vec::new();
    for label in listed {
        let read = (form.read)(&folder, label).ok_or_else(|| wrong(format!("{label}")))?;
        let next = evidence.len();
        let number = *evidence.entry(read.evidence).or_insert(next);
        let name = text_of(label, "case").unwrap_or_default();
        let (question, truth, decoys) = (read.question, read.truth, read.decoys);
        cases.push(Case { name, evidence: number, question, truth, decoys });
    }
    let mut by_number: Vec<(usize, Evidence)> =
        evidence.into_iter().map(|(evidence, number)| (number, evidence)).collect();
    by_number.sort();
    let evidence = by_number.into_iter().map(|(_, evidence)| evidence).collect();
    Ok(Set { name, kind: form.kind, mapping: Arc::new(mapping), folder, evidence, cases })
}

/// A text of a label.
pub(super) fn text_of(label: &Value, name: &str) -> Option<String> {
    label[name].as_str().map(str::to_owned)
}
