//! What is refused at submission. Knows nothing of what an accepted change does.

use crate::apply::change::Cause;
use crate::command::{Difference, SetResource};
use crate::id::{ResourceId, Revision, StackId, Text};
use crate::outcome::Rejection;
use crate::row::{DesiredRow, Pending, Stop};
use crate::state::State;
use crate::turn::Turn;
use std::collections::BTreeSet;

impl Turn<'_> {
    pub(crate) fn check_create(
        &self,
        namespace: &Text,
        name: &Text,
        difference: &Difference,
    ) -> Result<(), Rejection> {
        if self.state.stack_named(namespace, name).is_some() {
            return Err(Rejection::AlreadyExists { name: name.clone() });
        }
        self.check_size(difference.set.len() as u64)?;
        check_names(difference)?;
        let mut earlier = BTreeSet::new();
        for item in &difference.set {
            check_item(item, |required| earlier.contains(required))?;
            note(&mut earlier, item);
        }
        Ok(())
    }

    pub(crate) fn check_base(&self, id: StackId, base: Revision) -> Result<(), Rejection> {
        let current = self.state.stack(id).row.revision;
        match current == base {
            true => Ok(()),
            false => Err(Rejection::BaseMoved { current }),
        }
    }

    pub(crate) fn check_rollback(
        &self,
        id: StackId,
        to: Revision,
        failed: Option<Revision>,
    ) -> Result<(), Rejection> {
        let row = &self.state.stack(id).row;
        if let Some(failed) = failed
            && (row.revision != failed || row.stop != Some(Stop::RollbackDue))
        {
            return Err(Rejection::RollbackNotDue(failed));
        }
        match to <= row.revision {
            true => Ok(()),
            false => Err(Rejection::RevisionNotFound(to)),
        }
    }

    /// A difference that comes while another is still being taken in can't be checked against what is
    /// not there yet; who names nothing then waits, and says so.
    pub(crate) fn check_difference(
        &self,
        id: StackId,
        difference: &Difference,
        cause: Cause,
    ) -> Result<(), Rejection> {
        check_names(difference)?;
        let set = difference.set.iter().map(|item| &item.name);
        self.check_room(id, self.count_new(id, set))?;
        if !cause.undoes() {
            for name in &difference.remove {
                self.check_removal(id, name)?;
            }
            for item in &difference.set {
                self.check_kept(id, item)?;
            }
        }
        if self.state.stack(id).takes_in() {
            return Ok(());
        }
        self.check_references(id, difference)
    }

    fn check_references(&self, id: StackId, difference: &Difference) -> Result<(), Rejection> {
        let stack = self.state.stack(id);
        let mut gone: BTreeSet<&Text> = difference.remove.iter().collect();
        gone.extend(
            difference
                .set
                .iter()
                .filter(|item| item.definition.is_none())
                .map(|item| &item.name),
        );
        let set: BTreeSet<&Text> = difference.set.iter().map(|item| &item.name).collect();
        let mut earlier = BTreeSet::new();
        for item in &difference.set {
            check_item(item, |required| {
                earlier.contains(required)
                    || (!gone.contains(required)
                        && is_desired(self.state, stack.names.get(required)))
            })?;
            note(&mut earlier, item);
        }
        for name in gone {
            let Some(resource) = stack.names.get(name) else {
                continue;
            };
            for dependent in self.state.dependents_of(*resource) {
                let dependent = &self.state.resource(dependent).row.name;
                if !set.contains(dependent) && !difference.remove.contains(dependent) {
                    return Err(Rejection::DanglingReference {
                        resource: dependent.clone(),
                        requires: name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check_size(&self, count: u64) -> Result<(), Rejection> {
        let limit = self.state.cluster.settings.max_resources;
        match count <= limit {
            true => Ok(()),
            false => Err(Rejection::TooManyResources { count, limit }),
        }
    }

    /// How many of these names the stack does not declare.
    pub(crate) fn count_new<'a>(&self, id: StackId, names: impl Iterator<Item = &'a Text>) -> u64 {
        let stack = self.state.stack(id);
        let is_new = |name: &&Text| {
            !self
                .state
                .declared(stack, name)
                .is_some_and(DesiredRow::is_defined)
        };
        names.filter(is_new).count() as u64
    }

    /// There are not too many resources once so many are added. Where none is, or there is room even if nothing that waits is
    /// there already, nothing is counted: a small change must not cost what the stack has.
    pub(crate) fn check_room(&self, id: StackId, new: u64) -> Result<(), Rejection> {
        if new == 0 {
            return Ok(());
        }
        let stack = self.state.stack(id);
        let may_wait: u64 = self
            .state
            .stages_of(stack)
            .map(|(_, stage)| stage.may_add())
            .sum();
        if self.check_size(stack.desired + may_wait + new).is_ok() {
            return Ok(());
        }
        let moves = |step: &Pending| !matches!(step, Pending::Forgive);
        let declared = match stack.row.queue.iter().any(moves) {
            false => stack.desired,
            true => {
                let all = self.state.declared_after(stack, None);
                all.filter(|(_, desired)| desired.is_some_and(DesiredRow::is_defined))
                    .count() as u64
            }
        };
        self.check_size(declared + new)
    }

    /// What is protected is not removed.
    pub(crate) fn check_removal(&self, id: StackId, name: &Text) -> Result<(), Rejection> {
        let stack = self.state.stack(id);
        let declared = self.state.declared(stack, name);
        match declared.is_some_and(DesiredRow::protects) {
            true => Err(Rejection::ResourceProtected { name: name.clone() }),
            false => Ok(()),
        }
    }

    /// The type of what is declared.
    pub(crate) fn type_of(&self, desired: Option<&DesiredRow>) -> Option<&Text> {
        let definition = desired?.definition?;
        Some(&self.state.catalogue.definition(definition).type_name)
    }

    /// What is protected is neither switched off nor given another type, which would replace it.
    pub(crate) fn check_kept(&self, id: StackId, item: &SetResource) -> Result<(), Rejection> {
        let before = self.state.declared(self.state.stack(id), &item.name);
        let type_before = self.type_of(before);
        let type_after = item
            .definition
            .as_ref()
            .map(|definition| &definition.type_name);
        match type_before == type_after {
            true => Ok(()),
            false => self.check_removal(id, &item.name),
        }
    }

    pub(crate) fn check_delete(&self, id: StackId) -> Result<(), Rejection> {
        let stack = self.state.stack(id);
        if stack.row.options.protect {
            let name = stack.row.name.clone();
            return Err(Rejection::StackProtected { name });
        }
        match self.state.protected_in(stack).next() {
            Some(name) => Err(Rejection::ResourceProtected { name: name.clone() }),
            None => Ok(()),
        }
    }
}

fn check_names(difference: &Difference) -> Result<(), Rejection> {
    let mut names = BTreeSet::new();
    let all = difference
        .set
        .iter()
        .map(|item| &item.name)
        .chain(&difference.remove);
    for name in all {
        if !names.insert(name) {
            return Err(Rejection::DuplicateResource { name: name.clone() });
        }
    }
    Ok(())
}

/// Everything that an item names must be there.
pub(crate) fn check_item(
    item: &SetResource,
    there: impl Fn(&Text) -> bool,
) -> Result<(), Rejection> {
    let Some(definition) = &item.definition else {
        return Ok(());
    };
    let referred = definition
        .references
        .iter()
        .map(|reference| &reference.resource);
    let mut named = definition.depends_on.iter().chain(referred);
    match named.find(|required| **required == item.name || !there(required)) {
        Some(required) => Err(Rejection::DanglingReference {
            resource: item.name.clone(),
            requires: required.clone(),
        }),
        None => Ok(()),
    }
}

fn note<'d>(earlier: &mut BTreeSet<&'d Text>, item: &'d SetResource) {
    if item.definition.is_some() {
        earlier.insert(&item.name);
    }
}

fn is_desired(state: &State, id: Option<&ResourceId>) -> bool {
    id.is_some_and(|id| state.resource(*id).definition().is_some())
}
