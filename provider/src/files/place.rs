//! What files and directories have in common: a path, exclusive creation, and errors told in words.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::mark::Owner;
use crate::failure::{Failure, FailureClass};
use crate::read_values::digest;
use crate::request::Applied;

/// Runs disk work where it may block. It goes on if the caller goes away, so it asks `may_act` before its effect.
pub(super) async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The absolute path, without `.` and `..`, and without asking the disk.
pub(super) fn absolute(path: &str) -> Result<PathBuf, Failure> {
    let refused =
        |error: &dyn std::fmt::Display| Failure::refused(format!("path `{path}`: {error}"));
    if path.contains('\0') {
        return Err(refused(&"it contains a NUL"));
    }
    let whole = std::path::absolute(path).map_err(|error| refused(&error))?;
    let mut plain = PathBuf::new();
    for component in whole.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    if plain.file_name().is_none() {
        return Err(refused(&"it names no file"));
    }
    Ok(plain)
}

/// The path as a physical id. A path that is not text was refused before.
pub(super) fn as_id(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .expect("an absolute path that names a file has a parent")
}

/// Where an object is prepared before it is put in place: in the same directory, hidden, and never the
/// same for two holders of the instance.
pub(super) fn preparation(path: &Path, instance_id: &str, fencing_token: u64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names are bounded (255 bytes on most file systems), so only the start of a long one is kept.
    let name = &name[..name.floor_char_boundary(100)];
    let instance = &digest(instance_id.as_bytes())[..16];
    parent(path).join(format!(".{name}.anneal-{instance}-{fencing_token}"))
}

/// Puts a prepared object in place unless something is there. Says whether it did.
pub(super) fn put_exclusively(prepared: &Path, path: &Path) -> io::Result<bool> {
    match renameat_with(CWD, prepared, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if prepared.is_file() => {
            match fs::hard_link(prepared, path) {
                Ok(()) => fs::remove_file(prepared).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a change of the directory that holds `path` durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The failure that nothing more may be done under this lease.
pub(super) fn out_of_time() -> Failure {
    Failure::nothing_done(
        FailureClass::Aborted,
        "the lease or the time of the call was over before it began",
    )
}

/// An error that came before any effect.
pub(super) fn before_effect(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::nothing_done(class(error), told(doing, path, error))
}

/// An error after which the effect may or may not be there.
pub(super) fn without_verdict(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::no_verdict(class(error), told(doing, path, error))
}

/// Whether an error says that nothing is there.
pub(super) fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The answer that the place is taken.
pub(super) fn conflict(path: &Path, owner: &Owner, hint: &str) -> Applied {
    let whose = match owner {
        Owner::Other(instance) => format!("belongs to another instance ({instance})"),
        Owner::Ours | Owner::Nobody => "does not belong to this resource".to_owned(),
    };
    let message = format!("{} is there already and {whose}{hint}", path.display());
    Applied::Conflict {
        physical_id: as_id(path),
        message,
    }
}

fn told(doing: &str, path: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound if !parent(path).exists() => " (its directory does not exist)",
        _ => "",
    };
    format!("cannot {doing} {}: {error}{hint}", path.display())
}

fn class(error: &io::Error) -> FailureClass {
    use io::ErrorKind as Is;
    match error.kind() {
        Is::StorageFull | Is::QuotaExceeded => FailureClass::Quota,
        Is::NotFound
        | Is::PermissionDenied
        | Is::NotADirectory
        | Is::IsADirectory
        | Is::ReadOnlyFilesystem => FailureClass::Permanent,
        Is::InvalidInput | Is::InvalidFilename | Is::FileTooLarge => FailureClass::Permanent,
        _ => FailureClass::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain_without_asking_the_disk() {
        assert_eq!(
            absolute("/no/such/../dir/./x").unwrap(),
            Path::new("/no/dir/x")
        );
        assert_eq!(absolute("/a//b/").unwrap(), Path::new("/a/b"));
        for wrong in ["", "/", "/a/..", "/a\0b"] {
            assert!(absolute(wrong).is_err(), "{wrong:?}");
        }
        assert!(absolute("relative").unwrap().is_absolute());
    }
}
