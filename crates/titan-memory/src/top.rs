//! The best of many, without holding many.

use std::cmp::Ordering;

/// At most `limit` of these numbers with their scores, in an order that puts greater scores first and says what comes first
/// among equals. Takes one look at each: what is worse than the worst of the best so far is passed over.
pub(crate) fn top(
    scored: impl Iterator<Item = (u32, f32)>,
    limit: usize,
    best_first: impl Fn(&(u32, f32), &(u32, f32)) -> Ordering,
) -> Vec<(u32, f32)> {
    /// Of so few, sorting out the worst costs more than holding them.
    const HELD_MIN: usize = 256;
    if limit == 0 {
        return Vec::new();
    }
    let held_max = HELD_MIN.max(limit.saturating_mul(2));
    let mut best: Vec<(u32, f32)> = Vec::new();
    let mut least = f32::NEG_INFINITY;
    for (number, score) in scored {
        if score < least {
            continue;
        }
        best.push((number, score));
        if best.len() > held_max {
            best.select_nth_unstable_by(limit - 1, &best_first);
            best.truncate(limit);
            least = best[limit - 1].1;
        }
    }
    best.sort_unstable_by(&best_first);
    best.truncate(limit);
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_those_that_sorting_all_gives(
            scores in proptest::collection::vec(0_u8..40, 0..1_500),
            limit in 0_usize..300,
        ) {
            let scored: Vec<(u32, f32)> = (0..).zip(scores.into_iter().map(f32::from)).collect();
            let best_first =
                |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
            let mut all = scored.clone();
            all.sort_unstable_by(best_first);
            all.truncate(limit);
            prop_assert_eq!(top(scored.into_iter(), limit, best_first), all);
        }
    }
}
