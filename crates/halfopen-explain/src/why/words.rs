//! Puts what was found into the answer: calls, conditions, changes, next commands.

use std::collections::{BTreeMap, BTreeSet};

use halfopen_model::TraceId;
use halfopen_model::UnixNanos;
use halfopen_model::answer::{
    Call, Cause, Condition, ConditionPart, Contrast, Novelty, Scope, Share, SlowRule, Strength,
    WhyAnswer,
};
use halfopen_model::figure::{bare_name, sign_of};
use halfopen_model::time::show_duration;

use super::Sides;
use super::novelty::Earlier;
use crate::anchor::{self, Request, Requests};
use crate::bits::Bits;
use crate::carriers::Whole;
use crate::causes::{Draft, Workshop};
use crate::changes::{self, Change, Fitting, Judged};
use crate::difference::{Coincidence, Explanation, names};
use crate::intern::NONE;
use crate::origin::Site;
use crate::reason;
use crate::slow::{self, Limits};
use crate::spans::Kind;
use crate::sql::Frame;
use crate::strength::{self, CallFacts};
use halfopen_model::shell::quoted;

/// Other names of one fact that are shown.
const SAME_AS_MAX: usize = 6;

/// Commands that are offered.
const NEXT_MAX: usize = 4;

/// Where callers were kept waiting is told when it is known of so many.
const HELD_MIN: usize = 3;

/// Puts drafts into words.
pub(super) struct Teller<'t, 'a> {
    pub(super) workshop: &'t Workshop<'t, 'a>,
    pub(super) sides: &'t Sides,
    pub(super) whole: &'t Whole<'t, 'a>,
    /// What was before, where that is known.
    pub(super) earlier: Option<&'t Earlier<'t, 'a>>,
    pub(super) frame: &'t Frame,
    pub(super) limits: Option<&'t Limits>,
}

/// Requests of a draft, counted over whole traces as its queries count them.
pub(super) struct Counted {
    /// Failing requests of its places.
    pub(super) places: Bits,
    /// Those of them that carry all that it names.
    pub(super) group: Bits,
    /// Requests on both sides that carry all that it names.
    pub(super) carrying: Bits,
    /// Requests on both sides in which its calls fail.
    pub(super) calls: Bits,
}

impl Teller<'_, '_> {
    /// Counts a draft.
    pub(super) fn count(&self, draft: &Draft) -> Counted {
        let failing = &self.workshop.cohorts.failing;
        let mut places = Bits::new(self.workshop.cohorts.slots());
        for place in &draft.places {
            let mut here = match place.site {
                Some(site) => failing.and(&self.whole.failing_in(site)),
                None => failing.clone(),
            };
            for site in &place.not_sites {
                here = here.without(&self.whole.failing_in(*site));
            }
            for parts in &place.without {
                here = here.without(&self.carrying(parts));
            }
            places.add(&here);
        }
        let parts = draft.explanation.as_ref().map_or(&[][..], |e| &e.parts);
        let carrying = self.carrying(parts);
        let mut calls = Bits::new(self.workshop.cohorts.slots());
        self.sites(draft).for_each(|site| calls.add(&self.whole.failing_in(site)));
        Counted { group: places.and(&carrying), places, carrying, calls }
    }

    /// Requests that carry all of these items; all requests for none.
    fn carrying(&self, parts: &[usize]) -> Bits {
        let cohorts = self.workshop.cohorts;
        let mut all = cohorts.failing.clone();
        all.add(&cohorts.healthy);
        let sets = parts.iter().map(|item| self.workshop.items.list[*item].key);
        sets.fold(all, |all, key| all.and(&self.whole.carrying(key)))
    }

    /// The calls in which a draft fails.
    pub(super) fn sites(&self, draft: &Draft) -> impl Iterator<Item = Site> {
        let mut sites: Vec<Site> = draft.places.iter().filter_map(|place| place.site).collect();
        if sites.is_empty() {
            sites.extend(draft.site);
        }
        sites.into_iter()
    }

    /// Changes that fit a draft, and those that do not.
    pub(super) fn changes(&self, draft: &Draft, counted: &Counted, all: &[Change]) -> Judged {
        let workshop = self.workshop;
        let failing: BTreeSet<u32> =
            counted.group.members().map(|slot| workshop.cohorts.request[slot]).collect();
        let site = draft.site.map_or_else(Vec::new, |site| vec![site[0], site[1]]);
        let facts = changes::Facts {
            spans: workshop.spans,
            requests: workshop.requests,
            members: &self.sides.window,
            failing: &failing,
            onset: self.sides.onset.map(|onset| onset.at.0),
            until: self.sides.until,
            site: &site,
            path: &workshop.path(&draft.group),
        };
        changes::judge(&facts, all)
    }

    /// One cause.
    pub(super) fn cause(
        &self,
        draft: &Draft,
        counted: &Counted,
        all: &[Draft],
        fitting: Vec<Fitting>,
    ) -> Cause {
        let contrast = self.contrast(counted);
        let failing = draft.site.map(|site| self.call(site, &self.rows(draft)));
        let call = self.held(draft).or(failing);
        let condition = draft.explanation.as_ref().map(|e| self.condition(draft, counted, e));
        let strength = self.strength(draft, all, &contrast);
        let example = self.example(draft);
        let healthy_twin = example.and_then(|example| self.twin(example, draft));
        let trace = |request: &Request| self.trace(request);
        let mut cause = Cause {
            strength,
            call,
            contrast,
            conditions: condition.into_iter().collect(),
            novelty: self.novelty(draft),
            after: fitting.iter().map(|fitting| fitting.change.clone()).collect(),
            example: example.and_then(trace),
            healthy_twin: healthy_twin.and_then(trace),
            evidence: Vec::new(),
            path: Vec::new(),
        };
        cause.evidence = self.evidence(draft, &cause, &fitting);
        cause.path = self.path(draft, cause.example);
        cause
    }

    /// Whether requests of a draft failed before too.
    fn novelty(&self, draft: &Draft) -> Option<Novelty> {
        let parts = draft.explanation.as_ref().map_or(&[][..], |e| &e.parts);
        let keys: Vec<_> = parts.iter().map(|item| self.workshop.items.list[*item].key).collect();
        let sites: Vec<Site> = self.sites(draft).collect();
        self.earlier?.novelty(&keys, &sites)
    }

    fn trace(&self, request: &Request) -> Option<TraceId> {
        self.workshop.spans.trace_id(request.row as usize)
    }

    /// The failing spans of a draft that stand at its place.
    fn rows(&self, draft: &Draft) -> Vec<u32> {
        let origins = draft.group.members().map(|slot| &self.workshop.origins[slot]);
        let here = |site: Site| draft.site.is_none_or(|wanted| wanted == site);
        origins.filter(|origin| here(origin.site)).map(|origin| origin.row).collect()
    }

    /// The place in which callers were kept waiting until their time ran out, where that is how
    /// most of a draft fails: what they say of it only follows.
    fn held(&self, draft: &Draft) -> Option<Call> {
        let (spans, origins) = (self.workshop.spans, self.workshop.origins);
        let of = |slot: usize| origins[slot].held.map(|row| (origins[slot].row, row as usize));
        let held: Vec<(u32, usize)> = draft.group.members().filter_map(of).collect();
        let ran_out = draft.group.members().filter(|slot| origins[*slot].ran_out).count();
        if held.len() < HELD_MIN || ran_out as u64 * 2 <= draft.group.count() {
            return None;
        }
        let mut places: BTreeMap<(u32, u32), Vec<(u32, usize)>> = BTreeMap::new();
        for (caller, row) in held {
            places.entry((spans.service[row], spans.name[row])).or_default().push((caller, row));
        }
        let largest = |rows: &Vec<(u32, usize)>| (rows.len(), std::cmp::Reverse(rows[0].1));
        let rows = places.into_values().max_by_key(largest)?;
        let (callers, first): (Vec<u32>, usize) =
            (rows.iter().map(|row| row.0).collect(), rows[0].1);
        let gave_up: BTreeSet<&str> =
            callers.iter().map(|row| spans.words.text(spans.service[*row as usize])).collect();
        let gave_up: Vec<&str> = gave_up.into_iter().collect();
        let (_, duration_ns) = reason::of_all(spans, &callers);
        let after = duration_ns.map_or(String::new(), |ns| format!(" after {}", show_duration(ns)));
        let is_call = spans.kind[first] == Kind::Exit && spans.peer[first] != NONE;
        Some(Call {
            service: spans.words.text(spans.service[first]).to_owned(),
            peer: is_call.then(|| spans.words.text(spans.peer[first]).to_owned()),
            operation: anchor::operation(spans, first),
            reason: format!("still under way when {} gave up{after}", gave_up.join(" and ")),
            duration_ns,
            example: spans.trace_id(first).map(|trace| (trace, spans.span_id(first))),
        })
    }

    /// How many failing requests are of the draft, and how many healthy ones show its calls
    /// failing.
    fn contrast(&self, counted: &Counted) -> Contrast {
        let cohorts = self.workshop.cohorts;
        let share =
            |set: &Bits, of: &Bits| Share::new(cohorts.weigh(&set.and(of)), cohorts.weigh(of));
        Contrast {
            failing: share(&counted.group, &cohorts.failing),
            healthy: share(&counted.calls, &cohorts.healthy),
        }
    }

    fn call(&self, site: Site, rows: &[u32]) -> Call {
        let spans = self.workshop.spans;
        let text = |code: u32| spans.words.text(code).to_owned();
        let (reason, duration_ns) = reason::of_all(spans, rows);
        let first = rows.first().map(|row| *row as usize);
        let reason = match self.limits {
            Some(limits) => slow::reason(duration_ns, first.and_then(|row| limits.of(spans, row))),
            None => reason,
        };
        Call {
            service: text(site[0]),
            peer: (site[1] != NONE).then(|| text(site[1])),
            operation: first.map_or_else(String::new, |row| anchor::operation(spans, row)),
            reason,
            duration_ns,
            example: first.and_then(|row| Some((spans.trace_id(row)?, spans.span_id(row)))),
        }
    }

    pub(super) fn part(&self, item: usize) -> ConditionPart {
        let key = self.workshop.items.list[item].key;
        let text = |code: u32| self.workshop.spans.words.text(code).to_owned();
        ConditionPart { service: text(key[0]), attribute: text(key[1]), value: text(key[2]) }
    }

    fn condition(&self, draft: &Draft, counted: &Counted, explanation: &Explanation) -> Condition {
        let cohorts = self.workshop.cohorts;
        let path = self.workshop.path(&draft.group);
        let share =
            |of: &Bits| Share::new(cohorts.weigh(&counted.carrying.and(of)), cohorts.weigh(of));
        let rank = |part: &ConditionPart| names::rank(&part.attribute, &part.value);
        let mut parts: Vec<_> = explanation.parts.iter().map(|item| self.part(*item)).collect();
        parts.sort_by_key(|part| (rank(part), part.clone()));
        // A version of a service that takes no part in it is a coincidence, not another name.
        let telling = |item: &&usize| {
            let key = self.workshop.items.list[**item].key;
            path.contains(&key[0]) || !names::is_deployed(self.workshop.spans.words.text(key[1]))
        };
        let mut same_as: Vec<_> =
            explanation.same_as.iter().filter(telling).map(|item| self.part(*item)).collect();
        same_as.sort_by_key(|part| (rank(part), part.clone()));
        same_as.truncate(SAME_AS_MAX);
        Condition {
            parts,
            same_as,
            contrast: Contrast {
                failing: share(&counted.places),
                healthy: share(&cohorts.healthy),
            },
            p_value: explanation.p_value,
            implied_by_call: explanation.implied,
        }
    }

    fn strength(&self, draft: &Draft, all: &[Draft], contrast: &Contrast) -> Strength {
        let workshop = self.workshop;
        let cohorts = workshop.cohorts;
        let of_call = draft.site.map_or(Strength::Weak, |_| {
            let others = all.iter().filter(|other| other.site != draft.site);
            let next = others.map(|other| cohorts.weigh(&other.group)).fold(0.0, f64::max);
            let sites: Vec<Site> = self.sites(draft).collect();
            let made = workshop.healthy_with_calls(&sites).count() as f64;
            let count = draft.group.count() as f64;
            let below = draft.group.members().any(|slot| {
                let origin = &workshop.origins[slot];
                let request = cohorts.request[slot] as usize;
                origin.row != workshop.requests.all[request].row
            });
            strength::of_call(&CallFacts {
                failing: contrast.failing,
                next,
                rate: Share::new(count, count + made),
                rose: self.sides.onset.is_some(),
                below,
            })
        });
        let Some(explanation) = draft.explanation.as_ref().filter(|e| !e.implied) else {
            return of_call;
        };
        let spread = strength::spread(workshop.items, cohorts, &draft.of, &explanation.set);
        strength::of_condition(explanation, draft.next_g, spread).max(of_call)
    }

    /// The first failing request whose trace is whole.
    fn example(&self, draft: &Draft) -> Option<&Request> {
        let requests = draft.group.members().map(|slot| {
            let number = self.workshop.cohorts.request[slot] as usize;
            (slot, &self.workshop.requests.all[number])
        });
        let whole = |request: &Request| {
            let shape = self.workshop.forest.shape[request.trace as usize];
            shape.orphans == 0 && shape.repeated == 0 && shape.circle == 0
        };
        let here =
            |slot: usize| draft.site.is_none_or(|site| self.workshop.origins[slot].site == site);
        let place = |(slot, request): &(usize, &Request)| {
            (!here(*slot), !whole(request), request.start, self.trace(request))
        };
        requests.min_by_key(place).map(|(_, request)| request)
    }

    /// The healthy request of the same kind that is nearest in time, one that made the same call
    /// where there is one.
    fn twin(&self, example: &Request, draft: &Draft) -> Option<&Request> {
        let cohorts = self.workshop.cohorts;
        let sites: Vec<Site> = self.sites(draft).collect();
        let called = draft.site.map(|_| self.workshop.healthy_with_calls(&sites));
        let candidates = cohorts
            .healthy
            .members()
            .map(|slot| (slot, &self.workshop.requests.all[cohorts.request[slot] as usize]));
        let same = |(_, request): &(usize, &Request)| {
            (request.service, request.operation) == (example.service, example.operation)
        };
        let place = |(slot, request): &(usize, &Request)| {
            let called = called.as_ref().is_some_and(|called| called.has(*slot));
            (!called, request.start.abs_diff(example.start), self.trace(request))
        };
        candidates.filter(same).min_by_key(place).map(|(_, request)| request)
    }

    /// Values that changed together with the failures and have nothing to do with them: one for
    /// each service, unless a change of it was ruled out already.
    pub(super) fn coincidences(
        &self,
        found: &[Coincidence],
        ruled_out: &BTreeSet<String>,
    ) -> Vec<String> {
        let mut parts: Vec<_> =
            found.iter().map(|coincidence| self.part(coincidence.item)).collect();
        let rank = |part: &ConditionPart| names::rank(&part.attribute, &part.value);
        parts.sort_by_key(|part| (part.service.clone(), rank(part), part.clone()));
        parts.dedup_by(|a, b| a.service == b.service);
        let since = "changed at the same time, but requests with it fail no more than others since";
        let told = |part: &ConditionPart| {
            ruled_out.iter().any(|line| line.split(' ').nth(1) == Some(part.service.as_str()))
        };
        let parts = parts.into_iter().filter(|part| !told(part));
        parts.map(|part| format!("{}: {since}", show_parts(&[part]))).collect()
    }
}

/// `payment → card-gateway`.
pub(super) fn subject(call: &Call) -> String {
    match &call.peer {
        Some(peer) => format!("{} → {peer}", call.service),
        None => format!("{} {}", call.service, call.operation),
    }
}

/// `payment service.version = 2.3.0 and payment gift_card = true`.
pub(super) fn show_parts(parts: &[ConditionPart]) -> String {
    let show = |part: &ConditionPart| {
        let (name, sign) = (bare_name(&part.attribute), sign_of(&part.value));
        format!("{} {name} {sign}{}", part.service, part.value)
    };
    parts.iter().map(show).collect::<Vec<_>>().join(" and ")
}

/// A place in which fewer of the failing requests fail than this share is background, where
/// another cause is known and nothing tells its requests from others.
const BACKGROUND_SHARE_MAX: f64 = 0.1;

/// Takes places out in which only a few requests fail, where another cause explains most of them.
pub(super) fn leave_out_background(causes: &mut Vec<Cause>) -> Vec<String> {
    let explained = causes.iter().any(|cause| cause.strength >= Strength::Likely);
    let is_background = |cause: &Cause| {
        explained
            && cause.strength == Strength::Weak
            && cause.conditions.is_empty()
            && cause.contrast.failing.ratio() < BACKGROUND_SHARE_MAX
    };
    let line = |cause: &Cause| {
        let (share, call) = (cause.contrast.failing, cause.call.as_ref()?);
        let subject = subject(call);
        Some(format!("{subject}: only {:.0} of {:.0} failing requests", share.count, share.total))
    };
    let told = causes.iter().filter(|cause| is_background(cause)).filter_map(line).collect();
    causes.retain(|cause| !is_background(cause));
    told
}

/// Says that failures were one short burst.
pub(super) fn spike(requests: &Requests, window: &[u32], first: usize, end: usize) -> String {
    let start = |place: usize| requests.all[window[place] as usize].start;
    let length_ns = start(end - 1).saturating_sub(start(first));
    format!(
        "an onset: most failures are one burst of {} at {}",
        show_duration(length_ns),
        UnixNanos(start(first))
    )
}

/// Commands to go on with.
pub(super) fn next(answer: &WhyAnswer) -> Vec<String> {
    let traces = answer.causes.iter().filter_map(|cause| cause.example);
    let mut next: Vec<String> = traces.map(|id| format!("halfopen trace {id}")).take(2).collect();
    let range = format!("--from {} --to {}", answer.window.from, answer.window.to);
    let ask = |scope: &Scope| {
        let flag = |name: &str, value: &Option<String>| {
            let value = value.as_ref()?;
            Some(format!(" --{name} {}", quoted(value)))
        };
        let service = flag("service", &scope.service).unwrap_or_default();
        let operation = flag("operation", &scope.operation).unwrap_or_default();
        let slow = match answer.slow.map(|slow| slow.rule) {
            None => String::new(),
            Some(SlowRule::Unusual) => " --slow".to_owned(),
            Some(rule) => format!(" --slow={}", rule.to_text()),
        };
        format!("halfopen why{service}{operation}{slow} {range}")
    };
    next.extend(answer.also_failing.iter().map(|(scope, _)| ask(scope)));
    next.truncate(NEXT_MAX);
    next
}
