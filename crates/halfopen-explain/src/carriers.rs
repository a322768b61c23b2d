//! Which spans carry an attribute, read again from the batches: for the few items that an answer
//! is about.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use halfopen_model::batch::text_at;
use halfopen_model::known::Scope;
use halfopen_model::schema::ATTRIBUTES;

use crate::bits::Bits;
use crate::codes::{Codes, UNSEEN};
use crate::cohorts::Cohorts;
use crate::difference::items::{CALLS, Key, NAME};
use crate::difference::names;
use crate::intern::NONE;
use crate::origin::Site;
use crate::spans::{Kind, MapEntries, Part, Spans};
use crate::tree::Forest;

/// A value of a number that is no value but a range: `>= 50`, `< 90`, `>= 50 and < 90`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Limit {
    /// The range begins with it.
    lower: Option<f64>,
    /// The range ends before it.
    upper: Option<f64>,
}

impl Limit {
    pub(crate) fn new(lower: Option<f64>, upper: Option<f64>) -> Limit {
        Limit { lower, upper }
    }

    /// Reads what `Display` writes; `None` for any other value.
    pub(crate) fn parse(value: &str) -> Option<Limit> {
        let (first, second) = match value.split_once(" and ") {
            Some((first, second)) => (first, Some(second)),
            None => (value, None),
        };
        let number = |text: &str, sign: &str| text.strip_prefix(sign)?.parse().ok();
        match second {
            Some(second) => {
                let (lower, upper) = (number(first, ">= ")?, number(second, "< ")?);
                Some(Limit { lower: Some(lower), upper: Some(upper) })
            }
            None => match number(first, ">= ") {
                Some(lower) => Some(Limit { lower: Some(lower), upper: None }),
                None => Some(Limit { lower: None, upper: Some(number(first, "< ")?) }),
            },
        }
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        self.lower.is_none_or(|lower| value >= lower)
            && self.upper.is_none_or(|upper| value < upper)
    }

    /// Whether nothing lies in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.lower.zip(self.upper).is_some_and(|(lower, upper)| lower >= upper)
    }

    /// Whether it has two ends.
    pub(crate) fn is_between(&self) -> bool {
        self.lower.is_some() && self.upper.is_some()
    }

    /// Whether it is one end of another range.
    pub(crate) fn is_end_of(&self, range: &Limit) -> bool {
        !self.is_between() && (self.lower == range.lower || self.upper == range.upper)
    }

    /// Its conditions in SQL, of a number that is written so.
    pub(crate) fn sql(&self, number: &str) -> String {
        let lower = self.lower.map(|lower| format!("{number} >= {lower}"));
        let upper = self.upper.map(|upper| format!("{number} < {upper}"));
        lower.into_iter().chain(upper).collect::<Vec<_>>().join(" and ")
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.lower, self.upper) {
            (Some(lower), Some(upper)) => write!(f, ">= {lower} and < {upper}"),
            (Some(lower), None) => write!(f, ">= {lower}"),
            (None, Some(upper)) => write!(f, "< {upper}"),
            (None, None) => f.write_str("any"),
        }
    }
}

/// Whether a span carries an attribute with this value.
pub(crate) fn carries(spans: &Spans<'_>, row: usize, attribute: &str, value: &str) -> bool {
    let (cells, row) = spans.cells(row);
    let Some(found) = cells.attribute(attribute, row).map(|value| value.to_text()) else {
        return false;
    };
    let limit = || Limit::parse(value).zip(found.parse().ok());
    found == value || limit().is_some_and(|(limit, number): (_, f64)| limit.holds(number))
}

/// Which rows of a batch carry one value: what [`carries`] says, for all of them.
struct Holds<'a> {
    name: &'a str,
    text: &'a str,
    limit: Option<Limit>,
    column: Option<&'a ArrayRef>,
    /// Of a dictionary column: keys, values, and for each value whether it is the wanted one.
    words: Option<(&'a [i32], &'a StringArray, &'a mut [u32])>,
    entries: Option<MapEntries<'a>>,
}

impl<'a> Holds<'a> {
    fn of(part: &Part<'a>, name: &'a str, text: &'a str, codes: &'a mut Codes) -> Holds<'a> {
        let column = part.rows.column_by_name(name).filter(|c| c.null_count() < c.len());
        let limit = Limit::parse(text);
        let mut holds = Holds { name, text, limit, column, words: None, entries: None };
        if let Some(column) = column.and_then(|column| column.as_dictionary_opt::<Int32Type>())
            && let Some(values) = column.values().as_string_opt::<i32>()
        {
            holds.words = Some((column.keys().values(), values, codes.of(values)));
        }
        let map = part.rows.column_by_name(ATTRIBUTES).and_then(|column| column.as_map_opt());
        holds.entries = map.and_then(MapEntries::new);
        holds
    }

    fn is_it(&self, found: &str) -> bool {
        let holds = |limit: &Limit| found.parse().is_ok_and(|number| limit.holds(number));
        found == self.text || self.limit.as_ref().is_some_and(holds)
    }

    fn at(&mut self, row: usize) -> bool {
        let column = self.column.filter(|column| column.is_valid(row));
        if column.is_some()
            && let Some((keys, values, wanted)) = self.words.take()
        {
            let key = keys[row] as usize;
            if wanted[key] == UNSEEN {
                wanted[key] = u32::from(values.is_valid(key) && self.is_it(values.value(key)));
            }
            let is_wanted = wanted[key] == 1;
            self.words = Some((keys, values, wanted));
            return is_wanted;
        }
        match column {
            Some(column) => match column.as_primitive_opt::<Int64Type>() {
                Some(ints) => self.is_it(&ints.value(row).to_string()),
                None => text_at(column, row).is_some_and(|found| self.is_it(found)),
            },
            None => self.entries.as_ref().is_some_and(|entries| {
                let mut of_name = entries.of(row).filter(|e| entries.key(*e) == self.name);
                of_name.next().is_some_and(|entry| self.is_it(entries.value(entry).1))
            }),
        }
    }
}

/// Whether any of these requests carries the attribute of an item in its service, with any value.
pub(crate) fn known_in(spans: &Spans<'_>, cohorts: &Cohorts, requests: &Bits, item: Key) -> bool {
    let [service, attribute, _] = item;
    let name = spans.words.text(attribute);
    let wanted = |row: usize| {
        let slot = cohorts.slot[row];
        slot != NONE && spans.service[row] == service && requests.has(slot as usize)
    };
    Scope::split(name).is_some()
        && spans.parts.iter().any(|part| {
            let column = part.rows.column_by_name(name);
            let map = part.rows.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt());
            let entries = map.and_then(MapEntries::new);
            (0..part.rows.num_rows()).filter(|row| wanted(part.first + row)).any(|row| {
                column.is_some_and(|column| column.is_valid(row))
                    || entries.as_ref().is_some_and(|entries| {
                        entries.of(row).any(|entry| entries.key(entry) == name)
                    })
            })
        })
}

// ===== who carries it, over whole traces =====

/// All spans of the requests on both sides, also those that were left out of the comparison
/// because they began after the failure: what an answer counts, anybody can count again.
pub(crate) struct Whole<'w, 'a> {
    pub(crate) spans: &'w Spans<'a>,
    pub(crate) forest: &'w Forest,
    /// The request of each row, by slot.
    slot: Vec<u32>,
    slots: usize,
    /// Whether a span of another service answers a row.
    answered: Vec<bool>,
}

impl<'w, 'a> Whole<'w, 'a> {
    /// Before anything is left out of `cohorts`.
    pub(crate) fn new(
        spans: &'w Spans<'a>,
        forest: &'w Forest,
        slot: Vec<u32>,
        slots: usize,
    ) -> Whole<'w, 'a> {
        let mut answered = vec![false; spans.len()];
        let whole = |answered| Whole { spans, forest, slot, slots, answered };
        for row in 0..spans.len() {
            if let Some(caller) = caller(spans, forest, row) {
                answered[caller] = true;
            }
        }
        whole(answered)
    }

    fn requests(&self, rows: impl Iterator<Item = usize>) -> Bits {
        let slots = rows.map(|row| self.slot[row]).filter(|slot| *slot != NONE);
        Bits::of(self.slots, slots.map(|slot| slot as usize))
    }

    /// Requests in which a service calls a peer by spans of which `wanted` holds; without a peer,
    /// those with such spans.
    fn calling(&self, service: u32, peer: u32, wanted: impl Fn(usize) -> bool) -> Bits {
        let spans = self.spans;
        let wanted = |row: &usize| spans.service[*row] == service && wanted(*row);
        let rows = 0..spans.len();
        if peer == NONE {
            return self.requests(rows.filter(wanted));
        }
        let callers = rows.clone().filter(|row| spans.service[*row] == peer);
        let callers = callers.filter_map(|row| caller(spans, self.forest, row));
        let alone = rows.filter(|row| {
            !self.answered[*row] && spans.kind[*row] == Kind::Exit && spans.peer[*row] == peer
        });
        self.requests(callers.chain(alone).filter(wanted))
    }

    /// Requests in which a call fails.
    pub(crate) fn failing_in(&self, [service, peer, name]: Site) -> Bits {
        let (failed, names) = (&self.spans.failed, &self.spans.name);
        self.calling(service, peer, |row| failed[row] && names[row] == name)
    }

    /// Requests that make a call.
    pub(crate) fn making(&self, [service, peer, name]: Site) -> Bits {
        self.calling(service, peer, |row| self.spans.name[row] == name)
    }

    /// Requests that carry an item.
    pub(crate) fn carrying(&self, item: Key) -> Bits {
        let [service, attribute, value] = item;
        let spans = self.spans;
        let (name, text) = (spans.words.text(attribute), spans.words.text(value));
        let here = |row: &usize| spans.service[*row] == service;
        match name {
            NAME => {
                self.requests((0..spans.len()).filter(here).filter(|row| spans.name[*row] == value))
            }
            CALLS => self.calling(service, value, |_| true),
            _ => {
                let fine = |row: &usize| !spans.failed[*row] || !names::is_outcome(name);
                let (mut found, mut codes) = (Bits::new(self.slots), Codes::default());
                for part in &spans.parts {
                    let mut holds = Holds::of(part, name, text, &mut codes);
                    let rows = part.first..part.first + part.rows.num_rows();
                    let of_part = rows.filter(here).filter(|row| self.slot[*row] != NONE);
                    for row in of_part.filter(fine).filter(|row| holds.at(*row - part.first)) {
                        found.set(self.slot[row] as usize);
                    }
                }
                found
            }
        }
    }
}

/// The span by which another service called this one.
pub(crate) fn caller(spans: &Spans<'_>, forest: &Forest, row: usize) -> Option<usize> {
    let parent = forest.parent[row];
    let other = parent != NONE
        && spans.service[row] != NONE
        && spans.service[parent as usize] != spans.service[row];
    other.then_some(parent as usize)
}
