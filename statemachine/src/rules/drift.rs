//! Drift that observation finds: healed, or only told. Knows nothing of how it was observed.

use crate::command::{Drift, Seen};
use crate::event::EventKind;
use crate::id::InstanceId;
use crate::row::{Observed, ReportedDrift};
use crate::state::State;
use crate::turn::Turn;

/// What is to be done about drift of an instance.
pub(crate) fn drift_policy(state: &State, id: InstanceId) -> Drift {
    let resource = state.resource(state.instance(id).row.resource);
    resource
        .policy()
        .and_then(|policy| policy.drift)
        .unwrap_or(state.stack(resource.row.stack).row.options.drift)
}

impl Turn<'_> {
    /// Takes a difference in. False: it says nothing new.
    pub(crate) fn drifted(&mut self, id: InstanceId, seen: &Seen) -> bool {
        let (drift, text) = match seen {
            Seen::Same => return self.same_again(id),
            Seen::Vanished => (ReportedDrift::Vanished, "it has vanished"),
            Seen::Changed { difference } => (ReportedDrift::Changed, &**difference),
            Seen::Unhealthy { message } => (ReportedDrift::Unhealthy, &**message),
        };
        let told = drift_policy(self.state, id) == Drift::Report && self.state.wanted(id);
        if told && self.state.instance(id).row.drift == Some(drift) {
            return false;
        }
        self.tell_instance(id, EventKind::Drifted, text);
        if told {
            self.note(id, |row| row.drift = Some(drift));
            self.count_drift(id, true);
        } else {
            self.heal(id, drift);
        }
        true
    }

    /// Makes drift count.
    pub(crate) fn heal(&mut self, id: InstanceId, drift: ReportedDrift) {
        self.count_drift(id, false);
        match drift {
            ReportedDrift::Vanished => {
                self.tell_instance(id, EventKind::Gone, "nothing is there any more");
                self.forget(id);
            }
            ReportedDrift::Changed => self.edit(id, |row| {
                row.drift = None;
                row.fingerprint = None;
            }),
            ReportedDrift::Unhealthy => self.edit(id, |row| {
                row.drift = None;
                row.fingerprint = None;
                row.observed = Observed::Present { healthy: false };
            }),
        }
    }

    /// What was only told so far is healed if the policy has changed.
    pub(crate) fn heal_reported(&mut self, id: InstanceId) -> bool {
        let row = &self.state.instance(id).row;
        let Some(drift) = row.drift.filter(|_| row.is_present()) else {
            return false;
        };
        let due = drift_policy(self.state, id) == Drift::Heal;
        if due {
            self.heal(id, drift);
        }
        due
    }

    fn same_again(&mut self, id: InstanceId) -> bool {
        if self.state.instance(id).row.drift.is_none() {
            return false;
        }
        self.note(id, |row| row.drift = None);
        self.count_drift(id, false);
        self.tell_instance(id, EventKind::Drifted, "it is as it should be again");
        true
    }

    pub(crate) fn count_drift(&mut self, id: InstanceId, drifted: bool) {
        let owner = self.state.instance(id).row.resource;
        let stack = self.state.resource(owner).row.stack;
        let list = &mut self.state.stack_mut(stack).drifted;
        match drifted {
            true => list.insert(id),
            false => list.remove(&id),
        };
    }
}
