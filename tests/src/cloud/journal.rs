//! The journal: one JSON object a line, appended in the order in which things happened, never changed.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::Fault;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make an object.
    Create,
    /// Show the object of an id.
    Read,
    /// Replace the body of an object.
    Update,
    /// Remove an object.
    Delete,
    /// List the objects with a tag.
    Find,
}

impl Operation {
    /// Whether it only looks.
    pub fn is_look(self) -> bool {
        matches!(self, Self::Read | Self::Find)
    }
}

/// The part of an object that its owner says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Whose it is.
    pub stack: String,
    /// Its name there.
    pub name: String,
    /// Any number.
    pub value: u64,
    /// Ids of the objects that it refers to.
    #[serde(default)]
    pub refs: Vec<String>,
    /// The values that these had when it was made.
    #[serde(default)]
    pub saw: Vec<u64>,
}

/// What a call did to the objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// An object was made.
    Created {
        /// Its id.
        id: String,
        /// What it is.
        body: Body,
    },
    /// The body of an object was replaced.
    Updated {
        /// Its id.
        id: String,
        /// What it is now.
        body: Body,
    },
    /// An object was removed.
    Deleted {
        /// Its id.
        id: String,
    },
    /// Nothing: the key was known, and the first answer was given again.
    Replayed {
        /// The id in that answer.
        id: String,
    },
    /// Nothing: a larger fencing token had been seen.
    Fenced {
        /// That one.
        seen: u64,
    },
    /// Nothing: it only looked, and so many objects were there.
    Looked {
        /// How many.
        found: usize,
    },
    /// Nothing: there is no such object.
    Missing,
    /// Nothing: the request made no sense.
    Refused,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A call came.
    In {
        /// What it asked for.
        operation: Operation,
        /// The stack that it said it is for.
        stack: String,
        /// And the resource.
        name: String,
        /// The instance that it is for: the tag.
        instance: String,
        /// The idempotency key, if it carried one.
        key: Option<String>,
        /// The fencing token; 0 if it had none.
        token: u64,
        /// Whether the token was meant to fence.
        fencing: bool,
        /// The object's id, where the call named one.
        id: Option<String>,
        /// What the cloud was told to do wrong.
        fault: Option<Fault>,
    },
    /// A call took effect, or did not.
    Effect(Did),
    /// A call was answered.
    Out {
        /// With this status.
        status: u16,
    },
    /// Somebody removed an object by hand.
    RemovedByHand {
        /// Its id.
        id: String,
    },
    /// Somebody changed the value of an object by hand.
    ChangedByHand {
        /// Its id.
        id: String,
        /// The value it has now.
        value: u64,
    },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Real time, in microseconds since 1970.
    pub at_us: u64,
    /// Which call; 0: none.
    pub call: u64,
    /// What happened.
    pub what: Happened,
}

/// The journal, being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

/// Now, in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

impl Journal {
    /// Appends to the file of that path.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file })
    }

    /// Writes a line. A witness that can't write can't go on.
    pub fn note(&mut self, call: u64, what: Happened) {
        let record = Record {
            at_us: now_us(),
            call,
            what,
        };
        let line = serde_json::to_string(&record).expect("a record is JSON") + "\n";
        self.file
            .write_all(line.as_bytes())
            .expect("the journal is written");
    }
}

/// Every record, in order. A last line that is being written is left out.
///
/// # Errors
/// When the file can't be read, or a line is none of ours.
pub fn read_journal(path: &Path) -> Result<Vec<Record>, String> {
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut records = Vec::new();
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    loop {
        line.clear();
        let read = lines.read_line(&mut line).map_err(|e| e.to_string())?;
        if read == 0 || !line.ends_with('\n') {
            return Ok(records);
        }
        records.push(serde_json::from_str(&line).map_err(|e| format!("{e} in {line}"))?);
    }
}
