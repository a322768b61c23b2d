//! The way from requests to a suspect: which requests take longer, and which calls on the way
//! down do.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use halfopen_model::answer::{Deviation, EvidenceRef, Suspect};

use super::Places;
use super::eras::Units;
use super::kinship::Kinship;
use super::timing::{Slowed, Timing};
use super::words::Teller;
use crate::anchor::Requests;
use crate::intern::{FoldMap, NONE};
use crate::spans::{Spans, UNENDED};
use crate::tree::Forest;

/// Calls on the way that are told: longer ways are circles, mostly.
const WAY_MAX: usize = 12;

/// How long requests and calls take, measured once.
#[derive(Default)]
pub(super) struct Ways {
    /// Places are numbers of (service, operation).
    requests: Timing,
    /// What requests are: service and operation, by the numbers above.
    kinds: Vec<(u32, String)>,
    /// Places are numbers of (caller, callee).
    calls: Timing,
}

impl Ways {
    pub(super) fn of(
        spans: &Spans<'_>,
        forest: &Forest,
        kin: &Kinship,
        requests: &Requests,
        places: &mut Places,
    ) -> Ways {
        let mut ways = Ways::default();
        let timed = |row: usize| spans.duration[row] != UNENDED && spans.duration[row] >= 0;
        let mut codes: FoldMap<(u32, u32), u32> = FoldMap::default();
        for request in &requests.all {
            let row = request.row as usize;
            if forest.is_repetition(row) || !timed(row) {
                continue;
            }
            let next = ways.kinds.len() as u32;
            let code = *codes.entry((request.service, request.operation)).or_insert(next);
            if code == next {
                let operation = requests.operations.text(request.operation).to_owned();
                ways.kinds.push((request.service, operation));
            }
            ways.requests.take(code, request.trace, spans.duration[row]);
        }
        for row in (0..spans.len()).filter(|row| spans.trace[*row] != NONE) {
            if forest.is_repetition(row) {
                continue;
            }
            ways.call(spans, forest, kin, row, places);
        }
        ways.requests.settle();
        ways.calls.settle();
        ways
    }

    /// How long the call took by which a row was reached; for one that nobody answers, itself.
    fn call(
        &mut self,
        spans: &Spans<'_>,
        forest: &Forest,
        kin: &Kinship,
        row: usize,
        places: &mut Places,
    ) {
        let (parent, service) = (forest.parent[row], spans.service[row]);
        let timed = |row: usize| spans.duration[row] != UNENDED && spans.duration[row] >= 0;
        if parent != NONE {
            let (caller, above) = (spans.service[parent as usize], parent as usize);
            let told = if kin.calls_out[above] { above } else { row };
            if caller != service && caller != NONE && service != NONE && timed(told) {
                let place = places.code([caller, service]);
                self.calls.take(place, spans.trace[row], spans.duration[told]);
            }
        }
        let peer = spans.peer[row];
        let alone = kin.calls_out[row] && kin.children(row).is_empty();
        if alone && peer != NONE && peer != service && service != NONE && timed(row) {
            let place = places.code([service, peer]);
            self.calls.take(place, spans.trace[row], spans.duration[row]);
        }
    }

    /// The kind of requests that is slower than before by most.
    pub(super) fn symptom(&self, units: &Units, told: &Teller<'_, '_>) -> Option<Deviation> {
        let slowed = self.requests.compare(units, told.eras);
        let most = slowed.iter().max_by(|a, b| a.score().total_cmp(&b.score()))?;
        let (service, operation) = self.kinds.get(most.place as usize)?;
        let service = told.spans.words.text(*service);
        let mut deviation = told.slowed("request_time", format!("{service} {operation}"), most);
        deviation.query = Some(told.sql.request_time(service, operation, most.beyond_ns()));
        Some(deviation)
    }

    /// The calls that lead to a suspect, from the top.
    pub(super) fn path(
        &self,
        suspect: &Suspect,
        units: &Units,
        told: &Teller<'_, '_>,
    ) -> Vec<Deviation> {
        let way = way(suspect, told).unwrap_or_default();
        let slowed = self.calls.compare(units, told.eras);
        let mut seen = BTreeSet::new();
        let pairs = way.windows(2).filter(|pair| seen.insert([pair[0], pair[1]]));
        let call = |pair: &[u32]| {
            let place = told.measured.places.find([pair[0], pair[1]])?;
            let known = slowed.iter().find(|one| one.place == place).copied();
            let one = known.or_else(|| self.calls.typical(place, units, told.eras))?;
            Some(call_time(pair, &one, told))
        };
        pairs.filter_map(call).collect()
    }
}

fn call_time(pair: &[u32], slowed: &Slowed, told: &Teller<'_, '_>) -> Deviation {
    let words = &told.spans.words;
    let (caller, callee) = (words.text(pair[0]), words.text(pair[1]));
    let mut deviation = told.slowed("call_time", format!("{caller} → {callee}"), slowed);
    deviation.query = Some(told.sql.call_time(caller, callee, slowed.beyond_ns()));
    deviation
}

/// The services from the top to a suspect, in the trace that shows it best.
fn way(suspect: &Suspect, told: &Teller<'_, '_>) -> Option<Vec<u32>> {
    let (spans, forest) = (told.spans, told.forest);
    let code = spans.words.find(&suspect.service)?;
    let refs = suspect.evidence.iter().flat_map(|one| &one.refs);
    let mut traces = refs.filter_map(|row| match row {
        EvidenceRef::Trace(id) => spans.trace_codes.get(&u128::from_be_bytes(id.0)).copied(),
        _ => None,
    });
    let rows = forest.rows(traces.next()? as usize).iter().map(|row| *row as usize);
    let reaches = |row: &usize| spans.service[*row] == code || spans.peer[*row] == code;
    let longest = |row: &usize| (spans.duration[*row], Reverse(*row));
    let reached = rows.filter(reaches).max_by_key(longest)?;
    let mut way = vec![code];
    for above in forest.up(reached).map(|row| spans.service[row]) {
        if above != NONE && way.last() != Some(&above) && way.len() <= WAY_MAX {
            way.push(above);
        }
    }
    way.reverse();
    Some(way)
}
