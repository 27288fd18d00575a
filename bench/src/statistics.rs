//! What is made of several rounds.

/// The middle of some numbers, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half are below, half above.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// `None` of nothing.
    #[must_use]
    pub fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let (&least, &greatest) = (numbers.first()?, numbers.last()?);
        let (low, high) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, greatest })
    }
}

/// How many times the base each number is, round by round; rounds are given with the numbers. The speed of a shared machine
/// drifts from round to round by more than servers differ, so only neighbours are compared.
#[must_use]
pub fn ratio(numbers: &[(usize, f64)], base: &[(usize, f64)]) -> Option<Spread> {
    let same_round = |(round, number): &(usize, f64)| {
        let (_, base) = base.iter().find(|(other, _)| other == round)?;
        (*base > 0.0).then(|| number / base)
    };
    Spread::of(numbers.iter().filter_map(same_round).collect())
}

/// The exponent `e` of `cost = c * size^e` that fits best: least squares of the logarithms. 0 is flat, 1 is as large as the
/// size. `None` for less than two sizes.
#[must_use]
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let points: Vec<_> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![3.0, 1.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, greatest: 9.0 }));
        assert_eq!(Spread::of(vec![4.0, 1.0, 9.0, 2.0]).map(|spread| spread.median), Some(3.0));
    }

    #[test]
    fn ratios_are_within_a_round() {
        // The machine is four times slower in round 1; round 2 has no base.
        let base = [(0, 10.0), (1, 40.0)];
        let ours = [(1, 60.0), (0, 12.0), (2, 99.0)];
        let ratio = ratio(&ours, &base).expect("there are two");
        assert_eq!((ratio.least, ratio.greatest), (1.2, 1.5));
        assert!((ratio.median - 1.35).abs() < 1e-9);
    }

    #[test]
    fn the_exponent_is_that_of_the_power() {
        let of = |power: f64| {
            let points: Vec<_> =
                [1.0, 2.0, 4.0, 8.0].iter().map(|size: &f64| (*size, 7.0 * size.powf(power))).collect();
            exponent(&points).expect("there are four")
        };
        for power in [-0.5, 0.0, 1.0, 2.0] {
            assert!((of(power) - power).abs() < 1e-9, "{power}");
        }
        assert_eq!(exponent(&[(3.0, 1.0)]), None);
    }
}
