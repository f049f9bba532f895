//! What a process uses, as the kernel tells.

use std::{fmt, fs, io, path::Path};

use serde::Serialize;

use crate::MemberProcess;

/// What one member uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Resident, without what the kernel can drop: anonymous memory. KiB.
    pub memory_kib: u64,
    /// Blocks of its data directory. KiB.
    pub disk_kib: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB of memory, {} KiB on disk, {} descriptors, {} threads",
            self.memory_kib, self.disk_kib, self.descriptors, self.threads
        )
    }
}

/// What a member uses now.
pub(super) fn read(member: &MemberProcess) -> io::Result<Usage> {
    let process = format!("/proc/{}", member.pid());
    let status = fs::read_to_string(format!("{process}/status"))?;
    let figure = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    Ok(Usage {
        memory_kib: figure("RssAnon:"),
        disk_kib: blocks(member.data_dir())? / 2,
        descriptors: fs::read_dir(format!("{process}/fd"))?.count() as u64,
        threads: figure("Threads:"),
    })
}

/// Blocks of 512 bytes below a directory; each file once, however many names it has. What vanishes meanwhile is not
/// counted.
fn blocks(directory: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut open = vec![directory.to_owned()];
    let mut sum = 0;
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                open.push(entry.path());
            } else if seen.insert(metadata.ino()) {
                sum += metadata.blocks();
            }
        }
    }
    Ok(sum)
}
