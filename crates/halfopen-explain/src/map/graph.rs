//! Nodes and edges while they are counted.

use halfopen_model::answer::{NodeKind, Quantiles, Share};

use crate::intern::{FoldMap, NONE};

/// What a node is made of: its kind and two codes that tell it from others of its kind.
pub(super) type Key = (NodeKind, u32, u32);

/// One node.
pub(super) struct Node {
    pub(super) key: Key,
    /// The name of a system, as a code: `postgresql`.
    pub(super) system: u32,
}

/// What kind of hand-over an edge is; a weaker one counts only where no stronger one came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Way {
    /// Somebody waits for the answer.
    Call,
    /// A message was sent or worked on.
    Message,
    /// A message was created or received: the same one is often sent or worked on as well.
    WeakMessage,
}

/// One call.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) row: usize,
    pub(super) weight: f32,
    pub(super) failed: bool,
    /// `None` when it never ended.
    pub(super) duration: Option<i64>,
    pub(super) start: i64,
    pub(super) trace: u128,
}

/// All calls of one way from one node to another.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) calls: Share,
    pub(super) retries: f64,
    pub(super) unheard: f64,
    pub(super) latency: Vec<(i64, f32)>,
    pub(super) wait: Vec<(i64, f32)>,
    /// The earliest failing call, else the earliest one: by failing, begin and trace.
    pub(super) example: Option<((bool, i64, u128), usize)>,
}

impl Sum {
    pub(super) fn add(&mut self, call: &Call) {
        let weight = f64::from(call.weight);
        self.calls.total += weight;
        self.calls.count += if call.failed { weight } else { 0.0 };
        if let Some(duration) = call.duration {
            // Clocks that ran backwards are told as a gap.
            self.latency.push((duration.max(0), call.weight));
        }
        let key = (!call.failed, call.start, call.trace);
        if self.example.as_ref().is_none_or(|(known, _)| key < *known) {
            self.example = Some((key, call.row));
        }
    }
}

/// The graph so far.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    by_key: FoldMap<[u32; 3], u32>,
    pub(super) edges: Vec<((u32, u32, Way), Sum)>,
    by_pair: FoldMap<[u32; 3], u32>,
}

impl Graph {
    /// The node of a key, new when it is seen for the first time.
    pub(super) fn node(&mut self, key: Key, system: u32) -> u32 {
        let next = self.nodes.len() as u32;
        let node = *self.by_key.entry([key.0 as u32, key.1, key.2]).or_insert(next);
        if node == next {
            self.nodes.push(Node { key, system });
        } else if self.nodes[node as usize].system == NONE {
            self.nodes[node as usize].system = system;
        }
        node
    }

    pub(super) fn service(&mut self, code: u32) -> u32 {
        self.node((NodeKind::Service, code, NONE), NONE)
    }

    /// What is known about the calls between two nodes.
    pub(super) fn edge(&mut self, from: u32, to: u32, way: Way) -> &mut Sum {
        let next = self.edges.len() as u32;
        let edge = *self.by_pair.entry([from, to, way as u32]).or_insert(next);
        if edge == next {
            self.edges.push(((from, to, way), Sum::default()));
        }
        &mut self.edges[edge as usize].1
    }

    /// Leaves out messages that were received or created, where working on them or sending them
    /// was seen as well.
    pub(super) fn drop_weak(&mut self) {
        let strong = |(from, to, way): (u32, u32, Way)| {
            way == Way::WeakMessage && self.by_pair.contains_key(&[from, to, Way::Message as u32])
        };
        let kept: Vec<bool> = self.edges.iter().map(|(key, _)| !strong(*key)).collect();
        let mut kept = kept.into_iter();
        self.edges.retain(|_| kept.next().unwrap_or(true));
        self.by_pair.clear();
    }
}

/// Exact weighted quantiles by nearest rank: the smallest value at or below which lies the wanted
/// share of the weight.
pub(super) fn quantiles(values: &mut [(i64, f32)]) -> Option<Quantiles> {
    values.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let total: f64 = values.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let last = values.last()?.0;
    let mut found = [last; 3];
    let wanted = [0.5, 0.9, 0.99].map(|share| share * total * (1.0 - f64::EPSILON));
    let (mut reached, mut next) = (0.0, 0);
    for (value, weight) in values.iter() {
        reached += f64::from(*weight);
        while next < wanted.len() && reached >= wanted[next] {
            found[next] = *value;
            next += 1;
        }
    }
    Some(Quantiles { p50_ns: found[0], p90_ns: found[1], p99_ns: found[2] })
}
