//! Attributes whose value here is not that of the peers.

use std::collections::{BTreeMap, BTreeSet};

use halfopen_model::answer::{ComparedAttribute, TraceAnswer};

use super::kind::folded;
use super::{PEERS_MIN, RARE_SHARE};

/// So many are told.
const TOLD_MAX: usize = 50;

/// So many values of the peers are told.
const VALUES_TOLD: usize = 3;

/// Longer values are cut for telling.
const VALUE_CHARS_MAX: usize = 120;

/// An attribute of which peers have more different values than this share of them says who asks,
/// not what differs.
const DIFFERENT_SHARE_MAX: f64 = 0.5;

/// Of one service: name of the spans (empty for an attribute of the resource), attribute.
type Place = (String, String, String);

/// What the spans of one trace carry.
#[derive(Default)]
struct Carried {
    /// Values; several where spans of one name differ.
    values: BTreeMap<Place, BTreeSet<String>>,
    /// Service and name of its spans, and each service with an empty name.
    spans: BTreeSet<(String, String)>,
}

impl Carried {
    fn by(trace: &TraceAnswer) -> Carried {
        let mut carried = Carried::default();
        for span in &trace.spans {
            let name = folded(&span.name);
            carried.spans.insert((span.service.clone(), String::new()));
            carried.spans.insert((span.service.clone(), name.clone()));
            for (attribute, value) in &span.attributes {
                let of_service = attribute.starts_with("resource.");
                let name = if of_service { String::new() } else { name.clone() };
                let place = (span.service.clone(), name, attribute.clone());
                carried.values.entry(place).or_default().insert(value.to_text());
            }
        }
        carried
    }
}

/// Attributes of spans that both have, whose value only a few peers share; the rarest first.
pub(super) fn differing(trace: &TraceAnswer, peers: &[&TraceAnswer]) -> Vec<ComparedAttribute> {
    let Carried { values: here, spans } = Carried::by(trace);
    let mut counts: BTreeMap<Place, BTreeMap<String, u64>> = BTreeMap::new();
    let mut with: BTreeMap<(String, String), u64> = BTreeMap::new();
    for peer in peers {
        let peer = Carried::by(peer);
        for (place, values) in peer.values {
            let known = counts.entry(place).or_default();
            values.into_iter().for_each(|value| *known.entry(value).or_default() += 1);
        }
        peer.spans.into_iter().for_each(|span| *with.entry(span).or_default() += 1);
    }
    let places: BTreeSet<&Place> = here.keys().chain(counts.keys()).collect();
    let mut found: Vec<ComparedAttribute> = places
        .into_iter()
        .filter(|(service, name, _)| spans.contains(&(service.clone(), name.clone())))
        .filter_map(|place| {
            let with = with.get(&(place.0.clone(), place.1.clone())).copied().unwrap_or(0);
            judge(place, here.get(place), counts.get(place), with)
        })
        .collect();
    let share = |one: &ComparedAttribute| one.peers_same as f64 / one.peers_with as f64;
    let common = |one: &ComparedAttribute| one.peers_values.first().map_or(0, |(_, count)| *count);
    found.sort_by(|a, b| {
        share(a).total_cmp(&share(b)).then(common(b).cmp(&common(a))).then_with(|| {
            (&a.service, &a.name, &a.attribute).cmp(&(&b.service, &b.name, &b.attribute))
        })
    });
    found.truncate(TOLD_MAX);
    found
}

fn judge(
    (service, name, attribute): &Place,
    here: Option<&BTreeSet<String>>,
    there: Option<&BTreeMap<String, u64>>,
    with: u64,
) -> Option<ComparedAttribute> {
    let none = BTreeMap::new();
    let there = there.unwrap_or(&none);
    if with < PEERS_MIN as u64 {
        return None;
    }
    let rare = |count: u64| count as f64 <= with as f64 * RARE_SHARE;
    let (value, same) = match here {
        Some(values) => {
            // Of several values here the one that is rarest among the peers.
            let count = |value: &&String| there.get(*value).copied().unwrap_or(0);
            let value = values.iter().min_by_key(|value| (count(value), *value))?;
            (Some(value), count(&value))
        }
        None => (None, with.saturating_sub(there.values().sum::<u64>().min(with))),
    };
    let different = there.len() as f64 > with as f64 * DIFFERENT_SHARE_MAX;
    if !rare(same) || different || is_within(value, there) {
        return None;
    }
    let mut values: Vec<(String, u64)> =
        there.iter().map(|(value, count)| (cut(value), *count)).collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    values.truncate(VALUES_TOLD);
    Some(ComparedAttribute {
        service: service.clone(),
        name: (!name.is_empty()).then(|| name.clone()),
        attribute: attribute.clone(),
        here: value.map(|value| cut(value)),
        peers_same: same,
        peers_with: with,
        peers_values: values,
    })
}

/// Whether a number lies between those of the peers.
fn is_within(value: Option<&String>, there: &BTreeMap<String, u64>) -> bool {
    let number = |text: &String| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let Some(here) = value.and_then(number) else { return false };
    let numbers: Option<Vec<f64>> = there.keys().map(number).collect();
    // Two or three numbers are codes (a status, a port), not a measure.
    numbers.filter(|numbers| numbers.len() > VALUES_TOLD).is_some_and(|numbers| {
        let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (lowest..=highest).contains(&here)
    })
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
