//! `cascading-timeout`: a configuration lets `inventory` wait longer for the warehouses than its
//! own callers wait for it. One warehouse hangs now and then, which was always cut off in time;
//! now each such count keeps a connection of a small pool. Who needs another one waits too, its
//! callers give up and some ask again, and `inventory` goes on working for nobody.
//!
//! Nobody in this shop tells others how long he waits, and no work ends with its caller.

use std::time::Duration;

use super::{Changed, Plan, Rollout, Scenario, Trigger, Truth};
use crate::behaviour::Behaviour;
use crate::chance::Chance;
use crate::fleet::{Fleet, Slot};
use crate::order::Flow;
use crate::patience::Patience;
use crate::pool::{CONNECTIONS, Counting, HANG_MS, Hang, WAREHOUSE};
use crate::service::EDGE;
use crate::service::inventory::WAREHOUSES;
use crate::traffic::Mix;
use crate::vocabulary::Vocabulary;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "cascading-timeout",
    about: "a service waits longer than its callers, who give up first",
    plan,
};

/// The service whose configuration changes.
const VICTIM: &str = "inventory";
/// Services that take no part in it.
const BYSTANDERS: [&str; 6] =
    ["cart", "pricing", "shipping", "mailer", "card-gateway", "gift-card"];
/// Fewer customers than elsewhere: the timeouts are short, and a busy machine is no slow service.
const VISITS_PER_SECOND: f64 = 60.0;
/// Of these so many ask `inventory`: who looks at a product, and who orders.
const VISITS_THAT_COUNT: f64 = 0.83;
/// The shop is healthy at least so long.
const HEALTHY_MS: (u64, u64) = (8_000, 10_000);
/// The shop fails for so long before the question is asked.
const FAILING_MS: u64 = 11_000;
/// The decoy comes at most so long before or after the cause.
const DECOY_MS: u64 = 3_000;

/// How long a service waits for an answer; twice that at the edge, where a question may be asked
/// again.
const CALLER_MS: u64 = 1_200;
const TWICE_MS: u64 = 2_700;
/// How long `inventory` waited for a warehouse, and how long it waits now.
const COUNT_MS: (u64, u64) = (250, 3_000);
const _: () = assert!(COUNT_MS.0 < CALLER_MS && CALLER_MS < COUNT_MS.1 && COUNT_MS.1 < HANG_MS);
/// Counts that hang keep so many times the connections that there are.
const LOAD: f64 = 1.3;

fn plan(seed: u64) -> Plan {
    let mut chance = Chance::new(seed, "cascading-timeout");
    let warehouse = chance.pick(&WAREHOUSES);
    let busy = chance.pick(&Flow::ALL);
    let after = Duration::from_millis(chance.between(HEALTHY_MS.0, HEALTHY_MS.1));

    let vocabulary = Vocabulary::of_seed(seed);
    let mut fleet = Fleet::of_seed(seed).with_more();
    fleet.configure(vocabulary.config);
    let counts_per_s = VISITS_PER_SECOND * VISITS_THAT_COUNT / fleet.places(VICTIM) as f64;
    let hangs_per_s = LOAD * CONNECTIONS as f64 * 1e3 / COUNT_MS.1 as f64;
    let share = (hangs_per_s / counts_per_s * WAREHOUSES.len() as f64).min(1.0);
    let hang = Hang { warehouse, share };
    for Slot { identity, behaviour, .. } in &mut fleet.slots {
        *behaviour = behaviour_of(identity.service, hang);
    }
    let waiting = Counting { wait_ms: Some(COUNT_MS.1), hang: None };
    let waiting = Behaviour { counting: waiting, ..behaviour_of(VICTIM, hang) };
    let cause = fleet.reconfigured(VICTIM, waiting);
    let decoy = chance.pick(&BYSTANDERS);
    let decoy_after = (after + Duration::from_millis(chance.below(2 * DECOY_MS)))
        .saturating_sub(Duration::from_millis(DECOY_MS));
    let version = fleet.version(decoy).next_patch();
    let bystander = fleet.replacement(decoy, version, behaviour_of(decoy, hang));

    let hash = |slot: &Slot| slot.identity.config.clone().map_or(String::new(), |(_, hash)| hash);
    let before = fleet.slots.iter().find(|slot| slot.identity.service == VICTIM);
    let truth = Truth {
        service: VICTIM.to_owned(),
        peer: Some(WAREHOUSE.to_owned()),
        change: Changed {
            kind: "config",
            attribute: vocabulary.config.to_owned(),
            before: before.map_or(String::new(), hash),
            now: hash(&cause),
        },
        pod: cause.identity.pod.clone(),
        route: None,
        condition: None,
        decoy: decoy.to_owned(),
        after,
    };
    Plan {
        seed,
        truth,
        length: after + Duration::from_millis(FAILING_MS),
        mix: Mix::of_seed(seed, busy, None).at_rate(VISITS_PER_SECOND),
        vocabulary,
        fleet,
        rollouts: vec![
            Rollout { after, slot: cause },
            Rollout { after: decoy_after, slot: bystander },
        ],
        trigger: Trigger::Counts,
    }
}

/// How a service behaves before anything changes.
fn behaviour_of(service: &str, hang: Hang) -> Behaviour {
    let patience = if service == EDGE {
        Patience { attempt_ms: CALLER_MS, call_ms: TWICE_MS, shared: false }
    } else {
        Patience::once(CALLER_MS, false)
    };
    let counting = Counting {
        wait_ms: (service == VICTIM).then_some(COUNT_MS.0),
        hang: (service == WAREHOUSE).then_some(hang),
    };
    Behaviour { patience, counting, ..Behaviour::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::slot_of;
    use crate::frame::request_id_of;
    use crate::service::inventory::warehouse;
    use crate::traffic::{Traffic, Visit, Wish};

    fn sku(visit: &Visit) -> Option<&str> {
        match &visit.wish {
            Wish::Show { sku } => Some(sku),
            Wish::Checkout(_, order) => order.lines.first().map(|line| line.sku.as_str()),
            Wish::Add(_) => None,
        }
    }

    /// Who hangs is decided by the seed; who waits behind them is not. More hang than there are
    /// connections, in time for others to wait.
    #[test]
    fn every_seed_uses_up_the_connections_of_one_instance() {
        for seed in 1..=40 {
            let plan = plan(seed);
            let cause = &plan.rollouts[0].slot;
            let slots = plan.fleet.places(VICTIM);
            let hang = plan.fleet.slots.iter().find_map(|slot| slot.behaviour.counting.hang);
            let hang = hang.expect("a warehouse hangs");
            let hangs = |visit: &Visit| {
                let id = request_id_of(&visit.key);
                let warehouse = sku(visit).map(warehouse);
                warehouse.is_some_and(|warehouse| hang.befalls(&id, &warehouse))
                    && slot_of(VICTIM, &id, slots) == cause.place
            };
            let since: Vec<Visit> = Traffic::new(seed, plan.mix.clone())
                .skip_while(|visit| visit.after < plan.truth.after)
                .take_while(|visit| visit.after < plan.length)
                .collect();
            let hanging: Vec<&Visit> = since.iter().filter(|visit| hangs(visit)).collect();
            let percent = 100.0 * hanging.len() as f64 / since.len() as f64;
            assert!(hanging.len() >= 2 * CONNECTIONS, "seed {seed}: {} hang", hanging.len());
            assert!(percent < 5.0, "seed {seed}: {percent} % hang");
            let full = hanging[CONNECTIONS - 1].after - plan.truth.after;
            assert!(full.as_millis() < 9_000, "seed {seed}: all in use after {full:?}");
        }
    }
}
