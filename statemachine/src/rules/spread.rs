//! What is left of cones at the end of an entry waits in the rows of their stacks, and is carried on by later entries.
//! Knows nothing of what spreads.

use crate::id::{ResourceId, StackId};
use crate::row::{Telling, Unsettling};
use crate::turn::Turn;
use std::collections::{BTreeMap, BTreeSet};

/// What is left of the cones of one stack. Of each list the last is carried on first.
#[derive(Default)]
struct Rest {
    unsettling: Vec<ResourceId>,
    telling: Vec<ResourceId>,
}

impl Turn<'_> {
    /// Carries on the rest of a stack's cones. True: they are through.
    pub(crate) fn spread_on(&mut self, id: StackId) -> bool {
        let row = &self.state.stack(id).row;
        if row.unsettling.is_empty() && row.telling.is_empty() {
            return true;
        }
        let row = self.edit_stack(id);
        let unsettling = std::mem::take(&mut row.unsettling);
        let telling = std::mem::take(&mut row.telling);
        self.unsettling
            .extend(unsettling.into_iter().map(|rest| rest.resource));
        self.telling
            .extend(telling.into_iter().map(|rest| rest.resource));
        self.drain();
        self.unsettling.is_empty() && self.telling.is_empty()
    }

    /// What is left waits in the rows of its stacks.
    pub(crate) fn put_off_spreading(&mut self) {
        let unsettling = std::mem::take(&mut self.unsettling);
        let telling = std::mem::take(&mut self.telling);
        let respread = std::mem::take(&mut self.respread);
        let mut rests: BTreeMap<StackId, Rest> = BTreeMap::new();
        for stack in respread {
            self.rest_of(&mut rests, stack);
        }
        for resource in unsettling {
            if let Some(rest) = self.rest_around(&mut rests, resource) {
                rest.unsettling.push(resource);
            }
        }
        for resource in telling {
            if let Some(rest) = self.rest_around(&mut rests, resource) {
                rest.telling.push(resource);
            }
        }
        for (stack, rest) in rests {
            if self.state.stacks.contains_key(&stack) {
                self.put_off(stack, rest);
            }
        }
    }

    fn rest_around<'r>(
        &self,
        rests: &'r mut BTreeMap<StackId, Rest>,
        resource: ResourceId,
    ) -> Option<&'r mut Rest> {
        let stack = self.state.resources.get(&resource)?.row.stack;
        Some(self.rest_of(rests, stack))
    }

    /// Begins with what waits already.
    fn rest_of<'r>(&self, rests: &'r mut BTreeMap<StackId, Rest>, stack: StackId) -> &'r mut Rest {
        rests.entry(stack).or_insert_with(|| {
            let Some(stack) = self.state.stacks.get(&stack) else {
                return Rest::default();
            };
            let (unsettling, telling) = (&stack.row.unsettling, &stack.row.telling);
            Rest {
                unsettling: unsettling.iter().map(|rest| rest.resource).collect(),
                telling: telling.iter().map(|rest| rest.resource).collect(),
            }
        })
    }

    fn put_off(&mut self, id: StackId, rest: Rest) {
        let unsettling = last_mentions(rest.unsettling);
        let unsettling = unsettling.filter_map(|resource| {
            let span = *self.state.unsettling.get(&resource)?;
            Some(Unsettling {
                resource,
                after: span.after,
                through: span.through,
            })
        });
        let mut unsettling: Vec<Unsettling> = unsettling.collect();
        let telling = last_mentions(rest.telling);
        let telling = telling.filter_map(|resource| {
            let through = *self.state.told.get(&resource)?;
            Some(Telling { resource, through })
        });
        let mut telling: Vec<Telling> = telling.collect();
        unsettling.reverse();
        telling.reverse();
        let row = self.edit_stack(id);
        row.unsettling = unsettling;
        row.telling = telling;
        self.keep_queue(id);
    }
}

/// The last mention of each, last first.
fn last_mentions(list: Vec<ResourceId>) -> impl Iterator<Item = ResourceId> {
    let mut seen = BTreeSet::new();
    list.into_iter()
        .rev()
        .filter(move |resource| seen.insert(*resource))
}
