//! Content-addressed definitions and blobs: what memory keeps of them, and how many refer to each.
//! Knows nothing of what they mean. Counts follow from the rows that refer.

use crate::command::Reference;
use crate::digest::Digest;
use crate::id::Text;
use std::collections::{BTreeMap, BTreeSet};

/// What memory keeps of a definition; its body is a row only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) type_name: Text,
    pub(crate) references: Box<[Reference]>,
    count: u32,
}

/// Definitions and blobs by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Catalogue {
    definitions: BTreeMap<Digest, Known>,
    blobs: BTreeMap<Digest, u32>,
    /// One copy of each type's name.
    types: BTreeSet<Text>,
}

impl Catalogue {
    /// The type and references of a definition that something refers to.
    pub(crate) fn definition(&self, digest: Digest) -> &Known {
        self.definitions
            .get(&digest)
            .expect("a definition that is referred to is kept")
    }

    /// The same, if known.
    pub(crate) fn find(&self, digest: Digest) -> Option<&Known> {
        self.definitions.get(&digest)
    }

    /// One more refers to a definition, which is made known. True: nothing referred to it before.
    pub(crate) fn take_definition(
        &mut self,
        digest: Digest,
        type_name: &Text,
        references: &[Reference],
    ) -> bool {
        if let Some(known) = self.definitions.get_mut(&digest) {
            known.count += 1;
            return known.count == 1;
        }
        self.add_definition(digest, type_name, references);
        self.hold_definition(digest);
        true
    }

    /// Makes a definition known, with nothing referring to it yet.
    pub(crate) fn add_definition(
        &mut self,
        digest: Digest,
        type_name: &Text,
        references: &[Reference],
    ) {
        if self.definitions.contains_key(&digest) {
            return;
        }
        let type_name = match self.types.get(type_name) {
            Some(known) => known.clone(),
            None => {
                self.types.insert(type_name.clone());
                type_name.clone()
            }
        };
        let known = Known {
            type_name,
            references: references.into(),
            count: 0,
        };
        self.definitions.insert(digest, known);
    }

    /// One more refers to a blob, which is made known. True: nothing referred to it before.
    pub(crate) fn take_blob(&mut self, digest: Digest) -> bool {
        let count = self.blobs.entry(digest).or_default();
        *count += 1;
        *count == 1
    }

    /// Makes a blob known, with nothing referring to it yet.
    pub(crate) fn add_blob(&mut self, digest: Digest) {
        self.blobs.entry(digest).or_default();
    }

    pub(crate) fn has_blob(&self, digest: Digest) -> bool {
        self.blobs.contains_key(&digest)
    }

    pub(crate) fn hold_definition(&mut self, digest: Digest) {
        self.definitions
            .get_mut(&digest)
            .expect("only a known definition is referred to")
            .count += 1;
    }

    pub(crate) fn hold_blob(&mut self, digest: Digest) {
        *self
            .blobs
            .get_mut(&digest)
            .expect("only a known blob is referred to") += 1;
    }

    /// True: nothing refers to it any more.
    pub(crate) fn drop_definition(&mut self, digest: Digest) -> bool {
        let known = self
            .definitions
            .get_mut(&digest)
            .expect("a definition that is referred to is kept");
        known.count -= 1;
        known.count == 0
    }

    /// True: nothing refers to it any more.
    pub(crate) fn drop_blob(&mut self, digest: Digest) -> bool {
        let count = self
            .blobs
            .get_mut(&digest)
            .expect("a blob that is referred to is kept");
        *count -= 1;
        *count == 0
    }

    /// Removes the definition if nothing refers to it.
    pub(crate) fn collect_definition(&mut self, digest: Digest) -> bool {
        let unused = self
            .definitions
            .get(&digest)
            .is_some_and(|known| known.count == 0);
        if unused {
            self.definitions.remove(&digest);
        }
        unused
    }

    /// Removes the blob if nothing refers to it.
    pub(crate) fn collect_blob(&mut self, digest: Digest) -> bool {
        let unused = self.blobs.get(&digest) == Some(&0);
        if unused {
            self.blobs.remove(&digest);
        }
        unused
    }
}
