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
    /// When the pod with the change took its first request.
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
    /// Compares. `began` is when the pod with the change took its first request.
    pub(super) fn new(truth: &Truth, began: Option<UnixNanos>, why: &WhyV1) -> Check {
        let mut items = vec![Item::new("service", &truth.service, names_service(truth, why))];
        if let Some(peer) = &truth.peer {
            let waits = format!("{} waits for {peer}", truth.service);
            items.push(Item::new("place", &waits, names_place(truth, peer, why)));
        }
        if let Some(route) = &truth.route {
            items.push(Item::new("route", route, names_route(route, why)));
        }
        let change = if truth.change.kind == "deploy" { "version" } else { truth.change.kind };
        items.push(Item::new(change, &truth.change.now, names_change(truth, why)));
        if let Some((attribute, value)) = &truth.condition {
            let named = names_attribute(attribute, value, why);
            items.push(Item::new("attribute", &format!("{attribute} = {value}"), named));
        }
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

/// The place in which time is lost is in the service, on the way to its peer.
fn names_place(truth: &Truth, peer: &str, why: &WhyV1) -> bool {
    let call = why.causes.first().and_then(|cause| cause.call.as_ref());
    call.is_some_and(|call| {
        call.service == truth.service && call.peer.as_ref().is_none_or(|named| named == peer)
    })
}

/// The answer is about the requests that fail, by its scope or by its first condition.
fn names_route(route: &str, why: &WhyV1) -> bool {
    let path = route.split(' ').next_back().unwrap_or_default();
    why.scope.operation.as_deref() == Some(route)
        || condition_holds(why, |part| part.attribute == "span.http.route" && part.value == path)
}

/// The first change is the new version or configuration, or the first condition holds on it
/// alone.
fn names_change(truth: &Truth, why: &WhyV1) -> bool {
    let change = why.causes.first().and_then(|cause| cause.after.first());
    let by_change = change.is_some_and(|change| {
        let told = change.version.as_ref() == Some(&truth.change.now)
            || change.title.contains(&truth.change.now);
        change.service.as_ref() == Some(&truth.service) && change.kind == truth.change.kind && told
    });
    by_change
        || condition_holds(why, |part| {
            part.service == truth.service
                && part.attribute.strip_prefix("resource.") == Some(&truth.change.attribute)
                && part.value == truth.change.now
        })
}

fn names_attribute(attribute: &str, value: &str, why: &WhyV1) -> bool {
    condition_holds(why, |part| {
        part.attribute.strip_prefix("span.") == Some(attribute) && part.value == value
    })
}

fn condition_holds(why: &WhyV1, fits: impl Fn(&PartV1) -> bool) -> bool {
    let first: Option<&ConditionV1> = why.causes.first().and_then(|cause| cause.conditions.first());
    first.is_some_and(|condition| condition.parts.iter().chain(&condition.same_as).any(fits))
}

fn began_text(began: Option<UnixNanos>, why: &WhyV1) -> String {
    let Some(began) = began else {
        return "the change never came".to_owned();
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

/// When the pod with the change took its first request.
pub(super) fn began(rolled: &[Rolled], truth: &Truth) -> Option<UnixNanos> {
    let cause = rolled.iter().find(|rolled| rolled.instance.pod == truth.pod)?;
    let since_epoch = cause.at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_nanos()).ok().map(UnixNanos)
}

#[cfg(test)]
mod tests;
