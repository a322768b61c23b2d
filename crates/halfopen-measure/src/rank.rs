//! Which combination tells failing ones from the others, and at which depth.
//!
//! A combination is judged by two shares: of the failing ones beyond what was before, how many
//! have it; of those that are well, how many have it. Its score is the correlation (phi; G. U.
//! Yule, JRSS 75, 1912) of having it with failing, where failing ones and well ones weigh the
//! same. Unlike the difference of the shares it honours that nearly nothing is left outside.
//!
//! Depth: a child is named only where its parent does not fail outside of it. For that the other
//! values of the attribute are asked one by one, as values and not as requests: where most of
//! them rose as the child did, the attribute is no condition, however many requests the child has.

use std::collections::HashMap;

use super::combos::{Combo, EVERYTHING, Parts, Sums, UNUSED, count, order, without};
use super::table::Table;

/// The excess is at least this share of all failing ones: a difference of two large numbers is
/// else nothing but noise.
const EXCESS_SHARE_MIN: f64 = 0.05;
/// What is added to counts before they are divided (J. B. S. Haldane, Annals of Human Genetics
/// 20, 1956).
const HALF: f64 = 0.5;
/// Other values rose "as the child did" from half of its rise on, on a scale of logarithms: what
/// lies nearer to the child than to everything outside.
const HOLDS_MIN: f64 = 0.5;
/// A parent whose score is less than this part of its child's says much less than the child.
const PARENT_SCORE_MIN: f64 = 0.5;
/// A value whose failing ones could be told from none by so many spreads has a whole vote; ones
/// with fewer have less.
const VOTE_SPREADS_MAX: f64 = 4.0;
/// With less than this nobody has voted.
const VOTES_MIN: f64 = 0.5;
/// Votes are held to this range, so that one wild value does not decide.
const VOTE_RANGE: (f64, f64) = (-0.5, 1.5);
/// A value is part of a group only when it explains this share of the excess by itself.
pub(super) const EXPLAINS_MIN: f64 = 0.1;
/// Values of one attribute that are causes together, and among how many they are looked for.
const GROUP_MAX: usize = 3;
const GROUP_CANDIDATES_MAX: usize = 6;
/// Two causes must be this much better than one: one is the simpler answer.
const GROUP_LEAD_MIN: f64 = 0.05;

/// Combinations, judged.
pub(super) struct Ranked {
    pub(super) combos: Vec<Combo>,
    pub(super) total: Sums,
    /// Failing ones beyond what was before.
    pub(super) excess: f64,
    /// Combinations by score, the best first.
    pub(super) order: Vec<usize>,
    expected: Vec<f64>,
    expected_total: f64,
    /// Shares of the excess and of those that are well.
    shares: Vec<(f64, f64)>,
    score: Vec<f64>,
    places: HashMap<Parts, usize>,
    /// By parent and attribute: the combinations that add a value of it.
    children: HashMap<(Parts, u32), Vec<usize>>,
}

impl Ranked {
    /// Counts and judges all combinations.
    pub(super) fn new(
        table: &Table,
        rows: &[Sums],
        attributes: &[usize],
        order_max: usize,
    ) -> Ranked {
        let combos = count(table, rows, attributes, order_max);
        let mut total = Sums::default();
        rows.iter().for_each(|sums| total.add(sums));
        let has_before = total.all_before > 0.0;
        let rate = if has_before { total.failed_before / total.all_before } else { 0.0 };
        let expected_of = |sums: &Sums| match has_before {
            true => (sums.failed_before + rate) / (sums.all_before + 1.0) * sums.all,
            false => 0.0,
        };
        let expected_total = rate * total.all;
        let excess = (total.failed - expected_total).max(EXCESS_SHARE_MIN * total.failed);
        let well = (total.all - total.failed).max(HALF);
        let mut ranked = Ranked {
            expected: combos.iter().map(|combo| expected_of(&combo.sums)).collect(),
            combos,
            total,
            excess: excess.max(f64::MIN_POSITIVE),
            order: Vec::new(),
            expected_total,
            shares: Vec::new(),
            score: Vec::new(),
            places: HashMap::new(),
            children: HashMap::new(),
        };
        for (place, combo) in ranked.combos.iter().enumerate() {
            let gain = (combo.sums.failed - ranked.expected[place]).max(0.0);
            let shares =
                ((gain / ranked.excess).min(1.0), (combo.sums.all - combo.sums.failed) / well);
            ranked.shares.push(shares);
            ranked.score.push(phi(shares.0, shares.1));
            ranked.places.insert(combo.parts, place);
            for at in 0..order(&combo.parts) {
                let parent = (without(&combo.parts, at), combo.parts[at].0);
                ranked.children.entry(parent).or_default().push(place);
            }
        }
        ranked.sort();
        ranked
    }

    /// By score; where it is equal the simpler one, then the one with more requests.
    fn sort(&mut self) {
        let mut places: Vec<usize> = (0..self.combos.len()).collect();
        places.sort_by(|one, other| {
            let (a, b) = (&self.combos[*one], &self.combos[*other]);
            self.score[*other]
                .total_cmp(&self.score[*one])
                .then(order(&a.parts).cmp(&order(&b.parts)))
                .then(b.sums.all.total_cmp(&a.sums.all))
                .then(b.sums.all_before.total_cmp(&a.sums.all_before))
        });
        self.order = places;
    }

    pub(super) fn score(&self, place: usize) -> f64 {
        self.score[place]
    }

    /// Where a combination stands, if it occurs.
    pub(super) fn place(&self, parts: &Parts) -> Option<usize> {
        self.places.get(parts).copied()
    }

    /// Failing ones, were all as before.
    pub(super) fn expected(&self, place: usize) -> f64 {
        self.expected[place]
    }

    pub(super) fn expected_total(&self) -> f64 {
        self.expected_total
    }

    /// Failing ones beyond that.
    pub(super) fn gain(&self, place: usize) -> f64 {
        self.combos[place].sums.failed - self.expected[place]
    }

    /// How far a combination lies above what was expected, in spreads of Poisson's distribution.
    pub(super) fn spreads(&self, place: usize) -> f64 {
        self.gain(place) / (self.expected[place] + 1.0).sqrt()
    }

    /// The best of them and how far it stands out; 0 where there is none.
    pub(super) fn best_spreads(&self) -> f64 {
        self.order.first().map_or(0.0, |place| self.spreads(*place).max(0.0))
    }

    /// From a combination up to the last parent that holds as a whole.
    pub(super) fn at_depth(&self, mut place: usize) -> usize {
        loop {
            let parts = self.combos[place].parts;
            let holding = (0..order(&parts)).filter(|_| order(&parts) > 1).filter_map(|at| {
                let parent = self.place(&without(&parts, at))?;
                let says = self.score[parent] >= PARENT_SCORE_MIN * self.score[place];
                (says && self.holds(parent, place, parts[at].0) >= HOLDS_MIN).then_some(parent)
            });
            match holding.max_by(|one, other| self.score[*one].total_cmp(&self.score[*other])) {
                Some(parent) => place = parent,
                None => return place,
            }
        }
    }

    /// How much a parent rose outside of one of its children: 0 as little as everything else, 1
    /// as much as the child; the mean over the other values of the attribute.
    fn holds(&self, parent: usize, child: usize, attribute: u32) -> f64 {
        let rise = |failed: f64, expected: f64| ((failed + HALF) / (expected + HALF)).ln();
        let above = &self.combos[parent];
        let outside = rise(
            self.total.failed - above.sums.failed,
            (self.expected_total - self.expected[parent]).max(0.0),
        );
        let own = rise(self.combos[child].sums.failed, self.expected[child]) - outside;
        if own <= 0.0 {
            return 1.0;
        }
        let (mut sum, mut votes) = (0.0, 0.0);
        let others = self.children.get(&(above.parts, attribute));
        for other in others.into_iter().flatten().filter(|other| **other != child) {
            let expected = self.expected[*other];
            let rose = rise(self.combos[*other].sums.failed, expected * outside.exp()) / own;
            let could_be_seen = expected * (own + outside).exp();
            let vote = could_be_seen.sqrt().min(VOTE_SPREADS_MAX);
            sum += rose.clamp(VOTE_RANGE.0, VOTE_RANGE.1) * vote;
            votes += vote;
        }
        if votes < VOTES_MIN { 0.0 } else { sum / votes }
    }

    /// Values of one attribute that are a better answer together than any combination alone.
    pub(super) fn group(&self) -> Option<Vec<usize>> {
        let mut best_score = self.score[*self.order.first()?] + GROUP_LEAD_MIN;
        let mut best = None;
        let mut attributes: Vec<u32> =
            self.children.keys().filter(|key| key.0 == EVERYTHING).map(|key| key.1).collect();
        attributes.sort_unstable();
        for attribute in attributes {
            let candidates = self.group_candidates(attribute);
            for chosen in 0..1_u32 << candidates.len() {
                let size = chosen.count_ones() as usize;
                if !(2..=GROUP_MAX).contains(&size) {
                    continue;
                }
                let members: Vec<usize> = (0..candidates.len())
                    .filter(|at| chosen & (1 << at) != 0)
                    .map(|at| candidates[at])
                    .collect();
                let sum = members.iter().fold((0.0, 0.0), |sum: (f64, f64), member| {
                    (sum.0 + self.shares[*member].0, sum.1 + self.shares[*member].1)
                });
                let score = phi(sum.0.min(1.0), sum.1);
                if score > best_score {
                    (best_score, best) = (score, Some(members));
                }
            }
        }
        let mut members = best?;
        members.sort_by(|one, other| self.score[*other].total_cmp(&self.score[*one]));
        Some(members)
    }

    fn group_candidates(&self, attribute: u32) -> Vec<usize> {
        let values = self.children.get(&(EVERYTHING, attribute)).into_iter().flatten().copied();
        let mut found: Vec<usize> = values
            .filter(|place| {
                let (excess, well) = self.shares[*place];
                excess >= EXPLAINS_MIN && excess > well
            })
            .collect();
        let purity = |place: &usize| self.shares[*place].0 / self.shares[*place].1.max(1e-9);
        found.sort_by(|one, other| purity(other).total_cmp(&purity(one)));
        found.truncate(GROUP_CANDIDATES_MAX);
        found
    }
}

/// The correlation of two yes-or-no facts, from the share of the first group and of the second
/// that has the fact, both groups weighing the same; below 0 where the second has it more often.
fn phi(first: f64, second: f64) -> f64 {
    let mean = (first + second) / 2.0;
    if first <= second {
        return first - second;
    }
    (first - second) / (2.0 * (mean * (1.0 - mean)).max(1e-9).sqrt())
}

/// Attributes with values of a combination.
pub(super) fn used(parts: &Parts) -> impl Iterator<Item = (usize, usize)> + '_ {
    let used = parts.iter().filter(|part| **part != UNUSED);
    used.map(|(attribute, value)| (*attribute as usize, *value as usize))
}
