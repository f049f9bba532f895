//! What a submission reads of the stored stacks, as single look-ups and pages, so that nothing holds the state for
//! long. Knows nothing of how it is kept.

use anneal_statemachine::{
    command::StackOptions,
    digest::Digest,
    id::{Revision, StackId, Text},
    row::{DefinitionRow, DesiredRow, RevisionRow},
};
use bytes::Bytes;

use super::refusal::Refused;

/// Resources looked at in one go: some tenths of a millisecond.
pub(crate) const PAGE: usize = 500;

/// A stack as a whole, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackNow {
    /// Its id.
    pub id: StackId,
    /// Its newest revision.
    pub revision: Revision,
    /// The last settled one.
    pub settled_revision: Revision,
    /// Its options.
    pub options: StackOptions,
    /// Its head's blob.
    pub head: Option<Digest>,
    /// Its parameters' blob.
    pub parameters: Option<Digest>,
    /// Everything is to go.
    pub deleting: bool,
    /// A change is still being taken in: what its resources are, and what it replaced, can't be read yet. What they should
    /// be can.
    pub in_motion: bool,
}

/// Some of what a stack's resources should be, in the order of names.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Those that should be.
    pub desired: Vec<(Text, DesiredRow)>,
    /// The last name that was looked at; `None`: there are no more.
    pub last: Option<Text>,
}

/// What a stack's resources should be by its newest revision, by name. Nothing of it changes while that revision is being
/// taken in.
pub trait Stored: Send + Sync {
    /// The stack of this name.
    fn stack(&self, namespace: &str, name: &str) -> Option<StackNow>;

    /// What a resource should be; `None`: it should not.
    fn desired(&self, stack: StackId, resource: &str) -> Option<DesiredRow>;

    /// Those of the next `PAGE` names, after a name.
    fn desired_after(&self, stack: StackId, after: Option<&Text>) -> Page;

    /// Names of those whose definition requires this one, in order.
    fn dependents(&self, stack: StackId, resource: &str) -> Vec<Text>;

    /// Names of those whose definition was computed from this parameter, in order.
    fn users_of_parameter(&self, stack: StackId, parameter: &str) -> Vec<Text>;

    /// A blob's bytes.
    ///
    /// # Errors
    /// If rows can't be read, or it is not there.
    fn blob(&self, digest: Digest) -> Result<Bytes, Refused>;

    /// A definition.
    ///
    /// # Errors
    /// If rows can't be read, or it is not there.
    fn definition(&self, digest: Digest) -> Result<DefinitionRow, Refused>;

    /// What the change that made a revision replaced in the stack as a whole; `None`: not kept.
    ///
    /// # Errors
    /// If rows can't be read.
    fn revision(&self, stack: StackId, revision: Revision) -> Result<Option<RevisionRow>, Refused>;

    /// What that change replaced in resources (`None`: it was not there), in the order of names.
    ///
    /// # Errors
    /// If rows can't be read.
    fn past(
        &self,
        stack: StackId,
        revision: Revision,
    ) -> Result<Vec<(Text, Option<DesiredRow>)>, Refused>;
}

/// Goes through all resources that should be, in the order of names.
pub(crate) fn each_desired(
    stored: &dyn Stored,
    stack: StackId,
    mut look: impl FnMut(Text, DesiredRow),
) {
    let mut after = None;
    loop {
        let page = stored.desired_after(stack, after.as_ref());
        for (name, desired) in page.desired {
            look(name, desired);
        }
        if page.last.is_none() {
            return;
        }
        after = page.last;
    }
}
