//! What is refused at submission. Knows nothing of what an accepted change does.

use crate::apply::change::Cause;
use crate::command::{Difference, SetResource};
use crate::id::{ResourceId, Revision, StackId, Text};
use crate::outcome::Rejection;
use crate::row::Stop;
use crate::state::{State, Tally};
use crate::turn::Turn;
use std::collections::BTreeSet;

impl Turn<'_> {
    pub(crate) fn check_create(
        &self,
        namespace: &Text,
        name: &Text,
        difference: &Difference,
    ) -> Result<Tally, Rejection> {
        if self.state.stack_named(namespace, name).is_some() {
            return Err(Rejection::AlreadyExists { name: name.clone() });
        }
        check_names(difference)?;
        let mut earlier = BTreeSet::new();
        for item in &difference.set {
            check_item(item, |required| earlier.contains(required))?;
            note(&mut earlier, item);
        }
        let compared = self.compare_difference(None, difference);
        self.check_compared(compared, Cause::Declared)
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
        if to > row.revision {
            return Err(Rejection::RevisionNotFound(to));
        }
        // Back to nothing is a deletion by another name.
        match to == Revision::default() && failed.is_none() {
            true => self.check_delete(id),
            false => Ok(()),
        }
    }

    /// What the stack declares with it. A difference that comes while another is still being taken in can't be checked against
    /// what is not there yet; who names nothing then waits, and says so.
    pub(crate) fn check_difference(
        &self,
        id: StackId,
        difference: &Difference,
        cause: Cause,
    ) -> Result<Tally, Rejection> {
        check_names(difference)?;
        let compared = self.compare_difference(Some(id), difference);
        let declared = self.check_compared(compared, cause)?;
        if !self.state.stack(id).takes_in() {
            self.check_references(id, difference)?;
        }
        Ok(declared)
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

    pub(crate) fn check_delete(&self, id: StackId) -> Result<(), Rejection> {
        let stack = self.state.stack(id);
        if stack.row.options.protect {
            let name = stack.row.name.clone();
            return Err(Rejection::StackProtected { name });
        }
        if stack.declared.protected == 0 {
            return Ok(());
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
