//! Bounds and ranges; that counts equal those of a naive loop stands in `tests/difference.rs`.

use super::limits::Numbers;
use super::*;
use crate::carriers::Limit;

#[test]
fn what_the_memory_holds_is_what_most_failing_requests_carry() {
    let affordable =
        |count_min, kept_max| affordable([9, 3, 2, 7, 3, 4].into_iter(), count_min, kept_max);
    assert_eq!(affordable(3, 10), (3, 0));
    assert_eq!(affordable(3, 5), (3, 0));
    assert_eq!(affordable(3, 3), (4, 2));
    // Equal ones go together, whatever their order.
    assert_eq!(affordable(3, 4), (4, 2));
    assert_eq!(affordable(3, 1), (8, 4));
    assert_eq!(affordable(3, 0), (10, 5));
}

fn numbers(values: impl IntoIterator<Item = f64>) -> Numbers {
    let mut numbers = Numbers::default();
    values.into_iter().for_each(|value| numbers.add(value));
    numbers
}

#[test]
fn ranges_are_ranks_of_failing_values_and_each_number_has_one_bin() {
    assert!(numbers([1.0, 2.0, f64::NAN]).ranges().is_none());
    let ranges = numbers((0..101).map(f64::from)).ranges().expect("more than two values");
    let texts: Vec<String> = ranges.tried.iter().map(Limit::to_string).collect();
    assert_eq!(texts[0], ">= 5");
    assert!(texts.contains(&"< 95".to_owned()) && texts.contains(&">= 5 and < 95".to_owned()));
    assert_eq!((ranges.bins(), ranges.bin(-1.0), ranges.bin(f64::NAN)), (6, Some(0), None));
    assert_eq!((ranges.bin(5.0), ranges.bin(4.9), ranges.bin(1e9)), (Some(1), Some(0), Some(5)));
    for range in &ranges.tried {
        assert_eq!(Limit::parse(&range.to_string()).as_ref(), Some(range));
    }
    // Equal ranks make fewer ranges, and none that is empty.
    let ranges = numbers([1.0, 1.0, 1.0, 2.0, 3.0]).ranges().expect("three values");
    assert!(ranges.tried.iter().all(|range| !range.is_empty()), "{:?}", ranges.tried);
}
