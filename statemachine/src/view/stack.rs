//! Stacks as people and submitters see them.

use crate::StateMachine;
use crate::command::{Reference, Settings};
use crate::digest::Digest;
use crate::id::{RequestId, ResourceId, Revision, StackId, Text};
use crate::outcome::{Outcome, StackStops};
use crate::row::{RevisionRow, StackRow};
use crate::view::status::{can_move, status_of};
use crate::view::{Counts, Status};

/// A stack.
#[derive(Clone, Debug)]
pub struct StackView<'s> {
    /// Its id.
    pub id: StackId,
    /// Its row.
    pub row: &'s StackRow,
    /// Where it stands.
    pub status: Status,
    /// Resources per phase.
    pub counts: Counts,
    /// Actions in flight.
    pub running: u64,
    /// Instances to be deleted.
    pub unwanted: u64,
    /// Why nothing of it starts.
    pub stops: Option<StackStops>,
    /// Something of it runs or can still run. A stack that is being deleted and can't move has failed
    /// to go.
    pub can_move: bool,
    /// Instances that drift, which is only told.
    pub drifted: usize,
}

/// A change that can be undone.
#[derive(Clone, Copy, Debug)]
pub struct RevisionView<'s> {
    /// The revision that the change made.
    pub revision: Revision,
    /// What it replaced in the stack as a whole. What it replaced in resources are `Past` rows; the
    /// first revision has none: before it, nothing was.
    pub row: &'s RevisionRow,
}

impl StateMachine {
    /// All stacks, in id order.
    pub fn stacks(&self) -> impl Iterator<Item = StackView<'_>> {
        self.state.stacks.keys().filter_map(|id| self.stack(*id))
    }

    /// One stack.
    pub fn stack(&self, id: StackId) -> Option<StackView<'_>> {
        let stack = self.state.stacks.get(&id)?;
        Some(StackView {
            id,
            row: &stack.row,
            status: status_of(&self.state, stack),
            counts: stack.counts,
            running: stack.running,
            unwanted: stack.unwanted,
            stops: stack.stops(),
            can_move: can_move(&self.state, stack),
            drifted: stack.drifted.len(),
        })
    }

    /// How many of a stack's resources are protected; which ones, what is declared of each tells.
    pub fn protected(&self, id: StackId) -> u64 {
        let stack = self.state.stacks.get(&id);
        stack.map_or(0, |stack| stack.declared.protected)
    }

    /// The stack that has this name.
    pub fn stack_named(&self, namespace: &str, name: &str) -> Option<StackId> {
        self.state.stack_named(namespace, name)
    }

    /// Stacks of a namespace by name, after this name.
    pub fn stacks_after<'s>(
        &'s self,
        namespace: &str,
        after: &'s str,
    ) -> impl Iterator<Item = StackId> + use<'s> {
        let names = self.state.stack_names.get(namespace);
        let names = names.into_iter().flat_map(move |names| names.iter());
        names
            .skip_while(move |(name, _)| &***name <= after)
            .map(|(_, id)| *id)
    }

    /// What is left of stacks of a namespace that are gone, and hold no name any more.
    pub fn nameless<'s>(&'s self, namespace: &'s str) -> impl Iterator<Item = StackId> + 's {
        let stacks = self.state.stacks.iter();
        stacks
            .filter(move |(_, stack)| !stack.row.named && &*stack.row.namespace == namespace)
            .map(|(id, _)| *id)
    }

    /// Namespaces that have stacks.
    pub fn namespaces(&self) -> impl Iterator<Item = &Text> {
        self.state.stack_names.keys()
    }

    /// Changes that can be undone, oldest first.
    pub fn revisions(&self, id: StackId) -> impl Iterator<Item = RevisionView<'_>> {
        let stack = self.state.stacks.get(&id).into_iter();
        stack.flat_map(|stack| {
            stack.past.iter().map(|(revision, past)| RevisionView {
                revision: *revision,
                row: &past.row,
            })
        })
    }

    /// Resources whose definitions were computed from a parameter.
    pub fn users_of_parameter<'s>(
        &'s self,
        id: StackId,
        parameter: &Text,
    ) -> impl Iterator<Item = ResourceId> + use<'s> {
        let from = (parameter.clone(), ResourceId(0));
        let through = (parameter.clone(), ResourceId(u64::MAX));
        let stack = self.state.stacks.get(&id).into_iter();
        stack.flat_map(move |stack| {
            stack
                .parameter_users
                .range(from.clone()..=through.clone())
                .map(|(_, id)| *id)
        })
    }

    /// Type and references of a definition that something refers to.
    pub fn definition(&self, digest: Digest) -> Option<(&Text, &[Reference])> {
        let known = self.state.catalogue.find(digest)?;
        Some((&known.type_name, &known.references))
    }

    /// A blob is among the rows.
    pub fn has_blob(&self, digest: Digest) -> bool {
        self.state.catalogue.has_blob(digest)
    }

    /// The answer that a request was given, if it is remembered.
    pub fn answered(&self, request: RequestId) -> Option<&Outcome> {
        self.state.requests.get(&request)
    }

    /// Parts of a staged change that have been taken.
    pub fn staged_parts(&self, stage: RequestId) -> Option<u32> {
        self.state.stages.get(&stage).map(|stage| stage.row.parts)
    }

    /// Cluster-wide limits.
    pub fn settings(&self) -> &Settings {
        &self.state.cluster.settings
    }

    /// The feature level.
    pub fn feature_level(&self) -> u32 {
        self.state.cluster.feature_level
    }

    /// Answered requests from before this wall time are still remembered: `ExpireRequests` would drop
    /// some.
    pub fn has_requests_before(&self, wall_ms: u64) -> bool {
        let first = self.state.requests.keys().next();
        first.is_some_and(|request| request.wall_ms() < wall_ms)
    }
}
