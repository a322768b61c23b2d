//! The stages of `why` one by one: what benches measure, and tests check, apart.

use halfopen_model::answer::ConditionPart;
use halfopen_model::known;

use super::{SUPPORT_MIN, SUPPORT_SHARE_MIN, Sides, WhyEvidence, WhyQuestion};
use crate::anchor::Requests;
use crate::bits::Bits;
use crate::carriers;
use crate::cohorts::Cohorts;
use crate::difference::items::Items;
use crate::difference::{Comparison, Question};
use crate::scope;
use crate::spans::Spans;
use crate::tree::Forest;

/// The requests of a question, compared step by step.
pub struct Stages<'e> {
    spans: Spans<'e>,
    forest: Forest,
    cohorts: Cohorts,
    items: Items,
}

/// A value, and how many requests carry it on any of their spans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// The value.
    pub part: ConditionPart,
    /// Failing requests.
    pub failing: u64,
    /// Healthy requests.
    pub healthy: u64,
}

impl<'e> Stages<'e> {
    /// Reads spans, links them to traces, chooses requests and tells failing from healthy ones.
    pub fn load(question: &WhyQuestion, evidence: &'e WhyEvidence) -> Stages<'e> {
        let spans = Spans::load(&evidence.spans, &evidence.baseline_spans);
        let forest = Forest::grow(&spans);
        let service = question.scope.service.as_deref();
        let service = service.and_then(|service| spans.words.find(service));
        let requests = Requests::find(&spans, &forest, service, question.window, question.baseline);
        let window_ns = question.window.length_ns();
        let chosen = scope::choose(&spans, &requests, &question.scope, window_ns);
        let (window, baseline) = (question.window, question.baseline);
        let sides = Sides::of(window, baseline, &requests, &chosen.members);
        let cohorts = Cohorts::new(&spans, &forest, &requests, &sides.failing, &sides.healthy);
        let items = Items { list: Vec::new(), tried: 0, left_out: 0 };
        Stages { spans, forest, cohorts, items }
    }

    /// Failing and healthy requests.
    pub fn requests(&self) -> (u64, u64) {
        (self.cohorts.failing.count(), self.cohorts.healthy.count())
    }

    /// Counts every value that enough failing requests carry, on both sides.
    pub fn count(&mut self) {
        let support = support_min(self.cohorts.failing.count() as usize);
        self.items = Items::mine(&mut self.spans, &self.forest, &self.cohorts, support);
    }

    /// What was counted.
    pub fn carried(&self) -> Vec<Carried> {
        let text = |code: u32| self.spans.words.text(code).to_owned();
        let of = |item: &crate::difference::items::Item| {
            let [service, attribute, value] = item.key.map(text);
            Carried {
                part: ConditionPart { service, attribute, value },
                failing: item.set.common(&self.cohorts.failing),
                healthy: item.set.common(&self.cohorts.healthy),
            }
        };
        self.items.list.iter().map(of).collect()
    }

    /// What tells all failing requests from all healthy ones best: one value, or a combination
    /// of two or three.
    pub fn combine(&self) -> Vec<ConditionPart> {
        let text = |code: u32| self.spans.words.text(code);
        let key = |item: usize| self.items.list[item].key;
        let names = |item: usize| (text(key(item)[1]), text(key(item)[2]));
        let known = |item: usize| {
            known::Scope::split(text(key(item)[1])).is_none()
                || carriers::known_in(&self.spans, &self.cohorts, &self.cohorts.healthy, key(item))
        };
        let comparison = Comparison {
            items: &self.items,
            cohorts: &self.cohorts,
            names: &names,
            known_when_healthy: &known,
        };
        let explained = comparison.explain(&Question {
            group: &self.cohorts.failing,
            peers: &Bits::new(self.cohorts.slots()),
            since: None,
            path: &[],
            site: [crate::intern::NONE; 2],
            call_itself: &[],
            below_call: &|_| false,
            beside_call: &|_| false,
        });
        let part = |item: &usize| {
            let [service, attribute, value] = key(*item).map(|code| text(code).to_owned());
            ConditionPart { service, attribute, value }
        };
        explained.best.map_or_else(Vec::new, |best| best.parts.iter().map(part).collect())
    }
}

/// Of so many failing requests, how many must carry a value for it to be looked at.
pub(super) fn support_min(failing: usize) -> u32 {
    ((failing as f64 * SUPPORT_SHARE_MIN).ceil() as u32).max(SUPPORT_MIN)
}
