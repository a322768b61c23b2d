use super::*;
use proptest::prelude::*;

#[test]
fn the_smaller_half_is_lent_and_only_that_can_come_back() {
    let grant = Grant::new(3);
    assert_eq!(grant.lend(), 1);
    assert_eq!(grant.left(), 2);
    grant.give_back(1, 40);
    assert_eq!(grant.left(), 3, "an answer cannot make budget");
}

#[test]
fn a_fan_out_splits_and_unspent_parts_come_back() {
    let grant = Grant::new(5);
    let parts = grant.split(3);
    let lefts: Vec<u32> = parts.iter().map(Grant::left).collect();
    assert_eq!(lefts, [2, 2, 1]);
    assert_eq!(grant.left(), 0);
    assert!(parts[0].take());
    drop(parts);
    assert_eq!(grant.left(), 4);
}

#[test]
fn after_it_was_returned_nothing_can_be_spent() {
    let grant = Grant::new(2);
    assert_eq!(grant.close(), 2);
    assert!(!grant.take());
}

/// What may happen to a grant.
#[derive(Clone, Debug)]
enum Step {
    Take,
    Lend { returned: u32 },
    LoseAnswer,
    FanOut { parts: u32, takes: u32 },
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Take),
        (0u32..2_000).prop_map(|returned| Step::Lend { returned }),
        Just(Step::LoseAnswer),
        (0u32..5, 0u32..9).prop_map(|(parts, takes)| Step::FanOut { parts, takes }),
        Just(Step::Close),
    ]
}

proptest! {
    /// Spent, left and returned never exceed what was granted, in any order of events.
    #[test]
    fn budget_is_never_negative_and_never_created(
        granted in 0u32..1_500,
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let grant = Grant::new(granted);
        let granted = granted.min(GRANT_MAX);
        let mut spent = 0u32;
        for step in steps {
            match step {
                Step::Take => spent += u32::from(grant.take()),
                Step::Lend { returned } => {
                    let lent = grant.lend();
                    grant.give_back(lent, returned);
                    spent += lent - returned.min(lent);
                }
                Step::LoseAnswer => spent += grant.lend(),
                Step::FanOut { parts, takes } => {
                    let pools = grant.split(parts);
                    for take in 0..takes {
                        let pool = pools.get((take % parts.max(1)) as usize);
                        spent += u32::from(pool.is_some_and(Grant::take));
                    }
                }
                Step::Close => spent += grant.close(),
            }
            prop_assert_eq!(spent + grant.left(), granted);
        }
    }
}

#[test]
fn many_threads_together_take_exactly_what_was_granted() {
    let grant = Grant::new(100);
    let taken: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..50).filter(|_| grant.take()).count() as u32))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((taken, grant.left()), (100, 0));
}
