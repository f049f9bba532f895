//! What resources should be by the newest revision, whether that has been taken in by now or not. While it is being
//! taken in, this does not change.

use crate::StateMachine;
use crate::id::{RequestId, StackId, Text};
use crate::row::{DesiredRow, StagedRow};

impl StateMachine {
    /// What a resource should be.
    pub fn declared(&self, stack: StackId, name: &str) -> Option<&DesiredRow> {
        self.state.declared(self.state.stacks.get(&stack)?, name)
    }

    /// Names of a stack after this one (`None`: all), in order, with what each should be.
    pub fn declared_after(
        &self,
        stack: StackId,
        after: Option<&Text>,
    ) -> impl Iterator<Item = (&Text, Option<&DesiredRow>)> {
        let stack = self.state.stacks.get(&stack);
        let declared = stack.map(|stack| self.state.declared_after(stack, after));
        declared.into_iter().flatten()
    }

    /// A declared resource names another one.
    pub fn names_another(&self, desired: &DesiredRow, other: &str) -> bool {
        let definition = desired
            .definition
            .map(|it| self.state.catalogue.definition(it));
        let mut referred = definition.iter().flat_map(|known| &known.references);
        desired.depends_on.iter().any(|name| &**name == other)
            || referred.any(|reference| &*reference.resource == other)
    }

    /// Changes of a stack that wait to be taken in.
    pub fn stages_of(&self, stack: StackId) -> Vec<RequestId> {
        let stack = self.state.stacks.get(&stack);
        let stages = stack.into_iter().flat_map(|it| self.state.stages_of(it));
        stages.map(|(id, _)| id).collect()
    }

    /// What is left of one of them, in the order in which it is taken in, after this position.
    pub fn staged_after(
        &self,
        stage: RequestId,
        after: Option<u32>,
    ) -> impl Iterator<Item = (u32, &StagedRow)> {
        let stage = self.state.stages.get(&stage).into_iter();
        stage.flat_map(move |stage| stage.after(after))
    }
}
