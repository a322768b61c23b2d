//! How probable a difference is by accident.
//!
//! Large counts: the G-test (R. R. Sokal and F. J. Rohlf, "Biometry", chapter 17), which is the
//! likelihood ratio and adds up where chi-square does not. Small counts: Fisher's exact test
//! (R. A. Fisher, JRSS 98, 1935). Both one-sided: only what is *more* frequent among failing
//! requests can explain them.
//!
//! Corrected by Bonferroni: the chance is multiplied by all values that were tried. It holds
//! under any dependence, and attributes depend on each other heavily; and one wrong cause named
//! costs a reader more than a weak one left out, so the chance of *any* false one is bounded,
//! not their share (which is what Benjamini and Hochberg bound).

/// Counts on both sides: how many have it, of how many.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Sides {
    pub(crate) failing: u64,
    pub(crate) failing_total: u64,
    pub(crate) healthy: u64,
    pub(crate) healthy_total: u64,
}

/// Below this expected count in any cell the exact test is used (W. G. Cochran, Biometrics 10,
/// 1954).
const EXPECTED_MIN: f64 = 5.0;

/// Added to every cell of an odds ratio, so that empty cells have one (J. B. S. Haldane, Annals
/// of Human Genetics 20, 1956).
const HALF: f64 = 0.5;

impl Sides {
    /// Share among failing, share among healthy.
    pub(crate) fn shares(&self) -> (f64, f64) {
        let share = |count: u64, total: u64| {
            if total == 0 { 0.0 } else { count as f64 / total as f64 }
        };
        (share(self.failing, self.failing_total), share(self.healthy, self.healthy_total))
    }

    /// How many times larger the odds to have it are among failing requests.
    pub(crate) fn odds_ratio(&self) -> f64 {
        let cell = |count: u64| count as f64 + HALF;
        let failing = cell(self.failing) / cell(self.failing_total - self.failing);
        failing * cell(self.healthy_total - self.healthy) / cell(self.healthy)
    }

    /// The G statistic, negative when it is rarer among failing requests.
    pub(crate) fn g(&self) -> f64 {
        let (a, b) = (self.failing as f64, self.healthy as f64);
        let (c, d) = (
            (self.failing_total - self.failing) as f64,
            (self.healthy_total - self.healthy) as f64,
        );
        let n = a + b + c + d;
        let part = |cell: f64, row: f64, column: f64| {
            if cell > 0.0 { cell * (cell * n / (row * column)).ln() } else { 0.0 }
        };
        let sum = part(a, a + b, a + c)
            + part(b, a + b, b + d)
            + part(c, c + d, a + c)
            + part(d, c + d, b + d);
        let (failing, healthy) = self.shares();
        2.0 * sum.max(0.0) * if failing < healthy { -1.0 } else { 1.0 }
    }

    /// The chance to see it this much more among failing requests by accident, uncorrected.
    pub(crate) fn p_value(&self) -> f64 {
        let (failing, healthy) = self.shares();
        if self.failing_total == 0 || self.healthy_total == 0 || failing <= healthy {
            return 1.0;
        }
        let n = (self.failing_total + self.healthy_total) as f64;
        let have = (self.failing + self.healthy) as f64;
        let smaller = (self.failing_total.min(self.healthy_total)) as f64;
        if have.min(n - have) * smaller / n < EXPECTED_MIN {
            self.fisher()
        } else {
            normal_tail(self.g().max(0.0).sqrt())
        }
    }

    /// The upper tail of the hypergeometric distribution, term by term from the observed one;
    /// later terms shrink, so the sum stops where they no longer matter.
    fn fisher(&self) -> f64 {
        let n = self.failing_total + self.healthy_total;
        let have = self.failing + self.healthy;
        let mut term = (ln_choose(self.failing_total, self.failing)
            + ln_choose(self.healthy_total, self.healthy)
            - ln_choose(n, have))
        .exp();
        let (mut sum, mut a) = (term, self.failing as f64);
        let (f, h, k) = (self.failing_total as f64, self.healthy_total as f64, have as f64);
        while a < f.min(k) && term > sum * 1e-12 {
            term *= (f - a) * (k - a) / ((a + 1.0) * (h - k + a + 1.0));
            sum += term;
            a += 1.0;
        }
        sum.min(1.0)
    }
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Stirling's series (NIST Handbook of Mathematical Functions, 5.11.1), exact sums below 16.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64 + 1.0;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// The upper tail of the normal distribution at `z` >= 0, by the fraction of W. H. Press et al.,
/// "Numerical Recipes", section 6.2: relative error below 1.2e-7 everywhere.
pub(crate) fn normal_tail(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    const POLYNOMIAL: [f64; 9] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
    ];
    let series = POLYNOMIAL.iter().fold(0.0, |sum, factor| sum * t + factor);
    0.5 * t * (-x * x - 1.265_512_23 + t * series).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(failing: u64, failing_total: u64, healthy: u64, healthy_total: u64) -> Sides {
        Sides { failing, failing_total, healthy, healthy_total }
    }

    #[test]
    fn fisher_is_exact_for_tea_with_milk() {
        // The lady tasting tea: 3 of 4 right, the chance of that or better is 17/70.
        assert!((sides(3, 4, 1, 4).p_value() - 17.0 / 70.0).abs() < 1e-12);
        assert!((sides(4, 4, 0, 4).p_value() - 1.0 / 70.0).abs() < 1e-12);
        assert_eq!(sides(1, 4, 3, 4).p_value(), 1.0);
        assert_eq!(sides(0, 0, 0, 4).p_value(), 1.0);
    }

    #[test]
    fn the_tail_of_the_normal_distribution_is_the_known_one() {
        for (z, tail) in [(0.0, 0.5), (1.959_964, 0.025), (5.0, 2.866_516e-7), (10.0, 7.619_85e-24)]
        {
            let found = normal_tail(z);
            assert!((found / tail - 1.0).abs() < 1e-5, "{z}: {found} is not {tail}");
        }
    }

    #[test]
    fn both_tests_agree_where_they_meet() {
        for counts in [(12, 60, 40, 400), (20, 100, 100, 1000), (30, 50, 200, 500)] {
            let sides = sides(counts.0, counts.1, counts.2, counts.3);
            let (g, exact) = (normal_tail(sides.g().sqrt()), sides.fisher());
            assert!((g.ln() / exact.ln() - 1.0).abs() < 0.35, "{counts:?}: {g} and {exact}");
        }
    }
}
