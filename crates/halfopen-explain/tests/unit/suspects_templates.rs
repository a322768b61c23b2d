use super::*;

fn codes(lines: &[&str]) -> (Vec<u32>, Templates) {
    let mut templates = Templates::new();
    let codes = lines.iter().map(|line| templates.code(1, line).expect("few lines")).collect();
    (codes, templates)
}

#[test]
fn values_are_taken_out_and_places_in_code_are_kept() {
    let (codes, templates) = codes(&[
        "12:00:01.250 INFO Orders#42 order 17 of user 4f1e-aa00 stored",
        "12:00:02.113 INFO Orders#42 order 18 of user 77ab-0c00 stored",
        "12:00:02.114 INFO Orders#57 order 18 of user 77ab-0c00 stored",
    ]);
    assert_eq!(codes, [0, 0, 1]);
    assert_eq!(templates.text(0), "… INFO Orders#42 order … of user … stored");
}

#[test]
fn lists_of_any_length_are_one_value() {
    let (codes, templates) = codes(&[
        "route Route(id=a, stations=[x, y], distances=[0, 50]) found",
        "route Route(id=b, stations=[x, y, z], distances=[0, 50, 80]) found",
    ]);
    assert_eq!(codes, [0, 0]);
    assert_eq!(templates.text(0), "route Route … found");
}

#[test]
fn words_that_vary_become_variable_when_most_agree() {
    let lines = ["user alice may enter hall blue", "user alice may enter hall green"];
    let (codes, templates) = codes(&lines);
    assert_eq!(codes, [0, 0]);
    assert_eq!(templates.text(0), "user alice may enter hall …");
    let mut templates = Templates::new();
    assert_ne!(templates.code(1, lines[0]), templates.code(2, lines[0]), "by service");
}

#[test]
fn there_is_a_bound_and_it_is_counted() {
    let mut templates = Templates::new();
    let letters = |n: usize| -> String {
        [n / 676 % 26, n / 26 % 26, n % 26].map(|d| (b'a' + d as u8) as char).iter().collect()
    };
    for n in 0..STATEMENTS_MAX + 10 {
        templates.code(1, &letters(n));
    }
    assert_eq!((templates.statements.len(), templates.unread), (STATEMENTS_MAX, 10));
}
