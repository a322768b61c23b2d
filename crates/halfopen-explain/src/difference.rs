//! What tells failing requests from healthy ones: single values and combinations of two and
//! three, exact, over all attributes of all spans, each with its significance.
//!
//! A value explains failures of one call only if it also separates the requests that made this
//! call: what all requests have that reach the call follows from the call (explaining away).
//! A pair is said only when each part tells something that the other does not: among requests
//! with the one, the other separates, and the other way round. So a parent goes before its
//! child, and a child before its parent where only the child fails.
//!
//! What implies the call is no difference among requests that make it, and still the condition
//! under which requests fail: an order without a gift card never asks for one. Such a value is
//! looked for against all healthy requests, told apart from what only follows from the call, and
//! bears no more weight than the call itself.

pub(crate) mod fold;
pub(crate) mod items;
pub(crate) mod names;
pub(crate) mod significance;

use crate::bits::Bits;
use crate::cohorts::Cohorts;
use items::Items;
use significance::Sides;

/// The chance of a false explanation in one answer that is accepted: 5 % in all, most of it for
/// values and pairs, so that the many combinations of three take little from them.
pub(crate) const ALPHA: f64 = 0.04;
const ALPHA_THREE: f64 = 0.01;

/// Values that fewer of the failing requests share than this explain too little of them.
const COVERAGE_MIN: f64 = 0.25;

/// The odds must be this many times larger: significance alone is cheap in large samples.
const ODDS_MIN: f64 = 3.0;

/// The share must be this many times larger: what nearly every request has is no condition.
const LIFT_MIN: f64 = 1.5;

/// Fewer healthy requests that made the same call than this are no peers of their own.
const PEERS_MIN: u64 = 20;

/// A value that fewer of the requests with the call carry than this does not imply the call.
const IMPLIED_SHARE_MIN: f64 = 0.95;

/// So many single values go into pairs, the best ones: each part of a good pair is good alone,
/// since requests with the pair are among the requests with the part.
const PAIRED_MAX: usize = 48;

/// So many pairs are grown to combinations of three, the best ones, with so many single values.
const GROWN_MAX: usize = 24;

/// One failing group and what it is compared with.
pub(crate) struct Question<'q> {
    /// Failing requests to explain.
    pub(crate) group: &'q Bits,
    /// Healthy requests that made the same call; empty where none is known.
    pub(crate) peers: &'q Bits,
    /// Healthy requests after the onset, where there is an onset.
    pub(crate) since: Option<&'q Bits>,
    /// Whether a service takes part in the failure: codes of services.
    pub(crate) path: &'q [u32],
    /// Where the failure shows: the service of the call, then its peer.
    pub(crate) site: [u32; 2],
    /// Items that say the same as the call itself.
    pub(crate) call_itself: &'q [items::Key],
    /// Whether a service is visited only by requests that make the call: all that its spans
    /// carry follows from the call.
    pub(crate) below_call: &'q dyn Fn(u32) -> bool,
    /// Whether an item is known of a request without the call, too, or by other spans than it.
    pub(crate) beside_call: &'q dyn Fn(usize) -> bool,
}

/// One value or two, and how well they explain.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    /// Numbers of items.
    pub(crate) parts: Vec<usize>,
    /// Items that hold for the same requests as the parts.
    pub(crate) same_as: Vec<usize>,
    /// Requests of both sides that have it.
    pub(crate) set: Bits,
    /// Failing group against all healthy requests.
    pub(crate) sides: Sides,
    /// The same against peers, where there are enough.
    pub(crate) near: Sides,
    /// Against all healthy requests, corrected.
    pub(crate) p_value: f64,
    /// Only failed spans carry it and no healthy request has the attribute at all.
    pub(crate) follows: bool,
    /// Every request that makes the failing call has it, so it separates only those that make
    /// the call from those that do not.
    pub(crate) implied: bool,
}

impl Explanation {
    /// How well it separates; what may only follow from the failure comes after all else.
    fn score(&self) -> f64 {
        self.near.g() * if self.follows { 0.25 } else { 1.0 }
    }
}

/// Something that changed together with the failures and is no part of them.
pub(crate) struct Coincidence {
    pub(crate) item: usize,
}

/// What was found for one group.
#[derive(Default)]
pub(crate) struct Explained {
    /// The best explanation.
    pub(crate) best: Option<Explanation>,
    /// The next best value that says something else, for calibration.
    pub(crate) next_g: f64,
    pub(crate) coincidences: Vec<Coincidence>,
}

/// Compares a group of failing requests.
pub(crate) struct Comparison<'c> {
    pub(crate) items: &'c Items,
    pub(crate) cohorts: &'c Cohorts,
    pub(crate) names: &'c dyn Fn(usize) -> (&'c str, &'c str),
    /// Whether any healthy request carries the attribute of an item, with any value.
    pub(crate) known_when_healthy: &'c dyn Fn(usize) -> bool,
}

impl Comparison<'_> {
    /// The best explanation of a group.
    pub(crate) fn explain(&self, question: &Question<'_>) -> Explained {
        let mut explained = Explained::default();
        let singles = self.singles(question, &mut explained.coincidences);
        let pairs = self.pairs(question, &singles);
        let threes = self.threes(question, &singles, &pairs);
        let best = singles.iter().chain(&pairs).chain(&threes).max_by(|a, b| {
            let (left, right) = (a.score(), b.score());
            // Equal scores: fewer parts, then the more telling one, which stands first.
            left.total_cmp(&right).then(b.parts.len().cmp(&a.parts.len()))
        });
        let implied = self.implied(question);
        let Some(best) = best.cloned() else {
            explained.best = implied.into_iter().next();
            return explained;
        };
        let another = |single: &&Explanation| {
            let common = single.set.common(&best.set) as f64;
            let either = (single.set.count() + best.set.count()) as f64 - common;
            !best.parts.contains(&single.parts[0]) && common < either / 2.0
        };
        explained.next_g = singles.iter().filter(another).map(|s| s.near.g()).fold(0.0, f64::max);
        explained.best = Some(self.extended(question, best, &implied));
        explained
    }

    /// All single values that explain, folded, the best first.
    fn singles(
        &self,
        question: &Question<'_>,
        coincidences: &mut Vec<Coincidence>,
    ) -> Vec<Explanation> {
        let mut found = Vec::new();
        for (number, item) in self.items.list.iter().enumerate() {
            if question.call_itself.contains(&item.key) {
                continue;
            }
            let near = self.near(question, (question.below_call)(item.key[0]));
            let explanation = self.judge(question, near, vec![number], &item.set);
            let Some(mut explanation) = explanation else { continue };
            if self.only_coincides(question, number, &explanation) {
                coincidences.push(Coincidence { item: number });
                continue;
            }
            explanation.follows = explanation.near.healthy == 0
                && item.on_failed_only
                && !(self.known_when_healthy)(number);
            found.push(explanation);
        }
        fold::fold(found, &|number| self.rank(question, number))
    }

    /// How telling an item is for this question, the most telling first.
    fn rank(&self, question: &Question<'_>, number: usize) -> (u8, bool, usize) {
        let (attribute, value) = (self.names)(number);
        let item = &self.items.list[number];
        let place = question.site.iter().position(|service| *service == item.key[0]);
        let off_path = !question.path.contains(&item.key[0]);
        (names::rank(attribute, value), off_path, place.unwrap_or(question.site.len()))
    }

    /// Healthy requests that are peers: those that made the call, where there are enough of them
    /// or what is judged cannot be without the call.
    fn near<'q>(&'q self, question: &Question<'q>, below_call: bool) -> &'q Bits {
        let enough = question.peers.count() >= PEERS_MIN;
        if enough || below_call { question.peers } else { &self.cohorts.healthy }
    }

    /// Judges one set of requests; `None` when it explains nothing.
    fn judge(
        &self,
        question: &Question<'_>,
        near: &Bits,
        parts: Vec<usize>,
        set: &Bits,
    ) -> Option<Explanation> {
        let failing_total = question.group.count();
        let failing = set.common(question.group);
        if (failing as f64) < COVERAGE_MIN * failing_total as f64 {
            return None;
        }
        let against = |healthy: &Bits| Sides {
            failing,
            failing_total,
            healthy: set.common(healthy),
            healthy_total: healthy.count(),
        };
        let sides = against(&self.cohorts.healthy);
        let near = against(near);
        let p_value = sides.p_value() * self.tried();
        (p_value <= ALPHA && separates(&sides) && separates(&near))
            .then_some(())
            .filter(|()| near.p_value() * self.tried() <= ALPHA)
            .map(|()| Explanation {
                parts,
                same_as: Vec::new(),
                set: set.clone(),
                sides,
                near,
                p_value,
                follows: false,
                implied: false,
            })
    }

    /// Values that every request with the call carries and that separate failing requests from
    /// all healthy ones, folded, the best first. What describes the call, or cannot be without
    /// it, is none.
    fn implied(&self, question: &Question<'_>) -> Vec<Explanation> {
        let peers = question.peers.count();
        if peers < PEERS_MIN {
            return Vec::new(); // all healthy requests were compared with already
        }
        let (mut found, group) = (Vec::new(), question.group.count());
        for (number, item) in self.items.list.iter().enumerate() {
            let service = item.key[0];
            let carry =
                |set: &Bits, of: u64| item.set.common(set) as f64 >= IMPLIED_SHARE_MIN * of as f64;
            if !carry(question.group, group)
                || !carry(question.peers, peers)
                || names::describes_call((self.names)(number).0)
                || [items::NAME, items::CALLS].contains(&(self.names)(number).0)
                || (question.below_call)(service)
            {
                continue;
            }
            let all = &self.cohorts.healthy;
            let Some(mut explanation) = self.judge(question, all, vec![number], &item.set) else {
                continue;
            };
            explanation.implied = true;
            let coincides = self.only_coincides(question, number, &explanation);
            if !coincides && (question.beside_call)(number) {
                found.push(explanation);
            }
        }
        fold::fold(found, &|number| self.rank(question, number))
    }

    /// An explanation with a value that implies the call, where among all requests with the
    /// explanation that value separates failing from healthy ones.
    fn extended(
        &self,
        question: &Question<'_>,
        best: Explanation,
        implied: &[Explanation],
    ) -> Explanation {
        for more in implied.iter().filter(|more| !best.parts.contains(&more.parts[0])) {
            let set = best.set.and(&more.set);
            let sides = Sides {
                failing: set.common(question.group),
                healthy: set.common(&self.cohorts.healthy),
                ..best.sides
            };
            let within = Sides {
                failing: sides.failing,
                failing_total: best.sides.failing,
                healthy: sides.healthy,
                healthy_total: best.sides.healthy,
            };
            if separates(&within) && within.p_value() * self.tried() <= ALPHA {
                let parts = [&best.parts[..], &more.parts[..]].concat();
                let same_as = [&best.same_as[..], &more.same_as[..]].concat();
                return Explanation { parts, same_as, set, sides, ..best };
            }
        }
        best
    }

    /// All values, and all pairs of the best ones.
    fn tried(&self) -> f64 {
        let pairs = PAIRED_MAX.min(self.items.list.len()) as f64;
        self.items.tried as f64 + pairs * (pairs - 1.0) / 2.0
    }

    /// Whether a value only changed at the same time: it stands in a service that takes no part
    /// in the failure, and since the onset requests with it fail no more than others.
    fn only_coincides(
        &self,
        question: &Question<'_>,
        number: usize,
        explanation: &Explanation,
    ) -> bool {
        let item = &self.items.list[number];
        let Some(since) = question.since else { return false };
        if question.path.contains(&item.key[0]) {
            return false;
        }
        let later = Sides {
            healthy: item.set.common(since),
            healthy_total: since.count(),
            ..explanation.sides
        };
        if later.healthy_total < PEERS_MIN {
            return names::is_deployed((self.names)(number).0);
        }
        !separates(&later) || later.p_value() * self.tried() > ALPHA
    }

    /// Pairs of which each part tells something that the other does not.
    fn pairs(&self, question: &Question<'_>, singles: &[Explanation]) -> Vec<Explanation> {
        let best = &singles[..singles.len().min(PAIRED_MAX)];
        let mut found = Vec::new();
        for (place, first) in best.iter().enumerate() {
            for second in &best[place + 1..] {
                let set = first.set.and(&second.set);
                let parts = vec![first.parts[0], second.parts[0]];
                let below = |part: &usize| (question.below_call)(self.items.list[*part].key[0]);
                let near = self.near(question, parts.iter().any(below));
                let Some(mut pair) = self.judge(question, near, parts, &set) else { continue };
                if self.adds(&pair, first) && self.adds(&pair, second) {
                    pair.follows = first.follows || second.follows;
                    pair.same_as = [&first.same_as[..], &second.same_as[..]].concat();
                    found.push(pair);
                }
            }
        }
        found
    }

    /// Combinations of three, grown from pairs: of what explains, each part explains alone
    /// (R. Agrawal and R. Srikant, VLDB 1994, called this the support of subsets). As with pairs,
    /// each part must tell something that the other two do not tell together.
    fn threes(
        &self,
        question: &Question<'_>,
        singles: &[Explanation],
        pairs: &[Explanation],
    ) -> Vec<Explanation> {
        let mut pairs: Vec<&Explanation> = pairs.iter().collect();
        pairs.sort_by(|a, b| b.score().total_cmp(&a.score()).then(a.parts.cmp(&b.parts)));
        pairs.truncate(GROWN_MAX);
        let singles = &singles[..singles.len().min(GROWN_MAX)];
        let find = |part: usize| singles.iter().find(|single| single.parts[0] == part);
        let mut found: Vec<Explanation> = Vec::new();
        for pair in pairs {
            let (Some(first), Some(second)) = (find(pair.parts[0]), find(pair.parts[1])) else {
                continue;
            };
            for third in singles.iter().filter(|third| !pair.parts.contains(&third.parts[0])) {
                let mut parts = [&pair.parts[..], &third.parts[..]].concat();
                parts.sort_unstable();
                let set = pair.set.and(&third.set);
                if found.iter().any(|known| known.parts == parts) || set.common(question.group) == 0
                {
                    continue;
                }
                let below = |part: &usize| (question.below_call)(self.items.list[*part].key[0]);
                let near = self.near(question, parts.iter().any(below));
                let two = [pair.set.clone(), first.set.and(&third.set), second.set.and(&third.set)];
                let each_adds = two.iter().all(|two| {
                    let within = Sides {
                        failing: set.common(question.group),
                        failing_total: two.common(question.group),
                        healthy: set.common(near),
                        healthy_total: two.common(near),
                    };
                    separates(&within) && within.p_value() * TRIED_THREES <= ALPHA_THREE
                });
                if !each_adds {
                    continue;
                }
                let Some(mut three) = self.judge(question, near, parts, &set) else { continue };
                let chance = three.sides.p_value().max(three.near.p_value()) * TRIED_THREES;
                if chance > ALPHA_THREE {
                    continue;
                }
                three.p_value = three.p_value.max(chance * ALPHA / ALPHA_THREE);
                let all = [first, second, third];
                let follows = all.iter().any(|single| single.follows);
                let same_as = all.iter().flat_map(|single| single.same_as.clone()).collect();
                found.push(Explanation { follows, same_as, ..three });
            }
        }
        found
    }

    /// Whether, among requests with `part`, the rest of the pair separates failing from healthy.
    fn adds(&self, pair: &Explanation, part: &Explanation) -> bool {
        let within = Sides {
            failing: pair.near.failing,
            failing_total: part.near.failing,
            healthy: pair.near.healthy,
            healthy_total: part.near.healthy,
        };
        separates(&within) && within.p_value() * self.tried() <= ALPHA
    }
}

/// All combinations of three of the single values that are grown.
const TRIED_THREES: f64 = (GROWN_MAX * (GROWN_MAX - 1) * (GROWN_MAX - 2) / 6) as f64;

fn separates(sides: &Sides) -> bool {
    let (failing, healthy) = sides.shares();
    failing >= LIFT_MIN * healthy && sides.odds_ratio() >= ODDS_MIN
}
