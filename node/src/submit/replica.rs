//! The replica as the stored stacks that a submission reads. Each look-up holds the state for as long as it takes, and
//! a page for some tenths of a millisecond.

use anneal_statemachine::{
    digest::Digest,
    id::{Revision, StackId, Text},
    row::{DefinitionRow, DesiredRow, Pending, RevisionRow, RowKey, RowValue, StackRow},
};
use bytes::Bytes;

use super::{
    reading::{PAGE, StackNow, Stored},
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
        self.read(|state| {
            let id = state.resource_named(stack, resource)?;
            state.resource(id)?.desired.cloned()
        })
    }

    fn desired_after(&self, stack: StackId, after: Option<&Text>) -> Vec<(Text, DesiredRow)> {
        self.read(|state| {
            state
                .resources_after(stack, after)
                .filter_map(|id| {
                    let resource = state.resource(id)?;
                    Some((resource.name.clone(), resource.desired?.clone()))
                })
                .take(PAGE)
                .collect()
        })
    }

    fn dependents(&self, stack: StackId, resource: &str) -> Vec<Text> {
        self.read(|state| {
            let Some(id) = state.resource_named(stack, resource) else {
                return Vec::new();
            };
            state
                .required_by(id)
                .filter_map(|dependent| Some(state.resource(dependent)?.name.clone()))
                .collect()
        })
    }

    fn users_of_parameter(&self, stack: StackId, parameter: &str) -> Vec<Text> {
        let parameter = Text::from(parameter);
        self.read(|state| {
            state
                .users_of_parameter(stack, &parameter)
                .filter_map(|user| Some(state.resource(user)?.name.clone()))
                .collect()
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
