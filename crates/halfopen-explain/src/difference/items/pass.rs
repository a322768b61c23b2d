//! The inner loops of both passes: dictionary columns, integer columns, and the map.

use super::*;
use crate::spans::Part;

/// Tags of integers and floats in the map.
const NUMBER_TAGS: std::ops::RangeInclusive<u8> = 3..=4;

/// Tags of values that are categories: text, truth, numbers.
const CATEGORY_TAGS: std::ops::RangeInclusive<u8> = 1..=4;

/// The first pass over one batch.
pub(super) struct FailingPass<'s, 'a> {
    pub(super) spans: &'s Spans<'a>,
    pub(super) cohorts: &'s Cohorts,
    pub(super) services: &'s [u32],
    /// Rows of failing requests in this batch.
    pub(super) rows: &'s [usize],
}

impl FailingPass<'_, '_> {
    pub(super) fn visit(
        &self,
        part: &Part<'_>,
        services: usize,
        words: &mut Words,
        first: &mut First,
    ) {
        if self.rows.is_empty() {
            return;
        }
        for (field, column) in part.rows.schema_ref().fields().iter().zip(part.rows.columns()) {
            if Scope::split(field.name()).is_none() {
                continue;
            }
            let attribute = words.code(field.name());
            if let Some(column) = column.as_dictionary_opt::<Int32Type>() {
                let mut local = Local::new(services, column.values().len());
                self.dictionary(part, attribute, column, &mut local, words, first);
            } else if let Some(column) = column.as_primitive_opt::<Int64Type>() {
                self.integers(part, attribute, column, words, first);
            }
        }
        let map = part.rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
        if let Some(entries) = map.and_then(MapEntries::new) {
            self.map(part, &entries, words, first);
        }
    }

    fn dictionary(
        &self,
        part: &Part<'_>,
        attribute: u32,
        column: &arrow::array::DictionaryArray<Int32Type>,
        local: &mut Local,
        words: &mut Words,
        first: &mut First,
    ) {
        let Some(values) = column.values().as_string_opt::<i32>() else { return };
        if column.null_count() == column.len() || !first.takes(attribute, words) {
            return;
        }
        let mut seen = 0;
        for row in self.rows.iter().copied() {
            let Some(code) = column.key(row - part.first) else { continue };
            let item = local.get(self.services[row] as usize, code, || {
                if values.is_null(code) || values.value(code).len() > VALUE_BYTES_MAX {
                    return NONE;
                }
                let value = words.code(values.value(code));
                first.code([self.spans.service[row], attribute, value])
            });
            seen += 1;
            if item != NONE {
                first.count(item, self.cohorts.slot[row], self.spans.failed[row]);
            }
        }
        first.attributes.entry(attribute).or_default().rows += seen;
    }

    fn integers(
        &self,
        part: &Part<'_>,
        attribute: u32,
        column: &arrow::array::Int64Array,
        words: &mut Words,
        first: &mut First,
    ) {
        if column.null_count() == column.len() || !first.takes(attribute, words) {
            return;
        }
        let outcome = first.attribute(attribute, words).outcome;
        let mut codes: FoldMap<[u64; 2], u32> = FoldMap::default();
        let mut seen = 0;
        for row in self.rows.iter().copied() {
            let failed = self.spans.failed[row];
            if column.is_null(row - part.first) || (outcome && failed) {
                continue;
            }
            let (value, service) = (column.value(row - part.first), self.spans.service[row]);
            let item = *codes.entry([u64::from(service), value as u64]).or_insert_with(|| {
                let value = words.code(&value.to_string());
                first.code([service, attribute, value])
            });
            seen += 1;
            first.count(item, self.cohorts.slot[row], failed);
            if !outcome {
                first.number(service, attribute, value as f64);
            }
        }
        first.attributes.entry(attribute).or_default().rows += seen;
    }

    fn map(&self, part: &Part<'_>, entries: &MapEntries<'_>, words: &mut Words, first: &mut First) {
        // The word is known before the cache asks, so the cache needs no words of its own.
        let mut keys: KeyCache<'_, u32> = KeyCache::new();
        for row in self.rows.iter().copied() {
            let (service, failed) = (self.spans.service[row], self.spans.failed[row]);
            for (ordinal, entry) in entries.of(row - part.first).enumerate() {
                let (tag, text) = entries.value(entry);
                let attribute = keys.get(ordinal, entries.key(entry), |key| words.code(key));
                if !CATEGORY_TAGS.contains(&tag) || text.len() > VALUE_BYTES_MAX {
                    continue;
                }
                if !first.takes(attribute, words)
                    || (failed && first.attribute(attribute, words).outcome)
                {
                    continue;
                }
                let value = words.code(text);
                let item = first.code([service, attribute, value]);
                first.count(item, self.cohorts.slot[row], failed);
                first.attributes.entry(attribute).or_default().rows += 1;
                if NUMBER_TAGS.contains(&tag)
                    && let Ok(number) = text.parse()
                {
                    first.number(service, attribute, number);
                }
            }
        }
    }
}

/// The second pass over one batch.
pub(super) struct WholePass<'s, 'a> {
    pub(super) spans: &'s Spans<'a>,
    pub(super) cohorts: &'s Cohorts,
    pub(super) services: &'s [u32],
    pub(super) words: &'s Words,
}

impl WholePass<'_, '_> {
    pub(super) fn visit(&self, part: &Part<'_>, services: usize, second: &mut Second) {
        for (field, column) in part.rows.schema_ref().fields().iter().zip(part.rows.columns()) {
            let Some(attribute) = self.words.find(field.name()) else { continue };
            let Some(seen) = second.attributes.get(&attribute).copied() else { continue };
            if column.null_count() == column.len() || Scope::split(field.name()).is_none() {
                continue;
            }
            if let Some(column) = column.as_dictionary_opt::<Int32Type>() {
                let mut local = Local::new(services, column.values().len());
                self.dictionary(part, attribute, column, &mut local, second);
            } else if let Some(column) = column.as_primitive_opt::<Int64Type>() {
                self.integers(part, attribute, seen.outcome, column, second);
            }
        }
        let map = part.rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
        if let Some(entries) = map.and_then(MapEntries::new) {
            self.map(part, &entries, second);
        }
    }

    fn dictionary(
        &self,
        part: &Part<'_>,
        attribute: u32,
        column: &arrow::array::DictionaryArray<Int32Type>,
        local: &mut Local,
        second: &mut Second,
    ) {
        let Some(values) = column.values().as_string_opt::<i32>() else { return };
        let slots = &self.cohorts.slot[part.first..part.first + column.len()];
        for (row, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NONE) {
            let Some(code) = column.key(row) else { continue };
            let row = part.first + row;
            let item = local.get(self.services[row] as usize, code, || {
                let text = if values.is_null(code) { None } else { Some(values.value(code)) };
                let value = text.and_then(|text| self.words.find(text));
                value.map_or(NONE, |v| second.find([self.spans.service[row], attribute, v]))
            });
            second.mark(item, *slot);
        }
    }

    fn integers(
        &self,
        part: &Part<'_>,
        attribute: u32,
        outcome: bool,
        column: &arrow::array::Int64Array,
        second: &mut Second,
    ) {
        let mut codes: FoldMap<[u64; 2], u32> = FoldMap::default();
        let slots = &self.cohorts.slot[part.first..part.first + column.len()];
        for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NONE) {
            let row = part.first + index;
            if column.is_null(index) || (outcome && self.spans.failed[row]) {
                continue;
            }
            let (value, service) = (column.value(index), self.spans.service[row]);
            let item = *codes.entry([u64::from(service), value as u64]).or_insert_with(|| {
                let value = self.words.find(&value.to_string());
                value.map_or(NONE, |value| second.find([service, attribute, value]))
            });
            second.mark(item, *slot);
            if !outcome {
                second.mark_number(service, attribute, value as f64, *slot);
            }
        }
    }

    fn map(&self, part: &Part<'_>, entries: &MapEntries<'_>, second: &mut Second) {
        let mut keys: KeyCache<'_, Option<(u32, Attribute, bool)>> = KeyCache::new();
        let slots = &self.cohorts.slot[part.first..part.first + part.rows.num_rows()];
        for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NONE) {
            let row = part.first + index;
            for (ordinal, entry) in entries.of(index).enumerate() {
                let known = |key: &str| {
                    let code = self.words.find(key)?;
                    let limits = second.threshold_attributes.contains(&code);
                    let seen = second.attributes.get(&code).copied();
                    (limits || seen.is_some()).then(|| (code, seen.unwrap_or_default(), limits))
                };
                let Some((attribute, seen, limits)) = keys.get(ordinal, entries.key(entry), known)
                else {
                    continue;
                };
                let (tag, text) = entries.value(entry);
                if !CATEGORY_TAGS.contains(&tag) || (seen.outcome && self.spans.failed[row]) {
                    continue;
                }
                let service = self.spans.service[row];
                if let Some(value) = self.words.find(text) {
                    second.mark(second.find([service, attribute, value]), *slot);
                }
                if limits
                    && NUMBER_TAGS.contains(&tag)
                    && let Ok(number) = text.parse()
                {
                    second.mark_number(service, attribute, number, *slot);
                }
            }
        }
    }
}
