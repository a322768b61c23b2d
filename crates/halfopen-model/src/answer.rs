//! What halfopen answers: findings with their evidence and gaps, and the answers of the verbs.
//! Rooms fill these types; CLI, pages and agents only show them.

mod chain;
mod changes;
mod compare;
mod finding;
mod lookup;
mod map;
mod measure;
mod mechanism;
mod suspect;
mod why;

pub use chain::{Chain, ChainOf, Confidence, Hop, HopKind, Refutation, RuledOut};
pub use changes::{ChangesAnswer, KnownChange, SeenChange};
pub use compare::{
    CallTimes, ComparedAttribute, ComparedCall, Oddity, Spread, TraceComparison, Twin,
};
pub use finding::{Effect, Evidence, EvidenceRef, Finding, Gap, Share, Strength};
pub use lookup::{
    Candidate, FindAnswer, Matched, Sent, SpanFault, TimelineEntry, TraceAnswer, TraceEvent,
    TraceSpan,
};
pub use map::{LeftOut, MapAnswer, MapEdge, MapNode, NodeChange, NodeKind, Quantiles, cut_map};
pub use measure::{Measured, MetricAnswer, MetricCause, MetricPlace};
pub use mechanism::{ChangeChoice, ChangeVerdict, Happening, NamedChange};
pub use suspect::{Deviation, INSTANCE_OUTLIER, Suspect, Suspects, VERSION_SPLIT};
pub use why::{
    AfterChange, BaselineKind, Call, Cause, Condition, ConditionPart, Contrast, Novelty,
    NoveltyKind, Onset, Scope, Slow, SlowRule, Verdict, VersionSplit, VersionsBeside, WhyAnswer,
};
