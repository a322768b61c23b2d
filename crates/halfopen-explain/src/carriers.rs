//! Which spans carry an attribute, read again from the batches: for the few items that an answer
//! is about.

use arrow::array::{Array, AsArray};
use halfopen_model::known::Scope;
use halfopen_model::schema::ATTRIBUTES;

use crate::bits::Bits;
use crate::cohorts::Cohorts;
use crate::difference::items::{CALLS, Key, NAME};
use crate::difference::names;
use crate::intern::NONE;
use crate::origin::Site;
use crate::spans::{Kind, MapEntries, Spans};
use crate::tree::Forest;

/// A value of a number that is no value but a limit: `>= 50` or `< 50`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Limit<'v> {
    pub(crate) sign: &'v str,
    /// As it is written.
    pub(crate) text: &'v str,
    number: f64,
}

impl<'v> Limit<'v> {
    /// Reads `>= 50`; `None` for any other value.
    pub(crate) fn parse(value: &'v str) -> Option<Limit<'v>> {
        let (sign, text) = value.split_once(' ')?;
        let number = text.parse().ok()?;
        matches!(sign, ">=" | "<").then_some(Limit { sign, text, number })
    }

    fn holds(&self, value: f64) -> bool {
        (value >= self.number) == (self.sign == ">=")
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
                let carries = |row: &usize| carries(spans, *row, name, text);
                self.requests((0..spans.len()).filter(here).filter(fine).filter(carries))
            }
        }
    }
}

/// The span by which another service called this one.
fn caller(spans: &Spans<'_>, forest: &Forest, row: usize) -> Option<usize> {
    let parent = forest.parent[row];
    let other = parent != NONE
        && spans.service[row] != NONE
        && spans.service[parent as usize] != spans.service[row];
    other.then_some(parent as usize)
}
