//! A member's log on disk, damaged as a power cut or a bad disk would.
//!
//! Knows how RocksDB writes it (RocksDB's wiki, "Write Ahead Log File Format"): blocks of 32 KiB of fragments, each with
//! a head of checksum (4 bytes), length (2) and kind (1); a record is a whole fragment (1), or a first (2), middle ones (3)
//! and a last one (4). A record is a batch: the number of its first write (8), how many there are (4), and the writes,
//! each with a tag and the number of its column family. The rest of a block that has no room for a head is empty.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
};

const BLOCK: usize = 32 << 10;
const HEAD: usize = 7;
/// Where the length is in a head.
const LENGTH: usize = 4;
/// Bytes of a batch before its first write.
const BATCH_HEAD: usize = 12;
/// The tag of a write to a column family, and the number of the family with the entries: the first that a member makes.
const ENTRY: [u8; 2] = [5, 1];

/// How a record that was on disk is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A bit of what it says is another.
    Flipped,
    /// Its length is another, so that it seems not to end in the file: as if it had never been written to its end.
    Endless,
    /// The file ends before it.
    CutOff,
}

/// The file that RocksDB writes to, in a member's data directory.
#[derive(Debug)]
pub struct Wal {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// A record: its fragments, heads included.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    fragments: Vec<Range<usize>>,
    holds_entries: bool,
}

impl Wal {
    /// Reads it; nobody may be writing.
    ///
    /// # Errors
    /// If there is none.
    pub fn newest_of(data_dir: &Path) -> io::Result<Self> {
        let mut logs: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(data_dir.join("raft"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                logs.push(path);
            }
        }
        let none = || io::Error::other("RocksDB has no log there");
        let path = logs.into_iter().max().ok_or_else(none)?;
        let bytes = fs::read(&path)?;
        Ok(Self { path, bytes })
    }

    /// Appends the head of a record and some of it: what a crash in mid-write leaves.
    pub fn begin_record(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        file.write_all(&[1, 2, 3, 4, 0, 16, 1, 7, 7, 7, 7, 7])
    }

    /// Takes away the second half of the last record.
    ///
    /// # Errors
    /// If there is no record.
    pub fn tear_last(&self) -> io::Result<()> {
        let records = self.records();
        let last = records.last().and_then(|record| record.fragments.last());
        let last = last.ok_or_else(|| io::Error::other("there is no record"))?;
        self.cut(last.start + (last.len() - HEAD) / 2 + HEAD)
    }

    /// Damages the last but one record that holds entries: whoever wrote another after it has flushed it.
    ///
    /// # Errors
    /// If there is none.
    pub fn damage(&mut self, damage: Damage) -> io::Result<()> {
        let records = self.records();
        let mut with_entries = records.iter().rev().filter(|record| record.holds_entries);
        let none = || io::Error::other("there are no two records with entries");
        let record = with_entries.nth(1).ok_or_else(none)?;
        let (first, end) = (record.fragments[0].clone(), self.bytes.len());
        match damage {
            Damage::Flipped => self.bytes[first.end - 1] ^= 0x10,
            Damage::Endless => {
                let too_long = u16::try_from(end - first.start + 1).unwrap_or(u16::MAX);
                let length = first.start + LENGTH..first.start + LENGTH + 2;
                self.bytes[length].copy_from_slice(&too_long.to_le_bytes());
            }
            Damage::CutOff => return self.cut(first.start),
        }
        fs::write(&self.path, &self.bytes)
    }

    fn cut(&self, length: usize) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(length as u64)
    }

    fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        let mut at = 0;
        while at + HEAD <= self.bytes.len() {
            let room = BLOCK - at % BLOCK;
            if room < HEAD {
                at += room;
                continue;
            }
            let head = &self.bytes[at..at + HEAD];
            let length = usize::from(u16::from_le_bytes([head[LENGTH], head[LENGTH + 1]]));
            let fragment = at..at + HEAD + length;
            let Some(data) = self.bytes.get(at + HEAD..fragment.end) else {
                break;
            };
            at = fragment.end;
            match head[HEAD - 1] {
                1 | 2 => records.push(Record {
                    fragments: vec![fragment],
                    holds_entries: data.get(BATCH_HEAD..BATCH_HEAD + 2) == Some(&ENTRY),
                }),
                3 | 4 => {
                    if let Some(record) = records.last_mut() {
                        record.fragments.push(fragment);
                    }
                }
                _ => break,
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(kind: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_le_bytes();
        [&[9; 4][..], &length, &[kind], data].concat()
    }

    fn batch(family: u8, length: usize) -> Vec<u8> {
        let mut batch = vec![0; BATCH_HEAD];
        batch.extend([ENTRY[0], family]);
        batch.resize(length, 0);
        batch
    }

    #[test]
    fn records_are_found_across_blocks() {
        let mut bytes = fragment(1, &batch(1, BLOCK - 2 * HEAD - 20 - 3));
        bytes.extend(fragment(1, &batch(2, 20)));
        // No room for a head: the next block begins.
        bytes.extend([0; 3]);
        bytes.extend(fragment(2, &batch(1, BLOCK - HEAD)));
        bytes.extend(fragment(4, &[0; 5]));
        let wal = Wal {
            path: PathBuf::new(),
            bytes,
        };
        let records = wal.records();
        let holds: Vec<_> = records.iter().map(|one| one.holds_entries).collect();
        assert_eq!(holds, [true, false, true]);
        let last = [BLOCK..2 * BLOCK, 2 * BLOCK..2 * BLOCK + HEAD + 5];
        assert_eq!(records[2].fragments, last);
    }
}
