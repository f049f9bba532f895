//! Work that rests: it was refused, or declined again and again, and proposing it at once would only be the same again.
//!
//! Pure: time is an argument. Knows nothing of why.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anneal_statemachine::id::{InstanceId, ResourceId};
use anneal_statemachine::view::Work;

/// How long work rests: the picture that led to the proposal was wrong, and may be still.
const REST: Duration = Duration::from_millis(500);
/// A second decline within this is no accident any more: one that comes of a change or a lost footing is over at once.
const TWICE_WITHIN: Duration = Duration::from_secs(5);

/// What rests, and what was declined lately.
#[derive(Debug, Default)]
pub(super) struct Resting {
    until: BTreeMap<Work, Instant>,
    declined: BTreeMap<InstanceId, Instant>,
}

impl Resting {
    /// Whether this work rests.
    pub(super) fn rests(&self, work: Work) -> bool {
        self.until.contains_key(&work)
    }

    /// The state machine refused it.
    pub(super) fn refused(&mut self, work: Work, now: Instant) {
        self.until.insert(work, now + REST);
    }

    /// An engine declined what it was assigned on this instance.
    pub(super) fn declined(
        &mut self,
        instance: InstanceId,
        resource: Option<ResourceId>,
        now: Instant,
    ) {
        let before = self.declined.insert(instance, now);
        if before.is_none_or(|before| now.duration_since(before) > TWICE_WITHIN) {
            return;
        }
        let make = resource.map(Work::Make);
        let works = [Work::Look(instance), Work::Delete(instance)];
        for work in works.into_iter().chain(make) {
            self.until.insert(work, now + REST);
        }
    }

    /// When the first of it has rested.
    pub(super) fn next(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }

    /// Wakes what has rested.
    pub(super) fn wake(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        self.declined
            .retain(|_, at| now.duration_since(*at) <= TWICE_WITHIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: InstanceId = InstanceId(7);
    const RESOURCE: ResourceId = ResourceId(3);

    #[test]
    fn one_decline_costs_nothing_and_the_next_a_rest() {
        let mut resting = Resting::default();
        let start = Instant::now();
        resting.declined(INSTANCE, Some(RESOURCE), start);
        assert!(!resting.rests(Work::Make(RESOURCE)));
        let again = start + Duration::from_secs(1);
        resting.declined(INSTANCE, Some(RESOURCE), again);
        assert!(resting.rests(Work::Make(RESOURCE)) && resting.rests(Work::Look(INSTANCE)));
        assert_eq!(resting.next(), Some(again + REST));
        resting.wake(again + REST);
        assert!(!resting.rests(Work::Make(RESOURCE)));
    }

    #[test]
    fn declines_far_apart_are_accidents() {
        let mut resting = Resting::default();
        let start = Instant::now();
        resting.declined(INSTANCE, None, start);
        resting.wake(start + Duration::from_secs(6));
        resting.declined(INSTANCE, None, start + Duration::from_secs(6));
        assert_eq!(resting.next(), None);
    }
}
