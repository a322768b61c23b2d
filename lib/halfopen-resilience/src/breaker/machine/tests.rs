use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

fn settings() -> BreakerSettings {
    BreakerSettings {
        window: Duration::from_secs(10),
        calls_min: 10,
        failure_ratio: 0.5,
        slow_ratio: 0.8,
        pause: Duration::from_secs(5),
        jitter: 0.5,
        probes: 2,
        ramp: Duration::from_secs(4),
        ..BreakerSettings::default()
    }
}

fn call(machine: &Machine, now: u64, failed: bool, chance: &Chance) -> Option<Change> {
    let (permit, change) = machine.admit(now);
    let after = permit.ok().and_then(|permit| machine.finish(permit, failed, false, now, chance));
    after.or(change)
}

/// An open machine, and when it opened.
fn opened(chance: &Chance) -> (Machine, u64) {
    let machine = Machine::new(settings());
    for step in 0..10 {
        call(&machine, SECOND + step * 100 * MS, true, chance);
    }
    assert_eq!(machine.state(), State::Open);
    (machine, 2 * SECOND)
}

#[test]
fn few_calls_do_not_trip_it_and_a_share_of_failures_does() {
    let chance = Chance::seeded(1);
    let machine = Machine::new(settings());
    for step in 0..9 {
        assert_eq!(call(&machine, step * MS, true, &chance), None);
    }
    let change = call(&machine, 9 * MS, false, &chance).unwrap();
    assert_eq!((change.from, change.to), (State::Closed, State::Open));
    assert_eq!(change.sums, Sums { calls: 10, failures: 9, slow: 0 });
}

#[test]
fn calls_that_crawl_trip_it_too() {
    let chance = Chance::seeded(1);
    let machine = Machine::new(settings());
    for step in 0..10 {
        let permit = machine.admit(step * MS).0.unwrap();
        machine.finish(permit, false, step > 1, step * MS, &chance);
    }
    assert_eq!(machine.state(), State::Open);
}

#[test]
fn the_pause_has_jitter_so_that_a_fleet_does_not_return_in_step() {
    let mut returns: Vec<u64> = (0..200)
        .map(|seed| {
            let (machine, at) = opened(&Chance::seeded(seed));
            (0..100).map(|step| at + step * 100 * MS).find(|now| machine.admit(*now).0.is_ok())
        })
        .map(|return_at| return_at.unwrap())
        .collect();
    returns.sort_unstable();
    let spread = returns[199] - returns[0];
    assert!(spread > 2 * SECOND, "spread over {spread} ns of 2.5 s");
    returns.dedup();
    assert!(returns.len() > 15, "{}", returns.len());
}

#[test]
fn probes_decide_and_a_given_up_probe_frees_its_place() {
    let chance = Chance::seeded(2);
    let (machine, at) = opened(&chance);
    let later = at + 9 * SECOND;
    let first = machine.admit(later).0.unwrap();
    let second = machine.admit(later).0.unwrap();
    assert_eq!(machine.admit(later).0.unwrap_err().reason, RefusalReason::BreakerProbing);
    machine.forget(second);
    let third = machine.admit(later).0.unwrap();
    assert_eq!(machine.finish(first, false, false, later, &chance), None);
    let change = machine.finish(third, false, false, later, &chance).unwrap();
    assert_eq!((change.from, change.to), (State::HalfOpen, State::Returning));
}

#[test]
fn each_failed_recovery_doubles_the_pause() {
    let chance = Chance::seeded(3);
    let (machine, mut now) = opened(&chance);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let begin = now;
        while machine.admit(now).0.is_err() {
            now += 100 * MS;
        }
        pauses.push((now - begin) / SECOND);
        let permit = machine.admit(now).0.unwrap();
        machine.finish(permit, true, false, now, &chance);
    }
    assert!(pauses.windows(2).all(|pair| pair[1] > pair[0]), "{pauses:?}");
}

#[test]
fn load_returns_slowly_and_in_proportion() {
    let chance = Chance::seeded(4);
    let machine = Machine::new(settings());
    // 100 calls a second, then all fail.
    let mut now = 0;
    while machine.state() == State::Closed {
        now += 10 * MS;
        call(&machine, now, now > 10 * SECOND, &chance);
    }
    now += 9 * SECOND;
    let mut passed = Vec::new();
    for _second in 0..6 {
        let calls = (0..100).filter(|step| {
            let at = now + step * 10 * MS;
            let permit = machine.admit(at).0;
            permit.map(|permit| machine.finish(permit, false, false, at, &chance)).is_ok()
        });
        passed.push(calls.count());
        now += SECOND;
    }
    assert!(passed[0] < 50, "{passed:?}");
    assert!(passed[1] > passed[0] && passed[2] > passed[1], "{passed:?}");
    assert_eq!(passed[5], 100, "{passed:?}");
    assert_eq!(machine.state(), State::Closed);
}

#[test]
fn a_result_of_before_the_trouble_says_nothing_after_it() {
    let chance = Chance::seeded(5);
    let machine = Machine::new(BreakerSettings { ramp: Duration::ZERO, ..settings() });
    let old: Vec<Permit> = (0..30).filter_map(|_| machine.admit(SECOND).0.ok()).collect();
    for _ in 0..10 {
        call(&machine, SECOND, true, &chance);
    }
    let later = 20 * SECOND;
    call(&machine, later, false, &chance);
    call(&machine, later, false, &chance);
    assert_eq!(machine.state(), State::Closed);
    for permit in old {
        assert_eq!(machine.finish(permit, true, false, later, &chance), None);
    }
    assert_eq!(machine.state(), State::Closed);
}

/// What may happen to a breaker.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Admit,
    Finish { which: usize, failed: bool, slow: bool },
    GiveUp { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0u64..3_000).prop_map(Step::Wait),
        5 => Just(Step::Admit),
        5 => (any::<usize>(), prop::bool::weighted(0.6), prop::bool::weighted(0.2))
            .prop_map(|(which, failed, slow)| Step::Finish { which, failed, slow }),
        1 => any::<usize>().prop_map(|which| Step::GiveUp { which }),
    ]
}

fn is_allowed(from: State, to: State) -> bool {
    matches!(
        (from, to),
        (State::Closed, State::Open)
            | (State::Open, State::HalfOpen)
            | (State::HalfOpen, State::Open | State::Returning | State::Closed)
            | (State::Returning, State::Open | State::Closed)
    )
}

proptest! {
    #[test]
    fn the_states_keep_their_promises(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let chance = Chance::seeded(seed);
        let machine = Machine::new(settings());
        let mut now = 0u64;
        let mut under_way: Vec<Permit> = Vec::new();
        let mut probes_under_way = 0u32;
        for step in steps {
            let before = machine.state();
            let mut change = None;
            match step {
                Step::Wait(ms) => now += ms * MS,
                Step::Admit => {
                    let (answer, told) = machine.admit(now);
                    change = told;
                    if before == State::Closed {
                        prop_assert!(answer.is_ok(), "closed never refuses");
                    }
                    if let Ok(permit) = answer {
                        prop_assert_ne!(machine.state(), State::Open, "open lets nobody through");
                        under_way.push(permit);
                    }
                }
                Step::Finish { which, failed, slow } if !under_way.is_empty() => {
                    let permit = under_way.swap_remove(which % under_way.len());
                    change = machine.finish(permit, failed, slow, now, &chance);
                    if change.is_some_and(|c| c.from == State::Closed) {
                        prop_assert!(change.is_some_and(|c| c.sums.calls >= 10), "too few calls");
                    }
                }
                Step::GiveUp { which } if !under_way.is_empty() => {
                    machine.forget(under_way.swap_remove(which % under_way.len()));
                }
                Step::Finish { .. } | Step::GiveUp { .. } => {}
            }
            let after = machine.state();
            match change {
                Some(change) => {
                    prop_assert_eq!((change.from, change.to), (before, after));
                    prop_assert!(is_allowed(before, after), "{:?} to {:?}", before, after);
                }
                None => prop_assert_eq!(before, after, "a change that nobody was told of"),
            }
            let word = machine.load();
            if after == State::HalfOpen {
                let live = under_way.iter().filter(|permit| word.is_same_stay(permit.0)).count();
                probes_under_way = live as u32;
            }
            prop_assert!(probes_under_way <= 2, "more probes than allowed");
        }
    }
}
