//! Failing: error classes, back-off with limits, and what a stack does about a resource that has failed
//! for good. Knows nothing of what was attempted.

use crate::command::{ErrorClass, OnFailure, Settings};
use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId, StackId, Subject, Text};
use crate::row::{RowKey, Stop, TroubleRow};
use crate::state::Trouble;
use crate::turn::{Turn, trouble_row};

/// A failure to be counted.
pub(crate) struct Count {
    pub(crate) class: ErrorClass,
    pub(crate) message: Text,
    pub(crate) retry_after_ms: Option<u64>,
    /// Who holds the name that it needs.
    pub(crate) holder: Option<InstanceId>,
}

impl Count {
    pub(crate) fn new(class: ErrorClass, message: Text) -> Count {
        Count {
            class,
            message,
            retry_after_ms: None,
            holder: None,
        }
    }
}

impl Turn<'_> {
    /// Counts one more failure. True: that was the last attempt.
    pub(crate) fn count_failure(&mut self, subject: Subject, failure: Count) -> bool {
        let before = self.trouble_of(subject);
        let attempts = before
            .map_or(0, |trouble| trouble.attempts)
            .saturating_add(1);
        let settings = &self.state.cluster.settings;
        // In a stack that holds no name any more nobody can ask for another attempt: it goes on by itself.
        let failed = attempts >= limit(settings, failure.class) && self.is_named(subject);
        let wait_ms = back_off_ms(settings, attempts).max(failure.retry_after_ms.unwrap_or(0));
        let row = TroubleRow {
            attempts,
            class: failure.class,
            not_before_ms: self.stamp.state_ms.saturating_add(wait_ms),
            failed,
            holder: failure.holder,
            message: failure.message.clone(),
        };
        let kind = if failed {
            EventKind::Failed
        } else {
            EventKind::Retrying
        };
        match subject {
            Subject::Resource(id) => self.tell_resource(id, kind, &*failure.message),
            Subject::Instance(id) => self.tell_instance(id, kind, &*failure.message),
        }
        self.set_trouble(subject, row);
        if failed && let Subject::Resource(id) = subject {
            self.resource_failed(id);
        }
        failed
    }

    /// The resource waits for the holder of a name, which goes. That is no failure.
    pub(crate) fn wait_for_holder(&mut self, id: ResourceId, holder: InstanceId, message: Text) {
        let before = self.trouble_of(Subject::Resource(id));
        let row = TroubleRow {
            attempts: before.map_or(0, |trouble| trouble.attempts),
            class: ErrorClass::Conflict,
            not_before_ms: 0,
            failed: false,
            holder: Some(holder),
            message,
        };
        self.set_trouble(Subject::Resource(id), row);
    }

    fn is_named(&self, subject: Subject) -> bool {
        let owner = match subject {
            Subject::Resource(id) => id,
            Subject::Instance(id) => self.state.instance(id).row.resource,
        };
        self.state
            .stack(self.state.resource(owner).row.stack)
            .row
            .named
    }

    fn trouble_of(&self, subject: Subject) -> Option<Trouble> {
        match subject {
            Subject::Resource(id) => self.state.resource(id).trouble.as_deref().copied(),
            Subject::Instance(id) => self.state.instance(id).trouble.as_deref().copied(),
        }
    }

    fn set_trouble(&mut self, subject: Subject, row: TroubleRow) {
        self.clear_trouble(subject);
        let trouble = Some(Box::new(Trouble::of(&row)));
        let owner = match subject {
            Subject::Resource(id) => {
                if let Some(holder) = row.holder {
                    self.state.blocked.insert((holder, id));
                }
                self.state.resource_mut(id).trouble = trouble;
                id
            }
            Subject::Instance(id) => {
                self.state.instance_mut(id).trouble = trouble;
                self.wake_unknown_requirers(id);
                self.state.instance(id).row.resource
            }
        };
        let stack = self.state.resource(owner).row.stack;
        self.state.stack_mut(stack).troubled.insert(subject);
        trouble_row(self, subject, row);
        self.enqueue(owner);
    }

    /// Forgets the failures of one subject.
    pub(crate) fn clear_trouble(&mut self, subject: Subject) {
        let (before, owner) = match subject {
            Subject::Resource(id) => (self.state.resource_mut(id).trouble.take(), id),
            Subject::Instance(id) => {
                let instance = self.state.instance_mut(id);
                (instance.trouble.take(), instance.row.resource)
            }
        };
        let Some(before) = before else {
            return;
        };
        match (subject, before.holder) {
            (Subject::Resource(id), Some(holder)) => {
                self.state.blocked.remove(&(holder, id));
            }
            (Subject::Instance(id), _) => self.wake_unknown_requirers(id),
            _ => {}
        }
        let stack = self.state.resource(owner).row.stack;
        self.state.stack_mut(stack).troubled.remove(&subject);
        self.remove(RowKey::Trouble(subject));
        self.enqueue(owner);
    }

    /// Forgets up to `limit` failures of a stack. True: none is left.
    pub(crate) fn forgive(&mut self, stack: StackId, limit: usize) -> bool {
        let some: Vec<Subject> = {
            let troubled = &self.state.stack(stack).troubled;
            troubled.iter().take(limit).copied().collect()
        };
        for subject in some {
            self.clear_trouble(subject);
        }
        self.state.stack(stack).troubled.is_empty()
    }

    /// A resource has failed for good: what does its stack do?
    fn resource_failed(&mut self, id: ResourceId) {
        let stack = self.state.resource(id).row.stack;
        let row = &self.state.stack(stack).row;
        if row.stop.is_some() || row.deleting {
            return;
        }
        let heal = row.settled_revision == row.revision;
        let stop = match row.options.on_failure {
            OnFailure::Continue => return,
            OnFailure::Halt => Stop::Halted,
            // Going back is for changes that failed, and is tried once.
            OnFailure::Rollback if heal || row.rolling_back => return,
            OnFailure::Rollback => Stop::RollbackDue,
        };
        let name = self.state.resource(id).row.name.clone();
        self.edit_stack(stack).stop = Some(stop);
        self.tell(
            Some(stack),
            EventKind::Halted,
            format!("resource {name} failed"),
        );
    }
}

fn limit(settings: &Settings, class: ErrorClass) -> u32 {
    match class {
        ErrorClass::Transient => settings.transient_attempts,
        ErrorClass::Quota => settings.quota_attempts,
        ErrorClass::Permanent => settings.permanent_attempts,
        ErrorClass::Conflict => settings.conflict_attempts,
    }
}

/// Doubles with each attempt, up to the longest.
fn back_off_ms(settings: &Settings, attempts: u32) -> u64 {
    let doublings = attempts.saturating_sub(1).min(32);
    settings
        .retry_base_ms
        .saturating_mul(1 << doublings)
        .min(settings.retry_max_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let settings = Settings::default();
        let waits: Vec<u64> = (1..=10)
            .map(|attempts| back_off_ms(&settings, attempts))
            .collect();
        assert_eq!(waits[..4], [1000, 2000, 4000, 8000]);
        assert_eq!(waits[9], settings.retry_max_ms);
        assert_eq!(back_off_ms(&settings, u32::MAX), settings.retry_max_ms);
    }
}
