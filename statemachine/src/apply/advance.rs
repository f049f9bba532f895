//! Carrying on what waits in the state's queues, and the end-of-entry checks of stacks.

use crate::command::items_with;
use crate::event::EventKind;
use crate::id::{RequestId, Revision, StackId, Text};
use crate::outcome::Outcome;
use crate::row::Pending;
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn advance(&mut self) -> Outcome {
        let mut budget = self.items_per_entry();
        self.forget_on(&mut budget);
        while budget > 0
            && let Some(stack) = self.state.queues.first().copied()
        {
            budget = self.work_off(stack, budget);
        }
        Outcome::Advanced {
            more: self.state.wants_advance(),
        }
    }

    /// Takes in up to `budget` items of what waits for one stack; what is left of the budget.
    pub(crate) fn work_off(&mut self, id: StackId, mut budget: usize) -> usize {
        if !self.spread_on(id) {
            return 0;
        }
        while let Some(pending) = self.state.stack(id).row.queue.first().cloned() {
            let done = match pending {
                Pending::Forgive => self.forgive_some(id, &mut budget),
                Pending::Switch { stage, revision } => {
                    self.switch_some(id, stage, revision, &mut budget)
                }
                Pending::Clear { revision, after } => {
                    self.clear_some(id, revision, after, &mut budget)
                }
            };
            if !done {
                return 0;
            }
            self.edit_stack(id).queue.remove(0);
        }
        self.forget_past_on(id, &mut budget);
        self.keep_queue(id);
        budget
    }

    /// Queues the stack for as long as something of it waits to be carried on.
    pub(crate) fn keep_queue(&mut self, id: StackId) {
        let stack = self.state.stack(id);
        match stack.takes_in() || !stack.forgotten_past.is_empty() {
            true => self.state.queues.insert(id),
            false => self.state.queues.remove(&id),
        };
    }

    fn forgive_some(&mut self, id: StackId, budget: &mut usize) -> bool {
        let before = self.state.stack(id).troubled.len();
        let done = self.forgive(id, *budget);
        *budget -= before - self.state.stack(id).troubled.len();
        done
    }

    fn switch_some(
        &mut self,
        id: StackId,
        stage: RequestId,
        revision: Revision,
        budget: &mut usize,
    ) -> bool {
        while *budget > 0 {
            let Some(mut item) = self.take_staged(stage) else {
                return true;
            };
            if let Some(desired) = &mut item.desired {
                desired.revision = revision;
            }
            let edges = self.desire(id, &item.name, item.desired, revision);
            *budget = budget.saturating_sub(items_with(edges));
        }
        !self.state.stages.contains_key(&stage)
    }

    fn clear_some(
        &mut self,
        id: StackId,
        revision: Revision,
        after: Option<Text>,
        budget: &mut usize,
    ) -> bool {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let names = &self.state.stack(id).names;
        let next: Vec<Text> = names
            .range::<Text, _>((from, Unbounded))
            .take(*budget)
            .map(|(name, _)| name.clone())
            .collect();
        let list_ends = next.len() < *budget;
        let mut left = next.into_iter();
        let mut last = None;
        while *budget > 0
            && let Some(name) = left.next()
        {
            let edges = self.desire(id, &name, None, revision);
            *budget = budget.saturating_sub(items_with(edges));
            last = Some(name);
        }
        let done = list_ends && left.len() == 0;
        if !done
            && last.is_some()
            && let Some(Pending::Clear { after, .. }) = self.edit_stack(id).queue.first_mut()
        {
            *after = last;
        }
        done
    }

    /// What concerns whole stacks, once everything else has been seen to.
    pub(crate) fn settle_stacks(&mut self) {
        for id in self.take_moved() {
            let Some(stack) = self.state.stacks.get(&id) else {
                continue;
            };
            let settled = stack.settled() && !stack.row.deleting && stack.row.named;
            if settled && stack.row.settled_revision != stack.row.revision {
                let row = self.edit_stack(id);
                row.settled_revision = row.revision;
            }
            let stack = self.state.stack(id);
            let converged = settled && stack.unwanted == 0;
            let was = stack.converged;
            self.state.stack_mut(id).converged = converged;
            if converged {
                if self.state.stack(id).row.deadline.is_some() {
                    self.edit_stack(id).deadline = None;
                }
                if !was {
                    self.tell(Some(id), EventKind::Converged, "all is as declared");
                }
            }
            let stack = self.state.stack(id);
            if (stack.row.deleting || !stack.row.named)
                && !stack.takes_in()
                && stack.names.is_empty()
                && self.forget_past(id, Revision(u64::MAX))
            {
                self.remove_stack(id);
            }
        }
    }

    fn remove_stack(&mut self, id: StackId) {
        self.tell(Some(id), EventKind::Deleted, "the stack is gone");
        self.edit_stack(id);
        let stack = self.state.stacks.remove(&id).expect("the stack exists");
        if stack.row.named
            && let Some(names) = self.state.stack_names.get_mut(&stack.row.namespace)
        {
            names.remove(&stack.row.name);
            if names.is_empty() {
                self.state.stack_names.remove(&stack.row.namespace);
            }
        }
        for blob in [stack.row.head, stack.row.parameters].into_iter().flatten() {
            self.drop_blob(blob);
        }
        assert!(
            stack.ready.is_empty() && stack.later.is_empty(),
            "an empty stack has no work"
        );
    }
}
