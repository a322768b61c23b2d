//! The answer of `map`.

use halfopen_model::answer::{MapAnswer, MapEdge, MapNode, NodeChange, Quantiles};
use serde::{Deserialize, Serialize};

use super::{GapV1, ShareV1, TimeRangeV1, TimeV1, TraceIdV1, Version};

/// The answer of `map`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MapV1 {
    /// Version.
    pub v: Version,
    /// The time it looked at.
    pub window: TimeRangeV1,
    /// Failing requests of all, one for each trace.
    pub requests: ShareV1,
    /// Spans that the answer was computed over.
    pub spans: u64,
    /// Who takes part.
    pub nodes: Vec<MapNodeV1>,
    /// Who calls whom, most failing calls first.
    pub edges: Vec<MapEdgeV1>,
    /// Nodes that did not fit.
    pub nodes_left_out: u64,
    /// Edges that did not fit.
    pub edges_left_out: u64,
    /// What could not be known.
    pub gaps: Vec<GapV1>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// One part of the system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MapNodeV1 {
    /// Its name.
    pub name: String,
    /// outside, service, database, queue or external.
    pub kind: String,
    /// `postgresql`, `kafka`, where known.
    pub system: Option<String>,
    /// Whether a span of it came.
    pub heard: bool,
    /// Failing requests of all that it took: one for each trace.
    pub requests: ShareV1,
    /// Instances that sent spans.
    pub instances: u64,
    /// Versions in order of first sight.
    pub versions: Vec<String>,
    /// What changed in it inside the window.
    pub changes: Vec<NodeChangeV1>,
}

/// A change of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeChangeV1 {
    /// Its kind.
    pub kind: String,
    /// What it is now.
    pub to: Option<String>,
    /// When.
    pub at: TimeV1,
}

/// Calls from one node to another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MapEdgeV1 {
    /// Name of the caller.
    pub from: String,
    /// Name of the callee.
    pub to: String,
    /// Index of the caller in `nodes`.
    pub from_node: usize,
    /// Index of the callee in `nodes`.
    pub to_node: usize,
    /// Whether it leads into or out of a queue.
    pub queue: bool,
    /// Failing calls of all, as the caller saw them.
    pub calls: ShareV1,
    /// Calls in a second.
    pub per_second: f64,
    /// How long calls took; null when none ended.
    pub latency: Option<QuantilesV1>,
    /// Calls that repeat a failed one.
    pub retries: f64,
    /// Calls of which the callee's side did not come, though it is heard elsewhere.
    pub unheard: f64,
    /// Out of a queue: from the end of sending to the begin of the work.
    pub wait: Option<QuantilesV1>,
    /// A trace with such a call, a failing one where there is one.
    pub example: Option<TraceIdV1>,
}

/// Exact quantiles by nearest rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuantilesV1 {
    /// Half of all took no longer.
    pub p50_ns: i64,
    /// Nine of ten took no longer.
    pub p90_ns: i64,
    /// 99 of a hundred took no longer.
    pub p99_ns: i64,
}

impl From<&MapAnswer> for MapV1 {
    fn from(answer: &MapAnswer) -> MapV1 {
        MapV1 {
            v: Version::THIS,
            window: TimeRangeV1::from(answer.window),
            requests: ShareV1::from(answer.requests),
            spans: answer.spans,
            nodes: answer.nodes.iter().map(MapNodeV1::from).collect(),
            edges: answer.edges.iter().map(|edge| edge_of(answer, edge)).collect(),
            nodes_left_out: answer.left_out.nodes,
            edges_left_out: answer.left_out.edges,
            gaps: answer.gaps.iter().map(GapV1::from).collect(),
            next: answer.next.clone(),
        }
    }
}

fn edge_of(answer: &MapAnswer, edge: &MapEdge) -> MapEdgeV1 {
    let name = |node: usize| answer.nodes.get(node).map_or_else(String::new, |n| n.name.clone());
    MapEdgeV1 {
        from: name(edge.from),
        to: name(edge.to),
        from_node: edge.from,
        to_node: edge.to,
        queue: edge.queue,
        calls: ShareV1::from(edge.calls),
        per_second: edge.per_second,
        latency: edge.latency.map(QuantilesV1::from),
        retries: edge.retries,
        unheard: edge.unheard,
        wait: edge.wait.map(QuantilesV1::from),
        example: edge.example.map(TraceIdV1),
    }
}

impl From<&MapNode> for MapNodeV1 {
    fn from(node: &MapNode) -> MapNodeV1 {
        MapNodeV1 {
            name: node.name.clone(),
            kind: node.kind.name().to_owned(),
            system: node.system.clone(),
            heard: node.heard,
            requests: ShareV1::from(node.requests),
            instances: node.instances,
            versions: node.versions.clone(),
            changes: node.changes.iter().map(NodeChangeV1::from).collect(),
        }
    }
}

impl From<&NodeChange> for NodeChangeV1 {
    fn from(change: &NodeChange) -> NodeChangeV1 {
        NodeChangeV1 { kind: change.kind.clone(), to: change.to.clone(), at: TimeV1(change.at) }
    }
}

impl From<Quantiles> for QuantilesV1 {
    fn from(of: Quantiles) -> QuantilesV1 {
        QuantilesV1 { p50_ns: of.p50_ns, p90_ns: of.p90_ns, p99_ns: of.p99_ns }
    }
}
