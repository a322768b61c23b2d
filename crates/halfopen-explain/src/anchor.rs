//! The requests of a question: for each trace the span that stands for it.

use halfopen_model::TimeRange;

use crate::intern::{FoldMap, NONE};
use crate::spans::{Kind, Spans};
use crate::threads;
use crate::tree::Forest;

/// Operations of requests: what was asked for, in words.
pub(crate) struct Operations {
    texts: Vec<String>,
    codes: FoldMap<[u32; 3], u32>,
}

impl Operations {
    pub(crate) fn text(&self, code: u32) -> &str {
        self.texts.get(code as usize).map_or("", String::as_str)
    }

    /// Method and route where both are known, else the name of the span.
    fn code(&mut self, spans: &Spans<'_>, row: usize) -> u32 {
        let (method, route) = (spans.method[row], spans.route[row]);
        let key = if method != NONE && route != NONE {
            [method, route, NONE]
        } else {
            [NONE, NONE, spans.name[row]]
        };
        let next = self.texts.len() as u32;
        let code = *self.codes.entry(key).or_insert(next);
        if code == next {
            let texts = &mut self.texts;
            let text = operation(spans, row);
            match texts.iter().position(|known| *known == text) {
                // A span named "POST /pay" and one with method and route are one operation.
                Some(known) => {
                    self.codes.insert(key, known as u32);
                    return known as u32;
                }
                None => texts.push(text),
            }
        }
        code
    }
}

/// What a span was asked to do: method and route where both are known, else its name.
pub(crate) fn operation(spans: &Spans<'_>, row: usize) -> String {
    let (method, route) = (spans.method[row], spans.route[row]);
    if method != NONE && route != NONE {
        format!("{} {}", spans.words.text(method), spans.words.text(route))
    } else {
        spans.words.text(spans.name[row]).to_owned()
    }
}

/// One request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Request {
    /// The row of the span that stands for it.
    pub(crate) row: u32,
    pub(crate) trace: u32,
    pub(crate) start: i64,
    pub(crate) service: u32,
    pub(crate) operation: u32,
    pub(crate) failed: bool,
    /// Whether it lies in the baseline window.
    pub(crate) baseline: bool,
    pub(crate) weight: f32,
}

/// All requests of a question, those of the window by time.
pub(crate) struct Requests {
    pub(crate) all: Vec<Request>,
    pub(crate) operations: Operations,
}

impl Requests {
    /// The topmost entry span of `service` in each trace; without a service the topmost entry
    /// span, or the root where there is none. Among spans of one depth the earliest.
    pub(crate) fn find(
        spans: &Spans<'_>,
        forest: &Forest,
        service: Option<u32>,
        window: TimeRange,
        baseline: Option<TimeRange>,
    ) -> Requests {
        let operations = Operations { texts: Vec::new(), codes: FoldMap::default() };
        let mut requests = Requests { all: Vec::new(), operations };
        let anchors = threads::of_rows(forest.traces(), NONE, |trace| {
            anchor(spans, forest, trace, service).map_or(NONE, |row| row as u32)
        });
        for (trace, row) in anchors.into_iter().enumerate().filter(|(_, row)| *row != NONE) {
            let row = row as usize;
            let start = spans.start[row];
            let time = halfopen_model::UnixNanos(start);
            let in_baseline = baseline.is_some_and(|range| range.contains(time));
            if !window.contains(time) && !in_baseline {
                continue;
            }
            let operation = requests.operations.code(spans, row);
            requests.all.push(Request {
                row: row as u32,
                trace: trace as u32,
                start,
                service: spans.service[row],
                operation,
                failed: spans.failed[row],
                baseline: !window.contains(time),
                weight: spans.weight[row],
            });
        }
        let place = |request: &Request| (request.start, spans.trace_ids[request.trace as usize]);
        threads::sort(&mut requests.all, |a, b| place(a).cmp(&place(b)));
        requests
    }
}

fn anchor(spans: &Spans<'_>, forest: &Forest, trace: usize, service: Option<u32>) -> Option<usize> {
    let rows = forest.rows(trace).iter().map(|row| *row as usize);
    let rows = rows.filter(|row| !forest.is_repetition(*row));
    let place = |row: &usize| (forest.depth[*row], spans.start[*row], *row);
    let wanted = |row: &usize| service.is_none_or(|service| spans.service[*row] == service);
    let entries = rows.clone().filter(|row| spans.kind[*row] == Kind::Entry && wanted(row));
    // An orphan looks like a root: a true root goes before it.
    let topmost = |row: &usize| (spans.parent_id[*row] != 0 && forest.depth[*row] == 0, place(row));
    let entry = entries.min_by_key(topmost);
    entry.or_else(|| rows.filter(|row| wanted(row)).min_by_key(topmost))
}
