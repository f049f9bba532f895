//! Which process: a number that the kernel uses again tells nothing, so its start and the boot are told too.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process of this host, as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its number.
    pub(crate) pid: i32,
    start_ticks: u64,
    boot_id: String,
}

struct Stat {
    running: bool,
    start_ticks: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            start_ticks: stat(pid)?.start_ticks,
            boot_id: boot_id(),
        })
    }

    /// Whether it still runs. One that has ended but was not waited for yet does not.
    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|now| now.running && now.start_ticks == self.start_ticks)
            && self.boot_id == boot_id()
    }

    /// Sends it a signal, and certainly not to another. Whether it was there.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return false;
        };
        // What the handle stands for can't change any more, so its start is compared after it was opened.
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return false;
        };
        self.is_alive() && pidfd_send_signal(handle, signal).is_ok()
    }
}

fn stat(pid: i32) -> Option<Stat> {
    read_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn read_stat(stat: &[u8]) -> Option<Stat> {
    // The name stands in parentheses and may contain anything, also half of a letter, since it is cut to 15 bytes;
    // fields 3 and 22 come after it.
    let stat = String::from_utf8_lossy(stat);
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let running = !matches!(fields.first()?.chars().next()?, 'Z' | 'X' | 'x');
    Some(Stat {
        running,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// The variable by which a process of an instance is known.
pub(crate) const INSTANCE_VARIABLE: &str = "ANNEAL_INSTANCE_ID";

/// The variable by which the processes of one call are known, beside that of the instance.
pub(crate) const TOKEN_VARIABLE: &str = "ANNEAL_FENCING_TOKEN";

/// All processes whose environment carries the instance's tag.
pub(crate) fn tagged(instance_id: &str) -> Vec<ProcessId> {
    carrying(&[format!("{INSTANCE_VARIABLE}={instance_id}")])
}

/// All processes that a call, and no other, has started.
pub(crate) fn started_by(instance_id: &str, fencing_token: u64) -> Vec<ProcessId> {
    carrying(&[
        format!("{INSTANCE_VARIABLE}={instance_id}"),
        format!("{TOKEN_VARIABLE}={fencing_token}"),
    ])
}

fn carrying(tags: &[String]) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let process = |entry: fs::DirEntry| -> Option<ProcessId> {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let carries = tags.iter().all(|tag| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| variable == tag.as_bytes())
        });
        ProcessId::of(pid).filter(|found| carries && found.is_alive())
    };
    entries.flatten().filter_map(process).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::hostile::spoilt;

    const STAT: &[u8] = b"7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1 1";

    #[test]
    fn fields_are_found_behind_any_name() {
        for name in [&b"sleep"[..], b") Z (", b"", b"m\xc3", b"two\nlines"] {
            let mut stat = b"7 (".to_vec();
            stat.extend(name);
            stat.extend(b") S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1");
            let read = read_stat(&stat).expect("it is whole");
            assert!(read.running && read.start_ticks == 4711, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_process_or_none(stat in spoilt(STAT.to_vec())) {
            // Reading is all that is asked for: no panic.
            let _ = read_stat(&stat);
        }
    }

    /// The kernel cuts a name to 15 bytes, wherever a letter ends.
    #[test]
    fn a_process_whose_name_is_cut_within_a_letter_is_alive() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("fourteen-bytes\u{e9}");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = ProcessId::of(pid);
        let alive = found.as_ref().map(ProcessId::is_alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(alive, Some(true));
    }

    #[test]
    fn a_process_is_known_by_its_tag_and_by_its_start() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .env(INSTANCE_VARIABLE, "test-tagged-7")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = loop {
            // Between fork and exec it still has our environment.
            let found = tagged("test-tagged-7");
            if !found.is_empty() {
                break found;
            }
        };
        assert_eq!(found, [ProcessId::of(pid).unwrap()]);
        let earlier = ProcessId {
            start_ticks: found[0].start_ticks - 1,
            ..found[0].clone()
        };
        assert!(!earlier.is_alive() && !earlier.signal(Signal::KILL));
        assert!(found[0].signal(Signal::KILL));
        child.wait().unwrap();
        assert!(!found[0].is_alive());
    }
}
