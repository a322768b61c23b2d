//! The first pass: what do failing requests have?

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::{Int32Type, Int64Type};
use halfopen_model::known::Scope;
use halfopen_model::schema::ATTRIBUTES;

use super::limits::Numbers;
use super::rows::Rows;
use super::{CALLS, NAME};
use crate::codes::{Codes, UNSEEN};
use crate::difference::names;
use crate::intern::{FoldMap, NONE, Words};
use crate::spans::{KeyCache, MapEntries, Part};
use crate::threads;

/// An attribute with this many rows on failing requests is judged to number them...
const UNIQUE_ROWS_MIN: u32 = 1_000;

/// ...when more than this share of its values are different: then no value can be common.
const UNIQUE_SHARE_MAX: f64 = 0.9;

/// Longer values (statements, addresses with everything in them) are no categories.
const VALUE_BYTES_MAX: usize = 256;

/// Tags of integers and floats in the map.
pub(super) const NUMBER_TAGS: std::ops::RangeInclusive<u8> = 3..=4;

/// Tags of values that are categories: text, truth, numbers.
pub(super) const CATEGORY_TAGS: std::ops::RangeInclusive<u8> = 1..=4;

/// What failing requests have of one attribute.
pub(super) struct Seen {
    pub(super) attribute: String,
    pub(super) outcome: bool,
    left_out: bool,
    /// Its values in order of first sight.
    pub(super) values: Words,
    codes: FoldMap<[u32; 2], u32>,
    /// Dense number of the service, and value.
    pub(super) keys: Vec<[u32; 2]>,
    /// Requests that carry each key, counted when the request differs from the last one seen:
    /// never too few.
    pub(super) requests: Vec<u32>,
    last_slot: Vec<u32>,
    pub(super) on_failed_only: Vec<bool>,
    rows: u32,
    /// Numbers by service.
    pub(super) numbers: FoldMap<u32, Numbers>,
}

impl Seen {
    fn new(attribute: &str) -> Seen {
        Seen {
            attribute: attribute.to_owned(),
            outcome: names::is_outcome(attribute),
            left_out: names::is_left_out(attribute),
            values: Words::new(),
            codes: FoldMap::default(),
            keys: Vec::new(),
            requests: Vec::new(),
            last_slot: Vec::new(),
            on_failed_only: Vec::new(),
            rows: 0,
            numbers: FoldMap::default(),
        }
    }

    /// Forgets the values where they number the rows; ranges of numbers stay. Told from all rows:
    /// the first ones would depend on their order.
    fn drop_unique(&mut self) {
        let unique = self.keys.len() as f64 > f64::from(self.rows) * UNIQUE_SHARE_MAX;
        if self.rows >= UNIQUE_ROWS_MIN && unique {
            let numbers = std::mem::take(&mut self.numbers);
            *self = Seen { numbers, ..Seen::new(&self.attribute) };
        }
    }

    fn code(&mut self, service: u32, value: u32) -> u32 {
        let next = self.keys.len() as u32;
        let code = *self.codes.entry([service, value]).or_insert(next);
        if code == next {
            self.keys.push([service, value]);
            self.requests.push(0);
            self.last_slot.push(NONE);
            self.on_failed_only.push(true);
        }
        code
    }

    fn count(&mut self, service: u32, value: u32, slot: u32, failed: bool) {
        let code = self.code(service, value) as usize;
        if self.last_slot[code] != slot {
            self.last_slot[code] = slot;
            self.requests[code] += 1;
        }
        self.on_failed_only[code] &= failed;
    }

    /// Adds what was seen of the same attribute elsewhere: some rows carry it in a column, some
    /// in the map.
    fn absorb(&mut self, other: Seen) {
        for (number, [service, value]) in other.keys.iter().enumerate() {
            let value = self.values.code(other.values.text(*value));
            let code = self.code(*service, value) as usize;
            self.requests[code] += other.requests[number];
            self.on_failed_only[code] &= other.on_failed_only[number];
        }
        self.rows += other.rows;
        for (service, numbers) in other.numbers {
            self.numbers.entry(service).or_default().absorb(numbers);
        }
    }
}

/// Where attributes stand.
#[derive(Clone, Copy)]
enum Source<'s> {
    Names,
    Calls,
    Column(&'s str),
    Map,
}

/// All attributes of failing requests, by name.
pub(super) fn visit(rows: &Rows<'_, '_>) -> Vec<Seen> {
    // The map takes longest, so it begins first.
    let mut sources = vec![Source::Map, Source::Names, Source::Calls];
    for part in &rows.spans.parts {
        for field in part.rows.schema_ref().fields() {
            let name = field.name().as_str();
            let known = |s: &Source<'_>| matches!(s, Source::Column(known) if *known == name);
            if Scope::split(name).is_some() && !sources.iter().any(known) {
                sources.push(Source::Column(name));
            }
        }
    }
    let threads = threads::threads(rows.failing.len());
    let seen = threads::each(threads, |thread| {
        let own = sources.iter().skip(thread).step_by(threads);
        own.flat_map(|source| source.visit(rows)).collect::<Vec<Seen>>()
    });
    let mut all: Vec<Seen> = Vec::new();
    for seen in seen.into_iter().flatten().filter(|seen| !seen.keys.is_empty()) {
        match all.iter_mut().find(|known| known.attribute == seen.attribute) {
            Some(known) => known.absorb(seen),
            None => all.push(seen),
        }
    }
    all.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    all.iter_mut().for_each(Seen::drop_unique);
    all
}

impl Source<'_> {
    fn visit(self, rows: &Rows<'_, '_>) -> Vec<Seen> {
        match self {
            Source::Names => {
                vec![words(rows, NAME, |row| (rows.service[row], rows.spans.name[row]))]
            }
            Source::Calls => vec![words(rows, CALLS, |row| rows.call(row))],
            Source::Column(name) => vec![column(rows, name)],
            Source::Map => map(rows),
        }
    }
}

/// Facts that are words already: service and word of each row.
fn words(rows: &Rows<'_, '_>, attribute: &str, of: impl Fn(usize) -> (u32, u32)) -> Seen {
    let mut seen = Seen::new(attribute);
    let mut values: FoldMap<u32, u32> = FoldMap::default();
    for row in rows.failing.iter().map(|row| *row as usize) {
        let (service, word) = of(row);
        if word == NONE {
            continue;
        }
        let text = || rows.spans.words.text(word);
        let value = *values.entry(word).or_insert_with(|| seen.values.code(text()));
        seen.count(service, value, rows.cohorts.slot[row], rows.spans.failed[row]);
    }
    seen
}

/// The parts of the evidence with the rows of failing requests in them.
fn parts<'r, 'a>(rows: &'r Rows<'_, 'a>) -> impl Iterator<Item = (&'r Part<'a>, &'r [u32])> {
    let mut rest = rows.failing.as_slice();
    rows.spans.parts.iter().map(move |part| {
        let end = part.first + part.rows.num_rows();
        let (inside, later) = rest.split_at(rest.partition_point(|row| (*row as usize) < end));
        rest = later;
        (part, inside)
    })
}

fn column(rows: &Rows<'_, '_>, name: &str) -> Seen {
    let (mut seen, mut codes) = (Seen::new(name), Codes::default());
    for (part, inside) in parts(rows).filter(|(_, inside)| !inside.is_empty()) {
        let Some(column) = part.rows.column_by_name(name) else { continue };
        if column.null_count() == column.len() || seen.left_out {
            continue;
        }
        if let Some(column) = column.as_dictionary_opt::<Int32Type>() {
            let Some(values) = column.values().as_string_opt::<i32>() else { continue };
            let cells = codes.of(values);
            for row in inside.iter().map(|row| *row as usize) {
                let Some(key) = column.key(row - part.first) else { continue };
                if cells[key] == UNSEEN {
                    let fits = !values.is_null(key) && values.value(key).len() <= VALUE_BYTES_MAX;
                    cells[key] = if fits { seen.values.code(values.value(key)) } else { NONE };
                }
                seen.rows += 1;
                if cells[key] != NONE {
                    let (slot, failed) = (rows.cohorts.slot[row], rows.spans.failed[row]);
                    seen.count(rows.service[row], cells[key], slot, failed);
                }
            }
        } else if let Some(column) = column.as_primitive_opt::<Int64Type>() {
            integers(rows, part, inside, column, &mut seen);
        }
    }
    seen
}

fn integers(
    rows: &Rows<'_, '_>,
    part: &Part<'_>,
    inside: &[u32],
    column: &Int64Array,
    seen: &mut Seen,
) {
    let mut values: FoldMap<u64, u32> = FoldMap::default();
    for row in inside.iter().map(|row| *row as usize) {
        let failed = rows.spans.failed[row];
        if column.is_null(row - part.first) || (seen.outcome && failed) {
            continue;
        }
        let (number, service) = (column.value(row - part.first), rows.service[row]);
        let code = || seen.values.code(&number.to_string());
        let value = *values.entry(number as u64).or_insert_with(code);
        seen.rows += 1;
        seen.count(service, value, rows.cohorts.slot[row], failed);
        if !seen.outcome {
            seen.numbers.entry(service).or_default().add(number as f64);
        }
    }
}

fn map(rows: &Rows<'_, '_>) -> Vec<Seen> {
    let (mut all, mut keys): (Vec<Seen>, FoldMap<String, usize>) = Default::default();
    for (part, inside) in parts(rows).filter(|(_, inside)| !inside.is_empty()) {
        let map = part.rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
        let Some(entries) = map.and_then(MapEntries::new) else { continue };
        let mut cache: KeyCache<'_, usize> = KeyCache::new();
        for row in inside.iter().map(|row| *row as usize) {
            let (service, failed) = (rows.service[row], rows.spans.failed[row]);
            for (ordinal, entry) in entries.of(row - part.first).enumerate() {
                let find = |key: &str| match keys.get(key) {
                    Some(known) => *known,
                    None => {
                        keys.insert(key.to_owned(), all.len());
                        all.push(Seen::new(key));
                        all.len() - 1
                    }
                };
                let place = cache.get(ordinal, entries.key(entry), find);
                let (tag, text) = entries.value(entry);
                let seen = &mut all[place];
                if !CATEGORY_TAGS.contains(&tag)
                    || text.len() > VALUE_BYTES_MAX
                    || seen.left_out
                    || (failed && seen.outcome)
                {
                    continue;
                }
                let value = seen.values.code(text);
                seen.count(service, value, rows.cohorts.slot[row], failed);
                seen.rows += 1;
                if NUMBER_TAGS.contains(&tag)
                    && let Ok(number) = text.parse()
                {
                    seen.numbers.entry(service).or_default().add(number);
                }
            }
        }
    }
    all
}
