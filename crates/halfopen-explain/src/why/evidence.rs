//! What a cause rests on: each number with the SQL that gives it again.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use halfopen_model::answer::{Cause, Effect, Evidence, EvidenceRef, Share, Strength, WhyAnswer};
use halfopen_model::{TraceId, UnixNanos};

use super::words::{Teller, show_parts, subject};
use crate::bits::Bits;
use crate::causes::Draft;
use crate::changes::Fitting;
use crate::intern::NONE;
use crate::origin::Site;
use crate::sql::{CallName, Frame, Group, Place, Split};

/// Calls on the way to a failure that are told: longer ways are circles, mostly.
const PATH_MAX: usize = 12;

impl Teller<'_, '_> {
    /// The evidence of one cause.
    pub(super) fn evidence(
        &self,
        draft: &Draft,
        cause: &Cause,
        fitting: &[Fitting],
    ) -> Vec<Evidence> {
        let (mut found, group) = (Vec::new(), self.group(draft));
        if let Some(call) = &cause.call {
            let unit = |value: i64| Effect { value: value as f64, unit: "ns" };
            let calls: Vec<CallName> = self.sites(draft).map(|site| self.call_name(site)).collect();
            found.push(Evidence {
                id: String::new(),
                kind: "error_origin",
                subject: subject(call),
                effect: call.duration_ns.map(unit),
                failing: cause.contrast.failing,
                healthy: cause.contrast.healthy,
                strength: cause.strength,
                refs: call.example.map(|(t, s)| EvidenceRef::Span(t, s)).into_iter().collect(),
                query: self.frame.has_queries().then(|| self.frame.failing_in(&group, &calls)),
            });
        }
        for condition in &cause.conditions {
            let lift = condition.contrast.lift();
            let lift = lift.is_finite().then_some(Effect { value: lift, unit: "ratio" });
            found.push(Evidence {
                id: String::new(),
                kind: "attribute",
                subject: show_parts(&condition.parts),
                effect: lift,
                failing: condition.contrast.failing,
                healthy: condition.contrast.healthy,
                strength: cause.strength,
                refs: cause.example.map(EvidenceRef::Trace).into_iter().collect(),
                query: self.frame.has_queries().then(|| self.frame.carrying(&group)),
            });
        }
        found.extend(fitting.iter().filter_map(|fitting| self.split_evidence(&group, fitting)));
        found
    }

    /// The failing calls that lead from the request to where most of a draft fails, from the top.
    pub(super) fn path(&self, draft: &Draft, example: Option<TraceId>) -> Vec<Evidence> {
        let workshop = self.workshop;
        let mut ways: BTreeMap<&[Site], u32> = BTreeMap::new();
        let origins = draft.group.members().map(|slot| &workshop.origins[slot]);
        for origin in origins.filter(|origin| draft.site.is_none_or(|site| site == origin.site)) {
            *ways.entry(&origin.calls).or_default() += 1;
        }
        let most = ways.into_iter().max_by_key(|(way, count)| (*count, Reverse(way.len())));
        let way = most.map_or(&[][..], |(way, _)| way);
        way.iter().take(PATH_MAX).map(|site| self.failing_call(*site, example)).collect()
    }

    /// How often a call fails in requests that fail, and in those that do not.
    fn failing_call(&self, site: Site, example: Option<TraceId>) -> Evidence {
        let cohorts = self.workshop.cohorts;
        let call = self.call_name(site);
        let set = self.whole.failing_in(site);
        let share = |of: &Bits| Share::new(cohorts.weigh(&set.and(of)), cohorts.weigh(of));
        let place = Place { call: Some(call.clone()), ..Place::default() };
        let group = Group { places: vec![place], parts: Vec::new() };
        let peer = call.peer.as_deref().unwrap_or_default();
        Evidence {
            id: String::new(),
            kind: "failing_call",
            subject: format!("{} → {peer} {}", call.service, call.name),
            effect: None,
            failing: share(&cohorts.failing),
            healthy: share(&cohorts.healthy),
            strength: Strength::Strong,
            refs: example.map(EvidenceRef::Trace).into_iter().collect(),
            query: (self.frame.has_queries())
                .then(|| self.frame.failing_in(&group, std::slice::from_ref(&call))),
        }
    }

    fn split_evidence(&self, group: &Group, fitting: &Fitting) -> Option<Evidence> {
        let change = &fitting.change;
        let (new, service) = (fitting.new.as_deref()?, change.service.as_deref()?);
        let (first, others) = change.split.split_first()?;
        let mut rest = Share::default();
        for other in others {
            rest.count += other.failing.count;
            rest.total += other.failing.total;
        }
        let mut range = self.frame.window;
        range.from = range.from.max(UnixNanos(fitting.since));
        range.to = UnixNanos(self.sides.until);
        let split = Split { service, value: new, by: fitting.by, range };
        Some(Evidence {
            id: String::new(),
            kind: "version_split",
            subject: format!("{service} {new}"),
            effect: None,
            failing: first.failing,
            healthy: rest,
            strength: if others.is_empty() { Strength::Weak } else { Strength::Strong },
            refs: change.change_id.iter().cloned().map(EvidenceRef::Change).collect(),
            query: self.frame.has_queries().then(|| self.frame.split(group, &split)),
        })
    }

    fn call_name(&self, [service, peer, name]: Site) -> CallName {
        let text = |code: u32| self.workshop.spans.words.text(code).to_owned();
        let peer = (peer != NONE).then(|| text(peer));
        CallName { service: text(service), peer, name: text(name) }
    }

    /// The requests of a draft in words.
    fn group(&self, draft: &Draft) -> Group {
        let parts = |items: &[usize]| items.iter().map(|item| self.part(*item)).collect();
        let place = |place: &crate::causes::Place| Place {
            call: place.site.map(|site| self.call_name(site)),
            not_calls: place.not_sites.iter().map(|site| self.call_name(*site)).collect(),
            without: place.without.iter().map(|items| parts(items)).collect(),
        };
        let named = draft.explanation.as_ref().map_or(&[][..], |e| &e.parts);
        Group { places: draft.places.iter().map(place).collect(), parts: parts(named) }
    }
}

/// How many requests fail, and how many did before.
pub(super) fn symptom(answer: &WhyAnswer, frame: &Frame) -> Option<Evidence> {
    let scope = [answer.scope.service.as_deref(), answer.scope.operation.as_deref()];
    let scope: Vec<&str> = scope.into_iter().flatten().collect();
    (answer.failing.count > 0.0).then(|| Evidence {
        id: String::new(),
        kind: "symptom",
        subject: scope.join(" "),
        effect: None,
        failing: answer.failing,
        healthy: answer.before.unwrap_or_default(),
        strength: Strength::Strong,
        refs: Vec::new(),
        query: frame.has_queries().then(|| frame.symptom(answer.before.is_some())),
    })
}
