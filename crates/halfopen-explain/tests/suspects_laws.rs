//! What holds of suspects whatever comes: malformed traces are no suspects, no endless loops and
//! no panics, and times that differ by chance alone name nobody.

mod mart;
mod shop;

use std::collections::BTreeMap;

use halfopen_model::answer::{Strength, Suspects};
use halfopen_model::time::SECOND_NS;
use mart::{Mart, PAYMENT, STOCK, range};
use shop::rows::Span;
use shop::{BEGIN_NS, Dice};

const DAY_NS: i64 = 24 * 3_600 * SECOND_NS;

/// A way in which the spans of one trace are wrong; the dice choose the spans.
type Wrong = fn(&mut [Span], &mut Dice);

fn one(spans: &[Span], dice: &mut Dice) -> usize {
    dice.below(spans.len())
}

const WRONG: [(&str, Wrong); 8] = [
    ("an orphan", |spans, dice| spans[one(spans, dice)].parent = dice.next() | 1),
    ("a circle", |spans, dice| {
        let (a, b) = (one(spans, dice), one(spans, dice));
        (spans[a].parent, spans[b].parent) = (spans[b].id, spans[a].id);
    }),
    ("a repeated id", |spans, dice| {
        let (a, b) = (one(spans, dice), one(spans, dice));
        spans[a].id = spans[b].id;
    }),
    ("several roots", |spans, dice| spans[one(spans, dice)].parent = 0),
    ("a negative duration", |spans, dice| {
        spans[one(spans, dice)].duration = Some(-(dice.below(5) as i64) * SECOND_NS);
    }),
    ("a clock step", |spans, dice| spans[one(spans, dice)].start += 3_600 * SECOND_NS),
    ("a span of a day", |spans, dice| spans[one(spans, dice)].duration = Some(DAY_NS)),
    ("no end", |spans, dice| spans[one(spans, dice)].duration = None),
];

/// Spoils traces at random: so many in a hundred of each of the two times.
fn spoiled(spans: Vec<Span>, wrong: Wrong, percent: [usize; 2], seed: u64) -> Vec<Span> {
    let (mut traces, mut dice) = (BTreeMap::<u128, Vec<Span>>::new(), Dice(seed));
    for span in spans {
        traces.entry(span.trace).or_default().push(span);
    }
    for spans in traces.values_mut() {
        let era = usize::from(spans[0].start >= range(1).from.0);
        if dice.below(100) < percent[era] {
            wrong(spans, &mut dice);
        }
    }
    traces.into_values().flatten().collect()
}

fn suspected(found: &Suspects) -> Vec<&str> {
    let list = found.list.iter().filter(|one| one.strength >= Strength::Likely);
    list.map(|one| one.service.as_str()).collect()
}

#[test]
fn malformed_traces_name_nobody() {
    for (place, (name, wrong)) in WRONG.into_iter().enumerate() {
        for seed in 0..6 {
            let mart = Mart::new(100 * place as u64 + seed, |_| ());
            let spans = mart.rows().0;
            // All of both times, and a few of now alone.
            for percent in [[100, 100], [0, 10]] {
                let found = mart.find_in(spoiled(spans.clone(), wrong, percent, seed));
                assert!(suspected(&found).is_empty(), "{name}, {percent:?}: {found:#?}");
            }
        }
    }
}

#[test]
fn malformed_traces_hide_nobody() {
    for (place, (name, wrong)) in WRONG.into_iter().enumerate() {
        let mart = Mart::new(900 + place as u64, |plan| plan.own[PAYMENT] += 120.0);
        let spans = spoiled(mart.rows().0, wrong, [10, 10], 7);
        assert_eq!(suspected(&mart.find_in(spans)), ["payment"], "{name}");
    }
}

/// A part of the requests is slow, in both times alike: which of them came now is chance. One in
/// a hundred of such comparisons may name somebody.
#[test]
fn shuffled_times_name_nobody() {
    let loud = |seed: &u64| {
        let slow = |plan: &mut mart::Plan| {
            if plan.luck < 0.3 {
                plan.own[STOCK] += 150.0;
                plan.error(STOCK, "stock.rs:9 shelf 12 is locked");
            }
        };
        let mart = Mart::new(5_000 + seed, slow);
        let (mut eras, mut dice) = (BTreeMap::new(), Dice(*seed));
        let mut spans = mart.rows().0;
        let split = range(1).from.0;
        // Only requests of the time in which some are slow, half of them put before it.
        spans.retain(|span| span.start >= split);
        for span in &mut spans {
            let is_before = *eras.entry(span.trace).or_insert_with(|| dice.below(2) == 0);
            span.start -= if is_before { split - BEGIN_NS } else { 0 };
        }
        !suspected(&mart.find_in(spans)).is_empty()
    };
    let loud: Vec<u64> = (0..200).filter(loud).collect();
    assert!(loud.len() <= 4, "{loud:?} of 200 name somebody");
}
