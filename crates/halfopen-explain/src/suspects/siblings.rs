//! One instance of a service beside its siblings, in the same time.
//!
//! Rule: of the requests that an instance takes part in, more are slow, or begin to fail, than of
//! those of the other instances: by more than chance over all instances and operations that are
//! looked at, by twice as much as the others differ among themselves, and, where the time before
//! is known, by more than it did then. Confusers: an instance that was always slower, instances
//! that all differ, and a service that is slower as a whole. With two instances and nothing known
//! of the time before, nobody can say which of the two is odd.
//!
//! A version beside the others of its service, in the same time: the same, but that a change must
//! have brought it, which is its news; that an older version is slower is no fault of a change.

use std::collections::{BTreeMap, BTreeSet};

use halfopen_model::answer::Share;

use super::Places;
use super::eras::{Era, Eras, Units};
use super::kinship::Kinship;
use super::presence::ROOT_G_FULL;
use super::timing::{ADDED_MIN, SHARE_FULL, capped_mean, limit, quantile, size};
use crate::changes::RELEASE_PLACES;
use crate::difference::significance::Sides;
use crate::intern::{FoldMap, NONE};
use crate::spans::{Spans, release_names, words_of};
use crate::tree::Forest;

/// Attributes that tell instances of one service apart, in the order of the conventions: an
/// instance is a process, a pod holds one of each kind, a host may hold several.
pub(super) const INSTANCE_NAMES: [&str; 3] =
    ["resource.service.instance.id", "resource.k8s.pod.name", "resource.host.name"];

/// What tells those apart that are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum By {
    Instance,
    /// Version, commit, image or configuration: the first of them that tells two apart.
    Version,
}

/// Both.
const KINDS: [By; 2] = [By::Instance, By::Version];

/// With fewer requests than this an instance says nothing.
const UNITS_MIN: usize = 5;

/// Siblings that are needed where the time before is not known.
const SIBLINGS_MIN: usize = 2;

/// The chance that is accepted to name anybody, over all that is looked at in one answer.
pub(super) const CHANCE_MAX: f64 = 0.01;

/// An answer tries so many begins of what is wrong, at most.
pub(super) const TRIES: usize = 4;

/// It stands so many times farther from the next one than the others lie apart.
const LEAD_MIN: f64 = 2.0;

/// What the others do as well by this part is no matter of one instance.
const SHARED_MAX: f64 = 0.5;

/// What is measured of instances.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Measure {
    /// How long an operation works by itself; of (service, name).
    Own,
    /// How long calls to it are under way; of (caller, callee).
    To,
    /// How long its own calls are; of (caller, callee).
    From,
    /// Requests that begin to fail in it; of (service, nothing).
    Failures,
}

/// One measurement: nanoseconds, or 1 for a failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    by: By,
    measure: Measure,
    place: u32,
    value: u32,
    unit: u32,
    number: i64,
}

/// Measurements of all services that have several instances.
#[derive(Default)]
pub(super) struct Siblings {
    /// The instance, and the version, of each row; [`NONE`] where nothing tells it from others.
    values: [Vec<u32>; 2],
    /// The attributes that tell those of a service apart; the first that is there counts.
    names: BTreeMap<(By, u32), Vec<&'static str>>,
    samples: Vec<Sample>,
}

/// An instance that is not as its siblings are.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Odd {
    pub(super) by: By,
    pub(super) measure: Measure,
    pub(super) place: u32,
    pub(super) value: u32,
    /// How many others there are, and the one that comes next.
    pub(super) others: usize,
    pub(super) next: u32,
    /// Its requests beyond the limit, and those of the others.
    pub(super) own: Share,
    pub(super) rest: Share,
    /// The limit that the middle one of all instances draws.
    pub(super) limit: i64,
    /// The median of the others, and its own; where the latter is usual, of what is beyond.
    pub(super) typical: [i64; 2],
    pub(super) is_tail: bool,
    /// What it takes longer, as a part of a request's usual duration.
    added: f64,
    /// A request of it that shows it best.
    pub(super) example: u32,
    p_value: f64,
    /// The chance that it is as it was; `None` where that is not known.
    since_p_value: Option<f64>,
}

impl Odd {
    /// The limit beyond which its typical time lies; `None` where that is the median of all.
    pub(super) fn beyond_ns(&self) -> Option<i64> {
        self.is_tail.then_some(self.limit)
    }

    /// What tells it from any other but the same one by another name.
    pub(super) fn same(&self) -> (Measure, u32, Share) {
        (self.measure, self.place, self.own)
    }

    /// How sure it is that it differs: 0 to 1. A chance of e^(-z²/2) lies about z spreads away.
    pub(super) fn certainty(&self) -> f64 {
        ((-2.0 * self.p_value.max(f64::MIN_POSITIVE).ln()).sqrt() / ROOT_G_FULL).min(1.0)
    }

    /// By how much more of its requests show it.
    pub(super) fn rise(&self) -> f64 {
        self.own.ratio() - self.rest.ratio()
    }

    /// How far a time stands out.
    pub(super) fn score(&self) -> f64 {
        self.certainty() * size(self.added) * (self.rise() / SHARE_FULL).min(1.0)
    }
}

impl Siblings {
    /// Reads what tells instances apart: for each service the first attribute that gives two of
    /// them enough to do. One that is the same everywhere, or new in every span, tells nothing.
    pub(super) fn of(spans: &mut Spans<'_>) -> Siblings {
        let mut codes: [Vec<u32>; 3] = Default::default();
        for part in 0..spans.parts.len() {
            let rows = spans.parts[part].rows;
            for (name, codes) in INSTANCE_NAMES.iter().zip(&mut codes) {
                let column = rows.column_by_name(name);
                codes.extend(words_of(column, rows.num_rows(), &mut spans.words));
            }
        }
        let values = [vec![NONE; spans.len()], vec![NONE; spans.len()]];
        let mut found = Siblings { values, ..Siblings::default() };
        for (name, codes) in INSTANCE_NAMES.iter().zip(codes) {
            found.tell(spans, By::Instance, codes, &[name]);
        }
        for place in 0..RELEASE_PLACES {
            let codes = (0..spans.len()).map(|row| spans.state(row)[place]).collect();
            found.tell(spans, By::Version, codes, &release_names(place));
        }
        found
    }

    /// Takes an attribute for the services in which it tells at least two apart, and none before
    /// it did.
    fn tell(&mut self, spans: &Spans<'_>, by: By, mut codes: Vec<u32>, names: &[&'static str]) {
        let empty = spans.words.find("").unwrap_or(NONE);
        codes.iter_mut().filter(|code| **code == empty).for_each(|code| *code = NONE);
        let mut counts: FoldMap<(u32, u32), usize> = FoldMap::default();
        for (service, code) in spans.service.iter().zip(&codes).filter(|row| *row.1 != NONE) {
            *counts.entry((*service, *code)).or_default() += 1;
        }
        let mut busy: BTreeMap<u32, usize> = BTreeMap::new();
        for ((service, _), count) in &counts {
            *busy.entry(*service).or_default() += usize::from(*count >= UNITS_MIN);
        }
        busy.retain(|service, busy| {
            *service != NONE && *busy > 1 && !self.names.contains_key(&(by, *service))
        });
        let rows = spans.service.iter().zip(codes).zip(&mut self.values[by as usize]);
        let told = rows.filter(|((service, _), _)| busy.contains_key(service));
        told.for_each(|((_, code), value)| *value = code);
        self.names.extend(busy.into_keys().map(|service| ((by, service), names.to_vec())));
    }

    /// The attributes that tell those of a service apart.
    pub(super) fn names(&self, by: By, service: u32) -> &[&'static str] {
        self.names.get(&(by, service)).map_or(&[], Vec::as_slice)
    }

    /// A measurement of the instance, and of the version, that a row ran in.
    pub(super) fn take(
        &mut self,
        measure: Measure,
        row: usize,
        place: u32,
        unit: u32,
        number: i64,
    ) {
        for (by, values) in KINDS.into_iter().zip(&self.values) {
            let value = values[row];
            if value != NONE {
                self.samples.push(Sample { by, measure, place, value, unit, number });
            }
        }
    }

    /// Requests that begin to fail in an instance: a span of it fails, and none of its children.
    pub(super) fn count_failures(
        &mut self,
        spans: &Spans<'_>,
        forest: &Forest,
        kin: &Kinship,
        places: &mut Places,
    ) {
        for trace in 0..forest.traces() {
            let mut here: BTreeMap<(By, u32, u32), bool> = BTreeMap::new();
            for row in forest.rows(trace).iter().map(|row| *row as usize) {
                if forest.is_repetition(row) {
                    continue;
                }
                let passed_on = kin.children(row).iter().any(|child| spans.failed[*child as usize]);
                let place = places.code([spans.service[row], NONE]);
                let begins = spans.failed[row] && !passed_on;
                let told = KINDS.into_iter().zip(&self.values);
                for (by, values) in told.filter(|(_, values)| values[row] != NONE) {
                    *here.entry((by, place, values[row])).or_default() |= begins;
                }
            }
            let (measure, unit) = (Measure::Failures, trace as u32);
            let sample = |((by, place, value), failed)| Sample {
                by,
                measure,
                place,
                value,
                unit,
                number: i64::from(failed),
            };
            self.samples.extend(here.into_iter().map(sample));
        }
    }

    /// Orders what was measured; to be called before it is compared.
    pub(super) fn settle(&mut self) {
        self.samples.sort_unstable();
    }

    /// Every instance and every version that is not as the others are.
    pub(super) fn compare(&self, units: &Units, eras: &Eras) -> Vec<Odd> {
        let of = |sample: &Sample| (sample.by, sample.measure, sample.place);
        let same = |a: &Sample, b: &Sample| of(a) == of(b);
        let groups = self.samples.chunk_by(same).map(|samples| Group::of(samples, units, eras));
        let groups: Vec<Group> = groups.filter(|group| group.compared().count() > 1).collect();
        let looked_at: usize = groups.iter().map(|group| group.compared().count()).sum();
        let found = groups.iter().filter_map(|group| group.odd(looked_at * TRIES, units));
        let mut found: Vec<Odd> = found.collect();
        // Of those that stand out now, each may have done so before.
        let standing_out = (found.len() * TRIES) as f64;
        found.retain(|odd| odd.since_p_value.is_none_or(|p| p * standing_out <= CHANCE_MAX));
        found
    }
}

/// One instance: its measurements of now and of the time before, each in order of their units.
struct One {
    value: u32,
    times: [Vec<(u32, i64)>; 2],
    /// Requests of now and of before.
    units: [usize; 2],
}

/// Instances of which one thing was measured.
struct Group {
    by: By,
    measure: Measure,
    place: u32,
    all: Vec<One>,
}

impl Group {
    fn of(samples: &[Sample], units: &Units, eras: &Eras) -> Group {
        let one = |samples: &[Sample]| {
            let mut one = One { value: samples[0].value, times: Default::default(), units: [0; 2] };
            for of_unit in samples.chunk_by(|a, b| a.unit == b.unit) {
                let Some(era) = eras.of(units.begin(of_unit[0].unit)) else { continue };
                let times = of_unit.iter().map(|sample| (sample.unit, sample.number));
                one.times[era as usize].extend(times);
                one.units[era as usize] += 1;
            }
            one
        };
        let all = samples.chunk_by(|a, b| a.value == b.value).map(one).collect();
        let Sample { by, measure, place, .. } = samples[0];
        Group { by, measure, place, all }
    }

    /// Instances that had enough to do now.
    fn compared(&self) -> impl Iterator<Item = &One> {
        self.all.iter().filter(|one| one.had(Era::Now))
    }

    /// What is beyond the usual, by the instance in the middle.
    fn limit(&self, era: Era) -> i64 {
        if self.measure == Measure::Failures {
            return 0;
        }
        let (mut medians, mut tails): (Vec<i64>, Vec<i64>) = self
            .all
            .iter()
            .filter(|one| one.had(era))
            .map(|one| ordered(&one.times[era as usize]))
            .map(|times| (quantile(&times, 0.5), quantile(&times, 0.9)))
            .unzip();
        medians.sort_unstable();
        tails.sort_unstable();
        // Of two in the middle the lower one: one of two may be the odd one.
        let middle = |all: &[i64]| all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or(0);
        limit(middle(&medians), middle(&tails))
    }

    /// The one that stands out, where it does by more than chance, the others' differences, and
    /// its own past explain.
    fn odd(&self, looked_at: usize, units: &Units) -> Option<Odd> {
        let [limit, limit_before] = [Era::Now, Era::Before].map(|era| self.limit(era));
        let rate = |one: &One| {
            let past = self.by == By::Instance && one.had(Era::Before);
            let was = past.then(|| one.beyond(Era::Before, limit_before).ratio());
            one.beyond(Era::Now, limit).ratio() - was.unwrap_or(0.0)
        };
        let mut rates: Vec<(f64, &One)> = self.compared().map(|one| (rate(one), one)).collect();
        rates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.value.cmp(&b.1.value)));
        let ((farthest, one), others) = rates.split_first()?;
        let (next, last) = (others.first()?.0, others.last()?.0);
        if farthest - next < LEAD_MIN * (next - last) {
            return None;
        }
        let rest = self.rest(one.value);
        let (own, of_rest) = (one.beyond(Era::Now, limit), rest.beyond(Era::Now, limit));
        let p_value = chance(own, of_rest);
        if own.ratio() <= of_rest.ratio() || p_value * looked_at as f64 > CHANCE_MAX {
            return None;
        }
        let mut since_p_value = None;
        // The news of a version is the change that brought it: whoever tells of it names that.
        if self.by == By::Instance && one.had(Era::Before) && rest.had(Era::Before) {
            let was = one.beyond(Era::Before, limit_before);
            let rise = own.ratio() - was.ratio();
            let [rest_now, rest_was] =
                [Era::Now, Era::Before].map(|era| rest.beyond(era, limit_before).ratio());
            if rise <= 0.0 || rest_now - rest_was > SHARED_MAX * rise {
                return None;
            }
            since_p_value = Some(chance(own, was));
        } else if self.by == By::Instance && others.len() < SIBLINGS_MIN {
            return None;
        }
        let odd = self.told(one, &rest, [own, of_rest], limit, units)?;
        Some(Odd { p_value, since_p_value, next: others[0].1.value, ..odd })
    }

    /// All others as one.
    fn rest(&self, value: u32) -> One {
        let others = || self.all.iter().filter(|one| one.value != value);
        let times = [0, 1].map(|era| {
            let mut times: Vec<_> = others().flat_map(|one| one.times[era].clone()).collect();
            times.sort_unstable();
            times
        });
        let units = [0, 1].map(|era: usize| {
            times[era].iter().map(|time| time.0).collect::<BTreeSet<u32>>().len()
        });
        One { value: NONE, times, units }
    }

    fn told(
        &self,
        one: &One,
        rest: &One,
        [own, of_rest]: [Share; 2],
        limit: i64,
        units: &Units,
    ) -> Option<Odd> {
        let [times, usual] = [one, rest].map(|one| ordered(&one.times[Era::Now as usize]));
        let now = &rest.times[Era::Now as usize];
        let mut took: Vec<i64> = now.iter().map(|time| units.took(time.0)).collect();
        took.sort_unstable();
        let added =
            (capped_mean(&times) - capped_mean(&usual)) / quantile(&took, 0.5).max(1) as f64;
        if self.measure != Measure::Failures && added < ADDED_MIN {
            return None;
        }
        let is_tail = quantile(&times, 0.5) <= limit;
        let slow = &times[if is_tail { times.partition_point(|time| *time <= limit) } else { 0 }..];
        let longest = one.times[Era::Now as usize].iter().max_by_key(|time| (time.1, time.0))?;
        Some(Odd {
            by: self.by,
            next: NONE,
            measure: self.measure,
            place: self.place,
            value: one.value,
            others: self.all.iter().filter(|one| one.units[Era::Now as usize] > 0).count() - 1,
            own,
            rest: of_rest,
            limit,
            typical: [quantile(&usual, 0.5), quantile(slow, 0.5)],
            is_tail,
            added,
            example: longest.0,
            p_value: 1.0,
            since_p_value: None,
        })
    }
}

impl One {
    fn had(&self, era: Era) -> bool {
        self.units[era as usize] >= UNITS_MIN
    }

    /// Requests of which more than half lies beyond a limit, of all.
    fn beyond(&self, era: Era, limit: i64) -> Share {
        let mut share = Share::default();
        for of_unit in self.times[era as usize].chunk_by(|a, b| a.0 == b.0) {
            let above = of_unit.iter().filter(|time| time.1 > limit).count();
            share.count += f64::from(u8::from(2 * above > of_unit.len()));
            share.total += 1.0;
        }
        share
    }
}

fn ordered(times: &[(u32, i64)]) -> Vec<i64> {
    let mut times: Vec<i64> = times.iter().map(|time| time.1).collect();
    times.sort_unstable();
    times
}

/// The chance to see the first share exceed the second one so far by accident.
pub(super) fn chance(own: Share, other: Share) -> f64 {
    let whole = |number: f64| number as u64;
    Sides {
        failing: whole(own.count),
        failing_total: whole(own.total),
        healthy: whole(other.count),
        healthy_total: whole(other.total),
    }
    .p_value()
}
