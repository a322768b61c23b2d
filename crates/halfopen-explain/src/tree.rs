//! Traces as trees: who called whom, and what is wrong with the shape.
//!
//! **Invariant:** every walk is a loop over the rows of one trace with a bound; cycles, orphans,
//! repeated ids and several roots are counted and never followed twice.

use std::collections::BTreeSet;

use crate::intern::NONE;
use crate::spans::{Spans, UNENDED};

/// In traces with more spans than this, parents are found by binary search.
const LINEAR_SPANS_MAX: usize = 24;

/// All traces of a question.
#[derive(Clone)]
pub(crate) struct Forest {
    /// Rows grouped by trace, in order of evidence inside a trace; identical rows once.
    order: Vec<u32>,
    /// Where each trace begins in `order`; one more at the end.
    begins: Vec<u32>,
    /// Parent row of each row; [`NONE`] for roots, orphans and rows in a circle.
    pub(crate) parent: Vec<u32>,
    /// Steps to the root.
    pub(crate) depth: Vec<u32>,
    /// What is wrong with each trace.
    pub(crate) shape: Vec<Shape>,
}

/// What is wrong with a trace.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// Spans whose parent is missing.
    pub(crate) orphans: u32,
    /// Different spans that use an id that is taken.
    pub(crate) repeated: u32,
    /// Spans in a circle of parents.
    pub(crate) circle: u32,
    /// Spans that end before they begin.
    pub(crate) negative: u32,
}

impl Forest {
    /// Links all spans to their parents.
    pub(crate) fn grow(spans: &Spans<'_>) -> Forest {
        let (order, begins) = group(spans);
        let mut forest = Forest {
            order,
            begins,
            parent: vec![NONE; spans.len()],
            depth: vec![0; spans.len()],
            shape: vec![Shape::default(); spans.trace_ids.len()],
        };
        let mut scratch = Scratch::default();
        for trace in 0..spans.trace_ids.len() {
            forest.link(spans, trace, &mut scratch);
        }
        forest
    }

    /// Number of traces.
    pub(crate) fn traces(&self) -> usize {
        self.shape.len()
    }

    /// The rows of a trace.
    pub(crate) fn rows(&self, trace: usize) -> &[u32] {
        &self.order[self.begins[trace] as usize..self.begins[trace + 1] as usize]
    }

    /// The row itself, its parent, and so on up to the root.
    pub(crate) fn up(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let step = |row: &usize| {
            let parent = self.parent[*row];
            (parent != NONE).then_some(parent as usize)
        };
        std::iter::successors(Some(row), step)
    }

    fn link(&mut self, spans: &Spans<'_>, trace: usize, scratch: &mut Scratch) {
        let (begin, end) = (self.begins[trace] as usize, self.begins[trace + 1] as usize);
        let rows = &mut self.order[begin..end];
        scratch.index(spans, rows);
        let kept = drop_identical(spans, rows, scratch);
        let shape = &mut self.shape[trace];
        shape.repeated = kept.repeated;
        // Rows that were sent twice leave the trace: its range keeps them at the end, unread.
        let rows = &self.order[begin..begin + kept.rows];
        for row in rows.iter().map(|row| *row as usize) {
            shape.negative += u32::from(spans.duration[row] < 0 && spans.duration[row] != UNENDED);
            let parent_id = spans.parent_id[row];
            if parent_id == 0 {
                continue;
            }
            match scratch.find(spans, rows, parent_id) {
                Some(parent) => self.parent[row] = parent,
                None => shape.orphans += 1,
            }
        }
        shape.circle = break_circles(rows, &mut self.parent, &mut self.depth);
        for row in &self.order[begin + kept.rows..end] {
            self.depth[*row as usize] = NONE;
        }
    }

    /// The same without the rows of all traces but these: they are as if sent twice.
    pub(crate) fn only(&self, traces: &BTreeSet<u32>) -> Forest {
        let mut forest = self.clone();
        for trace in (0..self.traces()).filter(|trace| !traces.contains(&(*trace as u32))) {
            self.rows(trace).iter().for_each(|row| forest.depth[*row as usize] = NONE);
        }
        forest
    }

    /// Whether a row is a repetition of one that was sent before.
    pub(crate) fn is_repetition(&self, row: usize) -> bool {
        self.depth[row] == NONE
    }
}

/// Groups rows by trace by counting; rows without trace are left out.
fn group(spans: &Spans<'_>) -> (Vec<u32>, Vec<u32>) {
    let mut begins = vec![0_u32; spans.trace_ids.len() + 1];
    for trace in spans.trace.iter().filter(|trace| **trace != NONE) {
        begins[*trace as usize + 1] += 1;
    }
    for trace in 1..begins.len() {
        begins[trace] += begins[trace - 1];
    }
    let mut next = begins.clone();
    let mut order = vec![0_u32; *begins.last().unwrap_or(&0) as usize];
    for (row, trace) in spans.trace.iter().enumerate().filter(|(_, trace)| **trace != NONE) {
        let place = &mut next[*trace as usize];
        order[*place as usize] = row as u32;
        *place += 1;
    }
    (order, begins)
}

/// Finds rows of one trace by span id.
#[derive(Default)]
struct Scratch {
    by_id: Vec<(u64, u32)>,
}

impl Scratch {
    fn index(&mut self, spans: &Spans<'_>, rows: &[u32]) {
        self.by_id.clear();
        if rows.len() > LINEAR_SPANS_MAX {
            self.by_id.extend(rows.iter().map(|row| (spans.id[*row as usize], *row)));
            self.by_id.sort_unstable();
        }
    }

    /// The first row with this id.
    fn find(&self, spans: &Spans<'_>, rows: &[u32], id: u64) -> Option<u32> {
        if self.by_id.is_empty() {
            return rows.iter().copied().find(|row| spans.id[*row as usize] == id);
        }
        let place = self.by_id.partition_point(|(known, _)| *known < id);
        let (known, row) = self.by_id.get(place)?;
        (*known == id).then_some(*row)
    }
}

struct Kept {
    rows: usize,
    repeated: u32,
}

/// Moves rows that say the same as an earlier one of their id behind the others.
fn drop_identical(spans: &Spans<'_>, rows: &mut [u32], scratch: &Scratch) -> Kept {
    let same = |a: usize, b: usize| {
        spans.start[a] == spans.start[b]
            && spans.duration[a] == spans.duration[b]
            && spans.name[a] == spans.name[b]
            && spans.service[a] == spans.service[b]
    };
    let (mut kept, mut repeated, mut dropped) = (0, 0, Vec::new());
    for place in 0..rows.len() {
        let row = rows[place];
        let first = scratch.find(
            spans,
            &rows[..if scratch.by_id.is_empty() { kept } else { 0 }],
            spans.id[row as usize],
        );
        match first {
            Some(first) if first != row && same(first as usize, row as usize) => {
                dropped.push(row);
                continue;
            }
            Some(first) if first != row => repeated += 1,
            _ => {}
        }
        rows[kept] = row;
        kept += 1;
    }
    rows[kept..].copy_from_slice(&dropped);
    Kept { rows: kept, repeated }
}

/// Cuts circles of parents and measures depth, visiting each row once. Gives the number of rows
/// that stood in a circle.
fn break_circles(rows: &[u32], parent: &mut [u32], depth: &mut [u32]) -> u32 {
    const OPEN: u32 = NONE - 1;
    const UNSEEN: u32 = NONE - 2;
    let (mut path, mut circle) = (Vec::new(), 0);
    for row in rows {
        depth[*row as usize] = UNSEEN;
    }
    for row in rows {
        let mut at = *row as usize;
        path.clear();
        while depth[at] == UNSEEN {
            depth[at] = OPEN;
            path.push(at);
            if parent[at] == NONE {
                break;
            }
            at = parent[at] as usize;
        }
        if depth[at] == OPEN && parent[at] != NONE {
            // The walk came back to a row of its own path: all from there on is a circle.
            let from = path.iter().position(|seen| *seen == at).unwrap_or(0);
            circle += (path.len() - from) as u32;
            path[from..].iter().for_each(|row| parent[*row] = NONE);
        }
        while let Some(row) = path.pop() {
            depth[row] = if parent[row] == NONE { 0 } else { depth[parent[row] as usize] + 1 };
        }
    }
    circle
}
