//! What resources should be by the newest revision, whether that has been taken in by now or not. It does not change
//! while a change is being taken in. Knows nothing of the rules.

use crate::id::{RequestId, Text};
use crate::row::{DesiredRow, Pending};
use crate::state::{Stack, Stage, State, Tally};
use std::collections::{BTreeSet, btree_map};
use std::iter::Peekable;
use std::ops::Bound::{Excluded, Unbounded};

impl State {
    /// What this resource should be.
    pub(crate) fn declared<'s>(&'s self, stack: &'s Stack, name: &str) -> Option<&'s DesiredRow> {
        if let Some(declared) = self.waiting(stack, name) {
            return declared;
        }
        let id = stack.names.get(name)?;
        self.resource(*id).desired()
    }

    /// What the changes that wait to be taken in say of this resource; `None`: nothing.
    fn waiting<'s>(&'s self, stack: &'s Stack, name: &str) -> Option<Option<&'s DesiredRow>> {
        stack.row.queue.iter().rev().find_map(|step| match step {
            Pending::Switch { stage, .. } => {
                let stage = self.stages.get(stage)?;
                let position = stage.names.get(name)?;
                Some(stage.item(*position).desired.as_ref())
            }
            Pending::Clear { after, .. } => {
                let done = after.as_ref().is_some_and(|after| name <= &**after);
                (!done).then_some(None)
            }
            Pending::Forgive => None,
        })
    }

    /// Changes that wait to be taken in, oldest first.
    pub(crate) fn stages_of<'s>(
        &'s self,
        stack: &'s Stack,
    ) -> impl Iterator<Item = (RequestId, &'s Stage)> {
        stack.row.queue.iter().filter_map(|step| match step {
            Pending::Switch { stage, .. } => Some((*stage, self.stages.get(stage)?)),
            Pending::Clear { .. } | Pending::Forgive => None,
        })
    }

    /// All names after this one that are or were those of resources, with what each should be.
    pub(crate) fn declared_after<'s>(
        &'s self,
        stack: &'s Stack,
        after: Option<&Text>,
    ) -> impl Iterator<Item = (&'s Text, Option<&'s DesiredRow>)> + use<'s> {
        let from = after.map_or(Unbounded, Excluded);
        let mut present = stack.names.range::<Text, _>((from, Unbounded)).peekable();
        let mut waiting: Vec<Peekable<btree_map::Range<'s, Text, u32>>> = self
            .stages_of(stack)
            .map(|(_, stage)| stage.names.range::<Text, _>((from, Unbounded)).peekable())
            .collect();
        std::iter::from_fn(move || {
            let first = waiting.iter_mut().filter_map(|names| names.peek());
            let first = first.map(|(name, _)| *name).min();
            let name = match (first, present.peek()) {
                (Some(first), Some((name, _))) => first.min(name),
                (Some(first), None) => first,
                (None, Some((name, _))) => name,
                (None, None) => return None,
            };
            for names in &mut waiting {
                names.next_if(|(next, _)| *next == name);
            }
            let id = present.next_if(|(next, _)| *next == name).map(|(_, id)| id);
            let taken_in = || id.and_then(|id| self.resource(*id).desired());
            let declared = self.waiting(stack, name).unwrap_or_else(taken_in);
            Some((name, declared))
        })
    }

    /// How much a stack declares by its newest revision, if this is what of it has been taken in.
    pub(crate) fn count_declared(&self, stack: &Stack, taken_in: Tally) -> Tally {
        let mut seen = BTreeSet::new();
        let (mut before, mut after) = (Tally::default(), Tally::default());
        for step in stack.row.queue.iter().rev() {
            match step {
                Pending::Forgive => {}
                // It leaves nothing of what was before it.
                Pending::Clear { .. } => return after,
                Pending::Switch { stage, .. } => {
                    let stage = self.stages.get(stage).into_iter();
                    for (_, item) in stage.flat_map(|stage| stage.after(None)) {
                        if seen.insert(&item.name) {
                            let id = stack.names.get(&item.name);
                            before.count_desired(id.and_then(|id| self.resource(*id).desired()));
                            after.count_desired(item.desired.as_ref());
                        }
                    }
                }
            }
        }
        taken_in.exchanged(before, after)
    }

    /// Resources that are protected. What the newest change says of its own is found at once.
    pub(crate) fn protected_in<'s>(&'s self, stack: &'s Stack) -> impl Iterator<Item = &'s Text> {
        let present = stack.protected.iter();
        let present = present.map(|id| &self.resource(*id).row.name);
        let mut stages: Vec<_> = self.stages_of(stack).collect();
        stages.reverse();
        let waiting = stages.into_iter().flat_map(|(_, stage)| &stage.protected);
        waiting
            .chain(present)
            .filter(|name| self.declared(stack, name).is_some_and(DesiredRow::protects))
    }
}
