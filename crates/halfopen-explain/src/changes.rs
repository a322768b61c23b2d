//! Changes near the onset, and what the requests say about each.
//!
//! A change is named only when requests support it: those that met the new version fail more
//! than those that met another one at the same time. Where every request since then met it,
//! there is no such split, and only a service in which the failing calls fail is named. That a
//! change came last says nothing: it only orders changes that are supported equally.
//!
//! Changes are told by rows of `changes`, or detected in the spans themselves.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use halfopen_model::UnixNanos;
use halfopen_model::answer::{AfterChange, VersionSplit};
use halfopen_model::batch::Cells;
use halfopen_model::time::SECOND_NS;

use crate::intern::NONE;
use crate::spans::Spans;
use crate::tree::Forest;

pub(crate) mod detect;
mod judge;
mod list;

use detect::{Detected, Facet, Visit};
pub(crate) use detect::{RELEASE_PLACES, release_place};
pub(crate) use judge::{Facts, Fitting, Judged, SplitBy, judge};
pub use list::{
    CHANGES_COLUMNS, CHANGES_SHOWN_MAX, ChangesEvidence, ChangesQuestion, FLAG_EVENT, list,
};

/// A row of `changes` and a value first seen in spans within this time are one change.
const SAME_CHANGE_NS: i64 = 300 * SECOND_NS;

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    id: Option<String>,
    kind: String,
    service: Option<String>,
    version: Option<String>,
    instance: Option<String>,
    /// The hash of a configuration, where it is one that spans show.
    config: Option<String>,
    /// The value that was first seen, or the commit that was told.
    brought: Option<String>,
    title: String,
    at: i64,
}

impl Change {
    /// As it is told beside what came after it, which began at `onset`.
    pub(crate) fn told(&self, onset: UnixNanos, split: Vec<VersionSplit>) -> AfterChange {
        AfterChange {
            change_id: self.id.clone(),
            kind: self.kind.clone(),
            service: self.service.clone(),
            version: self.version.clone(),
            title: self.title.clone(),
            at: UnixNanos(self.at),
            before_onset_ns: onset.0.saturating_sub(self.at),
            split,
        }
    }

    /// Whether it brought this version (or configuration) of a service.
    pub(crate) fn brings(&self, service: &str, value: &str) -> bool {
        let of_service = self.service.as_deref() == Some(service);
        let values = [&self.version, &self.config, &self.brought];
        of_service && values.iter().any(|known| same_version(value, known.as_deref()))
    }
}

/// The rows of `changes`, and changes that show in the spans alone, the first `until` of them.
pub(crate) fn collect(
    spans: &Spans<'_>,
    forest: &Forest,
    rows: &[RecordBatch],
    until: usize,
) -> Vec<Change> {
    let mut found: Vec<Change> = rows.iter().flat_map(recorded).collect();
    for seen in
        detect::detect(visits(spans, forest, until)).iter().map(|seen| of_spans(spans, seen))
    {
        let known = found.iter().any(|change| {
            let version = change.version.as_deref();
            change.service == seen.service
                && change.at.abs_diff(seen.at) <= SAME_CHANGE_NS as u64
                && (seen.version.is_none()
                    || version.is_none_or(|v| same_version(v, seen.version.as_deref())))
        });
        if !known {
            found.push(seen);
        }
    }
    found.sort_by(|a, b| a.at.cmp(&b.at).then(a.title.cmp(&b.title)));
    found
}

/// `v2.3.0` and `2.3.0` are one version.
pub(crate) fn same_version(version: &str, other: Option<&str>) -> bool {
    let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    other.is_some_and(|other| bare(other) == bare(version))
}

fn recorded(rows: &RecordBatch) -> Vec<Change> {
    let cells = Cells::new(rows);
    let read = |row: usize| {
        let text = |name: &str| cells.text(name, row).map(str::to_owned);
        Some(Change {
            id: text("change_id"),
            kind: text("kind").unwrap_or_else(|| "other".to_owned()),
            service: text("service"),
            version: text("version"),
            instance: text("instance"),
            config: None,
            brought: text("commit"),
            title: text("title").unwrap_or_default(),
            at: cells.time("time", row)?.0,
        })
    };
    (0..cells.len()).filter_map(read).collect()
}

/// What was seen, as a change that requests are asked about.
fn of_spans(spans: &Spans<'_>, seen: &Detected) -> Change {
    let text = |code: u32| (code != NONE).then(|| shown(spans.words.text(code)).into_owned());
    let title = match seen.facet {
        Facet::Version | Facet::Instance => "first seen in spans".to_owned(),
        facet => {
            format!("{} {} first seen in spans", facet.name(), text(seen.to).unwrap_or_default())
        }
    };
    Change {
        id: None,
        kind: seen.kind.to_owned(),
        service: text(seen.service),
        version: text(seen.version),
        instance: text(seen.instance),
        config: text(seen.to).filter(|_| seen.facet == Facet::Config),
        brought: text(seen.to).filter(|_| seen.facet != Facet::Instance),
        title,
        at: seen.at,
    }
}

/// A value as people write it: `["2.3.1"]`, the stored form of a list of one tag, is `2.3.1`.
pub(crate) fn shown(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]"));
    match inner {
        Some(inner) => Cow::Owned(inner.replace("\",\"", ",")),
        None => Cow::Borrowed(value),
    }
}

/// All visits of traces to services in the first `until` spans: further spans in one place are no
/// further chance to meet another value.
pub(crate) fn visits(spans: &Spans<'_>, forest: &Forest, until: usize) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::with_capacity(until / 2);
    for trace in 0..forest.traces() {
        let begin = visits.len();
        for row in forest.rows(trace).iter().map(|row| *row as usize) {
            if row >= until || spans.service[row] == NONE {
                continue;
            }
            let values = spans.state(row);
            let service = spans.service[row];
            let same = |known: &&mut Visit| known.service == service && known.values == values;
            match visits[begin..].iter_mut().find(same) {
                Some(known) => known.at = known.at.min(spans.start[row]),
                None => visits.push(Visit { service, at: spans.start[row], values }),
            }
        }
    }
    visits
}
