//! What is at a path, seen through one open handle, so that nothing else is seen half-way.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

/// How much of a file is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// How much of a file is kept to be shown, beginning somewhat before the first place where it differs.
const KEPT_BYTES: usize = 1024;
/// More than any excerpt shows of what comes before that place.
const KEPT_BEFORE_BYTES: usize = 256;

/// What is at a path.
pub(super) enum Seen {
    /// A regular file or a directory, and open.
    Open(Opened),
    /// Something else: a word for it.
    Other(&'static str),
}

/// An open file or directory.
pub(super) struct Opened {
    pub(super) handle: File,
    pub(super) mode: u32,
    pub(super) is_dir: bool,
}

/// What is in a file.
pub(super) struct Content {
    /// SHA-256, in hexadecimal.
    pub(super) digest: String,
    /// In bytes.
    pub(super) length: usize,
    /// The byte from which it differs from what was expected; its length if it does not before that.
    pub(super) differs_at: usize,
    /// Some bytes around that place.
    pub(super) around: Vec<u8>,
    /// Where these begin.
    pub(super) around_from: usize,
}

/// Looks at a path without following a link, and without waiting for a pipe's other end.
pub(super) fn see(path: &Path) -> io::Result<Seen> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        return Ok(Seen::Other("a symbolic link"));
    }
    if !kind.is_file() && !kind.is_dir() {
        return Ok(Seen::Other("no regular file"));
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let handle = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).expect("open's flags are an int"))
        .open(path)?;
    let is = handle.metadata()?;
    if !is.is_file() && !is.is_dir() {
        return Ok(Seen::Other("no regular file"));
    }
    Ok(Seen::Open(Opened {
        handle,
        mode: is.mode() & 0o7777,
        is_dir: is.is_dir(),
    }))
}

impl Opened {
    /// Gives it these permissions.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.handle.set_permissions(Permissions::from_mode(mode))
    }

    /// Reads a file to its end, comparing it with what is expected of it.
    pub(super) fn content(&mut self, expected: &[u8]) -> io::Result<Content> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut compared = Compared::new(expected);
        loop {
            let read = match self.handle.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hash.update(&buffer[..read]);
            compared.push(&buffer[..read]);
        }
        let digest = hash
            .finalize()
            .into_iter()
            .map(|byte| format!("{byte:02x}"));
        Ok(compared.ended(digest.collect()))
    }
}

/// A comparison under way.
struct Compared<'a> {
    expected: &'a [u8],
    length: usize,
    differs_at: Option<usize>,
    /// The last bytes until the difference, and what follows it.
    kept: Vec<u8>,
}

impl<'a> Compared<'a> {
    fn new(expected: &'a [u8]) -> Self {
        Self {
            expected,
            length: 0,
            differs_at: None,
            kept: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let before = self.length;
        self.length += bytes.len();
        if self.differs_at.is_none() {
            let rest = self.expected.get(before..).unwrap_or_default();
            let same = bytes
                .iter()
                .zip(rest)
                .take_while(|(one, other)| one == other);
            let same = same.count();
            self.kept.extend_from_slice(&bytes[..same]);
            let surplus = self.kept.len().saturating_sub(KEPT_BEFORE_BYTES);
            self.kept.drain(..surplus);
            if same == bytes.len() {
                return;
            }
            self.differs_at = Some(before + same);
            return self.keep(&bytes[same..]);
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn ended(self, digest: String) -> Content {
        let differs_at = self.differs_at.unwrap_or(self.length);
        Content {
            digest,
            length: self.length,
            differs_at,
            around: self.kept,
            around_from: differs_at - KEPT_BEFORE_BYTES.min(differs_at),
        }
    }
}
