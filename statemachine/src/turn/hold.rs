//! Holding and dropping definitions and blobs, so that content lives exactly as long as something
//! refers to it.

use crate::command::{Blob, Definition};
use crate::digest::Digest;
use crate::row::{DefinitionRow, DesiredRow, RowKey, RowValue};
use crate::turn::Turn;

impl Turn<'_> {
    /// Makes a definition known, writes its row if it is new, and holds it.
    pub(crate) fn take_definition(&mut self, definition: &Definition) {
        let new = self.state.catalogue.take_definition(
            definition.digest,
            &definition.type_name,
            &definition.references,
        );
        if new {
            let row = DefinitionRow {
                type_name: definition.type_name.clone(),
                references: definition.references.clone().into(),
                body: definition.body.clone(),
            };
            self.put(
                RowKey::Definition(definition.digest),
                RowValue::Definition(row),
            );
        }
    }

    /// The same for a blob.
    pub(crate) fn take_blob(&mut self, blob: &Blob) {
        if self.state.catalogue.take_blob(blob.digest) {
            let row = RowValue::Blob(blob.bytes.clone());
            self.put(RowKey::Blob(blob.digest), row);
        }
    }

    pub(crate) fn hold_definition(&mut self, digest: Digest) {
        self.state.catalogue.hold_definition(digest);
    }

    pub(crate) fn drop_definition(&mut self, digest: Digest) {
        if self.state.catalogue.drop_definition(digest) {
            self.touched.definitions.insert(digest);
        }
    }

    pub(crate) fn hold_blob(&mut self, digest: Digest) {
        self.state.catalogue.hold_blob(digest);
    }

    pub(crate) fn drop_blob(&mut self, digest: Digest) {
        if self.state.catalogue.drop_blob(digest) {
            self.touched.blobs.insert(digest);
        }
    }

    pub(crate) fn drop_desired(&mut self, desired: &DesiredRow) {
        if let Some(definition) = desired.definition {
            self.drop_definition(definition);
        }
        self.drop_blob(desired.fragment);
    }

    /// Puts a blob in the place of another.
    pub(crate) fn exchange_blob(&mut self, before: Option<Digest>, after: &Blob) {
        self.take_blob(after);
        if let Some(before) = before {
            self.drop_blob(before);
        }
    }

    /// Removes content that nothing refers to any more.
    pub(super) fn collect_content(&mut self) {
        for digest in std::mem::take(&mut self.touched.definitions) {
            if self.state.catalogue.collect_definition(digest) {
                self.remove(RowKey::Definition(digest));
            }
        }
        for digest in std::mem::take(&mut self.touched.blobs) {
            if self.state.catalogue.collect_blob(digest) {
                self.remove(RowKey::Blob(digest));
            }
        }
    }
}
