//! What is written down of a process on its host: what it is to be, and what its supervisor made of it.
//!
//! The supervisor holds the record's lock as long as it lives.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host_lock::HostLock;
use crate::process_id::ProcessId;
use crate::read_values::digest;

/// When a process that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Restart {
    Never,
    OnFailure,
    Always,
}

/// What a process is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) instance_id: String,
    pub(super) program: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) working_directory: Option<PathBuf>,
    pub(super) restart: Restart,
    pub(super) stop_timeout: Duration,
}

impl Order {
    /// Whether a process that runs by this order need not be started again to run by `other`.
    pub(super) fn runs_the_same(&self, other: &Self) -> bool {
        (&self.program, &self.environment, &self.working_directory)
            == (&other.program, &other.environment, &other.working_directory)
    }
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) supervisor: Option<ProcessId>,
    /// The process, while it is meant to run.
    pub(super) process: Option<ProcessId>,
    /// When it was started, as RFC 3339.
    pub(super) started_at: String,
    /// How it ended last.
    pub(super) ended: Option<String>,
    /// The supervisor has given it up.
    pub(super) over: bool,
}

/// The record of one process.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) dir: PathBuf,
}

impl Record {
    pub(super) fn of(host_dir: &Path, instance_id: &str) -> Self {
        Self {
            dir: host_dir
                .join("processes")
                .join(&digest(instance_id.as_bytes())[..32]),
        }
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Whether a supervisor lives.
    pub(super) fn is_supervised(&self) -> io::Result<bool> {
        HostLock::is_held(&self.lock())
    }

    pub(super) fn order(&self) -> Option<Order> {
        read(&self.dir.join("order.json"))
    }

    pub(super) fn write_order(&self, order: &Order) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        write(&self.dir, "order.json", order)
    }

    pub(super) fn state(&self) -> State {
        read(&self.dir.join("state.json")).unwrap_or_default()
    }

    pub(super) fn write_state(&self, state: &State) -> io::Result<()> {
        write(&self.dir, "state.json", state)
    }

    /// Forgets what became of an earlier start.
    pub(super) fn clear_state(&self) -> io::Result<()> {
        match fs::remove_file(self.dir.join("state.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The last `max` bytes that the process printed.
    pub(super) fn log_tail(&self, max: u64) -> String {
        let tail = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(max)))?;
            let mut bytes = Vec::new();
            file.take(max).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        // A process that was never started has printed nothing.
        String::from_utf8_lossy(&tail().unwrap_or_default())
            .trim_end()
            .to_owned()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write<T: Serialize>(dir: &Path, name: &str, value: &T) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hostile::spoilt;

    fn order() -> Order {
        Order {
            instance_id: "cluster-7".to_owned(),
            program: vec!["sleep".to_owned(), "1".to_owned()],
            environment: vec![("A".to_owned(), "b".to_owned())],
            working_directory: Some("/".into()),
            restart: Restart::OnFailure,
            stop_timeout: Duration::from_millis(10_500),
        }
    }

    fn state() -> State {
        State {
            process: ProcessId::of(i32::try_from(std::process::id()).unwrap()),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            ended: Some("process 7 exited".to_owned()),
            ..State::default()
        }
    }

    proptest! {
        #[test]
        fn a_damaged_record_is_none_or_reads_the_same_again(
            order_bytes in spoilt(serde_json::to_vec(&order()).unwrap()),
            state_bytes in spoilt(serde_json::to_vec(&state()).unwrap()),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let record = Record { dir: dir.path().to_owned() };
            fs::write(dir.path().join("order.json"), order_bytes).unwrap();
            fs::write(dir.path().join("state.json"), state_bytes).unwrap();
            if let Some(order) = record.order() {
                record.write_order(&order).unwrap();
                prop_assert_eq!(record.order(), Some(order));
            }
            let state = record.state();
            record.write_state(&state).unwrap();
            prop_assert_eq!(record.state(), state);
        }
    }
}
