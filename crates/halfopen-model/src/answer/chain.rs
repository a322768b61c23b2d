//! The chain of whys: from what users notice to what began it, hop by hop.

use std::fmt;

/// From the symptom to where the evidence ends.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Chain {
    /// What it follows.
    pub of: ChainOf,
    /// The symptom first; each further hop says why the one before it happens. Empty where there
    /// is nothing to explain.
    pub hops: Vec<Hop>,
    /// What was looked at beside it and excluded.
    pub ruled_out: Vec<RuledOut>,
}

/// What a chain follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ChainOf {
    /// The first cause of the answer.
    Cause,
    /// The first suspect of the answer.
    Suspect,
    /// What services say of themselves, and the change that can do it.
    Change,
    /// Nothing: there is a symptom at the most.
    #[default]
    Nothing,
}

impl fmt::Display for ChainOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ChainOf::Cause => "cause",
            ChainOf::Suspect => "suspect",
            ChainOf::Change => "change",
            ChainOf::Nothing => "nothing",
        })
    }
}

/// One link: a statement that anybody can check.
#[derive(Clone, PartialEq, Debug)]
pub struct Hop {
    /// What kind of statement it is.
    pub kind: HopKind,
    /// One sentence in plain words.
    pub statement: String,
    /// The numbers that it rests on, in words; empty where it rests on none.
    pub numbers: String,
    /// More that holds for the same: other names of one fact, versions side by side.
    pub notes: Vec<String>,
    /// Ids of the evidence of the answer that it rests on.
    pub evidence: Vec<String>,
    /// SQL that gives its number again.
    pub query: Option<String>,
    /// How sure it is.
    pub confidence: Confidence,
    /// What would show that it is wrong.
    pub refuted_by: Refutation,
}

/// What kind of statement a hop makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HopKind {
    /// Which requests fail or are slow, since when.
    Symptom,
    /// They do because a call to another service does.
    Call,
    /// Where it begins: nothing below it fails or is slow.
    Origin,
    /// Only under a condition.
    Condition,
    /// After a change, or after none.
    Change,
    /// Where the evidence ends.
    End,
}

impl fmt::Display for HopKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            HopKind::Symptom => "symptom",
            HopKind::Call => "call",
            HopKind::Origin => "origin",
            HopKind::Condition => "condition",
            HopKind::Change => "change",
            HopKind::End => "end",
        })
    }
}

/// How sure a hop is; the rule stands in docs/why.md.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Confidence {
    /// It fits, and other things would too.
    Inconclusive,
    /// It stands out, and what would refute it is not excluded.
    Likely,
    /// What would refute it was looked for, in enough requests, and is not there.
    Confirmed,
}

impl fmt::Display for Confidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Confidence::Inconclusive => "inconclusive",
            Confidence::Likely => "likely",
            Confidence::Confirmed => "confirmed",
        })
    }
}

/// What would show that a hop is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refutation {
    /// What to run: a command, or the query of the hop.
    pub check: String,
    /// The result of it that contradicts the hop.
    pub result: String,
}

/// Something that was looked at and excluded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuledOut {
    /// What.
    pub what: String,
    /// How it was excluded.
    pub how: String,
}
