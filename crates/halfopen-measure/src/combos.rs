//! Counts of every combination of up to three attributes, now and before.

use std::collections::HashMap;

use super::table::{NO_VALUE, Table};

/// Attributes of a combination.
pub(super) const ORDER_MAX: usize = 3;

/// Attributes with their values, by attribute; unused places are [`UNUSED`].
pub(super) type Parts = [(u32, u32); ORDER_MAX];

/// No part.
pub(super) const UNUSED: (u32, u32) = (u32::MAX, u32::MAX);

/// The combination without parts: everything.
pub(super) const EVERYTHING: Parts = [UNUSED; ORDER_MAX];

/// Counts of a combination.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Sums {
    /// Failing ones now.
    pub(super) failed: f64,
    /// All of them now.
    pub(super) all: f64,
    /// Failing ones before.
    pub(super) failed_before: f64,
    /// All of them before.
    pub(super) all_before: f64,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Sums) {
        self.failed += other.failed;
        self.all += other.all;
        self.failed_before += other.failed_before;
        self.all_before += other.all_before;
    }
}

/// A combination with its counts.
#[derive(Clone, Debug)]
pub(super) struct Combo {
    pub(super) parts: Parts,
    pub(super) sums: Sums,
}

/// How many parts there are.
pub(super) fn order(parts: &Parts) -> usize {
    parts.iter().filter(|part| **part != UNUSED).count()
}

/// The same without one of its parts.
pub(super) fn without(parts: &Parts, at: usize) -> Parts {
    let mut left = EVERYTHING;
    let kept = parts.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, part)| *part);
    left.iter_mut().zip(kept).for_each(|(place, part)| *place = part);
    left
}

/// Whether a row has all parts.
pub(super) fn fits(table: &Table, row: usize, parts: &Parts) -> bool {
    let mut used = parts.iter().filter(|part| **part != UNUSED);
    used.all(|(attribute, value)| table.code(row, *attribute as usize) == *value)
}

/// Counts by row; rows that are left out count nothing.
pub(super) fn rows(table: &Table, now: &[i64], before: &[i64], kept: &[bool]) -> Vec<Sums> {
    let (now, before) = (table.sums(now), table.sums(before));
    let of = |row: usize| match kept[row] {
        false => Sums::default(),
        true => Sums {
            failed: now[row].0,
            all: now[row].1,
            failed_before: before[row].0,
            all_before: before[row].1,
        },
    };
    (0..table.rows).map(of).collect()
}

/// Every combination that occurs, of up to `order_max` of these attributes.
pub(super) fn count(
    table: &Table,
    rows: &[Sums],
    attributes: &[usize],
    order_max: usize,
) -> Vec<Combo> {
    let mut combos: Vec<Combo> = Vec::new();
    let mut places: HashMap<Parts, usize> = HashMap::new();
    let occurring: Vec<usize> =
        (0..rows.len()).filter(|row| rows[*row].all + rows[*row].all_before > 0.0).collect();
    for chosen in choices(attributes, order_max) {
        places.clear();
        for row in &occurring {
            let mut parts = EVERYTHING;
            for (place, attribute) in parts.iter_mut().zip(&chosen) {
                *place = (*attribute as u32, table.code(*row, *attribute));
            }
            if parts.iter().take(chosen.len()).any(|part| part.1 == NO_VALUE) {
                continue;
            }
            let place = *places.entry(parts).or_insert_with(|| {
                combos.push(Combo { parts, sums: Sums::default() });
                combos.len() - 1
            });
            combos[place].sums.add(&rows[*row]);
        }
    }
    combos
}

/// Choices of one to `order_max` of the attributes.
fn choices(attributes: &[usize], order_max: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = attributes.iter().map(|one| vec![*one]).collect();
    let mut begin = 0;
    for _ in 1..order_max.min(ORDER_MAX) {
        let end = all.len();
        for place in begin..end {
            let last = all[place].last().copied().unwrap_or_default();
            for next in attributes.iter().filter(|next| **next > last) {
                let longer = all[place].iter().copied().chain([*next]).collect();
                all.push(longer);
            }
        }
        begin = end;
    }
    all
}
