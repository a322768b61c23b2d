//! Whether a cause names all that a demo knows of its own: where, what changed, who is concerned.

use std::collections::BTreeSet;

use halfopen_model::answer::{Cause, ConditionPart, WhyAnswer};
use halfopen_model::batch::Cells;
use halfopen_model::time::parse_time;
use halfopen_model::{Table, TimeRange, UnixNanos};
use serde_json::Value;

use super::evidence::Stored;
use super::labels::text_of;

/// What has to be named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Naming {
    /// The service that is at fault.
    pub(super) service: String,
    /// Whom it waits for: then time is lost in the service itself, or on the way there.
    pub(super) peer: Option<String>,
    /// The new version, or the hash of the new configuration.
    pub(super) change: String,
    /// What customers call, where it is one thing.
    pub(super) route: Option<String>,
    /// The attribute that failing requests have in common, and its value.
    pub(super) condition: Option<(String, String)>,
    /// When the change came: nothing is wrong before it.
    pub(super) began: UnixNanos,
}

impl Naming {
    /// Reads the truth as `halfopen demo --json` tells it.
    pub(super) fn read(truth: &Value) -> Option<Naming> {
        let text = |name| text_of(truth, name);
        Some(Naming {
            service: text("service")?,
            peer: text("peer"),
            change: text("now")?,
            route: text("route"),
            condition: text("attribute").zip(text("value")),
            began: parse_time(truth["began_at"].as_str()?, UnixNanos(0)).ok()?,
        })
    }

    /// With every name that somebody chose changed: by `word`, and by `prose` in the route, in
    /// which a service may be named.
    pub(super) fn renamed(
        &self,
        word: impl Fn(&str) -> String,
        prose: impl Fn(&str) -> String,
    ) -> Naming {
        let condition = self.condition.as_ref();
        Naming {
            service: word(&self.service),
            peer: self.peer.as_deref().map(&word),
            change: word(&self.change),
            route: self.route.as_deref().map(prose),
            condition: condition.map(|(attribute, value)| (attribute.clone(), word(value))),
            began: self.began,
        }
    }

    /// The cause as a candidate.
    pub(super) fn candidate(&self) -> String {
        candidate(&self.service, &self.change)
    }

    /// Causes as candidates: one that does not name all of it is none of the true ones, however
    /// near it is.
    pub(super) fn ranking(&self, answer: &WhyAnswer) -> Vec<String> {
        let name = |(number, cause): (usize, &Cause)| {
            if self.is_named_by(answer, cause) {
                return self.candidate();
            }
            let service = cause.call.as_ref().map_or("", |call| call.service.as_str());
            format!("cause {}, in {service}", number + 1)
        };
        answer.causes.iter().enumerate().map(name).collect()
    }

    fn is_named_by(&self, answer: &WhyAnswer, cause: &Cause) -> bool {
        let parts: Vec<&ConditionPart> = cause
            .conditions
            .first()
            .map(|condition| condition.parts.iter().chain(&condition.same_as).collect())
            .unwrap_or_default();
        let holds = |fits: &dyn Fn(&ConditionPart) -> bool| parts.iter().any(|part| fits(part));
        let place = cause.call.as_ref().is_some_and(|call| match (&self.peer, &call.peer) {
            (None, peer) => call.service == self.service || peer.as_ref() == Some(&self.service),
            (Some(_), None) => call.service == self.service,
            (Some(peer), Some(named)) => call.service == self.service && named == peer,
        });
        let change = cause.after.first().is_some_and(|after| {
            let told =
                after.version.as_ref() == Some(&self.change) || after.title.contains(&self.change);
            after.service.as_ref() == Some(&self.service) && told
        });
        let change = change
            || holds(&|part| {
                let of_process = part.attribute.starts_with("resource.");
                of_process && part.service == self.service && part.value == self.change
            });
        let route = self.route.as_ref().is_none_or(|route| {
            let path = route.split(' ').next_back().unwrap_or_default();
            answer.scope.operation.as_ref() == Some(route)
                || holds(&|part| part.attribute == "span.http.route" && part.value == path)
        });
        let condition = self.condition.as_ref().is_none_or(|(attribute, value)| {
            let name = format!("span.{attribute}");
            holds(&|part| part.attribute == name && part.value == *value)
        });
        place && change && route && condition
    }
}

fn candidate(service: &str, change: &str) -> String {
    format!("{service} {change}")
}

/// Every version of every service.
///
/// # Errors
/// When spans cannot be read.
pub(super) async fn candidates(
    stored: &Stored,
    window: TimeRange,
) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    let columns = ["service", "resource.service.version"];
    for rows in stored.rows(Table::Spans, window, Some(&columns)).await? {
        let cells = Cells::new(&rows);
        for row in 0..cells.len() {
            if let (Some(service), Some(version)) =
                (cells.text(columns[0], row), cells.text(columns[1], row))
            {
                found.insert(candidate(service, version));
            }
        }
    }
    Ok(found)
}
