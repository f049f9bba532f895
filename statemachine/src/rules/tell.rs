//! Telling dependents that something they require is settled, a bounded number an entry. What is left
//! waits in the stack's row; until it is through, nothing of the stack starts. Knows nothing of why a
//! resource is settled.
//!
//! Depth first: what a told dependent leads to comes before the next dependent. So few resources are
//! ever half-way through, however large the cone.

use crate::id::{ResourceId, StackId};
use crate::row::Telling;
use crate::turn::Turn;
use std::collections::{BTreeMap, BTreeSet};

/// Nobody is left out.
const ALL: ResourceId = ResourceId(u64::MAX);

impl Turn<'_> {
    /// A resource is settled: its dependents are to know.
    pub(crate) fn begin_telling(&mut self, id: ResourceId) {
        if self.loading {
            let through = self.state.told.get(&id).copied().unwrap_or(ALL);
            let dependents = self.state.dependents_of(id);
            let told: Vec<ResourceId> = dependents.take_while(|id| *id <= through).collect();
            told.into_iter()
                .for_each(|dependent| self.tell_one(dependent));
        } else if self.state.dependents_of(id).next().is_some() {
            self.state.told.insert(id, ResourceId(0));
            self.telling.push(id);
        }
    }

    fn tell_one(&mut self, dependent: ResourceId) {
        let resource = self.state.resource_mut(dependent);
        resource.unsettled -= 1;
        if resource.unsettled == 0 {
            self.enqueue(dependent);
        }
    }

    /// Tells the next dependent. False: nobody is left to be told in this entry.
    pub(crate) fn tell_next(&mut self) -> bool {
        let Some(id) = self.telling.last().copied() else {
            return false;
        };
        let Some(through) = self.state.told.get(&id).copied() else {
            // It is not settled any more, or was told about in another turn of the list.
            self.telling.pop();
            return true;
        };
        if self.tells_left == 0 {
            return false;
        }
        let from = (id, ResourceId(through.0 + 1));
        match self
            .state
            .dependents
            .range(from..=(id, ALL))
            .next()
            .copied()
        {
            Some((_, dependent)) => {
                self.tells_left -= 1;
                self.state.told.insert(id, dependent);
                self.tell_one(dependent);
            }
            None => {
                self.state.told.remove(&id);
                self.telling.pop();
            }
        }
        true
    }

    /// A resource is settled no more. Through whom it had told that it was.
    pub(crate) fn untell(&mut self, id: ResourceId) -> ResourceId {
        match self.state.told.remove(&id) {
            Some(through) => {
                self.retold.insert(self.state.resource(id).row.stack);
                through
            }
            None => ALL,
        }
    }

    /// Carries on the rest of a stack's cone. True: it is through.
    pub(crate) fn tell_on(&mut self, id: StackId) -> bool {
        if self.state.stack(id).row.telling.is_empty() {
            return true;
        }
        let rest = std::mem::take(&mut self.edit_stack(id).telling);
        self.telling
            .extend(rest.into_iter().map(|telling| telling.resource));
        self.drain();
        self.telling.is_empty()
    }

    /// What is left to be told waits in the rows of its stacks.
    pub(crate) fn put_off_telling(&mut self) {
        let left = std::mem::take(&mut self.telling);
        let retold = std::mem::take(&mut self.retold);
        if left.is_empty() && retold.is_empty() {
            return;
        }
        let mut rests: BTreeMap<StackId, Vec<Telling>> = BTreeMap::new();
        for stack in retold {
            if let Some(stack_now) = self.state.stacks.get(&stack) {
                rests.insert(stack, stack_now.row.telling.clone());
            }
        }
        for resource in left {
            let Some(known) = self.state.resources.get(&resource) else {
                continue;
            };
            let stack = known.row.stack;
            let rest = rests
                .entry(stack)
                .or_insert_with(|| self.state.stack(stack).row.telling.clone());
            let through = ResourceId(0);
            rest.push(Telling { resource, through });
        }
        for (stack, rest) in rests {
            let rest = self.standing(rest);
            self.edit_stack(stack).telling = rest;
            match self.state.stack(stack).takes_in() {
                true => self.state.queues.insert(stack),
                false => self.state.queues.remove(&stack),
            };
        }
    }

    /// Of a list, the last mention of each resource that still has somebody to tell.
    fn standing(&self, list: Vec<Telling>) -> Vec<Telling> {
        let mut seen = BTreeSet::new();
        let mut standing: Vec<Telling> = list
            .into_iter()
            .rev()
            .filter(|telling| seen.insert(telling.resource))
            .filter_map(|telling| {
                let through = *self.state.told.get(&telling.resource)?;
                Some(Telling { through, ..telling })
            })
            .collect();
        standing.reverse();
        standing
    }
}
