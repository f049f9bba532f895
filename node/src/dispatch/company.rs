//! Whether a stack has company: small ones that get work at the same time.
//!
//! Pure: time is an argument. What a large stack has in flight is what others wait for, in the log, before `apply` and for the
//! processors, even if each of them has its turn at once. Who waits is felt in a small stack: another large one waits for itself.

use std::time::{Duration, Instant};

/// For so long after a small stack got work it is company: it is made in some rounds through the log.
const LASTS: Duration = Duration::from_millis(200);

/// The two small stacks that got work last: one of them is company for whichever asks. `K` names a stack.
#[derive(Debug)]
pub(super) struct Company<K> {
    last: Option<(K, Instant)>,
    before: Option<(K, Instant)>,
}

impl<K> Default for Company<K> {
    fn default() -> Self {
        Self {
            last: None,
            before: None,
        }
    }
}

impl<K: PartialEq> Company<K> {
    /// A small stack gets work.
    pub(super) fn served(&mut self, small: K, now: Instant) {
        match &mut self.last {
            Some((last, at)) if *last == small => *at = now,
            _ => self.before = self.last.replace((small, now)),
        }
    }

    /// Another one, which is small, has got work lately.
    pub(super) fn has(&self, key: &K, now: Instant) -> bool {
        let both = self.last.iter().chain(&self.before);
        both.filter(|(small, _)| small != key)
            .any(|(_, at)| now.saturating_duration_since(*at) < LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_one_is_company_for_others_for_some_time() {
        let mut company = Company::default();
        let begin = Instant::now();
        assert!(!company.has(&0, begin));
        company.served(1, begin);
        company.served(1, begin + LASTS / 2);
        assert!(!company.has(&1, begin + LASTS / 2), "not for itself");
        assert!(company.has(&0, begin + LASTS), "it got work again");
        assert!(!company.has(&0, begin + LASTS / 2 + LASTS));
        company.served(2, begin + LASTS);
        assert!(company.has(&1, begin + LASTS) && company.has(&2, begin + LASTS));
        let later = begin + LASTS / 2 + LASTS;
        assert!(company.has(&1, later) && !company.has(&2, later));
    }
}
