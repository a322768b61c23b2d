//! Which node stands in which column, and in which order: layers from entry points to leaves
//! (K. Sugiyama, S. Tagawa, M. Toda, IEEE SMC-11, 1981).
//!
//! Every edge has an item of its own in each column that it crosses, one of which carries its
//! label: so labels take part in the order and can never overlap.

use std::cmp::Ordering;

/// Sweeps over all columns; the best order seen is kept, more of them change little.
const SWEEPS: usize = 24;

/// What stands at one place of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item {
    /// A node, by its index.
    Node(usize),
    /// The label of an edge, by the index of the edge.
    Label(usize),
    /// An edge on its way.
    Bend(usize),
}

/// Items in columns; edges as chains of items.
pub(super) struct Layers {
    pub(super) items: Vec<Item>,
    /// Column of each item; nodes stand in even ones, labels in odd ones.
    pub(super) column: Vec<usize>,
    /// Items of each column, from top to bottom.
    pub(super) columns: Vec<Vec<usize>>,
    /// Items of each edge from the left to the right end, and whether it runs against that; empty
    /// for an edge from a node to itself.
    pub(super) chains: Vec<(Vec<usize>, bool)>,
}

impl Layers {
    pub(super) fn of(nodes: usize, edges: &[(usize, usize)], first: &[usize]) -> Layers {
        let backward = backward(nodes, edges, first);
        let ahead: Vec<(usize, usize)> = edges
            .iter()
            .zip(&backward)
            .map(|((from, to), backward)| if *backward { (*to, *from) } else { (*from, *to) })
            .collect();
        let layer = longest_paths(nodes, &ahead);
        let mut layers = Layers {
            items: (0..nodes).map(Item::Node).collect(),
            column: layer.iter().map(|layer| layer * 2).collect(),
            columns: Vec::new(),
            chains: Vec::new(),
        };
        for (edge, (from, to)) in ahead.iter().enumerate() {
            let chain = if from == to { Vec::new() } else { layers.chain(edge, *from, *to) };
            layers.chains.push((chain, backward[edge]));
        }
        let last = layers.column.iter().copied().max().unwrap_or(0);
        layers.columns = vec![Vec::new(); last + 1];
        for (item, column) in layers.column.iter().enumerate() {
            layers.columns[*column].push(item);
        }
        layers.order();
        layers
    }

    fn chain(&mut self, edge: usize, from: usize, to: usize) -> Vec<usize> {
        let (left, right) = (self.column[from], self.column[to]);
        // The odd column nearest to the middle.
        let label = (left + right) / 4 * 2 + 1;
        let mut chain = vec![from];
        for column in left + 1..right {
            let item = if column == label { Item::Label(edge) } else { Item::Bend(edge) };
            chain.push(self.items.len());
            self.items.push(item);
            self.column.push(column);
        }
        chain.push(to);
        chain
    }

    /// Neighbours of each item in the columns to its left and to its right.
    pub(super) fn neighbours(&self) -> [Vec<Vec<usize>>; 2] {
        let mut sides = [vec![Vec::new(); self.items.len()], vec![Vec::new(); self.items.len()]];
        for pair in self.chains.iter().flat_map(|(chain, _)| chain.windows(2)) {
            sides[0][pair[1]].push(pair[0]);
            sides[1][pair[0]].push(pair[1]);
        }
        sides
    }

    /// Orders every column by the barycentre of its neighbours, to and fro.
    fn order(&mut self) {
        let sides = self.neighbours();
        let mut place = vec![0; self.items.len()];
        let mut best = (self.crossings(&sides[1], &mut place), self.columns.clone());
        for sweep in 0..SWEEPS {
            let to_the_right = sweep % 2 == 0;
            let side = &sides[usize::from(!to_the_right)];
            for step in 1..self.columns.len() {
                let column = if to_the_right { step } else { self.columns.len() - 1 - step };
                self.sort(column, side, &place);
                renumber(&self.columns[column], &mut place);
            }
            let crossings = self.crossings(&sides[1], &mut place);
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
        }
        self.columns = best.1;
    }

    fn sort(&mut self, column: usize, side: &[Vec<usize>], place: &[usize]) {
        let centre = |item: usize| {
            let near = &side[item];
            // Without neighbours on this side an item stays where it is.
            let sum: usize = near.iter().map(|item| place[*item]).sum();
            if near.is_empty() { place[item] as f64 } else { sum as f64 / near.len() as f64 }
        };
        self.columns[column]
            .sort_by(|a, b| centre(*a).partial_cmp(&centre(*b)).unwrap_or(Ordering::Equal));
    }

    /// How many pairs of edges cross between neighbouring columns.
    fn crossings(&self, right: &[Vec<usize>], place: &mut [usize]) -> usize {
        self.columns.iter().for_each(|column| renumber(column, place));
        let mut crossings = 0;
        for column in &self.columns {
            let mut ends: Vec<(usize, usize)> = Vec::new();
            for item in column {
                ends.extend(right[*item].iter().map(|end| (place[*item], place[*end])));
            }
            ends.sort_unstable();
            for (number, (_, end)) in ends.iter().enumerate() {
                crossings += ends[..number].iter().filter(|(_, before)| before > end).count();
            }
        }
        crossings
    }
}

fn renumber(column: &[usize], place: &mut [usize]) {
    for (position, item) in column.iter().enumerate() {
        place[*item] = position;
    }
}

/// Edges that would close a circle, found by walking from entry points on; `first` is the order
/// in which nodes are begun with.
fn backward(nodes: usize, edges: &[(usize, usize)], first: &[usize]) -> Vec<bool> {
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (edge, (from, _)) in edges.iter().enumerate() {
        outgoing[*from].push(edge);
    }
    let (mut open, mut done) = (vec![false; nodes], vec![false; nodes]);
    let mut backward = vec![false; edges.len()];
    for start in first {
        let mut path = vec![(*start, 0)];
        while let Some((node, next)) = path.pop() {
            if next == 0 && done[node] {
                continue;
            }
            open[node] = true;
            let Some(edge) = outgoing[node].get(next) else {
                (open[node], done[node]) = (false, true);
                continue;
            };
            path.push((node, next + 1));
            let to = edges[*edge].1;
            if open[to] {
                backward[*edge] = to != node;
            } else if !done[to] {
                path.push((to, 0));
            }
        }
    }
    backward
}

/// The longest way from a node without callers to each node; edges must have no circle but those
/// of a node with itself. Nodes without callers move to the right, next to those that they call.
fn longest_paths(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layer = vec![0; nodes];
    for _ in 0..nodes {
        let mut moved = false;
        for (from, to) in edges.iter().filter(|(from, to)| from != to) {
            if layer[*to] < layer[*from] + 1 {
                layer[*to] = layer[*from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for node in 0..nodes {
        let called = edges.iter().any(|(from, to)| *to == node && *from != node);
        let called_by_it = edges.iter().filter(|(from, to)| *from == node && *to != node);
        let nearest: Option<usize> = called_by_it.map(|(_, to)| layer[*to]).min();
        if let Some(nearest) = nearest.filter(|_| !called) {
            layer[node] = nearest.saturating_sub(1);
        }
    }
    layer
}

#[cfg(test)]
#[path = "../tests/unit/layers.rs"]
mod tests;
