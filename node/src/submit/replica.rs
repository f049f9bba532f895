//! The replica as the stored stacks that a submission reads. Each look-up holds the state for as long as it takes, and
//! a page for some tenths of a millisecond.

use std::collections::BTreeSet;

use anneal_statemachine::{
    StateMachine,
    digest::Digest,
    id::{Revision, StackId, Text},
    row::{DefinitionRow, DesiredRow, Pending, RevisionRow, RowKey, RowValue, StackRow},
};
use bytes::Bytes;

use super::{
    reading::{PAGE, Page, StackNow, Stored},
    refusal::Refused,
};
use crate::replica::Replica;

impl Stored for Replica {
    fn stack(&self, namespace: &str, name: &str) -> Option<StackNow> {
        self.read(|state| {
            let id = state.stack_named(namespace, name)?;
            Some(now(id, state.stack(id)?.row))
        })
    }

    fn desired(&self, stack: StackId, resource: &str) -> Option<DesiredRow> {
        self.read(|state| state.declared(stack, resource).cloned())
    }

    fn desired_after(&self, stack: StackId, after: Option<&Text>) -> Page {
        self.read(|state| {
            let mut page = Page::default();
            for (name, desired) in state.declared_after(stack, after).take(PAGE) {
                page.last = Some(name.clone());
                page.desired
                    .extend(desired.map(|it| (name.clone(), it.clone())));
            }
            page
        })
    }

    fn dependents(&self, stack: StackId, resource: &str) -> Vec<Text> {
        let names_it =
            |state: &StateMachine, desired: &DesiredRow| state.names_another(desired, resource);
        let mut found = self.waiting(stack, names_it);
        self.read(|state| {
            if let Some(id) = state.resource_named(stack, resource) {
                let present = state.required_by(id);
                found.extend(present.filter_map(|id| Some(state.resource(id)?.name.clone())));
            }
            declared_so(state, stack, found, names_it)
        })
    }

    fn users_of_parameter(&self, stack: StackId, parameter: &str) -> Vec<Text> {
        let parameter = Text::from(parameter);
        let uses =
            |_: &StateMachine, desired: &DesiredRow| desired.parameters_used.contains(&parameter);
        let mut found = self.waiting(stack, uses);
        self.read(|state| {
            let present = state.users_of_parameter(stack, &parameter);
            found.extend(present.filter_map(|id| Some(state.resource(id)?.name.clone())));
            declared_so(state, stack, found, uses)
        })
    }

    fn blob(&self, digest: Digest) -> Result<Bytes, Refused> {
        let blob = self
            .rows()
            .newest()
            .blob(digest)
            .map_err(Refused::storage)?;
        blob.ok_or_else(|| Refused::storage(format!("there is no blob {digest}")))
    }

    fn definition(&self, digest: Digest) -> Result<DefinitionRow, Refused> {
        let row = self
            .rows()
            .newest()
            .definition(digest)
            .map_err(Refused::storage)?;
        row.ok_or_else(|| Refused::storage(format!("there is no definition {digest}")))
    }

    fn revision(&self, stack: StackId, revision: Revision) -> Result<Option<RevisionRow>, Refused> {
        let key = RowKey::Revision(stack, revision);
        let row = self.rows().newest().get(&key).map_err(Refused::storage)?;
        Ok(match row {
            Some(RowValue::Revision(row)) => Some(*row),
            _ => None,
        })
    }

    fn past(
        &self,
        stack: StackId,
        revision: Revision,
    ) -> Result<Vec<(Text, Option<DesiredRow>)>, Refused> {
        let rows = self.rows();
        rows.newest()
            .past(stack, revision)
            .map_err(Refused::storage)
    }
}

impl Replica {
    /// Names that changes that wait to be taken in declare so. What is taken in meanwhile may be left out: it is among the
    /// resources then, so those are to be looked at afterwards.
    fn waiting(
        &self,
        stack: StackId,
        so: impl Fn(&StateMachine, &DesiredRow) -> bool,
    ) -> BTreeSet<Text> {
        let mut found = BTreeSet::new();
        for stage in self.read(|state| state.stages_of(stack)) {
            let mut after = None;
            loop {
                let seen = self.read(|state| {
                    let mut last = None;
                    for (position, item) in state.staged_after(stage, after).take(PAGE) {
                        last = Some(position);
                        if item.desired.as_ref().is_some_and(|it| so(state, it)) {
                            found.insert(item.name.clone());
                        }
                    }
                    last
                });
                if seen.is_none() {
                    break;
                }
                after = seen;
            }
        }
        found
    }
}

/// Those of the names that are still declared so by the newest revision.
fn declared_so(
    state: &StateMachine,
    stack: StackId,
    names: BTreeSet<Text>,
    so: impl Fn(&StateMachine, &DesiredRow) -> bool,
) -> Vec<Text> {
    let is_so = |name: &Text| state.declared(stack, name).is_some_and(|it| so(state, it));
    names.into_iter().filter(is_so).collect()
}

fn now(id: StackId, row: &StackRow) -> StackNow {
    let moves = |step: &Pending| matches!(step, Pending::Switch { .. } | Pending::Clear { .. });
    StackNow {
        id,
        revision: row.revision,
        settled_revision: row.settled_revision,
        options: row.options.clone(),
        head: row.head,
        parameters: row.parameters,
        deleting: row.deleting,
        in_motion: row.queue.iter().any(moves),
    }
}
