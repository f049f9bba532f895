//! Forgetting what is old: revisions, events, answered requests, tombstones. The leader chooses what;
//! here it is checked that nothing goes that is still needed.

use crate::id::{InstanceId, RequestId, Revision, StackId};
use crate::outcome::{Outcome, Rejection};
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn expire_history(
        &mut self,
        id: StackId,
        revisions_through: Revision,
        events_before: u64,
    ) -> Outcome {
        let Some(stack) = self.state.stacks.get(&id) else {
            let name = id.to_string().into();
            return Outcome::Rejected(Rejection::StackNotFound { name });
        };
        // Undoing every change after the settled revision leads back to it: those are kept.
        let through = revisions_through.min(stack.row.settled_revision);
        let old: Vec<Revision> = stack
            .past
            .range(..=through)
            .map(|(revision, _)| *revision)
            .collect();
        if events_before > stack.row.events_from {
            self.edit_stack(id).events_from = events_before;
        }
        for revision in old {
            if let Some(past) = self.state.stack_mut(id).past.remove(&revision) {
                self.drop_past(id, revision, past);
            }
        }
        Outcome::Taken
    }

    pub(crate) fn expire_requests(&mut self) -> Outcome {
        let window_ms = self.state.cluster.settings.request_window_ms;
        let horizon_ms = self.stamp.wall_ms.saturating_sub(window_ms);
        let requests: Vec<RequestId> = self
            .state
            .requests
            .keys()
            .take_while(|request| request.wall_ms() < horizon_ms)
            .take(self.items_per_entry())
            .copied()
            .collect();
        for request in requests {
            self.state.requests.remove(&request);
            self.touch_request(request);
        }
        let tombstones: Vec<InstanceId> = self
            .state
            .tombstones
            .iter()
            .filter(|(_, tombstone)| tombstone.wall_ms < horizon_ms)
            .take(self.items_per_entry())
            .map(|(id, _)| *id)
            .collect();
        for id in tombstones {
            self.drop_tombstone(id);
        }
        Outcome::Taken
    }
}
