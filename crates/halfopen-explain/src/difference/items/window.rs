//! Marks of neighbours, gathered before they are written: rows that lie together belong to
//! requests whose bits lie in few words of a set.

use std::ops::Range;

use arrow::buffer::NullBuffer;

use crate::bits::{Bits, WORD_BITS};
use crate::intern::NONE;

/// Rows of one window.
const ROWS: usize = 1_024;

/// Words of a set that one window looks at.
const WORDS_MAX: usize = 8;

/// The rows of one batch, in windows.
#[derive(Default)]
pub(super) struct Windows {
    rows: Vec<Row>,
    list: Vec<Window>,
    /// Rows of requests that lie outside of their window: failing ones have their bits elsewhere.
    outside: Vec<u32>,
}

/// Where the mark of a row goes.
#[derive(Clone, Copy)]
struct Row {
    /// The bit of its request in a word; none where that word is outside of the window.
    bit: u64,
    /// The place of the word in the window.
    place: u32,
    service: u32,
}

struct Window {
    rows: Range<usize>,
    /// Words of sets.
    words: Range<usize>,
    /// Places in [`Windows::outside`].
    outside: Range<usize>,
}

impl Windows {
    /// Turns to rows with these slots and services; slots of failing requests are below
    /// `healthy_from`.
    pub(super) fn turn_to(&mut self, slots: &[u32], services: &[u32], healthy_from: u32) {
        self.rows.clear();
        self.list.clear();
        self.outside.clear();
        for begin in (0..slots.len()).step_by(ROWS) {
            let rows = begin..(begin + ROWS).min(slots.len());
            self.add(rows, slots, services, healthy_from);
        }
    }

    fn add(&mut self, rows: Range<usize>, slots: &[u32], services: &[u32], healthy_from: u32) {
        let (mut first, mut last) = (NONE, 0);
        for slot in &slots[rows.clone()] {
            if (healthy_from..NONE).contains(slot) {
                (first, last) = (first.min(*slot), last.max(*slot));
            }
        }
        let word = |slot: u32| slot as usize / WORD_BITS;
        let words = if first == NONE {
            0..1
        } else if word(last) - word(first) < WORDS_MAX {
            word(first)..word(last) + 1
        } else {
            // Rows come in any order: the words around that of a row in the middle.
            let middle = slots[rows.start + rows.len() / 2..rows.end].iter();
            let middle = middle.copied().find(|slot| (healthy_from..NONE).contains(slot));
            let begin = word(middle.unwrap_or(first)).saturating_sub(WORDS_MAX / 2);
            begin..begin + WORDS_MAX
        };
        let outside = self.outside.len();
        for row in rows.clone() {
            let (slot, service) = (slots[row], services[row]);
            let place = word(slot).wrapping_sub(words.start);
            let inside = place < words.len();
            let bit = if inside { 1 << (slot as usize % WORD_BITS) } else { 0 };
            self.rows.push(Row { bit, place: if inside { place as u32 } else { 0 }, service });
            if slot != NONE && !inside {
                self.outside.push(row as u32);
            }
        }
        self.list.push(Window { rows, words, outside: outside..self.outside.len() });
    }
}

/// What the rows of one column of a batch have.
pub(super) struct Facts<'f> {
    pub(super) slots: &'f [u32],
    pub(super) keys: &'f [i32],
    pub(super) nulls: Option<&'f NullBuffer>,
}

/// The item of each key and service.
#[derive(Default)]
pub(super) struct Table {
    services: usize,
    /// [`WORDS_MAX`] times the item; the number behind the last item where nothing is looked for.
    cells: Vec<u32>,
}

impl Table {
    /// A table of the items that `item` gives; `items` of them are looked for.
    pub(super) fn fill(
        &mut self,
        keys: usize,
        services: usize,
        items: usize,
        item: impl Fn(usize, usize) -> u32,
    ) {
        self.services = services;
        self.cells.clear();
        for key in 0..keys {
            let cell = |service| (item(key, service) as usize).min(items) * WORDS_MAX;
            self.cells.extend((0..services).map(|service| cell(service) as u32));
        }
    }

    fn cell(&self, key: i32, service: u32) -> Option<usize> {
        let cell = self.cells.get(key as usize * self.services + service as usize);
        cell.map(|cell| *cell as usize)
    }
}

/// Words of sets on their way: those of a window for each item, and for rows that have none.
#[derive(Default)]
pub(super) struct Gathered {
    words: Vec<u64>,
}

impl Gathered {
    /// Marks the rows of a column in `sets`.
    pub(super) fn mark(
        &mut self,
        windows: &Windows,
        facts: &Facts<'_>,
        table: &Table,
        sets: &mut [Bits],
    ) {
        self.words.resize((sets.len() + 1) * WORDS_MAX, 0);
        for window in &windows.list {
            self.gather(&windows.rows[window.rows.clone()], window.rows.start, facts, table);
            let of_items = self.words.as_chunks_mut::<WORDS_MAX>().0;
            for (set, of_item) in sets.iter_mut().zip(of_items) {
                if *of_item != [0; WORDS_MAX] {
                    set.add_words(window.words.start, &of_item[..window.words.len()]);
                    *of_item = [0; WORDS_MAX];
                }
            }
            for row in &windows.outside[window.outside.clone()] {
                let row = *row as usize;
                let is_there = facts.nulls.is_none_or(|nulls| nulls.is_valid(row));
                let cell = table.cell(facts.keys[row], windows.rows[row].service);
                let item = cell.filter(|_| is_there).map(|cell| cell / WORDS_MAX);
                if let Some(set) = item.and_then(|item| sets.get_mut(item)) {
                    set.set(facts.slots[row] as usize);
                }
            }
        }
    }

    /// Gathers the bits of a window's rows by the item that they have.
    fn gather(&mut self, rows: &[Row], begin: usize, facts: &Facts<'_>, table: &Table) {
        let words = &mut self.words[..];
        let keys = &facts.keys[begin..begin + rows.len()];
        let mut mark = |key: i32, row: &Row| {
            let word = table.cell(key, row.service);
            if let Some(word) = word.and_then(|cell| words.get_mut(cell + row.place as usize)) {
                *word |= row.bit;
            }
        };
        match facts.nulls.map(|nulls| nulls.slice(begin, rows.len())) {
            None => keys.iter().zip(rows).for_each(|(key, row)| mark(*key, row)),
            Some(nulls) => nulls.valid_indices().for_each(|row| mark(keys[row], &rows[row])),
        }
    }
}
