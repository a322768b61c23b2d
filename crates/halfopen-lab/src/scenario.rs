//! Scenarios: ways for the shop to fail whose cause is known. One file each.

mod cascading_timeout;
mod gift_card;

use std::time::Duration;

use crate::fleet::{Fleet, Slot};
use crate::order::{Flow, Tender};
use crate::traffic::{Mix, Wish};
use crate::vocabulary::Vocabulary;

/// A way to fail.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is wrong, in one line.
    pub about: &'static str,
    plan: fn(u64) -> Plan,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[gift_card::SCENARIO, cascading_timeout::SCENARIO];

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// What happens under this seed: the same every time.
    pub fn plan(&self, seed: u64) -> Plan {
        (self.plan)(seed)
    }
}

/// What happens in one run, down to the last order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that all of it comes from.
    pub seed: u64,
    /// What is wrong.
    pub truth: Truth,
    /// How long customers come before the question can be asked.
    pub length: Duration,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) mix: Mix,
    pub(crate) fleet: Fleet,
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) trigger: Trigger,
}

impl Plan {
    /// The same plan in less time: all moments come `times` sooner, customers come as often.
    #[must_use]
    pub fn hurried(mut self, times: u32) -> Plan {
        self.length /= times;
        self.truth.after /= times;
        for rollout in &mut self.rollouts {
            rollout.after /= times;
        }
        self
    }
}

/// The cause, as only the lab knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Truth {
    /// The service that is at fault.
    pub service: String,
    /// Whom it waits for, where it waits too long.
    pub peer: Option<String>,
    /// What changed in it.
    pub change: Changed,
    /// The pod with the change.
    pub pod: String,
    /// What customers call when it fails: `POST /checkout`; `None` when it is more than one thing.
    pub route: Option<String>,
    /// The attribute that requests have in common when they fail, and its value; `None` when
    /// nothing but the change tells them from others.
    pub condition: Option<(String, String)>,
    /// A service that changed at about the same time and has nothing to do with it.
    pub decoy: String,
    /// When, after the first customer.
    pub after: Duration,
}

/// What is different in one pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// `deploy` for a new version, `config` for another configuration.
    pub kind: &'static str,
    /// The attribute of the resource that tells.
    pub attribute: String,
    /// Its value before.
    pub before: String,
    /// Its value in the pod.
    pub now: String,
}

/// A new version takes the place of an instance.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rollout {
    pub(crate) after: Duration,
    pub(crate) slot: Slot,
}

/// Which customers meet the fault.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Trigger {
    /// Who pays with gift cards in this flow: those of a brand, or all.
    GiftCards(Flow, Option<&'static str>),
    /// Who wants to know or to have what is in stock.
    Counts,
}

impl Trigger {
    /// Whether this customer may meet it.
    pub(crate) fn concerns(&self, wish: &Wish) -> bool {
        match (self, wish) {
            (Trigger::Counts, Wish::Show { .. } | Wish::Checkout(..)) => true,
            (Trigger::GiftCards(till, brand), Wish::Checkout(flow, order)) if flow == till => {
                let Tender::GiftCard { code } = &order.tender else { return false };
                let fits = |brand| code.split(':').nth(1) == Some(brand);
                brand.is_none_or(fits)
            }
            _ => false,
        }
    }
}
