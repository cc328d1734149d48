//! Drawing a free number from a range of which the low end is kept for those who choose for themselves.

use rand::Rng;
use std::ops::RangeInclusive;

/// How many random numbers are tried before the whole range is looked through.
const PROBES: usize = 32;

/// A range of numbers, its low end the static band (KEP-3070, KEP-3668).
#[derive(Debug, Clone)]
pub(super) struct Band {
    /// The first number.
    pub(super) first: u128,
    /// The first number that is drawn.
    pub(super) dynamic: u128,
    /// The last number.
    pub(super) last: u128,
}

impl Band {
    /// Draws a free number: from the dynamic band while it has one, then from the static band. `is_free` answers for
    /// one number; `used` lists all that are taken, asked for only when luck has run out.
    pub(super) fn draw(
        &self,
        rng: &mut impl Rng,
        is_free: impl Fn(u128) -> bool,
        used: impl FnOnce() -> Vec<u128>,
    ) -> Option<u128> {
        let dynamic = self.dynamic..=self.last;
        if !dynamic.is_empty() {
            let probes = (0..PROBES).map(|_| rng.random_range(dynamic.clone()));
            let lucky = probes.into_iter().find(|n| is_free(*n));
            if lucky.is_some() {
                return lucky;
            }
        }
        let mut used = used();
        used.sort_unstable();
        used.dedup();
        let lower = self.first..=self.dynamic.saturating_sub(1).min(self.last);
        pick(rng, &dynamic, &used).or_else(|| pick(rng, &lower, &used))
    }
}

/// One of the numbers of a range that are not used, each as likely as the others.
fn pick(rng: &mut impl Rng, range: &RangeInclusive<u128>, used: &[u128]) -> Option<u128> {
    let (first, last) = (*range.start(), *range.end());
    if first > last {
        return None;
    }
    let from = used.partition_point(|n| *n < first);
    let to = used.partition_point(|n| *n <= last);
    let taken = &used[from..to];
    let free = (last - first + 1).checked_sub(u128::try_from(taken.len()).ok()?)?;
    if free == 0 {
        return None;
    }
    let mut number = first + rng.random_range(0..free);
    for used in taken {
        if *used > number {
            break;
        }
        number += 1;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::SmallRng};
    use std::collections::BTreeSet;

    /// The band is used up from the dynamic end, every number once, and then says so.
    #[test]
    fn draws_every_number_once_and_the_static_band_last() {
        let mut rng = SmallRng::seed_from_u64(7);
        let band = Band { first: 10, dynamic: 14, last: 40 };
        let mut taken = BTreeSet::new();
        for n in 0..31 {
            let drawn =
                band.draw(&mut rng, |n| !taken.contains(&n), || taken.iter().copied().collect()).unwrap();
            assert_eq!(drawn < 14, n >= 27, "number {n} was {drawn}");
            assert!(taken.insert(drawn) && (10..=40).contains(&drawn));
        }
        assert_eq!(band.draw(&mut rng, |n| !taken.contains(&n), || taken.iter().copied().collect()), None);
    }

    /// Numbers outside the range that are used do not matter.
    #[test]
    fn ignores_claims_outside_the_range() {
        let mut rng = SmallRng::seed_from_u64(7);
        let band = Band { first: 5, dynamic: 5, last: 5 };
        assert_eq!(band.draw(&mut rng, |_| false, || vec![1, 2, 9]), Some(5));
        assert_eq!(band.draw(&mut rng, |_| false, || vec![5]), None);
    }
}
