//! All that a run recorded, as it is kept and judged: at its end, or later, without a cluster.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    history::Done,
    record::{Did, Recorded},
};
use crate::{
    cloud::{Record, read_journal},
    judge::{LocalRead, Recording, Restart, Sample},
};

/// Files of a kept run.
const OPERATIONS: &str = "operations.jsonl";
const LOCAL: &str = "local_reads.jsonl";
const SAMPLES: &str = "samples.jsonl";
const WATCHES: &str = "watches.jsonl";
const RESTARTS: &str = "restarts.jsonl";
const JOURNAL: &str = "cloud.jsonl";

/// What a run recorded.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What clients did, stack by stack and in the order of calls where they overlap.
    pub operations: Vec<Recorded>,
    /// Local reads, in order for each client.
    pub local: Vec<LocalRead>,
    /// What members said of themselves, in order for each member.
    pub samples: Vec<Sample>,
    /// What was heard of events; listings at the end too.
    pub watches: Vec<Recording>,
    /// When members may have been started again.
    pub restarts: Vec<Restart>,
    /// The cloud's.
    pub journal: Vec<Record>,
}

impl Evidence {
    /// Takes in what the single client of a stack did.
    pub(super) fn add_story(&mut self, stack: &str, done: &[Done]) {
        self.operations.extend(done.iter().map(|done| Recorded {
            client: format!("{stack}-client"),
            stack: stack.to_owned(),
            called_ns: done.called_ns,
            returned_ns: done.returned_ns,
            did: Did::Changed {
                asked: done.asked.clone(),
                base: None,
                outcome: done.outcome.clone(),
            },
        }));
    }

    /// Writes it to a directory. The cloud's journal is there already.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn keep(&self, dir: &Path) -> std::io::Result<()> {
        write(&dir.join(OPERATIONS), &self.operations)?;
        write(&dir.join(LOCAL), &self.local)?;
        write(&dir.join(SAMPLES), &self.samples)?;
        write(&dir.join(WATCHES), &self.watches)?;
        write(&dir.join(RESTARTS), &self.restarts)
    }

    /// Reads what an earlier run has kept.
    ///
    /// # Errors
    /// When a file is missing, or is none of ours.
    pub fn read(dir: &Path) -> Result<Self, String> {
        Ok(Self {
            operations: read(&dir.join(OPERATIONS))?,
            local: read(&dir.join(LOCAL))?,
            samples: read(&dir.join(SAMPLES))?,
            watches: read(&dir.join(WATCHES))?,
            restarts: read(&dir.join(RESTARTS))?,
            journal: read_journal(&dir.join(JOURNAL))?,
        })
    }
}

fn write<T: Serialize>(path: &Path, records: &[T]) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for record in records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn read<T>(path: &Path) -> Result<Vec<T>, String>
where
    T: DeserializeOwned + for<'de> Deserialize<'de>,
{
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut records = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| format!("{}: {e}", path.display()))?;
        let record = serde_json::from_str(&line);
        records.push(record.map_err(|e| format!("{}: {e} in {line}", path.display()))?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::judge::{End, Event, Heard, Scope, Seen, Start};

    #[test]
    fn what_is_kept_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let operation = Recorded {
            client: "c".to_owned(),
            stack: "s".to_owned(),
            called_ns: 1,
            returned_ns: 2,
            did: Did::Read(Some(BTreeMap::from([("r".to_owned(), 7)]))),
        };
        let recording = Recording {
            watcher: "w".to_owned(),
            scope: Scope::Named("s".to_owned()),
            start: Start::After((3, 4)),
            heard: vec![Heard::Event(Event::default()), Heard::Progress(9)],
            end: End::Gone,
        };
        let evidence = Evidence {
            operations: vec![operation],
            local: vec![LocalRead {
                client: "c".to_owned(),
                member: "m".to_owned(),
                stack: "s".to_owned(),
                called_ns: 1,
                returned_ns: 2,
                seen: Some(Seen {
                    id: 3,
                    revision: 1,
                    status: "converged".to_owned(),
                }),
            }],
            watches: vec![recording],
            restarts: vec![(5, 6)],
            ..Evidence::default()
        };
        assert!(Evidence::read(dir.path()).is_err(), "nothing is kept yet");
        evidence.keep(dir.path()).unwrap();
        File::create(dir.path().join(JOURNAL)).unwrap();
        let again = Evidence::read(dir.path()).unwrap();
        assert_eq!(again.operations, evidence.operations);
        assert_eq!(again.local, evidence.local);
        assert_eq!(again.watches, evidence.watches);
        assert_eq!(again.restarts, evidence.restarts);
    }
}
