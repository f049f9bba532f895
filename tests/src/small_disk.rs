//! A directory on a disk of its own, which is small and can be filled. Needs root.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What fills it.
const FILLER: &str = "FILLER";

/// A disk in memory, mounted at a directory. Dropping it unmounts it; what was on it is lost then.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
    /// Where the directory comes from, and goes back to.
    aside: PathBuf,
}

fn system(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {arguments:?}: {}", said.trim()))
}

fn bytes_below(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => bytes_below(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    let from = from.join(".");
    system(
        "cp",
        &["-a", &from.to_string_lossy(), &to.to_string_lossy()],
    )
}

impl SmallDisk {
    /// Puts a disk with so much room to spare below a directory that nobody uses.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn below(directory: &Path, spare_bytes: u64) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
        let size = bytes_below(directory).map_err(failed)? + spare_bytes;
        let aside = directory.with_extension("aside");
        fs::rename(directory, &aside).map_err(failed)?;
        fs::create_dir(directory).map_err(failed)?;
        let (options, at) = (
            format!("size={size},mode=0700"),
            directory.to_string_lossy(),
        );
        let mounted = system(
            "mount",
            &["-t", "tmpfs", "-o", &options, "anneal-small-disk", &at],
        );
        if let Err(why) = mounted {
            fs::remove_dir(directory)
                .and_then(|()| fs::rename(&aside, directory))
                .map_err(failed)?;
            return Err(why);
        }
        let disk = Self {
            at: directory.to_owned(),
            aside,
        };
        copy_all(&disk.aside, &disk.at)?;
        Ok(disk)
    }

    /// Leaves no room on it.
    ///
    /// # Errors
    /// When something else than the lack of room ends it.
    pub fn fill(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.at.display());
        let filler = self.at.join(FILLER);
        let mut options = OpenOptions::new();
        let mut filler = options
            .create(true)
            .append(true)
            .open(filler)
            .map_err(failed)?;
        // The last byte too.
        for piece in [1 << 20, 4 << 10, 1] {
            let piece = vec![0; piece];
            loop {
                match filler.write(&piece) {
                    Ok(1..) => {}
                    Ok(0) => break,
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        Ok(())
    }

    /// Makes the room again, if it was filled.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn free(&self) -> Result<(), String> {
        match fs::remove_file(self.at.join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// Brings the directory, which nobody uses now, back to where it came from.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn bring_back(self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.at.display());
        fs::remove_dir_all(&self.aside).map_err(failed)?;
        fs::create_dir(&self.aside).map_err(failed)?;
        copy_all(&self.at, &self.aside)?;
        let (at, aside) = (self.at.clone(), self.aside.clone());
        drop(self);
        fs::remove_dir(&at)
            .and_then(|()| fs::rename(&aside, &at))
            .map_err(|error| format!("{}: {error}", at.display()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once, also if somebody still has a file of it open.
        let unmounted = system("umount", &["-l", &self.at.to_string_lossy()]);
        if let Err(error) = unmounted {
            eprintln!("{error}");
        }
    }
}
