//! Which change did it, as `why` says.

use halfopen_model::answer::{ChangeChoice, ChangeVerdict, Happening, NamedChange};
use serde::{Deserialize, Serialize};

use super::TimeV1;

/// What happens, and which change can do that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeVerdictV1 {
    /// named, none_of_these or not_enough_evidence.
    pub verdict: String,
    /// The reason, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The change, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<NamedChangeV1>,
    /// What happens, the first one first.
    pub happens: Vec<HappeningV1>,
    /// Changes that were looked at.
    pub changes: usize,
    /// Changes that came near, each with the reason why it is not the one.
    pub ruled_out: Vec<String>,
}

/// A way of failing that was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HappeningV1 {
    /// `pool_exhausted`, `null_dereference`, ...
    pub mechanism: String,
    /// The same in words.
    pub says: String,
    /// The service that says so.
    pub service: String,
    /// A line of its log, or a metric with its levels.
    pub sign: String,
    /// When it was first seen.
    pub since: TimeV1,
    /// How often.
    pub count: u64,
}

/// A change that can do what happens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedChangeV1 {
    /// Id of the row in `changes`.
    pub change_id: String,
    /// The commit.
    pub commit: Option<String>,
    /// One line.
    pub title: String,
    /// The service that it was deployed to.
    pub service: Option<String>,
    /// When it took effect.
    pub at: TimeV1,
    /// What it does.
    pub does: String,
    /// What happens because of it: the index into `happens`.
    pub happening: usize,
}

impl From<&ChangeVerdict> for ChangeVerdictV1 {
    fn from(verdict: &ChangeVerdict) -> ChangeVerdictV1 {
        let (name, reason, named) = match &verdict.choice {
            ChangeChoice::Named(named) => ("named", None, Some(NamedChangeV1::from(&**named))),
            ChangeChoice::NoneOfThese(reason) => ("none_of_these", Some(reason.clone()), None),
            ChangeChoice::NotEnough(reason) => ("not_enough_evidence", Some(reason.clone()), None),
        };
        ChangeVerdictV1 {
            verdict: name.to_owned(),
            reason,
            named,
            happens: verdict.happens.iter().map(HappeningV1::from).collect(),
            changes: verdict.changes,
            ruled_out: verdict.ruled_out.clone(),
        }
    }
}

impl From<&Happening> for HappeningV1 {
    fn from(happening: &Happening) -> HappeningV1 {
        HappeningV1 {
            mechanism: happening.mechanism.to_owned(),
            says: happening.says.to_owned(),
            service: happening.service.clone(),
            sign: happening.sign.clone(),
            since: TimeV1(happening.since),
            count: happening.count,
        }
    }
}

impl From<&NamedChange> for NamedChangeV1 {
    fn from(change: &NamedChange) -> NamedChangeV1 {
        NamedChangeV1 {
            change_id: change.change_id.clone(),
            commit: change.commit.clone(),
            title: change.title.clone(),
            service: change.service.clone(),
            at: TimeV1(change.at),
            does: change.does.clone(),
            happening: change.happening,
        }
    }
}
