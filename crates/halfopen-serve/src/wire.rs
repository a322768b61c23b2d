//! What leaves halfopen as JSON: its own types, so that a rename inside a room cannot break a
//! script. The command line shows answers from these types only, so that a folder and a server
//! give the same output.
//!
//! Every document has `"v": 1`. Fields may be added; none changes its meaning or goes away
//! without a new version. Ids are hex, times RFC 3339 in UTC with nanoseconds, durations
//! nanoseconds with `_ns` in the name, shares `{count, total, ratio, interval}`.

use serde::{Deserialize, Serialize};

mod cell;
mod chain;
mod changes;
mod compare;
mod gap;
mod import;
mod lookup;
mod map;
mod mechanism;
mod metric;
mod problem;
mod query;
mod refusals;
mod scalar;
mod store;
mod suspects;
#[cfg(test)]
mod tests;
mod why;

pub use cell::{attribute_json, cell_json};
pub use chain::{ChainV1, HopV1, RefutationV1, RuledOutV1};
pub use changes::{ChangesV1, KnownChangeV1, SeenChangeV1, TakenV1};
pub use compare::{
    CallTimesV1, ComparedAttributeV1, ComparedCallV1, ComparisonV1, PeersValueV1, SpreadV1, TwinV1,
};
pub use gap::GapV1;
pub use import::{ImportRejectedV1, ImportRowsV1, ImportSourceV1, ImportTakenV1, ImportV1};
pub use lookup::{
    CandidateV1, EntryV1, EventV1, FindV1, LinkV1, SentV1, SpanV1, TraceReplyV1, TraceV1,
    matched_name,
};
pub use map::{MapEdgeV1, MapNodeV1, MapV1, NodeChangeV1, QuantilesV1};
pub use mechanism::{ChangeVerdictV1, HappeningV1, NamedChangeV1};
pub use metric::{MeasuredV1, MetricCauseV1, MetricPlaceV1, MetricV1};
pub use problem::{ErrorV1, ProblemV1};
pub use query::{ColumnV1, QueryQuestionV1, QueryV1, row_json};
pub use refusals::{RefusalV1, RefusalsV1, RefusedV1};
pub use scalar::{ShareV1, SpanIdV1, TimeRangeV1, TimeV1, TraceIdV1};
pub use store::{CheckV1, ExportV1, FileProblemV1, PartSizeV1, RebuiltV1, StatsV1, TableStatsV1};
pub use suspects::{DeviationV1, SuspectV1, SuspectsV1};
pub use why::{
    AfterV1, AlsoFailingV1, BaselineV1, CallV1, CauseV1, ConditionV1, ContrastV1, EvidenceV1,
    NoveltyV1, OnsetV1, PartV1, ScopeV1, SlowV1, SplitV1, WhyV1,
};

/// The version of all documents of this module.
pub const VERSION: u32 = 1;

/// The `v` of a document. Reading one of another version fails with both numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Version(u32);

impl Version {
    /// The version that this halfopen writes.
    pub const THIS: Version = Version(VERSION);
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Version::THIS),
            other => Err(serde::de::Error::custom(format!(
                "the answer has version {other}, this halfopen reads version {VERSION}"
            ))),
        }
    }
}
