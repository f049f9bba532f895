//! How far the log was acknowledged, beside the log: so that a log that ends earlier is known to be damaged.
//!
//! RocksDB drops an unfinished write at the end of its own log, and cannot tell it from a finished one that was cut
//! off, or whose length was spoilt, later. This file can: it is written after each flush, before anybody is told. It
//! counts writes, votes among them, by RocksDB's own sequence number; the index of the last entry is there for people, and
//! for what was written before writes were counted. It is flushed only when the index is lowered, since it may claim too
//! little, and never too much.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// A number and its checksum.
const BYTES: usize = 12;

/// What was acknowledged for certain; 0 where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// The last entry.
    pub(super) index: u64,
    /// The last write, by RocksDB's sequence number, which never falls.
    pub(super) sequence: u64,
}

/// The file.
pub(super) struct Watermark {
    file: File,
    said: Acknowledged,
}

impl Watermark {
    /// Opens it in the log's directory.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(directory.join("ACKNOWLEDGED"))?;
        let said = Acknowledged {
            index: read(&file, 0)?,
            sequence: read(&file, BYTES as u64)?,
        };
        Ok(Self { file, said })
    }

    /// What it says.
    pub(super) fn said(&self) -> Acknowledged {
        self.said
    }

    /// What comes after this index is about to go: an older claim must not come back.
    pub(super) fn lower(&mut self, index: u64) -> io::Result<()> {
        self.said.index = index;
        self.write()?;
        self.file.sync_data()
    }

    /// Every write up to this one is on disk and about to be acknowledged, and so are the entries up to `last` if any
    /// were written.
    pub(super) fn raise(&mut self, last: Option<u64>, sequence: u64) -> io::Result<()> {
        let index = last.unwrap_or(self.said.index);
        self.said = Acknowledged { index, sequence };
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let mut bytes = [0; 2 * BYTES];
        for (number, place) in [self.said.index, self.said.sequence]
            .iter()
            .zip(bytes.chunks_exact_mut(BYTES))
        {
            let number = number.to_be_bytes();
            place[..8].copy_from_slice(&number);
            place[8..].copy_from_slice(&crc32c::crc32c(&number).to_be_bytes());
        }
        self.file.write_all_at(&bytes, 0)
    }
}

/// The number at an offset; 0 if there is none, or it was torn.
fn read(file: &File, offset: u64) -> io::Result<u64> {
    let mut bytes = [0; BYTES];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
        Err(error) => return Err(error),
    }
    let (number, crc) = bytes.split_at(8);
    let whole = crc32c::crc32c(number).to_be_bytes() == crc;
    let number = u64::from_be_bytes(number.try_into().expect("eight bytes"));
    Ok(if whole { number } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(directory: &Path) -> (u64, u64) {
        let said = Watermark::open(directory).unwrap().said();
        (said.index, said.sequence)
    }

    #[test]
    fn a_watermark_that_is_torn_claims_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(said(directory.path()), (0, 0));
        let mut watermark = Watermark::open(directory.path()).unwrap();
        watermark.raise(Some(77), 500).unwrap();
        watermark.raise(None, 501).unwrap();
        assert_eq!(said(directory.path()), (77, 501));
        watermark.file.write_all_at(&[9], 7).unwrap();
        assert_eq!(said(directory.path()), (0, 501));
        watermark.file.write_all_at(&[9], 19).unwrap();
        assert_eq!(said(directory.path()), (0, 0));
    }

    #[test]
    fn a_watermark_from_before_writes_were_counted_is_of_entries_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(directory.path()).unwrap();
        watermark.raise(Some(77), 500).unwrap();
        watermark.file.set_len(BYTES as u64).unwrap();
        assert_eq!(said(directory.path()), (77, 0));
        watermark.lower(70).unwrap();
        assert_eq!(said(directory.path()), (70, 500));
    }
}
