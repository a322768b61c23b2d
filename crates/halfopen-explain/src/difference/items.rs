//! What requests have: every value of every attribute of every span, with the set of requests
//! that carry it.
//!
//! Two passes over columns of codes. The first looks at failing requests only, which are few, and
//! drops what too few of them have; the second counts what is left on both sides (P. Bailis et
//! al., "MacroBase", SIGMOD 2017, section 5). A value counts once for a request, wherever in its
//! trace it stands: sets of requests, not counts of spans.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use halfopen_model::known::Scope;
use halfopen_model::schema::ATTRIBUTES;

use crate::bits::Bits;
use crate::cohorts::Cohorts;
use crate::difference::names;
use crate::intern::{FoldMap, NONE, Words};
use crate::spans::{KeyCache, Kind, MapEntries, Spans};
use crate::tree::Forest;

/// Service, attribute and value, as codes.
pub(crate) type Key = [u32; 3];

/// The attribute name under which names of spans are compared.
pub(crate) const NAME: &str = "name";

/// The attribute name under which calls from one service to another are compared.
pub(crate) const CALLS: &str = "calls";

/// An attribute with this many rows on failing requests is judged to number them...
const UNIQUE_ROWS_MIN: u32 = 1_000;

/// ...when more than this share of its values are different: then no value can be common.
const UNIQUE_SHARE_MAX: f64 = 0.9;

/// Longer values (statements, addresses with everything in them) are no categories.
const VALUE_BYTES_MAX: usize = 256;

/// Numbers with more different values than this among failing requests are compared by
/// thresholds too.
const CATEGORIES_MAX: usize = 2;

/// Thresholds are quantiles of the failing requests: at least and less than each of these.
const QUANTILES_AT_LEAST: [f64; 4] = [0.05, 0.25, 0.5, 0.75];
const QUANTILES_BELOW: [f64; 4] = [0.95, 0.75, 0.5, 0.25];

/// A table from service and code may have this many cells; larger columns remember one service
/// for each code.
const MATRIX_CELLS_MAX: usize = 1 << 16;

/// A lookup that has not been made yet.
const UNSEEN: u32 = NONE - 1;

/// One value with the requests that carry it.
pub(crate) struct Item {
    pub(crate) key: Key,
    pub(crate) set: Bits,
    /// Whether only failed spans carry it, among failing requests.
    pub(crate) on_failed_only: bool,
}

/// All values that enough failing requests carry.
pub(crate) struct Items {
    pub(crate) list: Vec<Item>,
    /// How many different values at least two failing requests carry: all that was tried.
    pub(crate) tried: u64,
}

/// A limit of a number, and what is above or below it.
struct Threshold {
    limit: f64,
    at_least: bool,
    item: u32,
}

impl Items {
    /// All values that at least `support_min` failing requests carry.
    pub(crate) fn mine(
        spans: &mut Spans<'_>,
        forest: &Forest,
        cohorts: &Cohorts,
        support_min: u32,
    ) -> Items {
        let mut words = std::mem::replace(&mut spans.words, Words::new());
        let columns = Columns::new(spans, forest, &mut words);
        let mut first = First::default();
        columns.visit_failing(spans, cohorts, &mut words, &mut first);
        let mut second = Second::new(first, support_min, &mut words, cohorts.slots());
        columns.visit_all(spans, cohorts, &words, &mut second);
        spans.words = words;
        let support = u64::from(support_min);
        second.list.retain(|item| item.set.common(&cohorts.failing) >= support);
        // By name, so that the order in which rows came cannot decide between equals.
        let texts = |item: &Item| item.key.map(|code| spans.words.text(code).to_owned());
        second.list.sort_by_cached_key(texts);
        Items { list: second.list, tried: second.tried }
    }
}

// ===== the first pass: what do failing requests have? =====

#[derive(Default)]
struct First {
    codes: FoldMap<Key, u32>,
    keys: Vec<Key>,
    /// Requests that carry it, counted when the request differs from the last one seen: never
    /// too few.
    requests: Vec<u32>,
    last_slot: Vec<u32>,
    on_failed_only: Vec<bool>,
    attributes: FoldMap<u32, Attribute>,
    numbers: FoldMap<[u32; 2], Numbers>,
}

/// What was seen of an attribute.
#[derive(Clone, Copy, Default)]
struct Attribute {
    rows: u32,
    distinct: u32,
    left_out: Option<bool>,
    outcome: bool,
}

#[derive(Default)]
struct Numbers {
    values: Vec<f64>,
    distinct: BTreeSet<u64>,
}

impl First {
    fn attribute(&mut self, code: u32, words: &Words) -> Attribute {
        let attribute = self.attributes.entry(code).or_default();
        if attribute.left_out.is_none() {
            attribute.left_out = Some(names::is_left_out(words.text(code)));
            attribute.outcome = names::is_outcome(words.text(code));
        }
        *attribute
    }

    /// Whether values of this attribute are compared at all.
    fn takes(&mut self, attribute: u32, words: &Words) -> bool {
        let seen = self.attribute(attribute, words);
        let unique = f64::from(seen.distinct) > f64::from(seen.rows) * UNIQUE_SHARE_MAX;
        seen.left_out != Some(true) && !(seen.rows >= UNIQUE_ROWS_MIN && unique)
    }

    fn code(&mut self, key: Key) -> u32 {
        let next = self.keys.len() as u32;
        let code = *self.codes.entry(key).or_insert(next);
        if code == next {
            self.keys.push(key);
            self.requests.push(0);
            self.last_slot.push(NONE);
            self.on_failed_only.push(true);
            self.attributes.entry(key[1]).or_default().distinct += 1;
        }
        code
    }

    fn count(&mut self, item: u32, slot: u32, failed: bool) {
        let item = item as usize;
        if self.last_slot[item] != slot {
            self.last_slot[item] = slot;
            self.requests[item] += 1;
        }
        self.on_failed_only[item] &= failed;
    }

    fn number(&mut self, service: u32, attribute: u32, value: f64) {
        let numbers = self.numbers.entry([service, attribute]).or_default();
        numbers.values.push(value);
        if numbers.distinct.len() <= CATEGORIES_MAX {
            numbers.distinct.insert(value.to_bits());
        }
    }
}

// ===== the second pass: who has what is left? =====

struct Second {
    list: Vec<Item>,
    codes: FoldMap<Key, u32>,
    attributes: FoldMap<u32, Attribute>,
    thresholds: FoldMap<[u32; 2], Vec<Threshold>>,
    threshold_attributes: BTreeSet<u32>,
    tried: u64,
}

impl Second {
    fn new(first: First, support_min: u32, words: &mut Words, slots: usize) -> Second {
        let mut second = Second {
            list: Vec::new(),
            codes: FoldMap::default(),
            attributes: FoldMap::default(),
            thresholds: FoldMap::default(),
            threshold_attributes: BTreeSet::new(),
            tried: first.requests.iter().filter(|count| **count >= 2).count() as u64,
        };
        for (code, key) in first.keys.iter().enumerate() {
            if first.requests[code] >= support_min {
                second.keep(*key, first.on_failed_only[code], slots);
                let attribute = first.attributes.get(&key[1]).copied().unwrap_or_default();
                second.attributes.insert(key[1], attribute);
            }
        }
        let mut numbers: Vec<_> = first.numbers.into_iter().collect();
        numbers.sort_by_key(|(key, _)| *key);
        for (key, numbers) in numbers {
            if numbers.distinct.len() > CATEGORIES_MAX {
                second.keep_thresholds(key, numbers.values, words, slots);
            }
        }
        second
    }

    fn keep(&mut self, key: Key, on_failed_only: bool, slots: usize) -> u32 {
        let item = self.list.len() as u32;
        self.codes.insert(key, item);
        self.list.push(Item { key, set: Bits::new(slots), on_failed_only });
        item
    }

    fn keep_thresholds(
        &mut self,
        key: [u32; 2],
        mut values: Vec<f64>,
        words: &mut Words,
        slots: usize,
    ) {
        values.sort_by(f64::total_cmp);
        let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        let at_least = QUANTILES_AT_LEAST.map(|share| (quantile(share), true));
        let below = QUANTILES_BELOW.map(|share| (quantile(share), false));
        let mut limits: Vec<_> = at_least.into_iter().chain(below).collect();
        limits.dedup();
        let mut kept = Vec::new();
        for (limit, at_least) in limits {
            let text = format!("{} {limit}", if at_least { ">=" } else { "<" });
            let value = words.code(&text);
            if self.codes.contains_key(&[key[0], key[1], value]) {
                continue;
            }
            let item = self.keep([key[0], key[1], value], false, slots);
            kept.push(Threshold { limit, at_least, item });
            self.tried += 1;
        }
        self.threshold_attributes.insert(key[1]);
        self.thresholds.insert(key, kept);
    }

    fn find(&self, key: Key) -> u32 {
        self.codes.get(&key).copied().unwrap_or(NONE)
    }

    fn mark(&mut self, item: u32, slot: u32) {
        if item != NONE {
            self.list[item as usize].set.set(slot as usize);
        }
    }

    fn mark_number(&mut self, service: u32, attribute: u32, value: f64, slot: u32) {
        let Some(thresholds) = self.thresholds.get(&[service, attribute]) else { return };
        for threshold in thresholds {
            if (value >= threshold.limit) == threshold.at_least {
                self.list[threshold.item as usize].set.set(slot as usize);
            }
        }
    }
}

// ===== columns of a question =====

/// Remembers what a service and a code of one column led to.
struct Local {
    codes: usize,
    cells: Vec<u32>,
    /// For large columns: the service for which each cell was looked up.
    owners: Vec<u32>,
}

impl Local {
    fn new(services: usize, codes: usize) -> Local {
        let small = services * codes <= MATRIX_CELLS_MAX;
        let (cells, owners) = if small { (services * codes, 0) } else { (codes, codes) };
        Local { codes, cells: vec![UNSEEN; cells], owners: vec![UNSEEN; owners] }
    }

    fn get(&mut self, service: usize, code: usize, find: impl FnOnce() -> u32) -> u32 {
        if self.owners.is_empty() {
            let cell = &mut self.cells[service * self.codes + code];
            if *cell == UNSEEN {
                *cell = find();
            }
            return *cell;
        }
        if self.owners[code] != service as u32 {
            self.owners[code] = service as u32;
            self.cells[code] = find();
        }
        self.cells[code]
    }
}

/// What is read in both passes.
struct Columns {
    name: u32,
    calls: u32,
    /// Services by the code of their name: a dense number.
    service: FoldMap<u32, u32>,
    /// Service that each row's caller is, and the one it calls: [`NONE`] where it is no call.
    caller: Vec<u32>,
    callee: Vec<u32>,
}

impl Columns {
    fn new(spans: &Spans<'_>, forest: &Forest, words: &mut Words) -> Columns {
        let mut service = FoldMap::default();
        for code in &spans.service {
            let next = service.len() as u32;
            service.entry(*code).or_insert(next);
        }
        let (caller, callee) = calls(spans, forest);
        Columns { name: words.code(NAME), calls: words.code(CALLS), service, caller, callee }
    }

    /// The dense number of each row's service.
    fn services(&self, spans: &Spans<'_>) -> Vec<u32> {
        let mut last = (NONE, self.service.get(&NONE).copied().unwrap_or(0));
        let dense = |code: &u32| {
            if *code != last.0 {
                last = (*code, self.service.get(code).copied().unwrap_or(0));
            }
            last.1
        };
        spans.service.iter().map(dense).collect()
    }

    fn visit_failing(
        &self,
        spans: &Spans<'_>,
        cohorts: &Cohorts,
        words: &mut Words,
        first: &mut First,
    ) {
        let failing = |row: &usize| {
            let slot = cohorts.slot[*row];
            slot != NONE && cohorts.is_failing(slot)
        };
        let rows: Vec<usize> = (0..spans.len()).filter(failing).collect();
        for row in rows.iter().copied() {
            let (slot, failed) = (cohorts.slot[row], spans.failed[row]);
            let item = first.code([spans.service[row], self.name, spans.name[row]]);
            first.count(item, slot, failed);
            if self.callee[row] != NONE {
                let item = first.code([self.caller[row], self.calls, self.callee[row]]);
                first.count(item, slot, failed);
            }
        }
        let services = self.services(spans);
        let mut from = 0;
        for part in &spans.parts {
            let end = part.first + part.rows.num_rows();
            let to = from + rows[from..].partition_point(|row| *row < end);
            let pass = FailingPass { spans, cohorts, services: &services, rows: &rows[from..to] };
            pass.visit(part, self.service.len(), words, first);
            from = to;
        }
    }

    fn visit_all(&self, spans: &Spans<'_>, cohorts: &Cohorts, words: &Words, second: &mut Second) {
        let services = self.services(spans);
        let members = || (0..spans.len()).filter(|row| cohorts.slot[*row] != NONE);
        let mut names = Local::new(self.service.len(), words.len());
        for row in members() {
            let (service, name) = (services[row] as usize, spans.name[row]);
            if name != NONE {
                let key = [spans.service[row], self.name, name];
                let item = names.get(service, name as usize, || second.find(key));
                second.mark(item, cohorts.slot[row]);
            }
            if self.callee[row] != NONE {
                let item = second.find([self.caller[row], self.calls, self.callee[row]]);
                second.mark(item, cohorts.slot[row]);
            }
        }
        for part in &spans.parts {
            let pass = WholePass { spans, cohorts, services: &services, words };
            pass.visit(part, self.service.len(), second);
        }
    }
}

/// For each row, which service calls which by it: an edge to a span of another service, or a
/// call to a peer that sends no spans.
fn calls(spans: &Spans<'_>, forest: &Forest) -> (Vec<u32>, Vec<u32>) {
    let (mut caller, mut callee) = (vec![NONE; spans.len()], vec![NONE; spans.len()]);
    let mut answered = vec![false; spans.len()];
    for row in 0..spans.len() {
        let parent = forest.parent[row] as usize;
        if forest.parent[row] != NONE && spans.service[parent] != spans.service[row] {
            (caller[row], callee[row]) = (spans.service[parent], spans.service[row]);
            answered[parent] = true;
        }
    }
    for row in 0..spans.len() {
        if spans.kind[row] == Kind::Exit && !answered[row] && callee[row] == NONE {
            (caller[row], callee[row]) = (spans.service[row], spans.peer[row]);
        }
    }
    (caller, callee)
}

mod pass;

use pass::{FailingPass, WholePass};
