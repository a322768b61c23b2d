//! Things that are there or not: a call below an operation, a statement in its log, a failure.
//! Compared is the share of units that show it, by the G-test.

use halfopen_model::answer::Share;

use super::eras::{Era, Eras, Units};
use crate::intern::FoldMap;

/// With fewer units than this on a side a share says nothing.
pub(super) const UNITS_MIN: usize = 3;

/// Three spreads: less happens by accident too often to be looked at.
pub(super) const ROOT_G_MIN: f64 = 3.0;

/// From so many spreads on, chance is no matter, also among millions of comparisons.
pub(super) const ROOT_G_FULL: f64 = 7.0;

/// Something was seen at a place, in a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    place: u32,
    item: u32,
    unit: u32,
}

/// What was seen where.
#[derive(Default)]
pub(super) struct Presence {
    /// Chances to see something: spans at a place, by unit.
    chances: FoldMap<(u32, u32), u32>,
    hits: Vec<Hit>,
}

/// A share that is not what it was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Shifted {
    pub(super) place: u32,
    pub(super) item: u32,
    pub(super) now: Share,
    pub(super) before: Share,
    /// The square root of G: how many spreads lie between the two.
    pub(super) root_g: f64,
}

impl Shifted {
    pub(super) fn rise(&self) -> f64 {
        self.now.ratio() - self.before.ratio()
    }

    /// How sure it is that something changed at all: 0 to 1.
    pub(super) fn certainty(&self) -> f64 {
        (self.root_g / ROOT_G_FULL).min(1.0)
    }
}

impl Presence {
    /// One chance to see anything at `place`.
    pub(super) fn chance(&mut self, place: u32, unit: u32) {
        *self.chances.entry((place, unit)).or_default() += 1;
    }

    /// It was seen; at the most once for each chance.
    pub(super) fn seen(&mut self, place: u32, item: u32, unit: u32) {
        self.hits.push(Hit { place, item, unit });
    }

    /// Orders what was seen; to be called before it is compared.
    pub(super) fn settle(&mut self) {
        self.hits.sort_unstable();
    }

    /// Everything whose share changed by more than chance does.
    pub(super) fn compare(&self, units: &Units, eras: &Eras) -> Vec<Shifted> {
        let mut totals: FoldMap<u32, [f64; 2]> = FoldMap::default();
        for (place, unit) in self.chances.keys() {
            if let Some(era) = eras.of(units.begin(*unit)) {
                totals.entry(*place).or_default()[era as usize] += 1.0;
            }
        }
        let mut shifted = Vec::new();
        for hits in self.hits.chunk_by(|a, b| (a.place, a.item) == (b.place, b.item)) {
            let (place, item) = (hits[0].place, hits[0].item);
            let Some(totals) = totals.get(&place) else { continue };
            if totals.iter().any(|total| *total < UNITS_MIN as f64) {
                continue;
            }
            let counts = self.counts(hits, units, eras);
            let [now, before] = [0, 1].map(|era| Share::new(counts[era], totals[era]));
            let root_g = g(now, before).sqrt();
            if root_g >= ROOT_G_MIN {
                shifted.push(Shifted { place, item, now, before, root_g });
            }
        }
        shifted
    }

    /// The sum of shares: a unit in which half of the chances show it counts half.
    fn counts(&self, hits: &[Hit], units: &Units, eras: &Eras) -> [f64; 2] {
        let mut counts = [0.0; 2];
        for of_unit in hits.chunk_by(|a, b| a.unit == b.unit) {
            let Some(era) = eras.of(units.begin(of_unit[0].unit)) else { continue };
            let chances = self.chances.get(&(of_unit[0].place, of_unit[0].unit));
            let share = chances.map_or(0.0, |chances| of_unit.len() as f64 / f64::from(*chances));
            counts[era as usize] += share.min(1.0);
        }
        counts
    }

    /// The first unit of now that shows what became more frequent, or lacks what became rarer.
    pub(super) fn example(&self, shifted: &Shifted, units: &Units, eras: &Eras) -> Option<u32> {
        let place = shifted.place;
        let from = self.hits.partition_point(|hit| (hit.place, hit.item) < (place, shifted.item));
        let here = |hit: &&Hit| (hit.place, hit.item) == (place, shifted.item);
        let hits: Vec<u32> =
            self.hits[from..].iter().take_while(here).map(|hit| hit.unit).collect();
        let is_now = |unit: &u32| eras.of(units.begin(*unit)) == Some(Era::Now);
        let order = |unit: &u32| (units.begin(*unit), *unit);
        if shifted.rise() > 0.0 {
            return hits.into_iter().filter(is_now).min_by_key(order);
        }
        let lacks = |unit: &u32| is_now(unit) && hits.binary_search(unit).is_err();
        let chances = self.chances.keys().filter(|(at, _)| *at == place).map(|(_, unit)| *unit);
        chances.filter(lacks).min_by_key(order)
    }
}

/// The G statistic of two shares.
pub(super) fn g(now: Share, before: Share) -> f64 {
    let total = now.total + before.total;
    let count = (now.count + before.count).min(total);
    let part = |cell: f64, row: f64, column: f64| {
        if cell > 0.0 && row > 0.0 { cell * (cell * total / (row * column)).ln() } else { 0.0 }
    };
    let side = |share: Share| {
        let rest = (share.total - share.count).max(0.0);
        part(share.count, count, share.total) + part(rest, total - count, share.total)
    };
    (2.0 * (side(now) + side(before))).max(0.0)
}
