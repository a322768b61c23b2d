//! Traces as trees: who called whom, and what is wrong with the shape.
//!
//! **Invariant:** every walk is a loop over the rows of one trace with a bound; cycles, orphans,
//! repeated ids and several roots are counted and never followed twice.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::intern::NONE;
use crate::spans::{Spans, UNENDED};
use crate::threads;

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
        let (mut order, begins) = group(spans);
        let links = Links::new(spans.len());
        let mut shape = vec![Shape::default(); spans.trace_ids.len()];
        let shares = Share::of(&begins, &mut order, &mut shape, threads::threads(spans.len()));
        threads::each_of(shares, |share| share.link(spans, &begins, &links));
        let (parent, depth) = (plain(links.parent), plain(links.depth));
        Forest { order, begins, parent, depth, shape }
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

/// Parents and depths that are on their way. Nobody waits for anybody: a row is of one trace, and
/// a trace of one thread.
struct Links {
    parent: Vec<AtomicU32>,
    depth: Vec<AtomicU32>,
}

impl Links {
    fn new(rows: usize) -> Links {
        let all = |value: u32| (0..rows).map(|_| AtomicU32::new(value)).collect();
        Links { parent: all(NONE), depth: all(0) }
    }

    fn parent(&self, row: usize) -> u32 {
        self.parent[row].load(Relaxed)
    }

    fn depth(&self, row: usize) -> u32 {
        self.depth[row].load(Relaxed)
    }

    fn put_parent(&self, row: usize, parent: u32) {
        self.parent[row].store(parent, Relaxed);
    }

    fn put_depth(&self, row: usize, depth: u32) {
        self.depth[row].store(depth, Relaxed);
    }
}

fn plain(cells: Vec<AtomicU32>) -> Vec<u32> {
    cells.into_iter().map(AtomicU32::into_inner).collect()
}

/// Traces that one thread links.
struct Share<'s> {
    traces: Range<usize>,
    /// Their part of [`Forest::order`].
    order: &'s mut [u32],
    /// Their part of [`Forest::shape`].
    shape: &'s mut [Shape],
}

impl<'s> Share<'s> {
    /// So many shares with about as many rows each.
    fn of(
        begins: &[u32],
        mut order: &'s mut [u32],
        mut shape: &'s mut [Shape],
        count: usize,
    ) -> Vec<Share<'s>> {
        let (rows, traces) = (order.len(), shape.len());
        let (mut shares, mut from) = (Vec::new(), 0);
        for share in 1..=count {
            let rows_end = (rows * share / count) as u32;
            let until = begins.partition_point(|begin| *begin < rows_end);
            let until = if share == count { traces } else { until };
            let (own_order, other_order) =
                order.split_at_mut((begins[until] - begins[from]) as usize);
            let (own_shape, other_shape) = shape.split_at_mut(until - from);
            (order, shape) = (other_order, other_shape);
            shares.push(Share { traces: from..until, order: own_order, shape: own_shape });
            from = until;
        }
        shares
    }

    fn link(self, spans: &Spans<'_>, begins: &[u32], links: &Links) {
        let (mut scratch, mut rest) = (Scratch::default(), self.order);
        for (trace, shape) in self.traces.zip(self.shape) {
            let (rows, others) = rest.split_at_mut((begins[trace + 1] - begins[trace]) as usize);
            rest = others;
            *shape = link(spans, rows, links, &mut scratch);
        }
    }
}

/// Links the rows of one trace, and puts those that were sent twice behind the others.
fn link(spans: &Spans<'_>, rows: &mut [u32], links: &Links, scratch: &mut Scratch) -> Shape {
    scratch.index(spans, rows);
    let kept = drop_identical(spans, rows, scratch);
    let mut shape = Shape { repeated: kept.repeated, ..Shape::default() };
    let (rows, dropped) = rows.split_at(kept.rows);
    for row in rows.iter().map(|row| *row as usize) {
        shape.negative += u32::from(spans.duration[row] < 0 && spans.duration[row] != UNENDED);
        let parent_id = spans.parent_id[row];
        if parent_id == 0 {
            continue;
        }
        match scratch.find(spans, rows, parent_id) {
            Some(parent) => links.put_parent(row, parent),
            None => shape.orphans += 1,
        }
    }
    shape.circle = break_circles(rows, links, &mut scratch.path);
    // They leave the trace: its range keeps them at the end, unread.
    dropped.iter().for_each(|row| links.put_depth(*row as usize, NONE));
    shape
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
    /// Rows on the way to a root.
    path: Vec<usize>,
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
fn break_circles(rows: &[u32], links: &Links, path: &mut Vec<usize>) -> u32 {
    const OPEN: u32 = NONE - 1;
    const UNSEEN: u32 = NONE - 2;
    let mut circle = 0;
    for row in rows {
        links.put_depth(*row as usize, UNSEEN);
    }
    for row in rows {
        let mut at = *row as usize;
        path.clear();
        while links.depth(at) == UNSEEN {
            links.put_depth(at, OPEN);
            path.push(at);
            let parent = links.parent(at);
            if parent == NONE {
                break;
            }
            at = parent as usize;
        }
        if links.depth(at) == OPEN && links.parent(at) != NONE {
            // The walk came back to a row of its own path: all from there on is a circle.
            let from = path.iter().position(|seen| *seen == at).unwrap_or(0);
            circle += (path.len() - from) as u32;
            path[from..].iter().for_each(|row| links.put_parent(*row, NONE));
        }
        while let Some(row) = path.pop() {
            let parent = links.parent(row);
            let depth = if parent == NONE { 0 } else { links.depth(parent as usize) + 1 };
            links.put_depth(row, depth);
        }
    }
    circle
}
