use super::*;

#[test]
fn circles_are_cut_where_they_come_back_and_callers_stand_left() {
    let edges = [(0, 1), (1, 2), (2, 1), (2, 3), (0, 3), (3, 3)];
    let layers = Layers::of(4, &edges, &[0, 1, 2, 3]);
    assert_eq!(layers.column[..4], [0, 2, 4, 6]);
    let against: Vec<bool> = layers.chains.iter().map(|(_, backward)| *backward).collect();
    assert_eq!(against, [false, false, true, false, false, false]);
    let labels = layers.items.iter().filter(|item| matches!(item, Item::Label(_))).count();
    assert_eq!(labels, 5, "one for each edge between two nodes");
    assert!(layers.chains[5].0.is_empty());
}

#[test]
fn what_can_be_drawn_without_crossings_is() {
    // Two trees whose leaves come in a mixed order.
    let edges = [(0, 2), (1, 3), (0, 4), (1, 5), (0, 6), (1, 7)];
    let mut layers = Layers::of(8, &edges, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let sides = layers.neighbours();
    let mut place = vec![0; layers.items.len()];
    assert_eq!(layers.crossings(&sides[1], &mut place), 0);
    layers.columns[2].sort_unstable();
    assert!(layers.crossings(&sides[1], &mut place) > 0, "the order given crosses");
}
