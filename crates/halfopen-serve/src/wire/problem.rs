//! What somebody reads whose question has no answer.

use serde::{Deserialize, Serialize};

use super::Version;
use crate::desk::DeskError;

/// The body of a refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProblemV1 {
    /// Version.
    pub v: Version,
    /// What is wrong.
    pub error: ErrorV1,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorV1 {
    /// The fact.
    pub fact: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&DeskError> for ProblemV1 {
    fn from(error: &DeskError) -> ProblemV1 {
        let detail = std::error::Error::source(error).map(ToString::to_string);
        let hint = error.hint().map(str::to_owned);
        ProblemV1 { v: Version::THIS, error: ErrorV1 { fact: error.to_string(), detail, hint } }
    }
}
