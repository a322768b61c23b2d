//! What both passes read of rows beside their attributes.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::carriers::caller;
use crate::cohorts::Cohorts;
use crate::intern::NONE;
use crate::spans::{Kind, Spans};
use crate::threads;
use crate::tree::Forest;

/// The rows of a question.
pub(super) struct Rows<'r, 'a> {
    pub(super) spans: &'r Spans<'a>,
    pub(super) cohorts: &'r Cohorts,
    forest: &'r Forest,
    /// Services by a dense number: their codes.
    pub(super) services: Vec<u32>,
    /// The dense number of each row's service.
    pub(super) service: Vec<u32>,
    /// Whether a span of another service answers a row.
    answered: Vec<AtomicBool>,
    /// Rows of failing requests, in order.
    pub(super) failing: Vec<u32>,
}

impl<'r, 'a> Rows<'r, 'a> {
    pub(super) fn new(
        spans: &'r Spans<'a>,
        forest: &'r Forest,
        cohorts: &'r Cohorts,
    ) -> Rows<'r, 'a> {
        let (services, service) = dense(spans);
        let failing = |row: &u32| {
            let slot = cohorts.slot[*row as usize];
            slot != NONE && cohorts.is_failing(slot)
        };
        let failing = (0..spans.len() as u32).filter(failing).collect();
        let answered = answered(spans, forest);
        Rows { spans, cohorts, forest, services, service, answered, failing }
    }

    /// The dense number of the service that calls by a row, and the code of the one it calls: an
    /// edge to a span of another service, or a call to a peer that sends no spans. [`NONE`] where
    /// it is no call.
    pub(super) fn call(&self, row: usize) -> (u32, u32) {
        let spans = self.spans;
        match caller(spans, self.forest, row) {
            Some(parent) => (self.service[parent], spans.service[row]),
            None if spans.kind[row] == Kind::Exit && !self.answered[row].load(Relaxed) => {
                (self.service[row], spans.peer[row])
            }
            None => (NONE, NONE),
        }
    }
}

/// The services that rows have, and the number of that of each row.
fn dense(spans: &Spans<'_>) -> (Vec<u32>, Vec<u32>) {
    let unnamed = spans.words.len();
    let place = |code: u32| (code as usize).min(unnamed);
    let (mut services, mut numbers, mut last) = (Vec::new(), vec![NONE; unnamed + 1], NONE - 1);
    for code in &spans.service {
        if *code != last && numbers[place(*code)] == NONE {
            numbers[place(*code)] = services.len() as u32;
            services.push(*code);
        }
        last = *code;
    }
    let of_rows = threads::of_rows(spans.len(), NONE, |row| numbers[place(spans.service[row])]);
    (services, of_rows)
}

fn answered(spans: &Spans<'_>, forest: &Forest) -> Vec<AtomicBool> {
    let answered: Vec<AtomicBool> = (0..spans.len()).map(|_| AtomicBool::new(false)).collect();
    let count = threads::threads(spans.len());
    threads::each(count, |thread| {
        let rows = spans.len() * thread / count..spans.len() * (thread + 1) / count;
        for parent in rows.filter_map(|row| caller(spans, forest, row)) {
            answered[parent].store(true, Relaxed);
        }
    });
    answered
}
