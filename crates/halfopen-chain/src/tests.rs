use halfopen_model::answer::Share;

use super::*;

fn contrast(failing: [f64; 2], healthy: [f64; 2]) -> Contrast {
    let share = |[count, total]: [f64; 2]| Share::new(count, total);
    Contrast { failing: share(failing), healthy: share(healthy) }
}

#[test]
fn what_is_confirmed_is_ten_times_more_frequent_at_the_near_ends() {
    let of = |failing, healthy, strength| of_contrast(&contrast(failing, healthy), strength);
    let strong = Strength::Strong;
    assert_eq!(of([77.0, 77.0], [0.0, 823.0], strong), Confidence::Confirmed);
    assert_eq!(of([77.0, 77.0], [0.0, 823.0], Strength::Likely), Confidence::Likely);
    assert_eq!(of([77.0, 77.0], [0.0, 823.0], Strength::Weak), Confidence::Inconclusive);
    // Too few healthy ones to exclude that they show it as well.
    assert_eq!(of([5.0, 5.0], [0.0, 5.0], strong), Confidence::Inconclusive);
    assert_eq!(of([20.0, 20.0], [0.0, 20.0], strong), Confidence::Likely);
    assert_eq!(of([50.0, 100.0], [300.0, 600.0], strong), Confidence::Inconclusive);
    assert_eq!(of([5.0, 5.0], [0.0, 0.0], strong), Confidence::Inconclusive);
}

#[test]
fn the_same_evidence_has_the_same_id_wherever_it_stands() {
    let id = |before: &[&[&str]], parts: &[&str]| {
        let mut ids = Ids::default();
        before.iter().for_each(|other| {
            ids.of(other);
        });
        ids.of(parts)
    };
    let parts = ["attribute", "pay version = 2"];
    assert_eq!(id(&[], &parts), id(&[&["symptom", "gateway"]], &parts));
    assert_ne!(id(&[], &parts), id(&[], &["attribute", "pay version = 3"]));
    assert_ne!(id(&[], &["ab", "c"]), id(&[], &["a", "bc"]));
    // Two that are about the same are told apart.
    assert_eq!(id(&[&parts], &parts), format!("{}-2", id(&[], &parts)));
}
