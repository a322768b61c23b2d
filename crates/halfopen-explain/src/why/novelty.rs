//! Whether a cause is new, or was there before: the same requests failed as often before the
//! onset, and there are more of them now.
//!
//! Asked are all requests that meet the condition of the cause (without one: that make the call),
//! before and since; not the share of all requests, which moves with the traffic.

use halfopen_model::answer::{Novelty, NoveltyKind, Share};

use super::Sides;
use crate::anchor::Requests;
use crate::bits::Bits;
use crate::carriers::Whole;
use crate::difference::items::Key;
use crate::difference::significance::Sides as Counts;
use crate::intern::NONE;
use crate::origin::Site;
use crate::spans::Spans;
use crate::tree::Forest;

/// With fewer requests than this before, nothing is known of that time.
const BEFORE_MIN: u64 = 20;

/// The chance that is accepted to call new what was only missed, or worse what is the same.
const CHANCE_MAX: f64 = 0.01;

/// A share that grew by less than this is the same in practice.
const WORSE_MIN: f64 = 1.5;

/// All requests of the question, before the failing began (or of the baseline) and since.
pub(super) struct Earlier<'e, 'a> {
    whole: Whole<'e, 'a>,
    /// By place among the members.
    before: Bits,
    since: Bits,
    failed: Bits,
    weights: Vec<f64>,
}

impl<'e, 'a> Earlier<'e, 'a> {
    /// `None` where no time before is known. `members` are all requests of the question, those
    /// of the baseline too.
    pub(super) fn new(
        spans: &'e Spans<'a>,
        forest: &'e Forest,
        requests: &Requests,
        members: &[u32],
        sides: &Sides,
    ) -> Option<Earlier<'e, 'a>> {
        if sides.onset.is_none() && sides.baseline.is_none() {
            return None;
        }
        let request = |place: usize| &requests.all[members[place] as usize];
        let of = |holds: &dyn Fn(usize) -> bool| {
            Bits::of(members.len(), (0..members.len()).filter(|place| holds(*place)))
        };
        let before = of(&|place| match sides.baseline {
            Some(_) => request(place).baseline,
            None => request(place).start < sides.from,
        });
        if before.count() < BEFORE_MIN {
            return None;
        }
        let stretch = sides.from..sides.until;
        let since =
            of(&|place| !request(place).baseline && stretch.contains(&request(place).start));
        let mut by_trace = vec![NONE; forest.traces()];
        for place in 0..members.len() {
            by_trace[request(place).trace as usize] = place as u32;
        }
        let slot = (0..spans.len()).map(|row| match spans.trace[row] {
            NONE => NONE,
            _ if forest.is_repetition(row) => NONE,
            trace => by_trace[trace as usize],
        });
        Some(Earlier {
            whole: Whole::new(spans, forest, slot.collect(), members.len()),
            before,
            since,
            failed: of(&|place| request(place).failed),
            weights: (0..members.len()).map(|place| f64::from(request(place).weight)).collect(),
        })
    }

    /// Whether requests that carry all of these, and else make one of the calls, failed in one of
    /// the calls before. `None` where too little is known to say.
    pub(super) fn novelty(&self, parts: &[Key], sites: &[Site]) -> Option<Novelty> {
        let mut met = self.before.clone();
        met.add(&self.since);
        for part in parts {
            met = met.and(&self.whole.carrying(*part));
        }
        let (mut made, mut failing) =
            (Bits::new(self.weights.len()), Bits::new(self.weights.len()));
        for site in sites {
            failing.add(&self.whole.failing_in(*site));
            if parts.is_empty() {
                made.add(&self.whole.making(*site));
            }
        }
        if parts.is_empty() {
            met = met.and(&made);
        }
        let failing = failing.and(&self.failed).and(&met);
        let counts = Counts {
            failing: failing.common(&self.since),
            failing_total: met.common(&self.since),
            healthy: failing.common(&self.before),
            healthy_total: met.common(&self.before),
        };
        let kind = kind(&counts, self.since.count(), self.before.count())?;
        let share = |of: &Bits| {
            let weigh = |set: &Bits| set.and(of).members().map(|place| self.weights[place]).sum();
            Share::new(weigh(&failing), weigh(&met))
        };
        Some(Novelty { kind, before: share(&self.before), since: share(&self.since) })
    }
}

/// Judges the requests that meet the condition: since in the place of failing ones, before in the
/// place of healthy ones, of so many requests in all.
fn kind(counts: &Counts, since: u64, before: u64) -> Option<NoveltyKind> {
    if counts.failing == 0 {
        return None;
    }
    let missed = |share: f64, times: u64| (1.0 - share).powf(times as f64) <= CHANCE_MAX;
    if counts.healthy_total == 0 {
        let met = counts.failing_total as f64 / since.max(1) as f64;
        return missed(met, before).then_some(NoveltyKind::New);
    }
    let (now, then) = counts.shares();
    if counts.healthy == 0 {
        return missed(now, counts.healthy_total).then_some(NoveltyKind::New);
    }
    let worse = now >= WORSE_MIN * then && counts.p_value() <= CHANCE_MAX;
    Some(if worse { NoveltyKind::Worse } else { NoveltyKind::MoreOfTheSame })
}

#[cfg(test)]
#[path = "../../tests/unit/why_novelty.rs"]
mod tests;
