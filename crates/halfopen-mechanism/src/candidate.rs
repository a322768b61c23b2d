//! Changes that may have done it: what they do, where, and since when it runs.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use halfopen_model::UnixNanos;
use halfopen_model::batch::Cells;

use crate::diff::words;
use crate::effect::{Effect, Kind, effects};

/// A change with what it does.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) change_id: String,
    pub(crate) commit: Option<String>,
    pub(crate) title: String,
    /// The service that it was deployed to.
    pub(crate) service: Option<String>,
    /// When it took effect.
    pub(crate) at: UnixNanos,
    pub(crate) files: Vec<String>,
    pub(crate) effects: Vec<Effect>,
    /// Whether a deploy says so itself, and not only that of something later.
    pub(crate) is_deployed: bool,
}

struct Row {
    change_id: String,
    kind: String,
    commit: Option<String>,
    title: String,
    service: Option<String>,
    at: UnixNanos,
    files: Vec<String>,
    diff: String,
}

/// All changes whose effect can be read.
pub(crate) fn candidates(changes: &[RecordBatch]) -> Vec<Candidate> {
    let rows = rows(changes);
    let deploys: Vec<&Row> = rows.iter().filter(|row| row.kind == "deploy").collect();
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| !row.diff.is_empty() || !row.files.is_empty()) {
        let files: Vec<&str> = row.files.iter().map(String::as_str).collect();
        let own = deploys.iter().find(|deploy| is_same(deploy, row));
        // Else the first deploy after it took it along: of a service that its files name, or of
        // any where they name none.
        let takes = |deploy: &&&Row| {
            let service = deploy.service.as_deref().unwrap_or_default();
            deploy.at >= row.at && touches(&row.files, service) != Touch::Elsewhere
        };
        let later = deploys.iter().filter(takes).min_by_key(|deploy| deploy.at);
        let deploy = own.or(later);
        found.push(Candidate {
            change_id: row.change_id.clone(),
            commit: row.commit.clone(),
            title: row.title.clone(),
            service: row.service.clone().or_else(|| deploy.and_then(|d| d.service.clone())),
            at: deploy.map_or(row.at, |deploy| deploy.at.max(row.at)),
            effects: effects(&files, &row.diff),
            is_deployed: own.is_some() || row.kind == "deploy",
            files: row.files.clone(),
        });
    }
    found.extend(switches(&rows));
    found
}

/// Flags: nobody can read what they do; they are shown where nothing else fits.
fn switches(rows: &[Row]) -> impl Iterator<Item = Candidate> + '_ {
    let flags = rows.iter().filter(|row| row.kind == "flag" && row.diff.is_empty());
    flags.map(|row| Candidate {
        change_id: row.change_id.clone(),
        commit: None,
        title: row.title.clone(),
        service: row.service.clone(),
        at: row.at,
        files: Vec::new(),
        effects: vec![Effect {
            kind: Kind::Switch,
            says: format!("turns {}", row.title),
            words: words(&row.title),
        }],
        is_deployed: true,
    })
}

fn is_same(deploy: &Row, row: &Row) -> bool {
    match (&deploy.commit, &row.commit) {
        (Some(one), Some(other)) => {
            one.starts_with(other.as_str()) || other.starts_with(one.as_str())
        }
        _ => deploy.change_id == row.change_id,
    }
}

fn rows(changes: &[RecordBatch]) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for batch in changes {
        let cells = Cells::new(batch);
        for row in 0..cells.len() {
            let text = |name: &str| cells.text(name, row).unwrap_or_default().to_owned();
            let some = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
            let Some(at) = cells.time("time", row) else { continue };
            if !seen.insert(text("change_id")) {
                continue;
            }
            found.push(Row {
                change_id: text("change_id"),
                kind: text("kind"),
                commit: some("commit"),
                title: text("title"),
                service: some("service"),
                at,
                files: cells.texts("files", row).into_iter().map(str::to_owned).collect(),
                diff: text("diff"),
            });
        }
    }
    found
}

/// How near the files of a change are to a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Touch {
    /// They belong to another service.
    Elsewhere,
    /// They are shared, or say nothing.
    Shared,
    /// They name the service.
    Named,
}

/// Folders that hold what several services use.
const SHARED: [&str; 16] = [
    "pkg",
    "lib",
    "libs",
    "internal",
    "common",
    "shared",
    "platform",
    "config",
    "deploy",
    "infra",
    "charts",
    "db",
    "migrations",
    "cmd",
    "src",
    "packages",
];

/// Endings of names of services that folders leave out.
const ENDINGS: [&str; 6] = ["service", "svc", "server", "api", "app", "srv"];

/// How near files are to a service.
pub(crate) fn touches(files: &[String], service: &str) -> Touch {
    let wanted = stems(service);
    let named = |file: &String| {
        file.split('/').any(|part| {
            let folder = stems(part);
            !folder.is_empty() && (folder == wanted || folder.concat() == wanted.concat())
        })
    };
    if files.is_empty() || files.iter().any(named) {
        return if files.is_empty() { Touch::Shared } else { Touch::Named };
    }
    let shared = |file: &String| {
        let first = file.split('/').next().unwrap_or_default();
        !file.contains('/') || SHARED.contains(&first)
    };
    if files.iter().any(shared) { Touch::Shared } else { Touch::Elsewhere }
}

/// The words of a name without the ending that only says that it is a service.
fn stems(name: &str) -> Vec<String> {
    let mut stems = Vec::new();
    for word in words(name) {
        let ending = ENDINGS.iter().find(|end| word.len() > end.len() && word.ends_with(**end));
        match ending {
            _ if ENDINGS.contains(&word.as_str()) => {}
            Some(ending) => stems.push(word[..word.len() - ending.len()].to_owned()),
            None => stems.push(word),
        }
    }
    stems
}
