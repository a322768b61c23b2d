//! The answer of `changes`, and what is answered to who tells of one.

use halfopen_model::answer::{ChangesAnswer, KnownChange, SeenChange};
use serde::{Deserialize, Serialize};

use super::{GapV1, ShareV1, TimeRangeV1, TimeV1, Version};

/// What is answered to who told of changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TakenV1 {
    /// Version.
    pub v: Version,
    /// The ids under which the changes are kept, in the order in which they came.
    pub change_ids: Vec<String>,
}

/// The answer of `changes`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChangesV1 {
    /// Version.
    pub v: Version,
    /// The time it looked at.
    pub window: TimeRangeV1,
    /// Changes by time.
    pub changes: Vec<KnownChangeV1>,
    /// Spans that changes were looked for in.
    pub spans: u64,
    /// What could not be known.
    pub gaps: Vec<GapV1>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// One change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KnownChangeV1 {
    /// Id of the row in `changes`; null when it was only seen.
    pub id: Option<String>,
    /// deploy, config, flag, scale, restart, ...
    pub kind: String,
    /// When.
    pub at: TimeV1,
    /// When it was complete.
    pub until: Option<TimeV1>,
    /// What was changed.
    pub service: Option<String>,
    /// The one instance that was changed.
    pub instance: Option<String>,
    /// Environment.
    pub environment: Option<String>,
    /// What `from` and `to` are of.
    pub what: Option<String>,
    /// What it was before.
    pub from: Option<String>,
    /// What it is since.
    pub to: Option<String>,
    /// One line for people.
    pub title: String,
    /// Commit.
    pub commit: Option<String>,
    /// Team or tool.
    pub author: Option<String>,
    /// Paths that were touched.
    pub files: Vec<String>,
    /// The diff.
    pub diff: Option<String>,
    /// A page about it.
    pub url: Option<String>,
    /// Who told of it; null when it was only seen.
    pub told_by: Option<String>,
    /// What telemetry shows of it; null when it was only told.
    pub seen: Option<SeenChangeV1>,
}

/// What telemetry shows of a change.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SeenChangeV1 {
    /// First sight.
    pub at: TimeV1,
    /// Instances with the new value, of all seen since.
    pub instances: ShareV1,
    /// Visits that met the new value, of all since.
    pub visits: ShareV1,
}

impl From<&ChangesAnswer> for ChangesV1 {
    fn from(answer: &ChangesAnswer) -> ChangesV1 {
        ChangesV1 {
            v: Version::THIS,
            window: TimeRangeV1::from(answer.window),
            changes: answer.changes.iter().map(KnownChangeV1::from).collect(),
            spans: answer.spans,
            gaps: answer.gaps.iter().map(GapV1::from).collect(),
            next: answer.next.clone(),
        }
    }
}

impl From<&KnownChange> for KnownChangeV1 {
    fn from(change: &KnownChange) -> KnownChangeV1 {
        let change = change.clone();
        KnownChangeV1 {
            id: change.id,
            kind: change.kind,
            at: TimeV1(change.at),
            until: change.until.map(TimeV1),
            service: change.service,
            instance: change.instance,
            environment: change.environment,
            what: change.what,
            from: change.from,
            to: change.to,
            title: change.title,
            commit: change.commit,
            author: change.author,
            files: change.files,
            diff: change.diff,
            url: change.url,
            told_by: change.told_by,
            seen: change.seen.map(SeenChangeV1::from),
        }
    }
}

impl From<SeenChange> for SeenChangeV1 {
    fn from(seen: SeenChange) -> SeenChangeV1 {
        SeenChangeV1 {
            at: TimeV1(seen.at),
            instances: seen.instances.into(),
            visits: seen.visits.into(),
        }
    }
}
