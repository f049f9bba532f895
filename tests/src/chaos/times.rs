//! Times as they are reported, and bounds that they are held against.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Half of them took no longer.
    pub p50_ms: Option<u64>,
    /// 99 of a hundred took no longer.
    pub p99_ms: Option<u64>,
    /// None took longer.
    pub max_ms: Option<u64>,
    /// Each, the smallest first.
    pub all_ms: Vec<u64>,
}

impl Times {
    /// Of these.
    pub fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            times.get(rank.saturating_sub(1)).copied()
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: times.last().copied(),
            all_ms: times,
        }
    }

    /// With these too.
    pub fn add(&mut self, more: &Self) {
        *self = Self::of([self.all_ms.as_slice(), more.all_ms.as_slice()].concat());
    }
}

/// How long it took to go on after losses of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Of what was owed at once.
    pub times: Times,
    /// These should be no longer. Milliseconds.
    pub bound_ms: u64,
    /// Owed, and not done while it was watched.
    pub never: usize,
    /// What had good reason to wait, by that.
    pub apart: BTreeMap<String, Times>,
    /// Nothing was owed: the lost member's report had come before.
    pub reported: usize,
    /// Of which nothing can be said.
    pub unwatched: usize,
}

impl Recovery {
    /// Whether the bound was held; `None`: nothing was owed.
    pub fn is_held(&self) -> Option<bool> {
        match self.times.max_ms {
            _ if self.never > 0 => Some(false),
            Some(max) => Some(max <= self.bound_ms),
            None => None,
        }
    }

    /// With these too.
    pub fn add(&mut self, more: &Self) {
        self.times.add(&more.times);
        self.bound_ms = self.bound_ms.max(more.bound_ms);
        self.never += more.never;
        self.reported += more.reported;
        self.unwatched += more.unwatched;
        for (why, times) in &more.apart {
            self.apart.entry(why.clone()).or_default().add(times);
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |one: Option<u64>| one.map_or("-".to_owned(), |ms| ms.to_string());
        write!(
            f,
            "p50 {}, p99 {}, max {} ms ({})",
            ms(self.p50_ms),
            ms(self.p99_ms),
            ms(self.max_ms),
            self.all_ms.len()
        )
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.is_held() {
            Some(true) => "held",
            Some(false) => "NOT HELD",
            None => "nothing was owed",
        };
        write!(f, "{}; bound {} ms: {verdict}", self.times, self.bound_ms)?;
        if self.never > 0 {
            write!(f, "; {} never", self.never)?;
        }
        if self.reported > 0 {
            write!(f, "; {} reported before", self.reported)?;
        }
        if self.unwatched > 0 {
            write!(f, "; {} unwatched", self.unwatched)?;
        }
        for (why, times) in &self.apart {
            write!(f, "\n    apart, {why}: {times}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_held_by_the_slowest_and_not_by_what_never_came() {
        let mut recovery = Recovery {
            bound_ms: 3_000,
            ..Recovery::default()
        };
        assert_eq!(recovery.is_held(), None);
        recovery.times = Times::of(vec![2_900, 100, 200]);
        assert_eq!(recovery.times.p50_ms, Some(200));
        assert_eq!(recovery.is_held(), Some(true));
        let mut slow = recovery.clone();
        slow.times.add(&Times::of(vec![3_001]));
        assert_eq!(slow.times.max_ms, Some(3_001));
        assert_eq!(slow.is_held(), Some(false));
        recovery.add(&Recovery {
            never: 1,
            ..Recovery::default()
        });
        assert_eq!(recovery.is_held(), Some(false));
        assert_eq!(recovery.bound_ms, 3_000);
    }
}
