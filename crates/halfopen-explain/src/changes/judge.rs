//! What requests say about changes near the onset.

use std::collections::BTreeSet;

use halfopen_model::UnixNanos;
use halfopen_model::answer::{AfterChange, Share, VersionSplit};
use halfopen_model::time::SECOND_NS;

use super::{Change, same_version};
use crate::anchor::Requests;
use crate::spans::Spans;
use split::Values;

mod split;

/// A change may be recorded so much later than it took effect: pipelines report when they are
/// done, and an onset may be a minute wrong.
const LATE_NS: i64 = 60 * SECOND_NS;

/// A change without a split of its own is named when the onset came at most so long after it.
const NEAR_NS: i64 = 1_800 * SECOND_NS;

/// Fewer requests with another version make no split.
const SPLIT_MIN: u64 = 10;

/// The new version must fail so many times more often.
const SPLIT_RATIO_MIN: f64 = 2.0;

/// The chance to see such a split by accident that is accepted, over all changes judged.
const SPLIT_P_MAX: f64 = 0.01;

/// So many changes are judged, those nearest to the onset.
const CHANGES_MAX: usize = 64;

/// So many values of a split are shown.
const SPLIT_SHOWN_MAX: usize = 6;

/// What changes are judged by.
pub(crate) struct Facts<'f, 'a> {
    pub(crate) spans: &'f Spans<'a>,
    pub(crate) requests: &'f Requests,
    /// Requests of the question, by time.
    pub(crate) members: &'f [u32],
    /// Numbers of the requests that fail for the cause at hand.
    pub(crate) failing: &'f BTreeSet<u32>,
    /// When failing began; the whole window without one.
    pub(crate) onset: Option<i64>,
    pub(crate) until: i64,
    /// Services in which the failing calls fail: the service of the call and its peer.
    pub(crate) site: &'f [u32],
    /// Services on the way there.
    pub(crate) path: &'f [u32],
}

/// What requests are split by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SplitBy {
    /// The version of the service that they met.
    Version,
    /// Its configuration.
    Config,
    /// One of its instances.
    Instance,
}

/// What a change splits requests by, and the value that came with it.
fn split_by(change: &Change) -> (SplitBy, Option<&str>) {
    match (&change.config, &change.instance) {
        (Some(config), _) => (SplitBy::Config, Some(config)),
        (None, Some(instance)) => (SplitBy::Instance, Some(instance)),
        (None, None) => (SplitBy::Version, change.version.as_deref()),
    }
}

/// A change that fits.
pub(crate) struct Fitting {
    pub(crate) change: AfterChange,
    /// The value that came with it, where requests are split by it.
    pub(crate) new: Option<String>,
    /// What the values are of.
    pub(crate) by: SplitBy,
    /// From here on requests are split.
    pub(crate) since: i64,
}

/// Changes that fit, the best first, and those that do not, with the reason.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) after: Vec<Fitting>,
    /// What the changes that fit are called in `ruled_out` of other causes.
    pub(crate) named: Vec<String>,
    pub(crate) ruled_out: Vec<String>,
}

/// What was seen of one change.
struct Seen {
    change: Change,
    /// The value that came with it, and all values since.
    split: Vec<(u32, Counts)>,
    new: Option<u32>,
    p_value: f64,
    supported: bool,
    /// Whether there is anything to compare with.
    splits: bool,
}

/// Requests with one value: how many, how many of them fail for the cause, and their weight.
#[derive(Clone, Copy, Default)]
struct Counts {
    failing: u64,
    total: u64,
    share: Share,
}

/// Judges all changes that lie near the onset.
pub(crate) fn judge(facts: &Facts<'_, '_>, changes: &[Change]) -> Judged {
    let latest = facts.onset.map_or(facts.until, |onset| onset.saturating_add(LATE_NS));
    let mut near: Vec<&Change> = changes.iter().filter(|change| change.at <= latest).collect();
    let distance = |change: &Change| facts.onset.unwrap_or(facts.until).abs_diff(change.at);
    near.sort_by_key(|change| distance(change));
    near.truncate(CHANGES_MAX);
    let values = Values::read(facts, &near);
    let tests = near.len().max(1) as f64;
    let seen: Vec<Seen> = near.into_iter().map(|change| values.see(facts, change, tests)).collect();
    choose(facts, seen)
}

fn choose(facts: &Facts<'_, '_>, seen: Vec<Seen>) -> Judged {
    let mut judged = Judged::default();
    let place = |seen: &Seen| place(facts, &seen.change);
    let (mut supported, mut others): (Vec<Seen>, Vec<Seen>) =
        seen.into_iter().partition(|seen| seen.supported);
    supported.sort_by(|a, b| {
        a.p_value
            .total_cmp(&b.p_value)
            .then(place(a).cmp(&place(b)))
            .then(distance(facts, a).cmp(&distance(facts, b)))
    });
    // Changes that no split can tell: the nearest place to the failure only.
    others.sort_by_key(|seen| (place(seen), distance(facts, seen)));
    let best_place = others.iter().filter(|seen| fits_unsplit(facts, seen)).map(place).min();
    for (number, seen) in supported.iter().enumerate() {
        if number == 0 || seen.change.service == supported[0].change.service {
            judged.after.push(after(facts, seen));
            judged.named.push(named(&seen.change));
        } else {
            let first = supported[0].change.service.as_deref().unwrap_or("");
            let reason = format!("the versions of {first} tell the failing requests apart better");
            judged.ruled_out.push(format!("{}: {reason}", named(&seen.change)));
        }
    }
    for seen in &others {
        let fits = supported.is_empty() && fits_unsplit(facts, seen);
        if fits && Some(place(seen)) == best_place {
            judged.after.push(after(facts, seen));
            judged.named.push(named(&seen.change));
        } else if is_near(facts, seen) {
            judged.ruled_out.push(format!("{}: {}", named(&seen.change), why_not(facts, seen)));
        }
    }
    judged
}

/// How near a change is to where the failing calls fail: 0 there, 1 on the way, 2 elsewhere.
fn place(facts: &Facts<'_, '_>, change: &Change) -> u8 {
    let code = change.service.as_deref().and_then(|service| facts.spans.words.find(service));
    match code {
        Some(code) if facts.site.contains(&code) => 0,
        Some(code) if facts.path.contains(&code) => 1,
        _ => 2,
    }
}

fn distance(facts: &Facts<'_, '_>, seen: &Seen) -> u64 {
    facts.onset.unwrap_or(facts.until).abs_diff(seen.change.at)
}

fn is_near(facts: &Facts<'_, '_>, seen: &Seen) -> bool {
    distance(facts, seen) <= NEAR_NS as u64
}

fn fits_unsplit(facts: &Facts<'_, '_>, seen: &Seen) -> bool {
    facts.onset.is_some() && !seen.splits && place(facts, &seen.change) < 2 && is_near(facts, seen)
}

/// `deploy payment 2.3.0 at 2026-11-20T14:01:52Z`.
fn named(change: &Change) -> String {
    let subject = [&change.service, &change.version, &change.instance];
    let subject: Vec<&str> = subject.into_iter().filter_map(|part| part.as_deref()).collect();
    let at = UnixNanos(change.at - change.at.rem_euclid(SECOND_NS));
    format!("{} {} at {at}", change.kind, subject.join(" "))
}

fn why_not(facts: &Facts<'_, '_>, seen: &Seen) -> String {
    let percent = |counts: &Counts| {
        let share = if counts.total == 0 { 0.0 } else { counts.share.ratio() };
        format!("{:.1} %", share * 100.0)
    };
    let new = seen.split.iter().find(|(value, _)| Some(*value) == seen.new);
    match new {
        Some((_, with)) if seen.splits => {
            let mut rest = Counts::default();
            for (_, counts) in seen.split.iter().filter(|(value, _)| Some(*value) != seen.new) {
                rest.failing += counts.failing;
                rest.total += counts.total;
                rest.share.count += counts.share.count;
                rest.share.total += counts.share.total;
            }
            let shares = (percent(with), percent(&rest));
            let more = with.share.ratio() > rest.share.ratio();
            let little = if more { ": too small a difference" } else { "" };
            let (with, without) = shares;
            format!("{with} of requests with it fail, {without} of those without{little}")
        }
        _ if place(facts, &seen.change) == 2 => {
            "it takes no part in the calls that fail".to_owned()
        }
        _ if facts.onset.is_none() => "nothing began to fail after it".to_owned(),
        _ => "another change is nearer to where the calls fail".to_owned(),
    }
}

fn after(facts: &Facts<'_, '_>, seen: &Seen) -> Fitting {
    let mut split = seen.split.clone();
    split.sort_by(|a, b| {
        let is_new = |value: u32| Some(value) == seen.new;
        is_new(b.0).cmp(&is_new(a.0)).then(b.1.total.cmp(&a.1.total)).then(a.0.cmp(&b.0))
    });
    let text = |code: u32| facts.spans.words.text(code).to_owned();
    let shown = |(value, counts): &(u32, Counts)| VersionSplit {
        value: text(*value),
        failing: counts.share,
    };
    let rest = split.split_off(split.len().min(SPLIT_SHOWN_MAX));
    let mut split: Vec<VersionSplit> = split.iter().map(shown).collect();
    if !rest.is_empty() {
        let mut others = Share::default();
        for (_, counts) in &rest {
            others.count += counts.share.count;
            others.total += counts.share.total;
        }
        let value =
            if rest.len() == 1 { "1 other".into() } else { format!("{} others", rest.len()) };
        split.push(VersionSplit { value, failing: others });
    }
    let change = &seen.change;
    let after = AfterChange {
        change_id: change.id.clone(),
        kind: change.kind.clone(),
        service: change.service.clone(),
        version: change.version.clone(),
        title: change.title.clone(),
        at: UnixNanos(change.at),
        before_onset_ns: facts.onset.map_or(0, |onset| onset.saturating_sub(change.at)),
        split,
    };
    let (by, _) = split_by(change);
    Fitting { change: after, new: seen.new.map(text), by, since: since(facts, change) }
}

/// From here on requests are split by a change: since the onset, where that is later, for what
/// was healthy before failing began says nothing about who fails.
fn since(facts: &Facts<'_, '_>, change: &Change) -> i64 {
    facts.onset.map_or(change.at, |onset| onset.max(change.at))
}
