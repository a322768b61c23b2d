//! Where the items of each column stand: near what they are connected with, without overlap.

use super::layers::{Item, Layers};

/// Rounds to and fro; positions no longer move visibly after these.
const ROUNDS: usize = 16;
/// A bend is drawn to its neighbours so much more than a node is: long edges run straight.
const STRAIGHT: f64 = 4.0;

/// Sizes of items, in pixels.
pub(super) struct Sizes {
    pub(super) height: Vec<f64>,
    /// Between two items of one column.
    pub(super) gap: f64,
}

/// The middle of each item, from the top; the smallest upper edge is 0.
pub(super) fn middles(layers: &Layers, sizes: &Sizes) -> Vec<f64> {
    let sides = layers.neighbours();
    let mut middle = vec![0.0; layers.items.len()];
    for column in &layers.columns {
        let mut top = 0.0;
        for item in column {
            middle[*item] = top + sizes.height[*item] / 2.0;
            top += sizes.height[*item] + sizes.gap;
        }
    }
    for round in 0..ROUNDS {
        let to_the_right = round % 2 == 0;
        let side = &sides[usize::from(!to_the_right)];
        // The last rounds look at both sides.
        let both = round + 4 >= ROUNDS;
        for step in 0..layers.columns.len() {
            let last = layers.columns.len() - 1;
            let column = &layers.columns[if to_the_right { step } else { last - step }];
            let wanted: Vec<(f64, f64)> = column
                .iter()
                .map(|item| {
                    let other = &sides[usize::from(to_the_right)][*item];
                    let near = side[*item].iter().chain(other.iter().filter(|_| both));
                    wanted(layers, *item, near, &middle)
                })
                .collect();
            spread(column, &wanted, sizes, &mut middle);
        }
    }
    let top = |item: usize| middle[item] - sizes.height[item] / 2.0;
    let least = (0..middle.len()).map(top).fold(f64::INFINITY, f64::min);
    middle.iter().map(|middle| middle - least).collect()
}

/// Where an item would stand best, and how much that matters.
fn wanted<'n>(
    layers: &Layers,
    item: usize,
    near: impl Iterator<Item = &'n usize>,
    middle: &[f64],
) -> (f64, f64) {
    let is_node = |item: usize| matches!(layers.items[item], Item::Node(_));
    let (mut sum, mut weights) = (0.0, 0.0);
    for other in near {
        let weight = if is_node(item) || is_node(*other) { 1.0 } else { STRAIGHT };
        sum += middle[*other] * weight;
        weights += weight;
    }
    if weights == 0.0 { (middle[item], 0.05) } else { (sum / weights, weights) }
}

/// The positions nearest to the wanted ones (least squares) at which nothing overlaps: isotonic
/// regression by pooling (R. E. Barlow et al., Statistical Inference under Order Restrictions,
/// 1972) of positions without the room that items above take.
fn spread(column: &[usize], wanted: &[(f64, f64)], sizes: &Sizes, middle: &mut [f64]) {
    let mut room = Vec::with_capacity(column.len());
    let mut above = 0.0;
    for (place, item) in column.iter().enumerate() {
        if place > 0 {
            let before = sizes.height[column[place - 1]];
            above += before / 2.0 + sizes.gap + sizes.height[*item] / 2.0;
        }
        room.push(above);
    }
    // Blocks of neighbours that touch: sum of weighted positions, weight, number.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for ((position, weight), room) in wanted.iter().zip(&room) {
        let mut block = ((position - room) * weight, *weight, 1);
        while let Some((sum, weights, count)) = blocks.last() {
            if sum / weights <= block.0 / block.1 {
                break;
            }
            block = (block.0 + sum, block.1 + weights, block.2 + count);
            blocks.pop();
        }
        blocks.push(block);
    }
    let mut place = 0;
    for (sum, weights, count) in blocks {
        for _ in 0..count {
            middle[column[place]] = sum / weights + room[place];
            place += 1;
        }
    }
}

#[cfg(test)]
#[path = "../tests/unit/place.rs"]
mod tests;
