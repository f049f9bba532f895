//! How far the log was acknowledged, beside the log: so that a log that ends earlier is known to be damaged.
//!
//! RocksDB drops an unfinished write at the end of its own log, and cannot tell it from a finished one that was cut
//! off later. This file can: it is written after each flush, before anybody is told. It is
//! flushed only when it is lowered, since it may claim too little, and never too much.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// An index and its checksum.
const BYTES: usize = 12;

/// The file.
pub(super) struct Watermark {
    file: File,
}

impl Watermark {
    /// Opens it in the log's directory.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Self {
            file: options.open(directory.join("ACKNOWLEDGED"))?,
        })
    }

    /// The last index that was acknowledged for certain; 0 if that is not known.
    pub(super) fn read(&self) -> io::Result<u64> {
        let mut bytes = [0; BYTES];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            Err(error) => return Err(error),
        }
        let (index, crc) = bytes.split_at(8);
        let whole = crc32c::crc32c(index).to_be_bytes() == crc;
        let index = u64::from_be_bytes(index.try_into().expect("eight bytes"));
        Ok(if whole { index } else { 0 })
    }

    /// What comes after this index is about to go: an older claim must not come back.
    pub(super) fn lower(&self, index: u64) -> io::Result<()> {
        self.write(index)?;
        self.file.sync_data()
    }

    /// Everything up to this index is on disk and about to be acknowledged.
    pub(super) fn write(&self, index: u64) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&index.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..8]);
        bytes[8..].copy_from_slice(&crc.to_be_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_that_is_torn_claims_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let watermark = Watermark::open(directory.path()).unwrap();
        assert_eq!(watermark.read().unwrap(), 0);
        watermark.write(77).unwrap();
        assert_eq!(
            Watermark::open(directory.path()).unwrap().read().unwrap(),
            77
        );
        watermark.file.write_all_at(&[9], 7).unwrap();
        assert_eq!(watermark.read().unwrap(), 0);
    }
}
