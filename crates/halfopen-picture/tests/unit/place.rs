use super::*;

#[test]
fn nothing_overlaps_and_a_chain_is_straight() {
    let edges = [(0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (5, 2), (0, 2)];
    let layers = Layers::of(6, &edges, &[0, 1, 2, 3, 4, 5]);
    let sizes = Sizes { height: vec![30.0; layers.items.len()], gap: 10.0 };
    let middle = middles(&layers, &sizes);
    for column in &layers.columns {
        for pair in column.windows(2) {
            assert!(middle[pair[1]] - middle[pair[0]] >= 40.0 - 1e-6, "{column:?}");
        }
    }
    let line = Layers::of(3, &[(0, 1), (1, 2)], &[0, 1, 2]);
    let sizes = Sizes { height: vec![30.0; line.items.len()], gap: 10.0 };
    assert!(self::middles(&line, &sizes).iter().all(|middle| (middle - 15.0).abs() < 1e-6));
}
