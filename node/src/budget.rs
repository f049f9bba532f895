//! A rate that is kept to over any time.
//!
//! Pure: moments are arguments. Knows nothing of what is begun.

/// What may begin: so many per second, and no burst beyond one second's worth.
#[derive(Debug)]
pub(crate) struct Budget {
    per_second: u64,
    /// Thousandths of one.
    milli_tokens: u64,
    filled_at_ms: u64,
}

impl Budget {
    /// A full one.
    pub(crate) fn new(per_second: u64, now_ms: u64) -> Self {
        Self {
            per_second,
            milli_tokens: per_second * 1_000,
            filled_at_ms: now_ms,
        }
    }

    /// How many may begin now.
    pub(crate) fn available(&mut self, now_ms: u64) -> usize {
        let passed_ms = now_ms.saturating_sub(self.filled_at_ms);
        self.filled_at_ms = now_ms;
        let filled = self
            .milli_tokens
            .saturating_add(passed_ms.saturating_mul(self.per_second));
        self.milli_tokens = filled.min(self.per_second * 1_000);
        usize::try_from(self.milli_tokens / 1_000).unwrap_or(usize::MAX)
    }

    /// So many begin.
    pub(crate) fn spend(&mut self, begun: usize) {
        let spent = u64::try_from(begun)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000);
        self.milli_tokens = self.milli_tokens.saturating_sub(spent);
    }

    /// How long until one more may begin.
    pub(crate) fn wait_ms(&self) -> u64 {
        if self.per_second == 0 {
            return u64::MAX;
        }
        let missing = 1_000_u64.saturating_sub(self.milli_tokens);
        missing.div_ceil(self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_keeps_to_the_rate_over_any_time() {
        let mut budget = Budget::new(100, 0);
        let mut begun = 0;
        for now_ms in 0..10_000 {
            let now = budget.available(now_ms);
            budget.spend(now);
            begun += now;
        }
        assert!((1_000..=1_100).contains(&begun), "{begun} in ten seconds");
        let last = budget.available(10_000);
        budget.spend(last);
        assert!((1..=10).contains(&budget.wait_ms()));
    }
}
