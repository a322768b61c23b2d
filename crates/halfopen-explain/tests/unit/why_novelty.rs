use super::*;

#[test]
fn what_failed_before_is_not_new_and_what_may_have_been_missed_is_not_said() {
    let judge = |(failing, failing_total): (u64, u64), (healthy, healthy_total): (u64, u64)| {
        kind(&Counts { failing, failing_total, healthy, healthy_total }, 1_000, 1_000)
    };
    // Ten times the traffic of a tenant whose requests always fail now and then.
    assert_eq!(judge((50, 1_000), (5, 100)), Some(NoveltyKind::MoreOfTheSame));
    assert_eq!(judge((50, 100), (5, 100)), Some(NoveltyKind::Worse));
    assert_eq!(judge((50, 100), (0, 100)), Some(NoveltyKind::New));
    // Nobody met the condition before: a new version.
    assert_eq!(judge((50, 100), (0, 0)), Some(NoveltyKind::New));
    // Of so few requests none need have failed, nor met it.
    assert_eq!(judge((5, 100), (0, 20)), None);
    assert_eq!(judge((2, 2), (0, 0)), None);
    assert_eq!(judge((0, 100), (5, 100)), None);
    // A share that only wobbles.
    assert_eq!(judge((9, 100), (5, 100)), Some(NoveltyKind::MoreOfTheSame));
}
