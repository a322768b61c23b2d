use super::*;

/// A small generator with a seed (G. Marsaglia, "Xorshift RNGs", 2003).
struct Dice(u64);

impl Dice {
    fn chance(&mut self, share: f64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 / (1_u64 << 53) as f64) < share
    }
}

/// 1,000 requests, one each second, with a failing rate that depends on the second.
fn requests(seed: u64, rate: impl Fn(i64) -> f64) -> Vec<(i64, bool)> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..1_000).map(|second| (second, dice.chance(rate(second)))).collect()
}

#[test]
fn the_interval_of_a_rise_holds_the_true_moment() {
    let (mut held, mut found) = (0, 0);
    for seed in 1..=200 {
        let outcomes = requests(seed, |second| if second < 600 { 0.01 } else { 0.2 });
        let Course::Rose { rise, end: None } = course(&outcomes, 1_000) else { continue };
        let (at, within) = moment(&outcomes, &rise);
        found += 1;
        held += usize::from((at - 600).abs() <= within);
    }
    assert!(found >= 198 && held * 100 >= found * 95, "{held} of {found}");
}

#[test]
fn a_steady_rate_has_no_onset() {
    let wrong = (1..=400)
        .filter(|seed| course(&requests(*seed, |_| 0.05), 1_000) != Course::Steady)
        .count();
    assert!(wrong <= 2, "{wrong} of 400 steady windows got an onset");
    assert_eq!(course(&requests(1, |_| 1.0), 1_000), Course::Steady);
    assert_eq!(course(&[], 1_000), Course::Steady);
}

#[test]
fn a_burst_has_an_end_and_a_short_one_is_a_spike() {
    let burst = requests(7, |s| if (300..500).contains(&s) { 0.5 } else { 0.005 });
    let Course::Rose { rise, end: Some(end) } = course(&burst, 1_000) else {
        panic!("no burst: {:?}", course(&burst, 1_000))
    };
    assert!((295..=305).contains(&rise.first) && (490..=505).contains(&end), "{rise:?} {end}");
    let spike = requests(7, |s| if (300..308).contains(&s) { 1.0 } else { 0.0 });
    assert_eq!(course(&spike, 1_000), Course::Spike { first: 300, end: 308 });
}

/// The stretch is found among failing requests alone; one look at all requests finds the same.
#[test]
fn the_densest_stretch_is_what_all_requests_tell() {
    let (outside, inside) = (0.03_f64, 0.2_f64);
    let (failed, fine) = ((inside / outside).ln(), ((1.0 - inside) / (1.0 - outside)).ln());
    for seed in 1..=200 {
        let burst = |second: i64| if (300..420).contains(&second) { 0.3 } else { 0.03 };
        let outcomes = requests(seed, burst);
        let (mut sum, mut begin, mut best) = (0.0_f64, 0, (0.0, 0, 0));
        for (index, outcome) in outcomes.iter().enumerate() {
            if sum <= 0.0 {
                (sum, begin) = (0.0, index);
            }
            sum += if outcome.1 { failed } else { fine };
            if sum > best.0 {
                best = (sum, begin, index + 1);
            }
        }
        let numbers = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.1);
        let numbers: Vec<usize> = numbers.map(|(index, _)| index).collect();
        assert_eq!(densest(&numbers, outside, inside), (best.1, best.2), "seed {seed}");
    }
    assert_eq!(densest(&[], outside, inside), (0, 0));
}
