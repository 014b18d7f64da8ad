//! Numbers of many.

/// Their sum.
#[inline(never)]
pub fn sum(numbers: &[f64]) -> f64 {
    numbers.iter().sum()
}

/// Their mean; `None` of nothing.
#[inline(never)]
pub fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| sum(numbers) / numbers.len() as f64)
}

/// The one in the middle, or the mean of the two that are; `None` of nothing.
#[inline(never)]
pub fn median(numbers: &[f64]) -> Option<f64> {
    percentile(numbers, 50.0)
}

/// The value that so many of a hundred are at most, between two where it falls between them; `None` of nothing.
#[inline(never)]
pub fn percentile(numbers: &[f64], of_hundred: f64) -> Option<f64> {
    let sorted = sorted(numbers);
    let last = sorted.len().checked_sub(1)?;
    let place = of_hundred.clamp(0.0, 100.0) / 100.0 * last as f64;
    let (low, high) = (place.floor(), place.ceil());
    let (a, b) = (sorted[low as usize], sorted[high as usize]);
    Some(a + (b - a) * (place - low))
}

/// The standard deviation of a sample; `None` of fewer than two.
#[inline(never)]
pub fn deviation(numbers: &[f64]) -> Option<f64> {
    let mean = mean(numbers).filter(|_| numbers.len() > 1)?;
    let squares: f64 = numbers.iter().map(|one| (one - mean) * (one - mean)).sum();
    Some((squares / (numbers.len() - 1) as f64).sqrt())
}

/// The smallest; `None` of nothing.
#[inline(never)]
pub fn min(numbers: &[f64]) -> Option<f64> {
    sorted(numbers).first().copied()
}

/// The largest; `None` of nothing.
#[inline(never)]
pub fn max(numbers: &[f64]) -> Option<f64> {
    sorted(numbers).last().copied()
}

/// From the smallest to the largest.
#[inline(never)]
pub fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// With so many digits after the point.
#[inline(never)]
pub fn round(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

/// How often each stands there, the most frequent first, then in order.
#[inline(never)]
pub fn counts(texts: &[String]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for text in texts {
        *counts.entry(text.clone()).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    // Python's `statistics`, and numpy's linear percentiles.
    #[test]
    fn figures_are_those_that_others_come_to() {
        let some = [2.0, 4.0, 4.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&some), Some(31.0 / 6.0));
        assert_eq!(median(&some), Some(4.5));
        assert_eq!(percentile(&some, 90.0), Some(8.0));
        assert_eq!(deviation(&some).map(|d| round(d, 6)), Some(2.483277));
        assert_eq!((min(&some), max(&some)), (Some(2.0), Some(9.0)));
        assert_eq!(
            (mean(&[]), median(&[]), deviation(&[1.0])),
            (None, None, None)
        );
        assert_eq!(round(2.675, 1), 2.7);
    }

    #[test]
    fn the_most_frequent_comes_first() {
        let texts = ["b", "a", "c", "a", "b"].map(str::to_owned);
        let told: Vec<String> = counts(&texts)
            .iter()
            .map(|(text, n)| format!("{text}{n}"))
            .collect();
        assert_eq!(told, ["a2", "b2", "c1"]);
    }
}
