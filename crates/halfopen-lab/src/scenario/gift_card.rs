//! `gift-card`: a new version of one service cannot read some gift cards. It runs beside the old
//! one, and only orders that are paid in that way, through one of the two tills, meet it.

use std::time::Duration;

use super::{Changed, Plan, Rollout, Scenario, Trigger, Truth};
use crate::behaviour::Behaviour;
use crate::chance::Chance;
use crate::fleet::Fleet;
use crate::gift_card::{BRANDS, Reader};
use crate::order::{Flow, Tender};
use crate::service::{BYSTANDERS, GIFT_CARD_READERS};
use crate::traffic::Mix;
use crate::vocabulary::Vocabulary;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "gift-card",
    about: "a new version fails, but only for orders with gift cards",
    plan,
};

/// The shop is healthy at least so long: what failing requests are compared with.
const HEALTHY_MS: (u64, u64) = (11_000, 14_000);
/// The shop fails for so long before the question is asked.
const FAILING_MS: u64 = 14_000;
/// The decoy comes at most so long before or after the cause.
const DECOY_MS: u64 = 3_000;

fn plan(seed: u64) -> Plan {
    let mut chance = Chance::new(seed, "gift-card");
    let victim = chance.pick(&GIFT_CARD_READERS);
    let flow = chance.pick(&Flow::ALL);
    // Half of the faults concern all gift cards, half of them one brand. The service that sees
    // nothing but gift cards has brands only: there, "all" would be no condition.
    let all = chance.happens(0.5) && victim != "gift-card";
    let brand = if all { None } else { Some(chance.pick(&BRANDS[1..])) };
    let reader = Reader::that_breaks(brand).expect("all brands but the first break a reader");
    let after = Duration::from_millis(chance.between(HEALTHY_MS.0, HEALTHY_MS.1));

    let vocabulary = Vocabulary::of_seed(seed);
    let mut fleet = Fleet::of_seed(seed);
    let before = fleet.version(victim);
    let behaviour = Behaviour::default().with_reader(flow, reader);
    let cause = fleet.replacement(victim, before.next_minor(), behaviour);
    let decoy = chance.pick(&BYSTANDERS);
    let decoy_after = (after + Duration::from_millis(chance.below(2 * DECOY_MS)))
        .saturating_sub(Duration::from_millis(DECOY_MS));
    let bystander =
        fleet.replacement(decoy, fleet.version(decoy).next_patch(), Behaviour::default());

    let any_card = Tender::GiftCard { code: String::new() };
    let (attribute, value) = match brand {
        Some(brand) => (vocabulary.brand, brand),
        None => (vocabulary.method, vocabulary.method_of(&any_card)),
    };
    let truth = Truth {
        service: victim.to_owned(),
        peer: None,
        change: Changed {
            kind: "deploy",
            attribute: "service.version".to_owned(),
            before: before.to_string(),
            now: cause.identity.version.clone(),
        },
        pod: cause.identity.pod.clone(),
        route: Some(format!("POST {}", flow.edge())),
        condition: Some((attribute.to_owned(), value.to_owned())),
        decoy: decoy.to_owned(),
        after,
    };
    Plan {
        seed,
        truth,
        length: after + Duration::from_millis(FAILING_MS),
        mix: Mix::of_seed(seed, flow, brand),
        vocabulary,
        fleet,
        rollouts: vec![
            Rollout { after, slot: cause },
            Rollout { after: decoy_after, slot: bystander },
        ],
        trigger: Trigger::GiftCards(flow, brand),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::slot_of;
    use crate::frame::request_id_of;
    use crate::traffic::{Traffic, Visit};

    /// Too few failing requests would be luck, too many no partial failure. Which ones fail is
    /// decided by the seed, so this needs no shop.
    #[test]
    fn every_seed_fails_often_enough_to_be_seen_and_seldom_enough_to_be_overlooked() {
        for seed in 1..=40 {
            let plan = plan(seed);
            let cause = &plan.rollouts[0].slot;
            let service = cause.identity.service;
            let slots = plan.fleet.slots.iter().filter(|slot| slot.identity.service == service);
            let slots = slots.count();
            let visits: Vec<Visit> = Traffic::new(seed, plan.mix.clone())
                .skip_while(|visit| visit.after < plan.truth.after)
                .take_while(|visit| visit.after < plan.length)
                .collect();
            let fails = |visit: &&Visit| {
                let id = request_id_of(&visit.key);
                plan.trigger.concerns(&visit.wish) && slot_of(service, &id, slots) == cause.place
            };
            let failing = visits.iter().filter(fails).count();
            let percent = 100.0 * failing as f64 / visits.len() as f64;
            assert!(failing >= 18, "seed {seed}: {failing} of {} fail", visits.len());
            assert!(percent < 10.0, "seed {seed}: {percent} % of all visits fail");
        }
    }
}
