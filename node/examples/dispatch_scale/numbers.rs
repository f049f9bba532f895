//! Samples of durations, and what is told of them. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Durations of one kind of step.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    nanoseconds: Vec<u64>,
}

/// What is told of many durations, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// How many there were.
    pub(crate) count: usize,
    /// Half are no longer.
    pub(crate) p50_us: f64,
    /// 99 of 100 are no longer.
    pub(crate) p99_us: f64,
    /// None is longer.
    pub(crate) max_us: f64,
}

impl Samples {
    pub(crate) fn add(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.push(nanoseconds);
    }

    /// A duration for each of so many items.
    pub(crate) fn add_each(&mut self, took: Duration, items: usize) {
        if let Ok(items) = u32::try_from(items)
            && items > 0
        {
            self.add(took / items);
        }
    }

    pub(crate) fn spread(&self) -> Spread {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        let at = |percent| rank(&sorted, percent) as f64 / 1_000.0;
        Spread {
            count: sorted.len(),
            p50_us: at(50),
            p99_us: at(99),
            max_us: at(100),
        }
    }
}

/// The smallest sample that so many percent do not exceed (nearest rank); 0 of none.
fn rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    let at = rank.saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0)
}

/// Chance that is the same every time: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between the two, inclusive.
    pub(crate) fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(rank(&hundred, 50), 50);
        assert_eq!(rank(&hundred, 99), 99);
        assert_eq!(rank(&hundred, 100), 100);
        assert_eq!(rank(&[7], 50), 7);
        assert_eq!(rank(&[], 99), 0);
    }

    #[test]
    fn the_order_of_samples_does_not_matter() {
        let mut samples = Samples::default();
        for took_us in [30, 10, 20] {
            samples.add(Duration::from_micros(took_us));
        }
        let spread = samples.spread();
        assert_eq!(
            (spread.count, spread.p50_us, spread.max_us),
            (3, 20.0, 30.0)
        );
    }

    #[test]
    fn a_step_without_items_is_no_sample_of_an_item() {
        let mut samples = Samples::default();
        samples.add_each(Duration::from_micros(10), 0);
        samples.add_each(Duration::from_micros(10), 5);
        assert_eq!(samples.spread().count, 1);
        assert_eq!(samples.spread().max_us, 2.0);
    }

    #[test]
    fn chance_stays_within_and_repeats_itself() {
        let draw = || {
            let mut dice = Dice::new(3);
            (0..100).map(move |_| dice.within(4, 6)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert!((4..=6).all(|number| draw().contains(&number)));
    }
}
