//! What a cause rests on: each number with the SQL that gives it again.

use halfopen_model::UnixNanos;
use halfopen_model::answer::{Cause, Effect, Evidence, EvidenceRef, Share, Strength};

use super::words::{Teller, show_parts, subject};
use crate::causes::Draft;
use crate::changes::Fitting;
use crate::intern::NONE;
use crate::origin::Site;
use crate::sql::{CallName, Group, Place, Split};

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
        let by_instance = fitting.by_instance;
        let split = Split { service, value: new, by_instance, range };
        Some(Evidence {
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
