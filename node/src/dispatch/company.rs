//! Whether stacks have company: others that get work at the same time.
//!
//! Pure: time is an argument. One that is alone may have all that engines carry. Where it has company, what it has in flight is what
//! the others wait for, in the log, before `apply` and for the processors, even if each of them has its turn at once.

use std::time::{Duration, Instant};

/// For so long after another stack got work, nobody counts as alone: a small stack is made in some rounds through the log.
const LASTS: Duration = Duration::from_millis(200);

/// Who got work last, and when that was somebody else than before. `K` names a stack.
#[derive(Debug)]
pub(super) struct Company<K> {
    last: Option<K>,
    changed: Option<Instant>,
}

impl<K> Default for Company<K> {
    fn default() -> Self {
        Self {
            last: None,
            changed: None,
        }
    }
}

impl<K: PartialEq> Company<K> {
    /// A stack gets work.
    pub(super) fn served(&mut self, key: K, now: Instant) {
        if self.last.as_ref().is_some_and(|last| *last != key) {
            self.changed = Some(now);
        }
        self.last = Some(key);
    }

    /// More than one has got work lately.
    pub(super) fn is_there(&self, now: Instant) -> bool {
        let since = |changed: Instant| now.saturating_duration_since(changed);
        self.changed.is_some_and(|changed| since(changed) < LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_has_no_company_and_two_have_for_some_time() {
        let mut company = Company::default();
        let begin = Instant::now();
        company.served(1, begin);
        company.served(1, begin);
        assert!(!company.is_there(begin));
        company.served(2, begin);
        assert!(company.is_there(begin + LASTS / 2));
        company.served(2, begin + LASTS / 2);
        assert!(!company.is_there(begin + LASTS), "2 is alone again");
    }
}
