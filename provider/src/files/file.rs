//! `Anneal::File`: one file with its content and mode.
//!
//! Written whole beside its place and renamed into it, so that nobody ever reads half of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::excerpt::Part;
use super::named::{Object, Place};
use super::place::{before_effect, is_nothing};
use super::seen::{Content, Opened};
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::read_values::{boolean, digest, optional_text};
use crate::request::{Made, PropertyDifference, Values};
use crate::schema::{AttributeSchema, Kind, OnChange, PropertySchema, TypeSchema};

/// What a file should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct File {
    #[serde(flatten)]
    place: Place,
    digest: String,
    overwrite: bool,
    /// Not kept: it may be large, and secret. None if only its digest is known.
    #[serde(skip)]
    content: Option<String>,
}

fn content(properties: &Values) -> Result<String, Failure> {
    Ok(optional_text(properties, "content")?.unwrap_or_default())
}

impl Object for File {
    const NOUN: &'static str = "file";
    const DEFAULT_MODE: u32 = 0o644;
    const CONFLICT_HINT: &'static str = "; `overwrite: true` would take it over";
    const REMADE: bool = true;

    fn schema() -> TypeSchema {
        let mut schema = TypeSchema::new(
            "Anneal::File",
            "A file on the engine's host. It is written atomically. A file that is there already and does not \
             belong to the resource is a conflict, unless `overwrite` is true; only a file that belongs to the \
             resource is ever deleted. A changed `path` replaces it.",
        );
        schema.properties = vec![
            PropertySchema::new("content", &[Kind::String], "What is in it.").default(""),
            PropertySchema::new(
                "overwrite",
                &[Kind::Boolean],
                "Take over a file that is there already.",
            )
            .default(false),
        ];
        schema.attributes = vec![
            AttributeSchema::new("path", Kind::String, "Its absolute path."),
            AttributeSchema::new(
                "digest",
                Kind::String,
                "SHA-256 of its content, as `sha256:…`.",
            )
            .computed_from("content"),
        ];
        schema
    }

    fn of(properties: &Values, place: Place) -> Result<Self, Failure> {
        let content = content(properties)?;
        Ok(Self {
            place,
            digest: digest(content.as_bytes()),
            overwrite: boolean(properties, "overwrite", false)?,
            content: Some(content),
        })
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn takes_over(&self) -> bool {
        self.overwrite
    }

    fn compare(&self, properties: &Values, compared: &mut Comparison<'_>) -> Result<(), Failure> {
        compared.property("content", OnChange::InPlace, || {
            Ok(digest(content(properties)?.as_bytes()) != self.digest)
        })?;
        compared.property("overwrite", OnChange::InPlace, || {
            Ok(boolean(properties, "overwrite", false)? != self.overwrite)
        })
    }

    fn make(&self, at: &Path) -> io::Result<fs::File> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(at)?;
        let content = self.content.as_deref();
        file.write_all(
            content
                .expect("what is made comes from properties")
                .as_bytes(),
        )?;
        Ok(file)
    }

    fn attributes(&self) -> Values {
        told_digest(&self.digest)
    }

    fn examine(
        &self,
        there: &mut Opened,
        made: &mut Made,
    ) -> io::Result<Option<PropertyDifference>> {
        let desired = self.content.as_deref();
        let found = there.content(desired.unwrap_or_default().as_bytes())?;
        made.attributes.extend(told_digest(&found.digest));
        if found.digest == self.digest {
            return Ok(None);
        }
        let shown = desired.zip(as_text(&found));
        let (desired, found) = match shown {
            Some((desired, text)) => (
                Part::whole(desired).excerpt(found.differs_at),
                text.excerpt(found.differs_at),
            ),
            None => (in_short(&self.digest), in_short(&found.digest)),
        };
        Ok(Some(PropertyDifference {
            path: PropertyPath::property("content"),
            desired: desired.into(),
            found: found.into(),
        }))
    }

    fn remove(_ctx: &CallContext, path: &Path, _known: Option<&Self>) -> Result<bool, Failure> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if is_nothing(&error) => Ok(false),
            Err(error) => Err(before_effect("delete", path, &error)),
        }
    }

    fn is_kind(there: &Opened) -> bool {
        !there.is_dir
    }
}

fn as_text(found: &Content) -> Option<Part<'_>> {
    Part::of_bytes(&found.around, found.around_from, found.length)
}

fn in_short(digest: &str) -> String {
    format!("sha256:{digest}")
}

fn told_digest(digest: &str) -> Values {
    Values::from_iter([("digest".to_owned(), json!(in_short(digest)))])
}
