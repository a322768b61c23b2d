//! Marks of neighbours, gathered before they are written: rows that lie together belong to
//! requests whose bits lie in few words of a set.

use std::ops::Range;

use arrow::buffer::NullBuffer;

use crate::bits::{Bits, WORD_BITS};
use crate::intern::NONE;

/// Words of a set that one window looks at.
const WORDS_MAX: usize = 8;

/// Rows of a window where requests come in any order: it looks at words around one of them, and
/// at those of all others one by one.
const ROWS_IN_ANY_ORDER: usize = 1_024;

/// A window with fewer rows is of requests that come in any order.
const ROWS_MIN: usize = 256;

/// The rows of one batch, in windows.
pub(super) struct Windows {
    rows: Vec<Row>,
    list: Vec<Window>,
    /// Rows of requests that lie outside of their window: failing ones have their bits elsewhere.
    outside: Vec<u32>,
}

/// Where the mark of a row goes: from below, the place of the bit in its word, the place of the
/// word in the window, whether that window has the word, and the number of the service, of which
/// tables have fewer than there is room for.
#[derive(Clone, Copy)]
struct Row(u32);

const PLACE_SHIFT: u32 = WORD_BITS.ilog2();
const INSIDE_SHIFT: u32 = PLACE_SHIFT + WORDS_MAX.ilog2();
const SERVICE_SHIFT: u32 = INSIDE_SHIFT + 1;

impl Row {
    fn new(slot: u32, words: &Range<usize>, service: u32) -> Row {
        let place = (slot as usize / WORD_BITS).wrapping_sub(words.start);
        if place >= words.len() {
            return Row(service << SERVICE_SHIFT);
        }
        let bit = slot % WORD_BITS as u32;
        Row(service << SERVICE_SHIFT | 1 << INSIDE_SHIFT | (place as u32) << PLACE_SHIFT | bit)
    }

    /// The bit of its request in a word; none where that word is outside of the window.
    fn bit(self) -> u64 {
        u64::from(self.0 >> INSIDE_SHIFT & 1) << (self.0 % WORD_BITS as u32)
    }

    /// The place of the word in the window.
    fn place(self) -> usize {
        (self.0 >> PLACE_SHIFT) as usize % WORDS_MAX
    }

    fn service(self) -> usize {
        (self.0 >> SERVICE_SHIFT) as usize
    }

    fn is_inside(self) -> bool {
        self.0 >> INSIDE_SHIFT & 1 == 1
    }
}

struct Window {
    rows: Range<usize>,
    /// Words of sets.
    words: Range<usize>,
    /// Places in [`Windows::outside`].
    outside: Range<usize>,
}

impl Windows {
    /// Windows of rows with these slots and services; slots of failing requests are below
    /// `healthy_from`.
    pub(super) fn of(slots: &[u32], services: &[u32], healthy_from: u32) -> Windows {
        let rows = Vec::with_capacity(slots.len());
        let mut windows = Windows { rows, list: Vec::new(), outside: Vec::new() };
        let mut begin = 0;
        while begin < slots.len() {
            let (rows, words) = reach(slots, begin, healthy_from);
            begin = rows.end;
            windows.add(rows, words, slots, services);
        }
        windows
    }

    fn add(&mut self, rows: Range<usize>, words: Range<usize>, slots: &[u32], services: &[u32]) {
        let outside = self.outside.len();
        for row in rows.clone() {
            let made = Row::new(slots[row], &words, services[row]);
            self.rows.push(made);
            if slots[row] != NONE && !made.is_inside() {
                self.outside.push(row as u32);
            }
        }
        self.list.push(Window { rows, words, outside: outside..self.outside.len() });
    }
}

/// How far a window reaches that begins at a row, and its words.
fn reach(slots: &[u32], begin: usize, healthy_from: u32) -> (Range<usize>, Range<usize>) {
    let word = |slot: u32| slot as usize / WORD_BITS;
    let is_healthy = |slot: &u32| (healthy_from..NONE).contains(slot);
    let (mut first, mut last, mut end) = (NONE, 0, slots.len());
    for (row, slot) in slots.iter().enumerate().skip(begin).filter(|(_, slot)| is_healthy(slot)) {
        let wider = (first.min(*slot), last.max(*slot));
        if word(wider.1) - word(wider.0) >= WORDS_MAX {
            end = row;
            break;
        }
        (first, last) = wider;
    }
    if end - begin >= ROWS_MIN || end == slots.len() {
        let words = if first == NONE { 0..1 } else { word(first)..word(last) + 1 };
        return (begin..end, words);
    }
    let end = (begin + ROWS_IN_ANY_ORDER).min(slots.len());
    let middle = slots[begin + (end - begin) / 2..end].iter().copied().find(is_healthy);
    let from = word(middle.unwrap_or(first)).saturating_sub(WORDS_MAX / 2);
    (begin..end, from..from + WORDS_MAX)
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

    fn cell(&self, key: i32, service: usize) -> Option<usize> {
        let cell = self.cells.get(key as usize * self.services + service);
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
                let cell = table.cell(facts.keys[row], windows.rows[row].service());
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
            let word = table.cell(key, row.service());
            if let Some(word) = word.and_then(|cell| words.get_mut(cell + row.place())) {
                *word |= row.bit();
            }
        };
        match facts.nulls.map(|nulls| nulls.slice(begin, rows.len())) {
            None => keys.iter().zip(rows).for_each(|(key, row)| mark(*key, row)),
            Some(nulls) => nulls.valid_indices().for_each(|row| mark(keys[row], &rows[row])),
        }
    }
}
