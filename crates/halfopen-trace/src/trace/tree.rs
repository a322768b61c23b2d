//! Who hangs below whom, without trusting what the spans claim.

use std::collections::HashMap;

use halfopen_model::SpanId;
use halfopen_model::answer::TraceSpan;

/// Of the spans that share an id, as many are considered as parents. A sender that gives all its
/// spans one id must not make the layout quadratic.
pub(super) const CANDIDATES_MAX: usize = 16;

/// Where a span hangs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It names no parent.
    Root,
    /// The parent that it names did not come.
    Orphan,
    /// Its parents lead back to itself.
    Cycle,
    /// Below the span with this index.
    Child(usize),
}

/// The place of every span.
pub(super) fn places(spans: &[TraceSpan]) -> Vec<Place> {
    let mut by_id: HashMap<SpanId, Vec<usize>> = HashMap::new();
    for (index, span) in spans.iter().enumerate() {
        let same = by_id.entry(span.span_id).or_default();
        if same.len() < CANDIDATES_MAX {
            same.push(index);
        }
    }
    let mut places: Vec<Place> = spans
        .iter()
        .enumerate()
        .map(|(index, span)| match span.parent_span_id {
            None => Place::Root,
            Some(parent) => match by_id.get(&parent) {
                None => Place::Orphan,
                Some(candidates) => best_parent(spans, index, candidates),
            },
        })
        .collect();
    break_cycles(&mut places);
    places
}

/// Among spans with one id: one of the same service, else one that was running, else the first.
fn best_parent(spans: &[TraceSpan], child: usize, candidates: &[usize]) -> Place {
    let fitness = |parent: usize| {
        let (above, below) = (&spans[parent], &spans[child]);
        let length_ns = above.duration_ns.unwrap_or(i64::MAX);
        let running = above.start <= below.start && below.start <= above.start.shifted(length_ns);
        (above.service == below.service, running)
    };
    let others = candidates.iter().copied().filter(|candidate| *candidate != child);
    // `max_by_key` gives the last of equals; reversed, that is the first.
    match others.rev().max_by_key(|candidate| fitness(*candidate)) {
        Some(parent) => Place::Child(parent),
        None => Place::Cycle,
    }
}

/// Marks every span whose parents lead back to itself. Spans below such a circle keep their place.
fn break_cycles(places: &mut [Place]) {
    const NEW: usize = 0;
    let mut walked_in = vec![NEW; places.len()];
    for start in 0..places.len() {
        let walk = start + 1;
        let mut at = start;
        while walked_in[at] == NEW {
            walked_in[at] = walk;
            let Place::Child(parent) = places[at] else { break };
            at = parent;
        }
        if walked_in[at] != walk {
            continue;
        }
        // The walk met itself at `at`, unless it ended there for want of a parent.
        while let Place::Child(parent) = places[at] {
            places[at] = Place::Cycle;
            at = parent;
        }
    }
}

/// Indexes with depth, parents before children, siblings by time.
pub(super) fn order(spans: &[TraceSpan], places: &[Place]) -> Vec<(usize, usize)> {
    let mut tops = Vec::new();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (index, place) in places.iter().enumerate() {
        match place {
            Place::Child(parent) => children[*parent].push(index),
            Place::Root | Place::Orphan | Place::Cycle => tops.push(index),
        }
    }
    // Later first: the stack gives the earlier ones out first.
    let by_time = |index: &usize| {
        let span = &spans[*index];
        (span.start, -i128::from(span.duration_ns.unwrap_or(i64::MAX)), span.span_id, *index)
    };
    let latest_first = |indexes: &mut Vec<usize>| {
        indexes.sort_by_key(by_time);
        indexes.reverse();
    };
    latest_first(&mut tops);
    let mut stack: Vec<(usize, usize)> = tops.into_iter().map(|index| (index, 0)).collect();
    let mut shown = Vec::with_capacity(spans.len());
    while let Some((index, depth)) = stack.pop() {
        shown.push((index, depth));
        latest_first(&mut children[index]);
        stack.extend(children[index].iter().map(|child| (*child, depth + 1)));
    }
    shown
}
