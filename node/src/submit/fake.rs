//! A stored stack on a shelf, for tests of what reads one.

use std::collections::BTreeMap;

use anneal_statemachine::{
    command::{Difference, StackOptions},
    digest::Digest,
    id::{Revision, StackId, Text},
    row::{DefinitionRow, DesiredRow, RevisionRow},
};
use bytes::Bytes;

use super::{
    reading::{PAGE, Page, StackNow, Stored},
    refusal::Refused,
};

/// The one stack `default/web`, with its past.
#[derive(Default)]
pub(crate) struct Shelf {
    revision: u64,
    settled: u64,
    options: StackOptions,
    head: Option<Digest>,
    parameters: Option<Digest>,
    desired: BTreeMap<Text, DesiredRow>,
    blobs: BTreeMap<Digest, Bytes>,
    definitions: BTreeMap<Digest, DefinitionRow>,
    revisions: BTreeMap<u64, RevisionRow>,
    past: BTreeMap<(u64, Text), Option<DesiredRow>>,
}

impl Shelf {
    /// After one change, which settled.
    pub(crate) fn with(difference: Difference) -> Self {
        let mut shelf = Self::default();
        shelf.take(difference);
        shelf.settled = 1;
        shelf
    }

    /// Takes a change, as the state machine does.
    pub(crate) fn take(&mut self, difference: Difference) {
        self.revision += 1;
        let before = RevisionRow {
            head: self.head,
            parameters: self.parameters,
            options: self.options.clone(),
            wall_ms: 0,
            rollback_to: None,
        };
        self.revisions.insert(self.revision, before);
        for set in difference.set {
            let definition = set.definition.as_ref();
            let row = DesiredRow {
                definition: definition.map(|definition| definition.digest),
                fragment: set.fragment.digest,
                depends_on: definition.map_or_else(Box::default, |d| d.depends_on.clone().into()),
                parameters_used: set.parameters_used.into(),
                policy: None,
                traits: definition
                    .map(|definition| definition.traits)
                    .unwrap_or_default(),
                revision: Revision(self.revision),
            };
            self.blobs.insert(set.fragment.digest, set.fragment.bytes);
            if let Some(definition) = set.definition {
                let kept = DefinitionRow {
                    type_name: definition.type_name,
                    references: definition.references.into(),
                    body: definition.body,
                };
                self.definitions.insert(definition.digest, kept);
            }
            let before = self.desired.insert(set.name.clone(), row);
            self.keep(set.name, before);
        }
        for name in difference.remove {
            let before = self.desired.remove(&name);
            self.keep(name, before);
        }
        for blob in difference.head.iter().chain(&difference.parameters) {
            self.blobs.insert(blob.digest, blob.bytes.clone());
        }
        self.head = difference.head.map(|blob| blob.digest).or(self.head);
        self.parameters = difference
            .parameters
            .map(|blob| blob.digest)
            .or(self.parameters);
        self.options = difference.options.unwrap_or(self.options.clone());
    }

    /// Before the first revision nothing was, so it replaced nothing.
    fn keep(&mut self, name: Text, before: Option<DesiredRow>) {
        if self.revision > 1 {
            self.past.insert((self.revision, name), before);
        }
    }

    /// What is desired now, without the revision that said so.
    pub(crate) fn content(&self) -> Vec<(Text, Option<Digest>, Digest)> {
        self.desired
            .iter()
            .map(|(name, row)| (name.clone(), row.definition, row.fragment))
            .collect()
    }

    /// Forgets what a change replaced.
    pub(crate) fn forget(&mut self, revision: u64) {
        self.revisions.remove(&revision);
    }
}

impl Stored for Shelf {
    fn stack(&self, namespace: &str, name: &str) -> Option<StackNow> {
        let now = StackNow {
            id: StackId(1),
            revision: Revision(self.revision),
            settled_revision: Revision(self.settled),
            options: self.options.clone(),
            head: self.head,
            parameters: self.parameters,
            deleting: false,
            in_motion: false,
        };
        (self.revision > 0 && namespace == "default" && name == "web").then_some(now)
    }

    fn desired(&self, _: StackId, resource: &str) -> Option<DesiredRow> {
        self.desired.get(resource).cloned()
    }

    fn desired_after(&self, _: StackId, after: Option<&Text>) -> Page {
        let desired: Vec<_> = self
            .desired
            .iter()
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .take(PAGE)
            .map(|(name, row)| (name.clone(), row.clone()))
            .collect();
        let last = desired.last().map(|(name, _)| name.clone());
        Page { desired, last }
    }

    fn dependents(&self, _: StackId, resource: &str) -> Vec<Text> {
        let requires = |row: &DesiredRow| {
            let references = row
                .definition
                .map(|digest| self.definitions[&digest].references.clone());
            references.is_some_and(|all| all.iter().any(|one| &*one.resource == resource))
                || row.depends_on.iter().any(|name| &**name == resource)
        };
        self.desired
            .iter()
            .filter(|(_, row)| requires(row))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn users_of_parameter(&self, _: StackId, parameter: &str) -> Vec<Text> {
        let uses = |row: &DesiredRow| row.parameters_used.iter().any(|used| &**used == parameter);
        let users = self.desired.iter().filter(|(_, row)| uses(row));
        users.map(|(name, _)| name.clone()).collect()
    }

    fn blob(&self, digest: Digest) -> Result<Bytes, Refused> {
        let blob = self.blobs.get(&digest).cloned();
        blob.ok_or_else(|| Refused::storage("no such blob"))
    }

    fn definition(&self, digest: Digest) -> Result<DefinitionRow, Refused> {
        let definition = self.definitions.get(&digest).cloned();
        definition.ok_or_else(|| Refused::storage("no such definition"))
    }

    fn revision(&self, _: StackId, revision: Revision) -> Result<Option<RevisionRow>, Refused> {
        Ok(self.revisions.get(&revision.0).cloned())
    }

    fn past(
        &self,
        _: StackId,
        revision: Revision,
    ) -> Result<Vec<(Text, Option<DesiredRow>)>, Refused> {
        let of = self.past.iter().filter(|((of, _), _)| *of == revision.0);
        Ok(of
            .map(|((_, name), row)| (name.clone(), row.clone()))
            .collect())
    }
}
