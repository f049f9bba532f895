//! Checkpoints: the rows as they were at one moment, complete and durable, or not there at all.
//!
//! A checkpoint is made, or received, under an unfinished name and renamed once everything in it is on
//! disk, and has an unfinished name again before the first file of it is removed. What it contains is read from itself.
//! Knows nothing of rows.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    files,
    state::{Position, StateStore, position_in},
};
use crate::failpoint::{self, Failpoint};

/// Start of the name of a checkpoint that is not finished.
const UNFINISHED: &str = "unfinished-";

/// The checkpoints of one member; clones share them.
#[derive(Clone)]
pub struct Checkpoints {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    current: Mutex<Option<Arc<Checkpoint>>>,
    staged: AtomicU64,
}

/// A finished checkpoint. A superseded one removes its files when its last holder is gone, so that one
/// which is being sent stays whole.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    position: Position,
    superseded: AtomicBool,
}

/// A directory in which a checkpoint is being put together; dropped unfinished, it vanishes.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    finished: bool,
}

/// A checkpoint on its way: kept here already, or just received.
#[derive(Debug)]
pub enum CheckpointData {
    /// Made here, or installed.
    Kept(Arc<Checkpoint>),
    /// All of it on disk, and not yet given its name.
    Received(Staging),
}

impl Checkpoint {
    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it contains.
    pub fn position(&self) -> &Position {
        &self.position
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if self.superseded.load(Ordering::Acquire) {
            told(&self.path, discard(&self.path));
        }
    }
}

impl Staging {
    /// Where to put the files.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            told(&self.path, files::remove_directory(&self.path));
        }
    }
}

impl Checkpoints {
    /// Opens the checkpoints under this directory: the newest is kept, what is unfinished or older removed.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let mut newest: Option<Checkpoint> = None;
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            if name.is_none_or(|name| name.starts_with(UNFINISHED)) {
                files::remove_directory(&path)?;
                continue;
            }
            let position = position_in(&path).map_err(|error| {
                let text = format!("cannot read the checkpoint in {}: {error}", path.display());
                io::Error::new(error.kind(), text)
            })?;
            let found = Checkpoint {
                path,
                position,
                superseded: AtomicBool::new(false),
            };
            let older = match newest.take() {
                Some(other) if other.position.last > found.position.last => {
                    newest = Some(other);
                    Some(found)
                }
                other => {
                    newest = Some(found);
                    other
                }
            };
            if let Some(older) = older {
                older.superseded.store(true, Ordering::Release);
            }
        }
        let current = Mutex::new(newest.map(Arc::new));
        let shared = Shared {
            root: root.to_path_buf(),
            current,
            staged: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The newest checkpoint.
    pub fn current(&self) -> Option<Arc<Checkpoint>> {
        self.shared
            .current
            .lock()
            .expect("no holder panics")
            .clone()
    }

    /// Makes a checkpoint of a state; rows may be written meanwhile.
    pub fn make(&self, state: &StateStore) -> io::Result<Arc<Checkpoint>> {
        let staging = self.stage()?;
        state.checkpoint_to(staging.path())?;
        self.finish(staging)
    }

    /// Makes a finished checkpoint the current one, if it is not that.
    pub fn adopt(&self, checkpoint: Arc<Checkpoint>) -> io::Result<Arc<Checkpoint>> {
        if self
            .current()
            .is_some_and(|current| Arc::ptr_eq(&current, &checkpoint))
        {
            return Ok(checkpoint);
        }
        let staging = self.stage()?;
        files::copy_database(checkpoint.path(), staging.path())?;
        files::flush_files(staging.path())?;
        self.finish(staging)
    }

    /// A place for a checkpoint to be put together; the directory itself is not made.
    pub fn stage(&self) -> io::Result<Staging> {
        let number = self.shared.staged.fetch_add(1, Ordering::Relaxed);
        let path = self.shared.root.join(format!("{UNFINISHED}{number}"));
        files::remove_directory(&path)?;
        Ok(Staging {
            path,
            finished: false,
        })
    }

    /// What a staged checkpoint, all of it on disk, contains.
    pub fn inspect(&self, staging: &Staging) -> io::Result<Position> {
        position_in(staging.path())
    }

    /// Makes a staged checkpoint, all of it on disk, the current one, unless that is as new.
    pub fn finish(&self, mut staging: Staging) -> io::Result<Arc<Checkpoint>> {
        let position = position_in(staging.path())?;
        let mut current = self.shared.current.lock().expect("no holder panics");
        if let Some(current) = current.as_ref()
            && current.position.last >= position.last
        {
            return Ok(current.clone());
        }
        let name = match position.last {
            Some(last) => format!("{}-{last}", last.index),
            None => "empty".into(),
        };
        let path = self.shared.root.join(name);
        discard(&path)?;
        failpoint::pass(Failpoint::CheckpointUnnamed);
        files::rename_directory(staging.path(), &path)?;
        failpoint::pass(Failpoint::CheckpointNamed);
        staging.finished = true;
        let made = Arc::new(Checkpoint {
            path,
            position,
            superseded: AtomicBool::new(false),
        });
        if let Some(before) = current.replace(made.clone()) {
            before.superseded.store(true, Ordering::Release);
        }
        Ok(made)
    }
}

/// Removes a finished checkpoint if it is there: it is whole under its name, or has none.
fn discard(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Ok(());
    };
    let going = path.with_file_name(format!("{UNFINISHED}{}", name.to_string_lossy()));
    match files::rename_directory(path, &going) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if let Some(first) = fs::read_dir(&going)?.next() {
        fs::remove_file(first?.path())?;
        failpoint::pass(Failpoint::CheckpointHalfRemoved);
    }
    files::remove_directory(&going)
}

fn told(path: &Path, removed: io::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "what is left of a checkpoint is still there");
    }
}
