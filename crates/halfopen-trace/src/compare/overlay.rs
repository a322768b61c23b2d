//! Traces laid over each other as one tree of calls.

use std::collections::HashMap;

use halfopen_model::answer::{CallTimes, ComparedCall, TraceAnswer};
use halfopen_model::{SpanId, UnixNanos};

use super::kind::folded;
use super::spread;

/// One call: a service and a name below a call.
struct Node {
    parent: Option<usize>,
    service: String,
    name: String,
    /// The first such span of the trace that was asked about, and when it began.
    first: Option<(UnixNanos, SpanId)>,
    here: Option<CallTimes>,
    twin: Option<CallTimes>,
    peers: Vec<CallTimes>,
}

/// The tree of all calls.
pub(super) struct Overlay {
    nodes: Vec<Node>,
    /// By parent (0 for none, else its number and 1), service and name.
    known: HashMap<(usize, String, String), usize>,
    nodes_max: usize,
    /// Whether the bound was reached.
    pub(super) cut: bool,
}

impl Overlay {
    /// Lays the trace, its twin and its peers over each other.
    pub(super) fn lay(
        trace: &TraceAnswer,
        twin: Option<&TraceAnswer>,
        peers: &[&TraceAnswer],
        nodes_max: usize,
    ) -> Overlay {
        let mut overlay =
            Overlay { nodes: Vec::new(), known: HashMap::new(), nodes_max, cut: false };
        for (node, times) in overlay.sum(trace, true) {
            overlay.nodes[node].here = Some(times);
        }
        for (node, times) in twin.map(|twin| overlay.sum(twin, false)).unwrap_or_default() {
            overlay.nodes[node].twin = Some(times);
        }
        for peer in peers {
            for (node, times) in overlay.sum(peer, false) {
                overlay.nodes[node].peers.push(times);
            }
        }
        overlay
    }

    /// The calls of one trace, each with what its spans took together.
    fn sum(&mut self, trace: &TraceAnswer, is_here: bool) -> HashMap<usize, CallTimes> {
        let mut sums: HashMap<usize, CallTimes> = HashMap::new();
        // The nodes above the span at hand: spans come parents before children.
        let mut above: Vec<Option<usize>> = Vec::new();
        for span in &trace.spans {
            above.truncate(span.depth);
            let parent = above.last().copied().flatten();
            let node = self.node(parent, &span.service, folded(&span.name));
            above.push(node);
            let Some(node) = node else { continue };
            if is_here && self.nodes[node].first.is_none_or(|(start, _)| span.start < start) {
                self.nodes[node].first = Some((span.start, span.span_id));
            }
            let times = sums.entry(node).or_default();
            times.count += 1;
            let duration_ns = span.duration_ns.unwrap_or(0).max(0);
            times.duration_ns = times.duration_ns.saturating_add(duration_ns);
            times.self_ns = times.self_ns.saturating_add(span.self_ns);
            times.failed += u64::from(span.failed);
        }
        sums
    }

    /// The node of a call, made where it is new; `None` beyond the bound.
    fn node(&mut self, parent: Option<usize>, service: &str, name: String) -> Option<usize> {
        let key = (parent.map_or(0, |parent| parent + 1), service.to_owned(), name);
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        if self.nodes.len() >= self.nodes_max {
            self.cut = true;
            return None;
        }
        let number = self.nodes.len();
        let (service, name) = (key.1.clone(), key.2.clone());
        let (first, here, twin, peers) = (None, None, None, Vec::new());
        self.nodes.push(Node { parent, service, name, first, here, twin, peers });
        self.known.insert(key, number);
        Some(number)
    }

    /// All calls, parents before children; those of the trace by time, then those of most peers.
    pub(super) fn calls(&self, peers: &[&TraceAnswer]) -> Vec<ComparedCall> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len() + 1];
        for (number, node) in self.nodes.iter().enumerate() {
            children[node.parent.map_or(0, |parent| parent + 1)].push(number);
        }
        let place = |number: &usize| {
            let node = &self.nodes[*number];
            let first = node.first.map_or(UnixNanos(i64::MAX), |(start, _)| start);
            (first, usize::MAX - node.peers.len(), *number)
        };
        children.iter_mut().for_each(|list| list.sort_by_key(place));
        let mut calls = Vec::with_capacity(self.nodes.len());
        let mut open: Vec<(usize, usize)> = children[0].iter().rev().map(|n| (*n, 0)).collect();
        while let Some((number, depth)) = open.pop() {
            calls.push(self.call(number, depth, peers.len()));
            open.extend(children[number + 1].iter().rev().map(|child| (*child, depth + 1)));
        }
        calls
    }

    fn call(&self, number: usize, depth: usize, peers: usize) -> ComparedCall {
        let node = &self.nodes[number];
        debug_assert!(node.peers.len() <= peers, "a peer counts once");
        let mut counts: Vec<u64> = node.peers.iter().map(|times| times.count).collect();
        counts.sort_unstable();
        ComparedCall {
            depth,
            service: node.service.clone(),
            name: node.name.clone(),
            span_id: node.first.map(|(_, span_id)| span_id),
            here: node.here,
            twin: node.twin,
            peers_with: node.peers.len() as u64,
            peers_count: counts.get(counts.len() / 2).copied().unwrap_or(0),
            peers_failed: node.peers.iter().filter(|times| times.failed > 0).count() as u64,
            peers_duration: spread(node.peers.iter().map(|times| times.duration_ns).collect()),
            peers_self: spread(node.peers.iter().map(|times| times.self_ns).collect()),
            odd: Vec::new(),
        }
    }
}
