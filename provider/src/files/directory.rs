//! `Anneal::Directory`: one directory with its mode.
//!
//! Made beside its place, marked, and renamed into it, so that it is never there without its mark.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::named::{Object, Place};
use super::place::{before_effect, is_nothing, out_of_time, without_verdict};
use super::seen::Opened;
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::{Failure, FailureClass};
use crate::read_values::boolean;
use crate::request::{Made, PropertyDifference, Values};
use crate::schema::{AttributeSchema, Kind, OnChange, PropertySchema, TypeSchema};

const OPEN_DIR: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What a directory should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Directory {
    #[serde(flatten)]
    place: Place,
    force: bool,
}

impl Object for Directory {
    const NOUN: &'static str = "directory";
    const DEFAULT_MODE: u32 = 0o755;
    const REMADE: bool = false;

    fn schema() -> TypeSchema {
        let mut schema = TypeSchema::new(
            "Anneal::Directory",
            "A directory on the engine's host; the one that holds it must be there. A directory that is there \
             already is a conflict. It is deleted only when it is empty, unless `force` is true. A changed \
             `path` replaces it.",
        );
        schema.properties = vec![
            PropertySchema::new(
                "force",
                &[Kind::Boolean],
                "Delete it with all that is in it.",
            )
            .default(false),
        ];
        schema.attributes = vec![AttributeSchema::new(
            "path",
            Kind::String,
            "Its absolute path.",
        )];
        schema
    }

    fn of(properties: &Values, place: Place) -> Result<Self, Failure> {
        Ok(Self {
            place,
            force: boolean(properties, "force", false)?,
        })
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn compare(&self, properties: &Values, compared: &mut Comparison<'_>) -> Result<(), Failure> {
        compared.property("force", OnChange::InPlace, || {
            Ok(boolean(properties, "force", false)? != self.force)
        })
    }

    fn make(&self, at: &Path) -> io::Result<fs::File> {
        DirBuilder::new().mode(0o700).create(at)?;
        fs::File::open(at)
    }

    fn examine(&self, _: &mut Opened, _: &mut Made) -> io::Result<Option<PropertyDifference>> {
        Ok(None)
    }

    fn remove(ctx: &CallContext, path: &Path, known: Option<&Self>) -> Result<bool, Failure> {
        match fs::remove_dir(path) {
            Ok(()) => Ok(true),
            Err(error) if is_nothing(&error) => Ok(false),
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(before_effect("delete", path, &error))
            }
            Err(_) if known.is_some_and(|known| known.force) => {
                let dir = openat(CWD, path, OPEN_DIR, Mode::empty())
                    .map_err(|error| before_effect("open", path, &error.into()))?;
                remove_all_in(ctx, &dir, path)?;
                fs::remove_dir(path)
                    .map(|()| true)
                    .map_err(|error| without_verdict("delete", path, &error))
            }
            Err(_) => Err(not_empty(path)),
        }
    }

    fn is_kind(there: &Opened) -> bool {
        there.is_dir
    }
}

/// Empties a directory, entry by entry, so that a large one does not go on being deleted after the lease. What is
/// left then is still marked, and the next attempt goes on with it. Goes by open directories and never by path: a
/// link to a directory is not ours, nor is one that takes the place of a directory meanwhile.
fn remove_all_in(ctx: &CallContext, dir: &impl AsFd, path: &Path) -> Result<(), Failure> {
    let failed = |error: Errno| without_verdict("delete all of", path, &error.into());
    for entry in Dir::read_from(dir).map_err(failed)? {
        if !ctx.may_act() {
            let over = out_of_time();
            return Err(Failure::no_verdict(over.class, over.message));
        }
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if [&b"."[..], b".."].contains(&name.to_bytes()) {
            continue;
        }
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(failed(error)),
        }
        let inner = openat(dir, name, OPEN_DIR, Mode::empty()).map_err(failed)?;
        remove_all_in(ctx, &inner, path)?;
        unlinkat(dir, name, AtFlags::REMOVEDIR).map_err(failed)?;
    }
    Ok(())
}

fn not_empty(path: &Path) -> Failure {
    let first = fs::read_dir(path)
        .ok()
        .and_then(|mut entries| entries.next()?.ok());
    let example = first.map(|entry| format!(" ({} is in it)", entry.file_name().to_string_lossy()));
    let message = format!(
        "{} is not empty{}; not deleted",
        path.display(),
        example.unwrap_or_default()
    );
    Failure::nothing_done(FailureClass::Transient, message)
}
