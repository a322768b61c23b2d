//! The check: what the lab knows against what `why` named first.

use halfopen_lab::{Rolled, Truth};
use halfopen_model::UnixNanos;
use halfopen_model::time::show_duration;
use halfopen_serve::wire::{ConditionV1, PartV1, WhyV1};

/// What was compared, item by item.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Check {
    /// What had to be named: all of it.
    pub(super) items: Vec<Item>,
    /// When the new version took its first request.
    pub(super) began_at: Option<UnixNanos>,
    /// The same beside what `why` says, for people: a moment is an estimate, no name.
    pub(super) began: String,
}

/// One thing that had to be named.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Item {
    /// A short name for scripts.
    pub(super) name: &'static str,
    /// What the lab knows.
    pub(super) truth: String,
    /// Whether `why` says so in the first place.
    pub(super) named: bool,
}

impl Check {
    /// Compares. `began` is when the new version took its first request.
    pub(super) fn new(truth: &Truth, began: Option<UnixNanos>, why: &WhyV1) -> Check {
        let attribute = format!("{} = {}", truth.attribute, truth.value);
        let items = vec![
            Item::new("service", &truth.service, names_service(truth, why)),
            Item::new("route", &truth.route, names_route(truth, why)),
            Item::new("version", &truth.version, names_version(truth, why)),
            Item::new("attribute", &attribute, names_attribute(truth, why)),
        ];
        Check { items, began_at: began, began: began_text(began, why) }
    }

    /// Whether the cause was named in full.
    pub(super) fn is_named(&self) -> bool {
        self.items.iter().all(|item| item.named)
    }
}

impl Item {
    fn new(name: &'static str, truth: &str, named: bool) -> Item {
        Item { name, truth: truth.to_owned(), named }
    }
}

/// The failing call is in the service, or is a call of it.
fn names_service(truth: &Truth, why: &WhyV1) -> bool {
    let call = why.causes.first().and_then(|cause| cause.call.as_ref());
    call.is_some_and(|call| {
        call.service == truth.service || call.peer.as_ref() == Some(&truth.service)
    })
}

/// The answer is about the requests that fail, by its scope or by its first condition.
fn names_route(truth: &Truth, why: &WhyV1) -> bool {
    let path = truth.route.split(' ').next_back().unwrap_or_default();
    why.scope.operation.as_ref() == Some(&truth.route)
        || condition_holds(why, |part| part.attribute == "span.http.route" && part.value == path)
}

/// The first change is the new version, or the first condition holds on it alone.
fn names_version(truth: &Truth, why: &WhyV1) -> bool {
    let change = why.causes.first().and_then(|cause| cause.after.first());
    let by_change = change.is_some_and(|change| {
        change.service.as_ref() == Some(&truth.service)
            && change.version.as_ref() == Some(&truth.version)
    });
    by_change
        || condition_holds(why, |part| {
            part.service == truth.service
                && part.attribute == "resource.service.version"
                && part.value == truth.version
        })
}

fn names_attribute(truth: &Truth, why: &WhyV1) -> bool {
    condition_holds(why, |part| {
        part.attribute.strip_prefix("span.") == Some(&truth.attribute) && part.value == truth.value
    })
}

fn condition_holds(why: &WhyV1, fits: impl Fn(&PartV1) -> bool) -> bool {
    let first: Option<&ConditionV1> = why.causes.first().and_then(|cause| cause.conditions.first());
    first.is_some_and(|condition| condition.parts.iter().chain(&condition.same_as).any(fits))
}

fn began_text(began: Option<UnixNanos>, why: &WhyV1) -> String {
    let Some(began) = began else {
        return "the new version never appeared".to_owned();
    };
    let estimate = match &why.onset {
        Some(onset) => {
            let (at, within) = (time_of_day(onset.at.0), show_duration(onset.within_ns));
            format!("why says {at} ± {within}")
        }
        None => "why names no moment".to_owned(),
    };
    format!("{} ({estimate})", time_of_day(began))
}

/// The time of day.
pub(super) fn time_of_day(time: UnixNanos) -> String {
    time.to_datetime().format("%H:%M:%S").to_string()
}

/// When a new version took its first request.
pub(super) fn began(rolled: &[Rolled], truth: &Truth) -> Option<UnixNanos> {
    let cause = rolled.iter().find(|rolled| rolled.instance.pod == truth.pod)?;
    let since_epoch = cause.at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_nanos()).ok().map(UnixNanos)
}

#[cfg(test)]
mod tests;
