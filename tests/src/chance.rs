//! Seeded chance. Of our own making, so that a seed that is written down means the same after every upgrade of a crate.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The same seed gives the same draws.
    pub fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Another source, whose draws do not depend on how many are taken from this one later.
    pub fn split(&mut self) -> Self {
        Self::of(self.next())
    }

    /// Any number.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` up to, and without, `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low < high, "nothing lies between {low} and {high}");
        low + self.next() % (high - low)
    }

    /// True in so many of a thousand draws.
    pub fn per_mille(&mut self, of_thousand: u64) -> bool {
        self.between(0, 1000) < of_thousand
    }

    /// One of them.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() {
            return None;
        }
        of.get(usize::try_from(self.between(0, of.len() as u64)).ok()?)
    }

    /// All of them in another order.
    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            let other = usize::try_from(self.between(0, last as u64 + 1)).unwrap_or(0);
            of.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_is_written_down_keeps_its_meaning() {
        let mut chance = Chance::of(7);
        assert_eq!(
            [chance.next(), chance.next()],
            [7_191_089_600_892_374_487, 309_689_372_594_955_804]
        );
    }
}
