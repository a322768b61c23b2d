//! Which spans of a trace are shown as lines: siblings of one name become one line and a count.

use std::collections::{HashMap, HashSet};

use halfopen_serve::wire::{SpanV1, TraceV1};

/// So many siblings of one name are still shown one by one.
const ALIKE_SHOWN_MAX: usize = 4;

/// One line of a waterfall.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    /// A span.
    Span {
        /// Its index in the trace.
        index: usize,
        /// For each level above it that is drawn: whether more follows on that level.
        rails: Vec<bool>,
    },
    /// Spans like the one before on the same level.
    Alike {
        /// Their indexes; the first one is shown above.
        indexes: Vec<usize>,
        /// As for a span.
        rails: Vec<bool>,
    },
}

/// Deeper levels are drawn at this depth: more rails leave no room for the names.
pub(crate) const RAILS_MAX: usize = 12;

/// The parent of each span by the order and depth of the answer.
pub(crate) fn parents(spans: &[SpanV1]) -> Vec<Option<usize>> {
    let mut above: Vec<usize> = Vec::new();
    let mut parents = Vec::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        while above.last().is_some_and(|parent| spans[*parent].depth >= span.depth) {
            above.pop();
        }
        parents.push(above.last().copied());
        above.push(index);
    }
    parents
}

/// The lines, in order. With `all` nothing is folded.
pub(crate) fn lines(trace: &TraceV1, all: bool) -> Vec<Line> {
    let parents = parents(&trace.spans);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); trace.spans.len()];
    let mut tops = Vec::new();
    for (index, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(index),
            None => tops.push(index),
        }
    }
    let failing = failing_below(trace, &parents);
    let kept = path_to(trace.failed_first, &parents);
    let grouped = |siblings: &[usize]| groups(trace, siblings, &failing, all, &kept);
    let mut lines = Vec::new();
    let mut stack: Vec<Line> = with_rails(grouped(&tops), None);
    while let Some(line) = stack.pop() {
        if let Line::Span { index, rails } = &line {
            stack.extend(with_rails(grouped(&children[*index]), Some(rails)));
        }
        lines.push(line);
    }
    lines
}

/// Whether a span, or one below it, failed.
fn failing_below(trace: &TraceV1, parents: &[Option<usize>]) -> Vec<bool> {
    let mut failing: Vec<bool> = trace.spans.iter().map(|span| span.failed).collect();
    for index in (0..parents.len()).rev() {
        if let Some(parent) = parents[index].filter(|_| failing[index]) {
            failing[parent] = true;
        }
    }
    failing
}

/// The span in which the failure began and all above it: never folded away.
fn path_to(span: Option<usize>, parents: &[Option<usize>]) -> HashSet<usize> {
    let known = span.filter(|index| *index < parents.len());
    std::iter::successors(known, |index| parents[*index]).collect()
}

/// Siblings in groups of one name, each group at the place of its first.
fn groups(
    trace: &TraceV1,
    siblings: &[usize],
    failing: &[bool],
    all: bool,
    kept: &HashSet<usize>,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut place: HashMap<(&str, &str, bool), usize> = HashMap::new();
    for index in siblings {
        let span = &trace.spans[*index];
        if all || kept.contains(index) {
            groups.push(vec![*index]);
            continue;
        }
        let key = (span.service.as_str(), span.name.as_str(), failing[*index]);
        let group = *place.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(*index);
    }
    let mut shown: Vec<Vec<usize>> = Vec::new();
    for group in groups {
        if group.len() > ALIKE_SHOWN_MAX {
            shown.push(group);
        } else {
            shown.extend(group.into_iter().map(|index| vec![index]));
        }
    }
    shown.sort_by_key(|group| group[0]);
    shown
}

/// Lines of one level, the last one first, so that a stack gives them out in order.
fn with_rails(groups: Vec<Vec<usize>>, above: Option<&Vec<bool>>) -> Vec<Line> {
    let count = groups.len();
    let mut lines = Vec::new();
    for (position, group) in groups.into_iter().enumerate() {
        let more = position + 1 < count;
        let rails = |more: bool| match above {
            None => Vec::new(),
            Some(above) if above.len() >= RAILS_MAX => above.clone(),
            Some(above) => above.iter().copied().chain([more]).collect(),
        };
        let folded = group.len() > 1;
        lines.push(Line::Span { index: group[0], rails: rails(more || folded) });
        if folded {
            lines.push(Line::Alike { indexes: group, rails: rails(more) });
        }
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_model::{SpanId, TraceId, UnixNanos};
    use halfopen_serve::wire::{SpanIdV1, TimeV1, TraceIdV1};

    fn span(depth: usize, name: &str, failed: bool) -> SpanV1 {
        SpanV1 {
            span_id: SpanIdV1(SpanId([1; 8])),
            parent_span_id: None,
            depth,
            service: "shop".into(),
            name: name.into(),
            kind: "internal".into(),
            status: "unset".into(),
            status_message: None,
            start: TimeV1(UnixNanos(0)),
            duration_ns: Some(1),
            self_ns: 1,
            failed,
            faults: Vec::new(),
            attributes: Default::default(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    fn trace(spans: Vec<SpanV1>) -> TraceV1 {
        TraceV1 {
            trace_id: TraceIdV1(TraceId([1; 16])),
            start: TimeV1(UnixNanos(0)),
            duration_ns: 1,
            services: Vec::new(),
            roots: vec![0],
            failed_first: None,
            spans,
            unplaced: Vec::new(),
            gaps: Vec::new(),
            next: Vec::new(),
        }
    }

    fn shown(lines: &[Line]) -> Vec<String> {
        let line = |line: &Line| match line {
            Line::Span { index, rails } => format!("{index} {}", rails.len()),
            Line::Alike { indexes, .. } => format!("x{}", indexes.len()),
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn siblings_of_one_name_fold_also_when_others_stand_between_them() {
        let mut spans = vec![span(0, "root", false)];
        for _ in 0..6 {
            spans.push(span(1, "select", false));
            spans.push(span(2, "row", false));
            spans.push(span(1, "render", false));
        }
        spans.push(span(1, "select", true));
        let trace = trace(spans);
        // The failing one stays in sight, although it has the name of the others.
        assert_eq!(shown(&lines(&trace, false)), ["0 0", "1 1", "2 2", "x6", "3 1", "x6", "19 1"]);
        assert_eq!(lines(&trace, true).len(), 20);
    }

    #[test]
    fn a_chain_of_fifty_thousand_spans_is_drawn_with_few_rails() {
        let spans = (0..50_000).map(|depth| span(depth, "call", false)).collect();
        let lines = lines(&trace(spans), false);
        assert_eq!(lines.len(), 50_000);
        let widest = lines.iter().map(|line| match line {
            Line::Span { rails, .. } | Line::Alike { rails, .. } => rails.len(),
        });
        assert_eq!(widest.max(), Some(RAILS_MAX));
    }
}
