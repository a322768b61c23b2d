use super::*;

const MS: i64 = 1_000_000;

/// Visits one second apart: what each meets.
fn visits(count: usize, met: impl Fn(usize) -> [u32; 6]) -> Vec<Visit> {
    let visit =
        |number: usize| Visit { service: 1, at: number as i64 * 1_000 * MS, values: met(number) };
    (0..count).map(visit).collect()
}

/// Version and instance only.
fn of(version: u32, instance: u32) -> [u32; 6] {
    [version, NONE, NONE, NONE, instance, NONE]
}

fn told(found: &[Detected]) -> Vec<(&'static str, u32, u32, i64)> {
    found.iter().map(|c| (c.kind, c.from, c.to, c.at / 1_000 / MS)).collect()
}

#[test]
fn nothing_is_new_at_the_beginning_and_a_rare_value_is_not_new() {
    assert_eq!(
        detect(visits(900, |number| of(10 + number as u32 % 3, 20 + number as u32 % 4))),
        []
    );
    // One visit in 300 meets a canary, which this time comes late.
    assert_eq!(detect(visits(900, |number| of(if number % 300 == 250 { 11 } else { 10 }, 20))), []);
    assert_eq!(detect(Vec::new()), []);
}

#[test]
fn a_deploy_has_what_was_before_and_how_far_it_is() {
    // Every third instance gets the new version at 400.
    let met = |number: usize| {
        let instance = number as u32 % 3;
        of(if number >= 400 && instance == 0 { 11 } else { 10 }, 20 + instance)
    };
    let found = detect(visits(900, met));
    assert_eq!(told(&found), [("deploy", 10, 11, 402)]);
    assert_eq!(found[0].instances, Share::new(1.0, 3.0));
    assert_eq!((found[0].visits.count, found[0].visits.total), (166.0, 498.0));
}

#[test]
fn a_rollback_is_a_change_as_well_and_alternation_is_none() {
    let met = |number: usize| of(if (300..600).contains(&number) { 11 } else { 10 }, 20);
    assert_eq!(told(&detect(visits(900, met))), [("deploy", 10, 11, 300), ("deploy", 11, 10, 600)]);
    let met = |number: usize| of(if (number / 100).is_multiple_of(2) { 10 } else { 11 }, 20);
    assert_eq!(told(&detect(visits(2_000, met))), [("deploy", 10, 11, 100)]);
}

#[test]
fn a_new_version_explains_its_new_instances() {
    let met = |number: usize| if number < 400 { of(10, 20) } else { of(11, 21) };
    assert_eq!(told(&detect(visits(900, met))), [("deploy", 10, 11, 400)]);
}

#[test]
fn instances_restart_and_come_and_go() {
    let replaced = |number: usize| match number % 2 {
        0 => of(10, 20),
        _ => of(10, if number < 400 { 21 } else { 22 }),
    };
    assert_eq!(told(&detect(visits(900, replaced))), [("restart", 21, 22, 401)]);
    let more = |number: usize| of(10, if number < 400 { 20 } else { 20 + number as u32 % 3 });
    let found = detect(visits(900, more));
    assert_eq!((found.len(), found[0].kind, found[0].scale), (1, "scale", Some((1, 3))));
    let fewer = |number: usize| of(10, if number < 400 { 20 + number as u32 % 3 } else { 20 });
    let found = detect(visits(900, fewer));
    assert_eq!((found.len(), found[0].kind, found[0].scale), (1, "scale", Some((3, 1))));
    let again = |number: usize| {
        let mut met = of(10, 20);
        met[STARTED] = if number < 400 { 30 } else { 31 };
        met
    };
    assert_eq!(told(&detect(visits(900, again))), [("restart", 30, 31, 400)]);
}

#[test]
fn evaluations_of_a_flag_collapse_to_its_changes() {
    let evaluate = |variant: &dyn Fn(i64) -> u32| -> Vec<Evaluation> {
        (0..600).map(|second| (1, 5, variant(second), second * 1_000 * MS)).collect()
    };
    let switched = flags(&evaluate(&|second| if second < 200 { 7 } else { 8 }));
    assert_eq!(told(&switched), [("flag", 7, 8, 200)]);
    assert_eq!(switched[0].facet, Facet::Flag(5));
    assert_eq!(flags(&evaluate(&|second| 7 + (second % 10 == 0) as u32)), []);
}
