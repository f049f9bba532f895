//! Taking settledness away down a cone, a bounded number of steps an entry. What is left waits in the stack's row;
//! until it is through, nothing of the stack starts. Knows nothing of what makes a resource unsettled.
//!
//! # Why a half-told cone is safe
//!
//! A member that has not heard yet is still taken for settled by those above it, and goes by the values below it. So
//! *those values must not move* while anybody has yet to hear: a resource keeps its current instance, with its outputs,
//! until all its dependents know.
//!
//! * Nothing starts in the stack meanwhile, what is assigned and not begun is declined, and what runs on the resource
//!   itself does not exist: it was settled.
//! * What needs no action waits too: such a resource is neither settled again, nor replaced, nor is an earlier instance
//!   taken back ([`Turn::is_heard`]).
//! * What can't wait, an instance that is gone, tells all direct dependents first ([`Turn::unsettle_all`]): its
//!   forgetting takes each of them off it anyway. What stands on these has its own footing, and may hear later.
//! * What would settle upon another footing than it has waits until all have heard ([`Turn::holds_still`]): what it
//!   would stand on may be about to move off it, and until then they would stand on each other.
//!
//! So whatever a rule decides about a member that has not heard is what it would have decided had the change come a
//! moment later, and it follows from the rows: a restart in the middle finds the same members settled.
//!
//! Depth first: few resources are ever half-way through, however large the cone.

use crate::id::ResourceId;
use crate::state::resource::Span;
use crate::turn::Turn;
use crate::view::Phase;

/// Nobody is left out.
pub(super) const ALL: ResourceId = ResourceId(u64::MAX);

impl Turn<'_> {
    /// The resource is not (known to be) settled any more, nor is anything that depends on it.
    pub(crate) fn disturb(&mut self, id: ResourceId) {
        self.enqueue(id);
        let resource = self.state.resource_mut(id);
        if resource.settled {
            resource.settled = false;
            self.begin_unsettling(id);
        }
    }

    /// Dependents that know that it was settled are to hear that it is no more.
    fn begin_unsettling(&mut self, id: ResourceId) {
        let through = self.untell(id);
        let span = Span {
            after: ResourceId(0),
            through,
        };
        if self.next_in(id, span).0.is_some() {
            self.state.unsettling.insert(id, span);
            self.unsettling.push(id);
            let stack = self.state.resource(id).row.stack;
            self.state.stack_mut(stack).unsettling += 1;
        }
    }

    /// The first in a span, and whether there are more.
    fn next_in(&self, id: ResourceId, span: Span) -> (Option<ResourceId>, bool) {
        if span.after >= span.through {
            return (None, false);
        }
        let from = (id, ResourceId(span.after.0 + 1));
        let mut dependents = self.state.dependents.range(from..=(id, span.through));
        let first = dependents.next().map(|(_, dependent)| *dependent);
        (first, dependents.next().is_some())
    }

    /// One more dependent hears. False: nobody is left to hear in this entry.
    pub(crate) fn unsettle_next(&mut self) -> bool {
        let Some(id) = self.unsettling.last().copied() else {
            return false;
        };
        if !self.state.unsettling.contains_key(&id) {
            self.unsettling.pop();
            return true;
        }
        if self.tells_left == 0 {
            return false;
        }
        self.tells_left -= 1;
        self.unsettle_step(id);
        true
    }

    /// All dependents hear at once: what they stand on is about to change.
    pub(crate) fn unsettle_all(&mut self, id: ResourceId) {
        if !self.is_heard(id) {
            let stack = self.state.resource(id).row.stack;
            self.respread.insert(stack);
        }
        while !self.is_heard(id) {
            self.tells_left = self.tells_left.saturating_sub(1);
            self.unsettle_step(id);
        }
    }

    /// All who depend on the resource know that it is not settled, or that it is.
    pub(crate) fn is_heard(&self, id: ResourceId) -> bool {
        !self.state.unsettling.contains_key(&id)
    }

    fn unsettle_step(&mut self, id: ResourceId) {
        let span = self.state.unsettling[&id];
        let (next, more) = self.next_in(id, span);
        match next.filter(|_| more) {
            Some(after) => {
                self.state.unsettling.insert(id, Span { after, ..span });
            }
            None => self.heard(id),
        }
        if let Some(dependent) = next {
            self.unsettle_one(dependent);
        }
    }

    /// Nobody is left to hear: what had to wait for that may be due.
    fn heard(&mut self, id: ResourceId) {
        self.state.unsettling.remove(&id);
        let resource = self.state.resource(id);
        let (stack, may_settle) = (resource.row.stack, resource.unsettled == 0);
        if may_settle {
            self.enqueue(id);
        }
        let stack = self.state.stack_mut(stack);
        stack.unsettling -= 1;
        if stack.unsettling == 0 {
            let still = std::mem::take(&mut stack.holding_still);
            still.into_iter().for_each(|id| self.enqueue(id));
        }
    }

    /// The resource would settle, but some of its stack have yet to hear. It is examined again when all have.
    pub(crate) fn holds_still(&mut self, id: ResourceId) -> bool {
        let stack = self.state.resource(id).row.stack;
        let stack = self.state.stack_mut(stack);
        let holds = stack.unsettling > 0;
        if holds {
            stack.holding_still.insert(id);
        }
        holds
    }

    fn unsettle_one(&mut self, id: ResourceId) {
        let resource = self.state.resource_mut(id);
        resource.unsettled += 1;
        if resource.settled {
            resource.settled = false;
            self.begin_unsettling(id);
            self.waits_from_now(id);
        } else if resource.unsettled == 1 {
            self.enqueue(id);
        }
    }

    /// A member of a cone was settled and now only waits: nothing but its phase has changed, unless
    /// deposed instances wait with it. No examination is due, so that a large cone costs little.
    fn waits_from_now(&mut self, id: ResourceId) {
        let resource = self.state.resource_mut(id);
        if resource.has_deposed() || resource.queued || resource.phase != Some(Phase::Settled) {
            self.enqueue(id);
            return;
        }
        resource.phase = Some(Phase::Waiting);
        let stack = resource.row.stack;
        let counts = &mut self.state.stack_mut(stack).counts;
        counts.settled -= 1;
        counts.waiting += 1;
        self.stack_moved(stack);
    }
}
