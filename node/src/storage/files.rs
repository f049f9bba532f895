//! Making files and directories durable.
//!
//! Knows nothing of what is in them.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Makes the names in a directory durable.
pub(crate) fn flush_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes every file of a flat directory durable, and their names.
pub(crate) fn flush_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    flush_directory(directory)
}

/// Gives a finished directory its name, durably.
pub(crate) fn rename_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(parent) => flush_directory(parent),
        None => Ok(()),
    }
}

/// Removes a directory if it is there.
pub(crate) fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
