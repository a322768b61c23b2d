//! The two sides of a comparison: failing requests and those they are compared with.
//!
//! **Invariant:** failing requests have the first numbers, healthy ones begin at a whole word of
//! a set, so either side can be counted without looking at the other.

use crate::anchor::Requests;
use crate::bits::{Bits, WORD_BITS};
use crate::intern::NONE;
use crate::spans::Spans;
use crate::threads;
use crate::tree::Forest;

/// Requests of both sides, each with a number, its *slot*.
pub(crate) struct Cohorts {
    /// Slot of each row; [`NONE`] where the row belongs to neither side, or says nothing.
    pub(crate) slot: Vec<u32>,
    /// Request (its number in [`Requests`]) of each slot; [`NONE`] between the sides.
    pub(crate) request: Vec<u32>,
    /// All failing, all healthy.
    pub(crate) failing: Bits,
    pub(crate) healthy: Bits,
    /// How many requests each slot stands for; empty where every one stands for itself.
    weight: Vec<f32>,
}

impl Cohorts {
    /// Sides made of these numbers of requests.
    pub(crate) fn new(
        spans: &Spans<'_>,
        forest: &Forest,
        requests: &Requests,
        failing: &[u32],
        healthy: &[u32],
    ) -> Cohorts {
        let healthy_from = failing.len().next_multiple_of(WORD_BITS);
        let trace_of = |number: &u32| requests.all[*number as usize].trace as usize;
        let mut request = failing.to_vec();
        request.resize(healthy_from, NONE);
        // In the order of rows, so that whoever goes through them stays in one place of a set.
        let mut by_trace = vec![NONE; forest.traces()];
        healthy.iter().for_each(|number| by_trace[trace_of(number)] = *number);
        for cell in by_trace.iter_mut().filter(|cell| **cell != NONE) {
            let slot = request.len() as u32;
            request.push(std::mem::replace(cell, slot));
        }
        let total = request.len();
        for (slot, number) in failing.iter().enumerate() {
            by_trace[trace_of(number)] = slot as u32;
        }
        let slot_of = |row: usize| {
            let trace = spans.trace[row];
            if trace == NONE || forest.is_repetition(row) { NONE } else { by_trace[trace as usize] }
        };
        let weight = |number: &u32| requests.all.get(*number as usize).map_or(1.0, |r| r.weight);
        Cohorts {
            slot: threads::of_rows(spans.len(), NONE, slot_of),
            failing: Bits::of(total, 0..failing.len()),
            healthy: Bits::of(total, healthy_from..total),
            weight: if spans.weighted { request.iter().map(weight).collect() } else { Vec::new() },
            request,
        }
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.request.len()
    }

    /// How many failing requests are in a set: they have its first words for themselves.
    pub(crate) fn failing_in(&self, set: &Bits) -> u64 {
        set.count_in((self.failing.count() as usize).div_ceil(WORD_BITS))
    }

    /// Whether a slot is on the failing side.
    pub(crate) fn is_failing(&self, slot: u32) -> bool {
        self.failing.has(slot as usize)
    }

    /// How many requests these stand for.
    pub(crate) fn weigh(&self, set: &Bits) -> f64 {
        if self.weight.is_empty() {
            return set.count() as f64;
        }
        set.members().map(|slot| f64::from(self.weight[slot])).sum()
    }
}
