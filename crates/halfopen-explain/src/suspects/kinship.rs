//! The children of each span, and which spans wait for another service.

use crate::intern::NONE;
use crate::spans::{Kind, Spans};
use crate::tree::Forest;

/// Children by row, and calls to others.
pub(super) struct Kinship {
    begins: Vec<u32>,
    children: Vec<u32>,
    /// Spans that are calls to another service: by their kind, or, where a sender tells no kinds,
    /// because all that they caused ran elsewhere.
    pub(super) calls_out: Vec<bool>,
}

impl Kinship {
    pub(super) fn of(spans: &Spans<'_>, forest: &Forest) -> Kinship {
        let len = spans.len();
        let mut begins = vec![0_u32; len + 1];
        let linked = |row: &usize| forest.parent[*row] != NONE && !forest.is_repetition(*row);
        for row in (0..len).filter(linked) {
            begins[forest.parent[row] as usize + 1] += 1;
        }
        for row in 1..begins.len() {
            begins[row] += begins[row - 1];
        }
        let (mut next, mut children) = (begins.clone(), vec![0; begins[len] as usize]);
        let mut stays = vec![false; len];
        for row in (0..len).filter(linked) {
            let parent = forest.parent[row] as usize;
            children[next[parent] as usize] = row as u32;
            next[parent] += 1;
            stays[parent] |= spans.service[row] == spans.service[parent];
        }
        let calls = |row: usize| match spans.kind[row] {
            Kind::Exit => true,
            Kind::Entry => false,
            Kind::Inner => begins[row] < begins[row + 1] && !stays[row],
        };
        let calls_out = (0..len).map(calls).collect();
        Kinship { begins, children, calls_out }
    }

    /// The children of a row, in order of evidence.
    pub(super) fn children(&self, row: usize) -> &[u32] {
        &self.children[self.begins[row] as usize..self.begins[row + 1] as usize]
    }
}
