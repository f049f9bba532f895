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

/// Copies a database that nobody writes to. Table files never change, and are shared; all others may be written
/// to, and are not.
pub(crate) fn copy_database(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.extension().is_some_and(|extension| extension == "sst") {
            fs::hard_link(from, to)?;
        } else {
            fs::copy(from, to)?;
        }
    }
    Ok(())
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
