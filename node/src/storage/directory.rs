//! A member's data directory: private, of a known format, and in use by one process.
//!
//! Knows where things are in it, and nothing of what they hold.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use super::files;

/// Format of the directory that this release writes, and the newest it reads.
const FORMAT: u32 = 1;
/// Readable by nobody else: definitions hold secrets.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error("the data directory {path} is in use by another process{holder}")]
    InUse {
        /// The directory.
        path: String,
        /// Which process, if that is known.
        holder: String,
    },
    /// A newer release wrote it.
    #[error(
        "the data directory {path} was written by a newer release (format {found}; this one reads up to {known})"
    )]
    Newer {
        /// The directory.
        path: String,
        /// Its format.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// Something is in it that no member put there.
    #[error("{path} is not a data directory: {why}")]
    Foreign {
        /// The directory.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be made, read or written.
    #[error("the data directory {path} cannot be used: {source}")]
    Io {
        /// The directory.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A data directory that is this process's until dropped.
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Takes a directory, made if it is not there.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let io = |source| DirectoryError::Io {
            path: path.display().to_string(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)
            .map_err(io)?;
        let lock = lock(path)?;
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)).map_err(io)?;
        check_format(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// Where the rows are.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Where checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}

fn lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.display().to_string();
    let io = |source| DirectoryError::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(directory.join("LOCK"))
        .map_err(io)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // Only a courtesy: without it the message is still right.
        let _ = file.read_to_string(&mut holder);
        let holder = holder
            .trim()
            .parse::<u32>()
            .map(|pid| format!(" (pid {pid})"));
        return Err(DirectoryError::InUse {
            path,
            holder: holder.unwrap_or_default(),
        });
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}

fn check_format(directory: &Path) -> Result<(), DirectoryError> {
    let path = directory.display().to_string();
    let io = |source| DirectoryError::Io {
        path: path.clone(),
        source,
    };
    let file = directory.join("VERSION");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return write_format(directory),
        Err(error) => return Err(io(error)),
    };
    match text.trim().parse::<u32>() {
        Ok(found) if found > FORMAT => Err(DirectoryError::Newer {
            path,
            found,
            known: FORMAT,
        }),
        Ok(_) => Ok(()),
        Err(_) => Err(DirectoryError::Foreign {
            path,
            why: "its VERSION is no number".into(),
        }),
    }
}

/// Marks an empty directory as ours; one with something else in it is left alone.
fn write_format(directory: &Path) -> Result<(), DirectoryError> {
    let path = directory.display().to_string();
    let io = |source| DirectoryError::Io {
        path: path.clone(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if name != "LOCK" && name != "VERSION.new" {
            let why = format!("it holds {} but no VERSION", Path::new(&name).display());
            return Err(DirectoryError::Foreign { path, why });
        }
    }
    let new = directory.join("VERSION.new");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&new)?;
        writeln!(file, "{FORMAT}")?;
        file.sync_all()?;
        fs::rename(&new, directory.join("VERSION"))?;
        files::flush_directory(directory)
    };
    write().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_private_and_one_process_s() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("member");
        let held = DataDirectory::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, DIRECTORY_MODE);
        let second = DataDirectory::open(&path).err().unwrap();
        assert!(
            second
                .to_string()
                .contains("in use by another process (pid "),
            "{second}"
        );
        drop(held);
        DataDirectory::open(&path).unwrap();
    }

    #[test]
    fn a_directory_of_a_newer_release_is_refused() {
        let root = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(root.path()).unwrap());
        fs::write(root.path().join("VERSION"), "2\n").unwrap();
        let error = DataDirectory::open(root.path()).err().unwrap();
        assert!(
            matches!(error, DirectoryError::Newer { found: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_directory_with_other_people_s_files_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.txt"), "").unwrap();
        let error = DataDirectory::open(root.path()).err().unwrap();
        assert!(matches!(error, DirectoryError::Foreign { .. }), "{error}");
    }
}
