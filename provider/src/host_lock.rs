//! A lock that all processes of a host respect, and that ends with the process that holds it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often a lock that is held is tried again.
const TICK: Duration = Duration::from_millis(5);

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct HostLock {
    path: PathBuf,
    _file: File,
}

impl HostLock {
    /// Takes the lock at `path`, making its directory; none if somebody else holds it.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            // The last holder removes the file as it goes; then what we locked is nobody's lock any more.
            if is_still(&file, path)? {
                return Ok(Some(Self {
                    path: path.to_owned(),
                    _file: file,
                }));
            }
        }
    }

    /// The same, trying for so long: whoever asks whether the lock is held holds it for a moment too.
    pub(crate) fn take_within(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let until = Instant::now() + patience;
        loop {
            let taken = Self::try_take(path)?;
            if taken.is_some() || Instant::now() >= until {
                return Ok(taken);
            }
            thread::sleep(TICK);
        }
    }

    /// Whether somebody holds the lock at `path`.
    pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
        match OpenOptions::new().read(true).open(path) {
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(Errno::WOULDBLOCK) => Ok(true),
                Err(error) => Err(error.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // A file that stays behind is only a name: the lock itself ends with the open file.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/one");
        let held = HostLock::try_take(&path).unwrap().unwrap();
        assert!(HostLock::try_take(&path).unwrap().is_none());
        assert!(HostLock::is_held(&path).unwrap());
        drop(held);
        assert!(!HostLock::is_held(&path).unwrap());
        assert!(HostLock::try_take(&path).unwrap().is_some());
    }
}
