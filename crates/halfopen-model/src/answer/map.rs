//! The answer of `map`: who calls whom, how often, how well and how fast.

mod cut;

pub use cut::cut_map;

use crate::answer::finding::{Gap, Share};
use crate::id::TraceId;
use crate::time::{TimeRange, UnixNanos};

/// The service graph of a time range, computed from its spans and from nothing else.
#[derive(Clone, PartialEq, Debug)]
pub struct MapAnswer {
    /// The time it looked at; calls that began inside are counted.
    pub window: TimeRange,
    /// Failing requests of all, counted as `why` counts them: one for each trace.
    pub requests: Share,
    /// Spans that the answer was computed over.
    pub spans: u64,
    /// Who takes part: services by name, then databases, queues and others.
    pub nodes: Vec<MapNode>,
    /// Who calls whom; most failing calls first, then most calls.
    pub edges: Vec<MapEdge>,
    /// What did not fit into the bounds.
    pub left_out: LeftOut,
    /// What could not be known.
    pub gaps: Vec<Gap>,
    /// Commands to go on with, the best one first.
    pub next: Vec<String>,
}

/// One part of the system.
#[derive(Clone, PartialEq, Debug)]
pub struct MapNode {
    /// Its name; empty for services that sent none.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// `postgresql`, `kafka`: of databases and queues, where known.
    pub system: Option<String>,
    /// Whether a span of it came. A service that others call and nobody heard is silent.
    pub heard: bool,
    /// Traces that visited it, failing ones of all: by its topmost entry span, as
    /// `why SERVICE` counts requests. Services only.
    pub requests: Share,
    /// Instances that sent spans. Services only.
    pub instances: u64,
    /// Versions that sent spans, in order of first sight. Services only.
    pub versions: Vec<String>,
    /// What changed in it inside the window.
    pub changes: Vec<NodeChange>,
}

/// What a part of the system is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeKind {
    /// Whoever sends the first request of a trace and no span.
    Outside,
    /// A service of the system.
    Service,
    /// A database or cache.
    Database,
    /// A queue, topic or exchange.
    Queue,
    /// Somebody else's service, known by its address.
    External,
}

impl NodeKind {
    /// The name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            NodeKind::Outside => "outside",
            NodeKind::Service => "service",
            NodeKind::Database => "database",
            NodeKind::Queue => "queue",
            NodeKind::External => "external",
        }
    }
}

/// A change of a service, for the map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeChange {
    /// `deploy`, `config`, ...
    pub kind: String,
    /// What it is now, where known.
    pub to: Option<String>,
    /// When.
    pub at: UnixNanos,
}

/// Calls from one node to another.
#[derive(Clone, PartialEq, Debug)]
pub struct MapEdge {
    /// Index of the caller in `nodes`.
    pub from: usize,
    /// Index of the callee in `nodes`.
    pub to: usize,
    /// Whether it leads into or out of a queue: nobody waits for the answer.
    pub queue: bool,
    /// Failing calls of all, as the caller saw them. Sampling weights are counted in.
    pub calls: Share,
    /// Calls in a second.
    pub per_second: f64,
    /// How long calls took for the caller; out of a queue, how long the work took. `None` when
    /// no call ended.
    pub latency: Option<Quantiles>,
    /// Calls that repeat a failed one of the same parent to the same target.
    pub retries: f64,
    /// Calls to a service that is heard elsewhere, of which its side did not come.
    pub unheard: f64,
    /// Out of a queue: time between the end of sending and the begin of the work.
    pub wait: Option<Quantiles>,
    /// A trace with a failing call, where there is one; else with any.
    pub example: Option<TraceId>,
}

/// Weighted quantiles, exact: the smallest value that the share of calls does not exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quantiles {
    /// Half of all took no longer, in nanoseconds.
    pub p50_ns: i64,
    /// Nine of ten took no longer.
    pub p90_ns: i64,
    /// 99 of a hundred took no longer.
    pub p99_ns: i64,
}

/// What did not fit into the bounds of a map.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct LeftOut {
    /// Parts of the system.
    pub nodes: u64,
    /// Pairs of caller and callee.
    pub edges: u64,
    /// Calls between them.
    pub calls: f64,
}
