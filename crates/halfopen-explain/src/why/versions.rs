//! Requests that a new version of a service served, beside those that the one before it served in
//! the same window: a canary, a rollout.

use std::collections::BTreeSet;

use halfopen_model::answer::{
    AfterChange, BaselineKind, Evidence, EvidenceRef, Gap, KnownChange, NoveltyKind, Share,
    Strength, VersionSplit, VersionsBeside, WhyAnswer,
};

use halfopen_model::UnixNanos;

use crate::anchor::Requests;
use crate::changes::{Change, release_place, same_version, shown};
use crate::difference::items::Items;
use crate::difference::names::is_deployed;
use crate::intern::{FoldMap, NONE};
use crate::spans::{Spans, release_names};
use crate::sql::Served;
use crate::tree::Forest;

/// With fewer requests of either version there is nothing to compare.
pub const SERVED_MIN: u64 = 20;

/// How many requests the two versions served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServedBy {
    /// The new one.
    pub new: u64,
    /// The one before it.
    pub old: u64,
}

/// Both versions, as they were met.
pub(super) struct Beside<'c> {
    change: &'c KnownChange,
    /// The service whose versions they are.
    service: u32,
    name: &'c str,
    new: &'c str,
    /// Requests that met neither of the two, or both.
    left_out: usize,
    /// When the old one served last, and the new one first.
    seen: [i64; 2],
    pub(super) served: Served,
}

impl<'c> Beside<'c> {
    /// Keeps the requests that met one of the two versions alone; those of the old one take the
    /// place of a baseline.
    ///
    /// # Errors
    /// When one of them served too few.
    pub(super) fn split(
        spans: &Spans<'_>,
        forest: &Forest,
        requests: &mut Requests,
        change: &'c KnownChange,
    ) -> Result<Beside<'c>, ServedBy> {
        let none = ServedBy { new: 0, old: 0 };
        let what = change.what.as_deref().and_then(release_place);
        let named = change.service.as_deref().zip(change.to.as_deref()).zip(what);
        let Some(((name, new), place)) = named else { return Err(none) };
        let Some(service) = spans.words.find(name) else { return Err(none) };
        let is = |code: u32, version: &str| {
            let text = spans.words.text(code);
            same_version(version, Some(&shown(text)))
        };
        let mut met: FoldMap<u32, [bool; 2]> = FoldMap::default();
        let mut values = [BTreeSet::new(), BTreeSet::new()];
        for row in 0..spans.baseline_from {
            let value = spans.state(row)[place];
            let known = spans.service[row] == service && value != NONE && spans.trace[row] != NONE;
            if !known || forest.is_repetition(row) {
                continue;
            }
            let is_old = !is(value, new);
            if is_old && change.from.as_deref().is_some_and(|old| !is(value, old)) {
                continue;
            }
            values[usize::from(is_old)].insert(value);
            met.entry(spans.trace[row]).or_default()[usize::from(is_old)] = true;
        }
        let side = |trace: u32| match met.get(&trace) {
            Some([true, false]) => Some(false),
            Some([false, true]) => Some(true),
            _ => None,
        };
        let all = requests.all.len();
        requests.all.retain(|request| side(request.trace).is_some());
        for request in &mut requests.all {
            request.baseline = side(request.trace) == Some(true);
        }
        let left_out = all - requests.all.len();
        let of_old = || requests.all.iter().filter(|request| request.baseline);
        let first = requests.all.iter().find(|request| !request.baseline);
        let seen = [of_old().next_back(), first].map(|one| one.map_or(0, |request| request.start));
        let old = of_old().count() as u64;
        let served = ServedBy { new: requests.all.len() as u64 - old, old };
        if served.new.min(served.old) < SERVED_MIN {
            return Err(served);
        }
        let texts = values.map(|values| {
            values.into_iter().map(|code| spans.words.text(code).to_owned()).collect()
        });
        let [new_texts, old_texts] = texts;
        let served = Served {
            service: name.to_owned(),
            names: release_names(place),
            new: new_texts,
            old: old_texts,
        };
        Ok(Beside { change, service, name, new, left_out, seen, served })
    }

    /// Leaves out what follows from the version: where the service ran, and what it was made of.
    pub(super) fn leave_out(&self, spans: &Spans<'_>, items: &mut Items) {
        let of_process =
            |key: [u32; 3]| key[0] == self.service && is_deployed(spans.words.text(key[1]));
        items.list.retain(|item| !of_process(item.key));
    }

    /// Whether this is the change that is asked about.
    pub(super) fn is_asked(&self, change: &Change) -> bool {
        change.brings(self.name, self.new)
    }

    fn old(&self) -> String {
        self.change.from.clone().unwrap_or_else(|| "other versions".to_owned())
    }

    /// What was compared.
    pub(super) fn kind(&self) -> BaselineKind {
        BaselineKind::Version(VersionsBeside {
            service: self.name.to_owned(),
            attribute: self.change.what.clone().unwrap_or_default(),
            new: self.new.to_owned(),
            old: self.old(),
        })
    }

    fn tell_gaps(&self, answer: &mut WhyAnswer) {
        let (name, new, old) = (self.name, self.new, self.old());
        if self.left_out > 0 {
            answer.gaps.push(Gap::Other(format!(
                "left out: {} requests that met neither {name} {new} nor {old}, or both",
                self.left_out
            )));
        }
        let [last, first] = self.seen.map(UnixNanos);
        if last < first {
            answer.gaps.push(Gap::Other(format!(
                "{name} {old} served until {last}, {new} from {first} on: what else changed \
                 between these is not told apart"
            )));
        }
    }

    /// Names the change for each cause that is not as frequent in the old version, where more of
    /// the requests of the new one fail; else says that it is not to blame.
    pub(super) fn tell(&self, answer: &mut WhyAnswer) {
        self.tell_gaps(answer);
        let (new, old) = (answer.failing, answer.before.unwrap_or_default());
        let name = format!("{} {} {}", self.change.kind, self.name, self.new);
        let percent = |share: Share| format!("{:.1} %", share.ratio() * 100.0);
        if new.interval().0 <= old.interval().1 {
            let [with, without] = [new, old].map(percent);
            let reason = format!("{with} of requests with it fail, {without} of those without");
            answer.ruled_out.push(format!("{name} at {}: {reason}", self.change.at));
            return;
        }
        let split = |value: String, failing: Share| VersionSplit { value, failing };
        let after = AfterChange {
            change_id: self.change.id.clone(),
            kind: self.change.kind.clone(),
            service: self.change.service.clone(),
            version: self.change.to.clone(),
            title: self.change.title.clone(),
            at: self.change.at,
            before_onset_ns: answer.onset.map_or(0, |onset| onset.at.since(self.change.at)),
            split: vec![split(self.new.to_owned(), new), split(self.old(), old)],
        };
        let evidence = Evidence {
            id: String::new(),
            kind: "version_split",
            subject: format!("{} {}", self.name, self.new),
            effect: None,
            failing: new,
            healthy: old,
            strength: Strength::Strong,
            refs: self.change.id.iter().cloned().map(EvidenceRef::Change).collect(),
            query: answer.symptom.as_ref().and_then(|symptom| symptom.query.clone()),
        };
        let same = |kind: NoveltyKind| kind == NoveltyKind::MoreOfTheSame;
        for cause in &mut answer.causes {
            if cause.novelty.is_none_or(|novelty| !same(novelty.kind)) {
                cause.after.insert(0, after.clone());
                cause.evidence.retain(|one| one.kind != "version_split");
                cause.evidence.push(evidence.clone());
            }
        }
    }
}
