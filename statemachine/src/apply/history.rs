//! Forgetting what is old: revisions, events, answered requests, tombstones. The leader chooses what;
//! here it is checked that nothing goes that is still needed.

use crate::id::{InstanceId, RequestId, Revision, StackId};
use crate::outcome::{Outcome, Rejection};
use crate::row::RowKey;
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
        if events_before > stack.row.events_from {
            self.edit_stack(id).events_from = events_before;
        }
        self.forget_past(id, through);
        Outcome::Taken
    }

    /// Forgets what is kept of changes up to a revision: they can't be undone from now on, and what they replaced goes
    /// bit by bit. True: nothing of it is left.
    pub(crate) fn forget_past(&mut self, id: StackId, through: Revision) -> bool {
        // What is being carried on has its share in each `Advance`.
        let carried_on = !self.state.stack(id).forgotten_past.is_empty();
        let past = &mut self.state.stack_mut(id).past;
        let kept = past.split_off(&Revision(through.0.saturating_add(1)));
        let old = std::mem::replace(past, kept);
        for (revision, past) in old {
            for blob in [past.row.head, past.row.parameters].into_iter().flatten() {
                self.drop_blob(blob);
            }
            self.remove(RowKey::Revision(id, revision));
            if !past.items.is_empty() {
                let forgotten = &mut self.state.stack_mut(id).forgotten_past;
                forgotten.insert(revision, past.items);
            }
        }
        let mut budget = match carried_on {
            true => 0,
            false => self.items_per_entry(),
        };
        let done = self.forget_past_on(id, &mut budget);
        self.keep_queue(id);
        done
    }

    /// Carries that on for as long as the budget lasts. It is no reason for the stack to stop.
    pub(crate) fn forget_past_on(&mut self, id: StackId, budget: &mut usize) -> bool {
        while let Some(mut oldest) = self.state.stack_mut(id).forgotten_past.first_entry() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let revision = *oldest.key();
            let item = oldest.get_mut().pop_first();
            if oldest.get().is_empty() {
                oldest.remove();
            }
            // If the stack only waits for this, its end is due.
            self.stack_moved(id);
            if let Some((name, before)) = item {
                if let Some(before) = before {
                    self.drop_desired(&before);
                }
                self.remove(RowKey::Past(id, revision, name));
            }
        }
        true
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
