//! The service graph of a time range: who calls whom, how often, how well and how fast.
//!
//! A *call* is the caller's span (client) where there is one, else the callee's span below a span
//! of another service; both are one call. Spans that send messages lead to a queue, spans that
//! work on them lead away from it. A call fails when its span fails, as [`request`] says; times
//! are those of the caller.
//!
//! **Invariant:** a map equals the traces of its range: every call of the range is on exactly one
//! edge or counted in a gap.
//!
//! [`request`]: halfopen_model::request

mod count;
mod facts;
mod graph;
mod peers;
mod read;
#[cfg(test)]
#[path = "../tests/unit/map.rs"]
mod tests;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use halfopen_model::answer::{
    Gap, MapAnswer, MapEdge, MapNode, NodeChange, NodeKind, Share, cut_map,
};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Table, TimeRange, UnixNanos};

use crate::anchor::Requests;
use crate::changes::{self, detect};
use crate::gaps;
use crate::intern::NONE;
use crate::spans::Spans;
use crate::tree::Forest;
use count::Counted;
use graph::{Sum, Way};
use halfopen_model::shell::quoted;

/// Columns of `spans` that a map reads, beside those of the attributes that it needs, which lie in
/// columns or in the map of attributes.
pub const MAP_COLUMNS: &[&str] = &[
    "trace_id",
    "span_id",
    "parent_span_id",
    "start_time",
    "duration_ns",
    "service",
    "name",
    "kind",
    "status",
    "weight",
    "links",
    "attributes",
    "resource.service.version",
    "resource.service.instance.id",
    "resource.k8s.pod.name",
    "resource.host.name",
    "span.db.namespace",
    "span.db.system.name",
    "span.http.request.method",
    "span.http.response.status_code",
    "span.http.route",
    "span.messaging.destination.name",
    "span.messaging.operation.type",
    "span.messaging.system",
    "span.rpc.service",
    "span.rpc.status_code",
    "span.server.address",
    "span.server.port",
    "span.service.peer.name",
];

/// More nodes nobody can look at.
pub const MAP_NODES_MAX: usize = 400;
/// More edges nobody can look at.
pub const MAP_EDGES_MAX: usize = 2_000;

/// More changes of one service are not shown.
const NODE_CHANGES_MAX: usize = 8;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapQuestion {
    /// The time to look at.
    pub window: TimeRange,
    /// Now: a window that ended less than the settle time ago may still miss spans.
    pub now: UnixNanos,
}

/// What the answer may rest on.
#[derive(Clone, Default, Debug)]
pub struct MapEvidence {
    /// All spans of traces that have a span in the window. Columns may be missing.
    pub spans: Vec<RecordBatch>,
    /// The bound that was reached when spans were read, where one was.
    pub truncated: Option<usize>,
}

/// Draws the map.
pub fn map(question: &MapQuestion, evidence: &MapEvidence) -> MapAnswer {
    let mut spans = Spans::load(&evidence.spans, &[]);
    let extras = read::Extras::read(&mut spans);
    let forest = Forest::grow(&spans);
    let window = question.window;
    let requests = Requests::find(&spans, &forest, None, window, None);
    let mut counted = count::count(&spans, &forest, &extras, window);
    let services = facts::Services::read(&spans, &forest, window);
    for service in services.all() {
        // Also those that neither call nor are called.
        counted.graph.service(service);
    }
    let changed = changed(&spans, &forest, window);
    let nodes: Vec<MapNode> = nodes(&spans, &counted, &services, &changed);
    let seconds = seconds(&spans, window);
    let edges = edges(&spans, counted.graph.edges, seconds);
    let (nodes, edges, left_out) = cut_map(nodes, edges, MAP_NODES_MAX, MAP_EDGES_MAX);
    let mut gaps = gaps::shape(&spans, &forest);
    gaps.extend(gaps_of(question, evidence, &counted.unplaced));
    let mut answer = MapAnswer {
        window,
        requests: total(&requests),
        spans: spans.len() as u64,
        nodes,
        edges,
        left_out,
        gaps,
        next: Vec::new(),
    };
    answer.next = next(&answer);
    answer
}

fn total(requests: &Requests) -> Share {
    let mut share = Share::default();
    for request in &requests.all {
        share.total += f64::from(request.weight);
        share.count += f64::from(request.weight) * f64::from(u8::from(request.failed));
    }
    share
}

/// What changed in each service inside the window, by its code.
fn changed(
    spans: &Spans<'_>,
    forest: &Forest,
    window: TimeRange,
) -> BTreeMap<u32, Vec<NodeChange>> {
    let mut changed: BTreeMap<u32, Vec<NodeChange>> = BTreeMap::new();
    for seen in detect::detect(changes::visits(spans, forest, spans.baseline_from)) {
        let at = UnixNanos(seen.at);
        let of_service = changed.entry(seen.service).or_default();
        if !window.contains(at) || of_service.len() == NODE_CHANGES_MAX {
            continue;
        }
        let text =
            (seen.to != NONE).then(|| changes::shown(spans.words.text(seen.to)).into_owned());
        let to = seen.scale.map(|(_, now)| format!("{now} instances")).or(text);
        of_service.push(NodeChange { kind: seen.kind.to_owned(), to, at });
    }
    changed
}

fn nodes(
    spans: &Spans<'_>,
    counted: &Counted,
    services: &facts::Services,
    changed: &BTreeMap<u32, Vec<NodeChange>>,
) -> Vec<MapNode> {
    let system =
        |code: u32| Some(spans.words.text(code).to_owned()).filter(|text| !text.is_empty());
    let node = |node: &graph::Node| {
        let (kind, code, _) = node.key;
        let facts = services.of(code).filter(|_| kind == NodeKind::Service);
        MapNode {
            name: peers::name(spans, node.key),
            kind,
            system: system(node.system),
            heard: facts.is_some(),
            requests: facts.map_or(Share::default(), |facts| facts.requests),
            instances: facts.map_or(0, |facts| facts.instances.len() as u64),
            versions: facts.map_or_else(Vec::new, |facts| facts.versions(spans)),
            changes: facts.and_then(|_| changed.get(&code)).cloned().unwrap_or_default(),
        }
    };
    counted.graph.nodes.iter().map(node).collect()
}

/// Length of the window; of the time in which spans came where the window is open.
fn seconds(spans: &Spans<'_>, window: TimeRange) -> f64 {
    let starts = || spans.start.iter().copied().filter(|start| window.contains(UnixNanos(*start)));
    let first = starts().min().unwrap_or(0).max(window.from.0);
    let last = starts().max().unwrap_or(0).min(window.to.0);
    let from = if window.from == UnixNanos::MIN { first } else { window.from.0 };
    let to = if window.to == UnixNanos::MAX { last } else { window.to.0 };
    (to.saturating_sub(from) as f64 / SECOND_NS as f64).max(1.0)
}

fn edges(spans: &Spans<'_>, counted: Vec<((u32, u32, Way), Sum)>, seconds: f64) -> Vec<MapEdge> {
    // Messages that were only received and those that were only created are edges like others.
    let mut sums: BTreeMap<(u32, u32, bool), Sum> = BTreeMap::new();
    for ((from, to, way), sum) in counted.into_iter().filter(|(_, sum)| sum.calls.total > 0.0) {
        sums.insert((from, to, way != Way::Call), sum);
    }
    let edge = |((from, to, queue), mut sum): ((u32, u32, bool), Sum)| MapEdge {
        from: from as usize,
        to: to as usize,
        queue,
        calls: sum.calls,
        per_second: sum.calls.total / seconds,
        latency: graph::quantiles(&mut sum.latency),
        retries: sum.retries,
        unheard: sum.unheard,
        wait: graph::quantiles(&mut sum.wait),
        example: sum.example.and_then(|(_, row)| spans.trace_id(row)),
    };
    sums.into_iter().map(edge).collect()
}

fn gaps_of(question: &MapQuestion, evidence: &MapEvidence, unplaced: &count::Unplaced) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if unplaced.nameless > 0.0 {
        gaps.push(Gap::Other(format!(
            "{:.0} calls do not say whom they call (no server.address, no child span)",
            unplaced.nameless
        )));
    }
    if unplaced.strangers > 0.0 {
        gaps.push(Gap::Other(format!(
            "{:.0} requests came from a caller whose span did not arrive",
            unplaced.strangers
        )));
    }
    if question.now.since(question.window.to) < gaps::SETTLE_NS {
        gaps.push(Gap::NotSettled { settle_ns: gaps::SETTLE_NS });
    }
    if let Some(rows_max) = evidence.truncated {
        gaps.push(Gap::Truncated { table: Table::Spans, rows_max });
    }
    gaps
}

/// Why calls fail where most of them do, and the same map as a picture.
fn next(answer: &MapAnswer) -> Vec<String> {
    // Whole seconds: nobody wants to paste nanoseconds.
    let whole = |time: i64, up: i64| UnixNanos((time + up).div_euclid(SECOND_NS) * SECOND_NS);
    let bounded = answer.window.from != UnixNanos::MIN && answer.window.to != UnixNanos::MAX;
    let window = match bounded {
        true => format!(
            " --from {} --to {}",
            whole(answer.window.from.0, 0),
            whole(answer.window.to.0, SECOND_NS - 1)
        ),
        false => String::new(),
    };
    let mut next = Vec::new();
    let worst = answer.edges.iter().filter(|edge| edge.calls.count > 0.0).find_map(|edge| {
        let ends = [&answer.nodes[edge.to], &answer.nodes[edge.from]];
        let heard = |node: &&&MapNode| node.heard && !node.name.is_empty();
        let failing = |node: &&&MapNode| node.requests.count > 0.0;
        ends.iter().filter(heard).find(failing).map(|node| node.name.clone())
    });
    next.extend(worst.map(|service| format!("halfopen why {}{window}", quoted(&service))));
    if !answer.edges.is_empty() {
        next.push(format!("halfopen map{window} --svg map.svg"));
    }
    next
}
