//! Gaps of answers.

use halfopen_model::answer::Gap;
use serde::{Deserialize, Serialize};

/// What an answer could not know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GapV1 {
    /// A short name for scripts.
    pub kind: String,
    /// One sentence.
    pub text: String,
}

impl From<&Gap> for GapV1 {
    fn from(gap: &Gap) -> GapV1 {
        GapV1 { kind: gap.kind().to_owned(), text: gap.to_string() }
    }
}
