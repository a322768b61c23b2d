//! Order and bounds: what fails most comes first, and what does not fit is counted.

use super::{LeftOut, MapEdge, MapNode};

/// Nodes by kind and name, edges by failing calls, then calls; at most so many of each.
pub fn cut_map(
    nodes: Vec<MapNode>,
    mut edges: Vec<MapEdge>,
    nodes_max: usize,
    edges_max: usize,
) -> (Vec<MapNode>, Vec<MapEdge>, LeftOut) {
    let mut left_out = LeftOut::default();
    edges.sort_by(|a, b| {
        let name = |edge: &MapEdge| (&nodes[edge.from].name, &nodes[edge.to].name, edge.queue);
        let place = |edge: &MapEdge| (edge.from, edge.to);
        (b.calls.count.total_cmp(&a.calls.count))
            .then(b.calls.total.total_cmp(&a.calls.total))
            .then_with(|| name(a).cmp(&name(b)))
            .then_with(|| place(a).cmp(&place(b)))
    });
    let (kept, wanted) = kept_nodes(&nodes, &edges, nodes_max);
    left_out.nodes = (wanted - kept.iter().filter(|kept| **kept).count()) as u64;
    let mut room = edges_max;
    edges.retain(|edge| {
        let fits = kept[edge.from] && kept[edge.to] && room > 0;
        if fits {
            room -= 1;
        } else {
            left_out.edges += 1;
            left_out.calls += edge.calls.total;
        }
        fits
    });
    let mut order: Vec<usize> = (0..nodes.len()).filter(|node| kept[*node]).collect();
    order.sort_by_key(|node| (nodes[*node].kind, &nodes[*node].name, *node));
    let mut place = vec![usize::MAX; nodes.len()];
    for (position, node) in order.iter().enumerate() {
        place[*node] = position;
    }
    for edge in &mut edges {
        (edge.from, edge.to) = (place[edge.from], place[edge.to]);
    }
    let mut nodes: Vec<Option<MapNode>> = nodes.into_iter().map(Some).collect();
    let nodes = order.into_iter().filter_map(|node| nodes[node].take()).collect();
    (nodes, edges, left_out)
}

/// Those of the edges that come first, then services without edges; and how many there are. A
/// name that only a call outside of the window gave is no part of the map.
fn kept_nodes(nodes: &[MapNode], edges: &[MapEdge], nodes_max: usize) -> (Vec<bool>, usize) {
    let mut touched = vec![false; nodes.len()];
    edges.iter().for_each(|edge| [edge.from, edge.to].into_iter().for_each(|n| touched[n] = true));
    let mut kept = vec![false; nodes.len()];
    let mut room = nodes_max;
    let mut keep = |node: usize| {
        if !kept[node] && room > 0 {
            kept[node] = true;
            room -= 1;
        }
    };
    edges.iter().for_each(|edge| [edge.from, edge.to].into_iter().for_each(&mut keep));
    let mut alone: Vec<usize> =
        (0..nodes.len()).filter(|node| !touched[*node] && nodes[*node].heard).collect();
    alone.sort_by(|a, b| nodes[*a].name.cmp(&nodes[*b].name).then(a.cmp(b)));
    let wanted = touched.iter().filter(|touched| **touched).count() + alone.len();
    alone.into_iter().for_each(keep);
    (kept, wanted)
}
