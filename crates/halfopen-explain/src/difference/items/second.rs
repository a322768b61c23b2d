//! The second pass: who has what is left?

use std::ops::Range;

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use halfopen_model::schema::ATTRIBUTES;

use super::first::{CATEGORY_TAGS, NUMBER_TAGS};
use super::limits::Ranges;
use super::rows::Rows;
use super::window::{Facts, Gathered, Table, Windows};
use super::{CALLS, NAME};
use crate::bits::Bits;
use crate::codes::{UNSEEN, owner_of};
use crate::intern::{FoldMap, NONE, Words};
use crate::spans::{KeyCache, MapEntries, Part};
use crate::threads;

/// A table from value and service may have this many cells; larger ones are looked up by hash.
const CELLS_MAX: usize = 1 << 20;

/// A table from key and service may have this many cells, so that it stays near the processor.
const TABLE_CELLS_MAX: usize = 1 << 18;

/// With more items than this most of them have no mark in a window.
const GATHERED_ITEMS_MAX: usize = 4_096;

/// What is looked for of one attribute.
pub(super) struct Plan {
    pub(super) attribute: String,
    pub(super) outcome: bool,
    pub(super) values: Words,
    /// Dense number of the service and value of each item.
    pub(super) items: Vec<[u32; 2]>,
    /// Ranges of numbers, by dense number of the service.
    pub(super) ranges: Vec<(u32, Ranges)>,
}

impl Plan {
    /// Sets that are filled: one for each item, then one for each bin of numbers.
    pub(super) fn sets(&self) -> usize {
        self.items.len() + self.ranges.iter().map(|(_, ranges)| ranges.bins()).sum::<usize>()
    }
}

/// The set of each item and bin of each plan.
pub(super) fn visit(rows: &Rows<'_, '_>, plans: &[Plan]) -> Vec<Vec<Bits>> {
    let (parts, count) = (&rows.spans.parts, threads::threads(rows.spans.len()));
    let healthy_from = rows.cohorts.failing.count() as u32;
    let windows = threads::share(count, parts.len(), |part| {
        let rows_of = parts[part].first..parts[part].first + parts[part].rows.num_rows();
        let slots = &rows.cohorts.slot[rows_of.clone()];
        Windows::of(slots, &rows.service[rows_of], healthy_from)
    });
    let mut all: Vec<Vec<Bits>> = threads::share(count, plans.len(), |plan| {
        let mut marker = Marker::new(&plans[plan], rows);
        if plans[plan].sets() > 0 {
            let of_parts = parts.iter().zip(&windows);
            of_parts.for_each(|(part, windows)| marker.part(rows, part, windows));
        }
        marker.sets
    });
    drop(windows);
    // Who reads the map fills sets of all attributes.
    let readers = if parts.iter().any(|part| entries(part).is_some()) { count } else { 0 };
    let of_maps = threads::each(readers, |thread| {
        let mut markers: Vec<Marker<'_>> =
            plans.iter().map(|plan| Marker::new(plan, rows)).collect();
        parts.iter().skip(thread).step_by(count).for_each(|part| map(rows, part, &mut markers));
        markers.into_iter().map(|marker| marker.sets).collect::<Vec<_>>()
    });
    for other in of_maps {
        for (plan, (sets, others)) in plans.iter().zip(all.iter_mut().zip(other)) {
            if sets.is_empty() {
                *sets = others;
            } else if !others.is_empty() {
                sets.iter_mut().zip(&others).for_each(|(set, other)| set.add(other));
            }
            debug_assert!(sets.is_empty() || sets.len() == plan.sets());
        }
    }
    for (plan, sets) in plans.iter().zip(&mut all) {
        sets.resize_with(plan.sets(), || Bits::new(rows.cohorts.slots()));
    }
    all
}

/// Fills the sets of one plan.
struct Marker<'p> {
    plan: &'p Plan,
    services: usize,
    /// The item of each value and service, [`NONE`] for none; empty for large plans.
    cells: Vec<u32>,
    by_key: FoldMap<[u32; 2], u32>,
    dictionary: Dictionary,
    /// The key of each word of the answer, where names of spans are looked for.
    of_names: Vec<u32>,
    gathered: Gathered,
    /// Place in the plan's ranges and first set, by service.
    ranges: FoldMap<u32, (usize, usize)>,
    slots: usize,
    /// All sets; none until the first bit.
    sets: Vec<Bits>,
}

impl<'p> Marker<'p> {
    fn new(plan: &'p Plan, rows: &Rows<'_, '_>) -> Marker<'p> {
        let services = rows.services.len();
        let small = services * plan.values.len() <= CELLS_MAX;
        let mut cells = vec![NONE; if small { services * plan.values.len() } else { 0 }];
        let mut by_key = FoldMap::default();
        for (item, [service, value]) in plan.items.iter().enumerate() {
            if small {
                cells[*value as usize * services + *service as usize] = item as u32;
            } else {
                by_key.insert([*service, *value], item as u32);
            }
        }
        let (mut ranges, mut first) = (FoldMap::default(), plan.items.len());
        for (place, (service, of_service)) in plan.ranges.iter().enumerate() {
            ranges.insert(*service, (place, first));
            first += of_service.bins();
        }
        let (slots, sets) = (rows.cohorts.slots(), Vec::new());
        Marker {
            plan,
            services,
            cells,
            by_key,
            dictionary: Dictionary::default(),
            of_names: Vec::new(),
            gathered: Gathered::default(),
            ranges,
            slots,
            sets,
        }
    }

    /// The item of a service and a value, [`NONE`] for none.
    fn item(&self, service: u32, value: u32) -> u32 {
        if value == NONE {
            NONE
        } else if self.cells.is_empty() {
            self.by_key.get(&[service, value]).copied().unwrap_or(NONE)
        } else {
            self.cells[value as usize * self.services + service as usize]
        }
    }

    fn mark(&mut self, service: u32, value: u32, slot: u32) {
        let item = self.item(service, value);
        if item != NONE {
            self.set(item as usize, slot);
        }
    }

    fn mark_number(&mut self, service: u32, number: f64, slot: u32) {
        let Some((place, first)) = self.ranges.get(&service).copied() else { return };
        if let Some(bin) = self.plan.ranges[place].1.bin(number) {
            self.set(first + bin, slot);
        }
    }

    fn set(&mut self, set: usize, slot: u32) {
        if self.sets.is_empty() {
            self.sets.resize_with(self.plan.sets(), || Bits::new(self.slots));
        }
        self.sets[set].set(slot as usize);
    }

    /// Looks at one batch, without its map.
    fn part(&mut self, rows: &Rows<'_, '_>, part: &Part<'_>, windows: &Windows) {
        let (from, to) = (part.first, part.first + part.rows.num_rows());
        match self.plan.attribute.as_str() {
            NAME => return self.names(rows, from..to, windows),
            CALLS => return self.calls(rows, from..to),
            _ => {}
        }
        let Some(column) = part.rows.column_by_name(&self.plan.attribute) else { return };
        if column.null_count() == column.len() {
            return;
        }
        if let Some(column) = column.as_dictionary_opt::<Int32Type>() {
            let Some(values) = column.values().as_string_opt::<i32>() else { return };
            self.turn_to(values);
            if self.dictionary.is_wanted {
                let facts = Facts {
                    slots: &rows.cohorts.slot[from..to],
                    keys: column.keys().values(),
                    nulls: column.nulls().filter(|nulls| nulls.null_count() > 0),
                };
                self.words(&rows.service[from..to], windows, &facts);
            }
        } else if let Some(column) = column.as_primitive_opt::<Int64Type>() {
            self.integers(rows, from, column);
        }
    }

    /// Turns to a dictionary: what its words are in the plan.
    fn turn_to(&mut self, words: &StringArray) {
        let owner = owner_of(words);
        if self.dictionary.owner == owner {
            return;
        }
        self.dictionary.owner = owner;
        let mut values = std::mem::take(&mut self.dictionary.values);
        self.plan.values.known(words.iter(), &mut values);
        self.look_for(values);
    }

    /// From now on keys stand for these values of the plan.
    fn look_for(&mut self, values: Vec<u32>) {
        let (services, items) = (self.services, self.plan.items.len());
        let is_wanted = values.iter().any(|value| *value != NONE);
        let has_table =
            is_wanted && values.len() * services <= TABLE_CELLS_MAX && items <= GATHERED_ITEMS_MAX;
        if has_table {
            let (marker, mut table) = (&*self, Table::default());
            let item = |key: usize, service: usize| marker.item(service as u32, values[key]);
            table.fill(values.len(), services, items, item);
            self.dictionary.table = table;
        }
        let dictionary = &mut self.dictionary;
        (dictionary.values, dictionary.is_wanted, dictionary.has_table) =
            (values, is_wanted, has_table);
    }

    /// Rows of a dictionary column.
    fn words(&mut self, services: &[u32], windows: &Windows, facts: &Facts<'_>) {
        if self.sets.is_empty() {
            self.sets.resize_with(self.plan.sets(), || Bits::new(self.slots));
        }
        if self.dictionary.has_table {
            let sets = &mut self.sets[..self.plan.items.len()];
            return self.gathered.mark(windows, facts, &self.dictionary.table, sets);
        }
        for (row, (slot, key)) in facts.slots.iter().zip(facts.keys).enumerate() {
            let is_there = *slot != NONE && facts.nulls.is_none_or(|nulls| nulls.is_valid(row));
            let value = if is_there { self.dictionary.values[*key as usize] } else { NONE };
            if value != NONE {
                self.mark(services[row], value, *slot);
            }
        }
    }

    /// Names of spans, which are words of the answer already: the plan's values are their
    /// dictionary, with one key more for all other names.
    fn names(&mut self, rows: &Rows<'_, '_>, part: Range<usize>, windows: &Windows) {
        let other = self.plan.values.len() as u32;
        if self.of_names.is_empty() {
            self.of_names = vec![UNSEEN; rows.spans.words.len()];
            self.look_for((0..other).chain([NONE]).collect());
        }
        let (names, values) = (&rows.spans.name[part.clone()], &self.plan.values);
        let of_names = &mut self.of_names;
        let key = |name: &u32| {
            let Some(key) = of_names.get_mut(*name as usize) else { return other as i32 };
            if *key == UNSEEN {
                *key = values.find(rows.spans.words.text(*name)).unwrap_or(other);
            }
            *key as i32
        };
        let keys: Vec<i32> = names.iter().map(key).collect();
        let slots = &rows.cohorts.slot[part.clone()];
        self.words(&rows.service[part], windows, &Facts { slots, keys: &keys, nulls: None });
    }

    /// Services that are called.
    fn calls(&mut self, rows: &Rows<'_, '_>, part: Range<usize>) {
        let mut values: FoldMap<u32, u32> = FoldMap::default();
        let mut last = (NONE, NONE);
        for row in part.filter(|row| rows.cohorts.slot[*row] != NONE) {
            let (service, word) = rows.call(row);
            if word == NONE {
                continue;
            }
            if word != last.0 {
                let text = || rows.spans.words.text(word);
                let find = || self.plan.values.find(text()).unwrap_or(NONE);
                last = (word, *values.entry(word).or_insert_with(find));
            }
            self.mark(service, last.1, rows.cohorts.slot[row]);
        }
    }

    fn integers(&mut self, rows: &Rows<'_, '_>, from: usize, column: &Int64Array) {
        let mut values: FoldMap<u64, u32> = FoldMap::default();
        for row in 0..column.len() {
            let slot = rows.cohorts.slot[from + row];
            let outcome = self.plan.outcome && rows.spans.failed[from + row];
            if slot == NONE || column.is_null(row) || outcome {
                continue;
            }
            let (number, service) = (column.value(row), rows.service[from + row]);
            let find = || self.plan.values.find(&number.to_string()).unwrap_or(NONE);
            let value = *values.entry(number as u64).or_insert_with(find);
            if value != NONE {
                self.mark(service, value, slot);
            }
            self.mark_number(service, number as f64, slot);
        }
    }

    fn entry(&mut self, service: u32, (tag, text): (u8, &str), failed: bool, slot: u32) {
        if !CATEGORY_TAGS.contains(&tag) || (self.plan.outcome && failed) {
            return;
        }
        if let Some(value) = self.plan.values.find(text) {
            self.mark(service, value, slot);
        }
        if !self.ranges.is_empty()
            && NUMBER_TAGS.contains(&tag)
            && let Ok(number) = text.parse()
        {
            self.mark_number(service, number, slot);
        }
    }
}

/// What the words of a dictionary are in a plan.
#[derive(Default)]
struct Dictionary {
    /// Where it lies; batches outlive the pass.
    owner: [usize; 3],
    /// The value of the plan for each key, [`NONE`] for none.
    values: Vec<u32>,
    /// Whether any of them is looked for.
    is_wanted: bool,
    has_table: bool,
    table: Table,
}

/// The map of a batch, where anything is in it.
fn entries<'a>(part: &Part<'a>) -> Option<MapEntries<'a>> {
    let map = part.rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
    map.filter(|map| !map.keys().is_empty()).and_then(MapEntries::new)
}

/// Looks at the map of one batch.
fn map(rows: &Rows<'_, '_>, part: &Part<'_>, markers: &mut [Marker<'_>]) {
    let Some(entries) = entries(part) else { return };
    let mut keys: KeyCache<'_, Option<usize>> = KeyCache::new();
    let slots = &rows.cohorts.slot[part.first..part.first + part.rows.num_rows()];
    for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NONE) {
        let row = part.first + index;
        let (service, failed) = (rows.service[row], rows.spans.failed[row]);
        for (ordinal, entry) in entries.of(index).enumerate() {
            let wanted = |key: &str| {
                let by_name = |marker: &Marker<'_>| marker.plan.attribute.as_str().cmp(key);
                markers.binary_search_by(by_name).ok()
            };
            let Some(place) = keys.get(ordinal, entries.key(entry), wanted) else { continue };
            markers[place].entry(service, entries.value(entry), failed, *slot);
        }
    }
}
