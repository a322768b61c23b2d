//! Which spans are calls, and from whom to whom.

use halfopen_model::answer::NodeKind;
use halfopen_model::{TimeRange, UnixNanos};

use super::graph::{Call, Graph, Sum, Way};
use super::peers::{self, Peers};
use super::read::{Extras, Role};
use crate::intern::{FoldMap, NONE};
use crate::spans::{Kind, Spans, UNENDED};
use crate::tree::Forest;

/// Clocks with a resolution of one millisecond are common: a call that begins that little before
/// the one before it failed is still the repetition of it.
const ROUNDING_NS: i64 = 1_000_000;

/// Calls that could not be given to two nodes, by weight.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Unplaced {
    /// Calls whose span says nothing about whom it calls.
    pub(super) nameless: f64,
    /// Requests that a service took from a caller whose span did not come.
    pub(super) strangers: f64,
}

/// The counted graph.
pub(super) struct Counted {
    pub(super) graph: Graph,
    pub(super) unplaced: Unplaced,
}

struct Counter<'c, 'a> {
    spans: &'c Spans<'a>,
    forest: &'c Forest,
    extras: &'c Extras,
    peers: Peers,
    graph: Graph,
    unplaced: Unplaced,
    /// The service that answered a call, and the first span of it; by row of the call.
    answer: Vec<u32>,
    answer_row: Vec<u32>,
    /// The node that a call was meant for.
    target: Vec<u32>,
    /// Calls whose attempts have spans of their own, which are counted in their place.
    superseded: Vec<bool>,
    /// Calls that repeat a failed one.
    retry: Vec<bool>,
}

/// Counts the calls that begin inside the window.
pub(super) fn count(
    spans: &Spans<'_>,
    forest: &Forest,
    extras: &Extras,
    window: TimeRange,
) -> Counted {
    let (answer, answer_row) = answers(spans, forest, extras);
    let none = || vec![NONE; spans.len()];
    let mut counter = Counter {
        peers: Peers::learn(spans, extras, &answer),
        graph: Graph::default(),
        unplaced: Unplaced::default(),
        target: none(),
        superseded: vec![false; spans.len()],
        retry: vec![false; spans.len()],
        answer,
        answer_row,
        spans,
        forest,
        extras,
    };
    counter.aim();
    counter.supersede();
    counter.find_retries();
    let senders = counter.senders();
    for row in (0..spans.len()).filter(|row| !forest.is_repetition(*row)) {
        if !window.contains(UnixNanos(spans.start[row])) {
            continue;
        }
        match extras.role[row] {
            Role::None => counter.call(row),
            Role::Settle => {}
            _ => counter.message(row, &senders),
        }
    }
    counter.graph.drop_weak();
    Counted { graph: counter.graph, unplaced: counter.unplaced }
}

/// Which service answered each call: that of its earliest child elsewhere.
fn answers(spans: &Spans<'_>, forest: &Forest, extras: &Extras) -> (Vec<u32>, Vec<u32>) {
    let (mut answer, mut first) = (vec![NONE; spans.len()], vec![NONE; spans.len()]);
    for row in (0..spans.len()).filter(|row| !forest.is_repetition(*row)) {
        let Some(parent) = parent(forest, row) else { continue };
        let made = spans.kind[parent] == Kind::Exit && extras.role[parent] == Role::None;
        if !made || extras.role[row] != Role::None || !peers::is_hop(spans, parent, row) {
            continue;
        }
        let place = |row: usize| (spans.start[row], spans.id[row]);
        if first[parent] == NONE || place(row) < place(first[parent] as usize) {
            (answer[parent], first[parent]) = (spans.service[row], row as u32);
        }
    }
    (answer, first)
}

fn parent(forest: &Forest, row: usize) -> Option<usize> {
    (forest.parent[row] != NONE).then_some(forest.parent[row] as usize)
}

impl Counter<'_, '_> {
    fn is_call(&self, row: usize) -> bool {
        self.spans.kind[row] == Kind::Exit && self.extras.role[row] == Role::None
    }

    fn was_answered(&self, row: usize) -> bool {
        self.answer_row[row] != NONE
    }

    /// Gives every call its target.
    fn aim(&mut self) {
        for row in 0..self.spans.len() {
            if !self.is_call(row) {
                continue;
            }
            self.target[row] = if self.was_answered(row) {
                self.graph.service(self.answer[row])
            } else {
                let graph = &mut self.graph;
                self.peers.target(self.spans, self.extras, row, graph).unwrap_or(NONE)
            };
        }
    }

    /// A call that holds another call to the same target is told by that one.
    fn supersede(&mut self) {
        for row in 0..self.spans.len() {
            let Some(outer) = parent(self.forest, row) else { continue };
            let nested = self.is_call(row)
                && self.is_call(outer)
                && self.spans.service[row] == self.spans.service[outer]
                && !self.was_answered(outer);
            self.superseded[outer] |= nested && self.same_target(outer, row);
        }
    }

    fn same_target(&self, outer: usize, inner: usize) -> bool {
        let (wanted, met) = (self.target[outer], self.target[inner]);
        if met == NONE || wanted == NONE || wanted == met {
            return met != NONE;
        }
        // A mapper and the driver below it may name one database in two ways.
        let node = |node: u32| &self.graph.nodes[node as usize];
        let (wanted, met) = (node(wanted), node(met));
        wanted.key.0 == NodeKind::Database
            && met.key.0 == NodeKind::Database
            && wanted.system == met.system
    }

    /// Calls of one parent to one target under one name, of which an earlier one failed.
    fn find_retries(&mut self) {
        let spans = self.spans;
        let mut calls: Vec<(u32, u32, u32, i64, u64, usize)> = Vec::new();
        for trace in 0..self.forest.traces() {
            calls.clear();
            for row in self.forest.rows(trace).iter().map(|row| *row as usize) {
                if self.is_call(row)
                    && !self.forest.is_repetition(row)
                    && self.forest.parent[row] != NONE
                    && self.target[row] != NONE
                {
                    let (parent, name) = (self.forest.parent[row], spans.name[row]);
                    let (start, id) = (spans.start[row], spans.id[row]);
                    calls.push((parent, self.target[row], name, start, id, row));
                }
            }
            calls.sort_unstable();
            for pair in calls.windows(2) {
                let (before, row) = (pair[0].5, pair[1].5);
                let same = (pair[0].0, pair[0].1, pair[0].2) == (pair[1].0, pair[1].1, pair[1].2);
                let over = spans.end(before).saturating_sub(ROUNDING_NS) <= spans.start[row];
                self.retry[row] |= same && over && spans.failed[before];
            }
        }
    }

    /// Spans that send messages, by trace and id, for those that consumers link to.
    fn senders(&self) -> FoldMap<(u128, u64), u32> {
        let mut wanted: FoldMap<(u128, u64), u32> = FoldMap::default();
        for link in &self.extras.links {
            wanted.insert((link.trace, link.span), NONE);
        }
        if wanted.is_empty() {
            return wanted;
        }
        for row in 0..self.spans.len() {
            let sends = matches!(self.extras.role[row], Role::Send | Role::Create);
            if sends && let Some(id) = self.spans.trace_id(row) {
                let key = (u128::from_be_bytes(id.0), self.spans.id[row]);
                wanted.entry(key).and_modify(|sender| *sender = (*sender).min(row as u32));
            }
        }
        wanted
    }

    fn seen(&self, row: usize) -> Call {
        let spans = self.spans;
        let duration = Some(spans.duration[row]).filter(|duration| *duration != UNENDED);
        let trace = spans.trace_id(row).map_or(u128::MAX, |id| u128::from_be_bytes(id.0));
        let (weight, failed, start) = (spans.weight[row], spans.failed[row], spans.start[row]);
        Call { row, weight, failed, duration, start, trace }
    }

    fn add(&mut self, from: u32, to: u32, way: Way, row: usize) -> &mut Sum {
        let call = self.seen(row);
        let sum = self.graph.edge(from, to, way);
        sum.add(&call);
        sum
    }

    /// A span that has nothing to do with messages: made, taken, both at once, or neither.
    fn call(&mut self, row: usize) {
        let weight = f64::from(self.spans.weight[row]);
        if self.is_call(row) && !self.superseded[row] {
            self.made(row);
        }
        match parent(self.forest, row) {
            Some(parent) => self.taken(parent, row),
            None if self.spans.kind[row] != Kind::Entry => {}
            None if self.spans.parent_id[row] == 0 => {
                let outside = self.graph.node((NodeKind::Outside, NONE, NONE), NONE);
                let service = self.graph.service(self.spans.service[row]);
                self.add(outside, service, Way::Call, row);
            }
            None => self.unplaced.strangers += weight,
        }
    }

    /// The caller's span of a call.
    fn made(&mut self, row: usize) {
        let weight = f64::from(self.spans.weight[row]);
        let target = self.target[row];
        if target == NONE {
            self.unplaced.nameless += weight;
            return;
        }
        let from = self.graph.service(self.spans.service[row]);
        let (kind, code, _) = self.graph.nodes[target as usize].key;
        let heard = kind == NodeKind::Service && self.peers.is_heard(code);
        let unheard = heard && !self.was_answered(row);
        let again = self.retry[row] || self.extras.again[row];
        let sum = self.add(from, target, Way::Call, row);
        sum.unheard += if unheard { weight } else { 0.0 };
        sum.retries += if again { weight } else { 0.0 };
    }

    /// The callee's span of a call: counted here where the caller has no span for it.
    fn taken(&mut self, parent: usize, row: usize) {
        if !peers::is_hop(self.spans, parent, row) {
            return;
        }
        let weight = f64::from(self.spans.weight[row]);
        let from = self.graph.service(self.spans.service[parent]);
        let to = self.graph.service(self.spans.service[row]);
        let by_caller = self.is_call(parent) && self.answer[parent] == self.spans.service[row];
        if !by_caller {
            self.add(from, to, Way::Call, row);
        } else if self.answer_row[parent] != row as u32 {
            // A transport below the caller's span tried again.
            self.graph.edge(from, to, Way::Call).retries += weight;
        }
    }

    /// A span that sends, receives or works on messages.
    fn message(&mut self, row: usize, senders: &FoldMap<(u128, u64), u32>) {
        let way = match self.extras.role[row] {
            Role::Create | Role::Receive => Way::WeakMessage,
            _ => Way::Message,
        };
        let service = self.graph.service(self.spans.service[row]);
        if matches!(self.extras.role[row], Role::Send | Role::Create) {
            match self.queue(row) {
                Some(queue) => drop(self.add(service, queue, way, row)),
                None => self.unplaced.nameless += f64::from(self.spans.weight[row]),
            }
            return;
        }
        let sender = self.sender(row, senders);
        let queue = self.queue(row).or_else(|| self.queue(sender?));
        let weight = self.spans.weight[row];
        let waited = sender
            .map(|sender| self.spans.start[row].saturating_sub(self.spans.end(sender)).max(0));
        let caller = sender.or(parent(self.forest, row));
        let from = match (queue, caller) {
            (Some(queue), _) => queue,
            (None, Some(caller)) => self.graph.service(self.spans.service[caller]),
            (None, None) => {
                self.unplaced.strangers += f64::from(weight);
                return;
            }
        };
        let sum = self.add(from, service, way, row);
        sum.wait.extend(waited.map(|waited| (waited, weight)));
    }

    /// The queue that a span names: by its destination, else by the system alone.
    fn queue(&mut self, row: usize) -> Option<u32> {
        let (destination, system) = (self.extras.destination[row], self.extras.messaging[row]);
        let name = if destination == NONE { system } else { destination };
        (name != NONE).then(|| self.graph.node((NodeKind::Queue, name, NONE), system))
    }

    /// The span that sent what this one works on: its parent, or the one that it links to.
    fn sender(&self, row: usize, senders: &FoldMap<(u128, u64), u32>) -> Option<usize> {
        let sends = |row: &usize| matches!(self.extras.role[*row], Role::Send | Role::Create);
        parent(self.forest, row).filter(sends).or_else(|| {
            let links = &self.extras.links;
            let at = links.binary_search_by_key(&(row as u32), |link| link.row).ok()?;
            let sender = *senders.get(&(links[at].trace, links[at].span))?;
            (sender != NONE).then_some(sender as usize)
        })
    }
}
