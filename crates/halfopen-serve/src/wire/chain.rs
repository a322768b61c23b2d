//! The chain of whys.

use halfopen_model::answer::{Chain, Hop, RuledOut};
use serde::{Deserialize, Serialize};

/// From the symptom to where the evidence ends.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChainV1 {
    /// What it follows: cause, suspect, change (what services say of themselves) or nothing.
    pub of: String,
    /// The symptom first; each further hop says why the one before it happens.
    pub hops: Vec<HopV1>,
    /// What was looked at beside it and excluded.
    pub ruled_out: Vec<RuledOutV1>,
}

/// One statement that anybody can check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HopV1 {
    /// symptom, call, origin, condition, change or end.
    pub kind: String,
    /// One sentence.
    pub statement: String,
    /// The numbers that it rests on, in words; empty where it rests on none.
    pub numbers: String,
    /// More that holds for the same.
    pub notes: Vec<String>,
    /// Ids of evidence of this answer.
    pub evidence: Vec<String>,
    /// SQL that gives its number again.
    pub query: Option<String>,
    /// confirmed, likely or inconclusive.
    pub confidence: String,
    /// What would show that it is wrong.
    pub refuted_by: RefutationV1,
}

/// What would show that a hop is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefutationV1 {
    /// What to run; QUERY in it stands for the query of the hop.
    pub check: String,
    /// The result that contradicts.
    pub result: String,
}

/// Something that was excluded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuledOutV1 {
    /// What.
    pub what: String,
    /// How.
    pub how: String,
}

impl From<&Chain> for ChainV1 {
    fn from(chain: &Chain) -> ChainV1 {
        ChainV1 {
            of: chain.of.to_string(),
            hops: chain.hops.iter().map(HopV1::from).collect(),
            ruled_out: chain.ruled_out.iter().map(RuledOutV1::from).collect(),
        }
    }
}

impl From<&Hop> for HopV1 {
    fn from(hop: &Hop) -> HopV1 {
        HopV1 {
            kind: hop.kind.to_string(),
            statement: hop.statement.clone(),
            numbers: hop.numbers.clone(),
            notes: hop.notes.clone(),
            evidence: hop.evidence.clone(),
            query: hop.query.clone(),
            confidence: hop.confidence.to_string(),
            refuted_by: RefutationV1 {
                check: hop.refuted_by.check.clone(),
                result: hop.refuted_by.result.clone(),
            },
        }
    }
}

impl From<&RuledOut> for RuledOutV1 {
    fn from(one: &RuledOut) -> RuledOutV1 {
        RuledOutV1 { what: one.what.clone(), how: one.how.clone() }
    }
}
