//! What a change makes of what a stack declares by its newest revision: whether there is room for it, and whether it keeps what
//! is protected. Knows nothing of how a change comes, whole or in parts.

use crate::apply::change::Cause;
use crate::command::{Difference, SetResource};
use crate::id::{StackId, Text};
use crate::outcome::Rejection;
use crate::row::{DesiredRow, StagedRow};
use crate::state::{Compared, Tally};
use crate::turn::Turn;

/// What one item of a change makes of its name.
pub(crate) struct Next<'a> {
    name: &'a Text,
    /// It is set, not removed.
    declared: bool,
    /// Its type, if it has a definition.
    type_name: Option<&'a Text>,
    protects: bool,
}

impl<'a> Next<'a> {
    fn set(item: &'a SetResource) -> Self {
        let definition = item.definition.as_ref();
        Next {
            name: &item.name,
            declared: true,
            type_name: definition.map(|definition| &definition.type_name),
            protects: definition.is_some_and(|definition| definition.policy.protect),
        }
    }

    fn removed(name: &'a Text) -> Self {
        Next {
            name,
            declared: false,
            type_name: None,
            protects: false,
        }
    }

    /// All of these.
    pub(crate) fn of(
        set: &'a [SetResource],
        remove: &'a [Text],
    ) -> impl Iterator<Item = Self> + use<'a> {
        let removed = remove.iter().map(Next::removed);
        set.iter().map(Next::set).chain(removed)
    }
}

impl Turn<'_> {
    /// Compares names, each with what becomes of it, to what a stack declares; `None`: there is no stack yet.
    pub(crate) fn compare<'a>(
        &self,
        stack: Option<StackId>,
        items: impl Iterator<Item = Next<'a>>,
    ) -> Compared {
        let stack = stack.map(|id| (id, self.state.stack(id)));
        let mut compared = Compared::to(stack.map(|(id, stack)| (id, stack.row.revision)));
        for next in items {
            let before = stack.and_then(|(_, stack)| self.state.declared(stack, next.name));
            compared.before.count_desired(before);
            compared.after.count(next.declared, next.protects);
            // What is protected is neither removed nor switched off, nor given another type, which would replace it.
            let protects = before.is_some_and(DesiredRow::protects);
            if protects && self.type_of(before) != next.type_name {
                compared.note_spoilt(next.name);
            }
        }
        compared
    }

    pub(crate) fn compare_difference(
        &self,
        stack: Option<StackId>,
        difference: &Difference,
    ) -> Compared {
        self.compare(stack, Next::of(&difference.set, &difference.remove))
    }

    /// What the stack declares from now on, unless that is too much, or the change would spoil what is protected. A stack that is
    /// too large already, as the limit was lowered, takes whatever does not make it larger.
    pub(crate) fn check_compared(
        &self,
        compared: Compared,
        cause: Cause,
    ) -> Result<Tally, Rejection> {
        let stack = compared.to.map(|(id, _)| self.state.stack(id));
        let now = stack.map(|stack| stack.declared).unwrap_or_default();
        let then = now.exchanged(compared.before, compared.after);
        if then.names > now.names {
            self.check_size(then.names)?;
        }
        match compared.spoilt {
            Some(name) if !cause.undoes() => Err(Rejection::ResourceProtected { name }),
            _ => Ok(then),
        }
    }

    /// So many resources are not too many.
    pub(crate) fn check_size(&self, count: u64) -> Result<(), Rejection> {
        let limit = self.state.cluster.settings.max_resources;
        match count <= limit {
            true => Ok(()),
            false => Err(Rejection::TooManyResources { count, limit }),
        }
    }

    /// What an item that waits makes of its name.
    pub(crate) fn next_of<'s>(&'s self, item: &'s StagedRow) -> Next<'s> {
        let desired = item.desired.as_ref();
        Next {
            name: &item.name,
            declared: desired.is_some(),
            type_name: self.type_of(desired),
            protects: desired.is_some_and(DesiredRow::protects),
        }
    }

    /// The type of what is declared.
    fn type_of(&self, desired: Option<&DesiredRow>) -> Option<&Text> {
        let definition = desired?.definition?;
        Some(&self.state.catalogue.definition(definition).type_name)
    }
}
