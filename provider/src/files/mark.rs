//! Whose a file or directory is: the mark that tells an instance's own objects from all others.
//!
//! The mark is an extended attribute, so that it goes where the object goes. Where the file system has
//! none, it is a record beside the other records of the host, bound to the object's device and inode.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, fsetxattr, lgetxattr};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::read_values::digest;

/// The extended attribute's name.
const MARK_ATTRIBUTE: &str = "user.anneal.instance";
/// An instance id is far shorter; a longer mark is not one of ours.
const MARK_MAX_BYTES: usize = 1024;

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The asking instance's.
    Ours,
    /// Another instance's.
    Other(String),
    /// It carries no mark.
    Nobody,
}

/// Reads and writes marks.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    records: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    path: PathBuf,
    instance_id: String,
    device: u64,
    inode: u64,
}

impl Marks {
    pub(super) fn new(host_dir: &Path) -> Self {
        Self {
            records: host_dir.join("marks"),
        }
    }

    /// Marks `object`, open and about to be put at `path`.
    pub(super) fn put(&self, object: &File, path: &Path, instance_id: &str) -> io::Result<()> {
        match fsetxattr(
            object,
            MARK_ATTRIBUTE,
            instance_id.as_bytes(),
            XattrFlags::empty(),
        ) {
            Ok(()) => Ok(()),
            Err(Errno::NOTSUP | Errno::PERM) => self.put_record(object, path, instance_id),
            Err(error) => Err(error.into()),
        }
    }

    /// Whose the object at `path` is, which must be there.
    pub(super) fn owner(&self, path: &Path, instance_id: &str) -> io::Result<Owner> {
        let mut buffer = vec![0; MARK_MAX_BYTES];
        let found = match lgetxattr(path, MARK_ATTRIBUTE, &mut buffer[..]) {
            Ok(length) => Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            Err(Errno::RANGE) => Some("an unknown owner".to_owned()),
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => self.recorded(path)?,
            Err(error) => return Err(error.into()),
        };
        Ok(match found {
            None => Owner::Nobody,
            Some(found) if found == instance_id => Owner::Ours,
            Some(found) => Owner::Other(found),
        })
    }

    /// Forgets the record of an object that was deleted.
    pub(super) fn forget(&self, path: &Path) {
        // A record without its object is harmless: it names an inode that is gone.
        let _ = fs::remove_file(self.record(path));
    }

    fn record(&self, path: &Path) -> PathBuf {
        self.records
            .join(digest(path.as_os_str().as_encoded_bytes()))
    }

    fn put_record(&self, object: &File, path: &Path, instance_id: &str) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.records)?;
        let is = object.metadata()?;
        let record = Record {
            path: path.to_owned(),
            instance_id: instance_id.to_owned(),
            device: is.dev(),
            inode: is.ino(),
        };
        let mut file = tempfile::NamedTempFile::new_in(&self.records)?;
        serde_json::to_writer(&mut file, &record)?;
        file.as_file().sync_all()?;
        file.persist(self.record(path))
            .map_err(|error| error.error)?;
        Ok(())
    }

    fn recorded(&self, path: &Path) -> io::Result<Option<String>> {
        let bytes = match fs::read(self.record(path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is = fs::symlink_metadata(path)?;
        let record = serde_json::from_slice::<Record>(&bytes).ok();
        let record = record.filter(|record| (record.device, record.inode) == (is.dev(), is.ino()));
        Ok(record.map(|record| record.instance_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_stands_in_for_the_attribute_and_is_bound_to_the_object() {
        let dir = tempfile::tempdir().unwrap();
        let marks = Marks::new(dir.path());
        let path = dir.path().join("object");
        let object = File::create(&path).unwrap();
        marks.put_record(&object, &path, "cluster-7").unwrap();
        assert_eq!(marks.owner(&path, "cluster-7").unwrap(), Owner::Ours);
        assert_eq!(
            marks.owner(&path, "cluster-8").unwrap(),
            Owner::Other("cluster-7".to_owned())
        );

        // Somebody puts another file in its place, while the old one still has its inode.
        let other = dir.path().join("other");
        fs::write(&other, "theirs").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(marks.owner(&path, "cluster-7").unwrap(), Owner::Nobody);
    }
}
