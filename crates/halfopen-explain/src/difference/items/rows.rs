//! What both passes read of rows beside their attributes.

use crate::cohorts::Cohorts;
use crate::intern::{FoldMap, NONE};
use crate::spans::{Kind, Spans};
use crate::tree::Forest;

/// The rows of a question.
pub(super) struct Rows<'r, 'a> {
    pub(super) spans: &'r Spans<'a>,
    pub(super) cohorts: &'r Cohorts,
    /// Services by a dense number: their codes.
    pub(super) services: Vec<u32>,
    /// The dense number of each row's service.
    pub(super) service: Vec<u32>,
    /// The dense number of the service that calls by a row, and the code of the one it calls:
    /// [`NONE`] where it is no call.
    pub(super) caller: Vec<u32>,
    pub(super) callee: Vec<u32>,
    /// Rows of failing requests, in order.
    pub(super) failing: Vec<u32>,
}

impl<'r, 'a> Rows<'r, 'a> {
    pub(super) fn new(spans: &'r Spans<'a>, forest: &Forest, cohorts: &'r Cohorts) -> Rows<'r, 'a> {
        let (mut services, mut dense) = (Vec::new(), FoldMap::default());
        let mut last = (NONE - 1, 0);
        let number = |code: &u32| {
            if *code != last.0 {
                let next = services.len() as u32;
                let number = *dense.entry(*code).or_insert(next);
                if number == next {
                    services.push(*code);
                }
                last = (*code, number);
            }
            last.1
        };
        let service: Vec<u32> = spans.service.iter().map(number).collect();
        let (caller, callee) = calls(spans, forest, &service);
        let failing = |row: &u32| {
            let slot = cohorts.slot[*row as usize];
            slot != NONE && cohorts.is_failing(slot)
        };
        let failing = (0..spans.len() as u32).filter(failing).collect();
        Rows { spans, cohorts, services, service, caller, callee, failing }
    }
}

/// For each row, which service calls which by it: an edge to a span of another service, or a
/// call to a peer that sends no spans.
fn calls(spans: &Spans<'_>, forest: &Forest, service: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (mut caller, mut callee) = (vec![NONE; spans.len()], vec![NONE; spans.len()]);
    let mut answered = vec![false; spans.len()];
    for row in 0..spans.len() {
        let parent = forest.parent[row] as usize;
        if forest.parent[row] != NONE && service[parent] != service[row] {
            (caller[row], callee[row]) = (service[parent], spans.service[row]);
            answered[parent] = true;
        }
    }
    for row in 0..spans.len() {
        if spans.kind[row] == Kind::Exit && !answered[row] && callee[row] == NONE {
            (caller[row], callee[row]) = (service[row], spans.peer[row]);
        }
    }
    (caller, callee)
}
