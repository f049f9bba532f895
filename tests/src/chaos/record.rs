//! What clients saw, as it is kept: every operation with the moments of its call and its return, every local read, and
//! what members said of themselves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anneal_client::v1;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::history::{Asked, Outcome};
use crate::judge::{LocalRead, Sample, Seen};

/// Now, on the clock that never goes back. Nanoseconds; the same for all processes of a machine.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// What a client did, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// It asked for a change.
    Changed {
        /// Which.
        asked: Asked,
        /// Only if the stack is at this revision.
        base: Option<u64>,
        /// What came of it.
        outcome: Outcome,
    },
    /// It read the stack's head, linearizably. `None`: there is no such stack.
    Shown(Option<Seen>),
    /// It read the stack's template, linearizably: names and values. `None`: there is no such stack.
    Read(Option<BTreeMap<String, u64>>),
}

/// One operation on one stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Who.
    pub client: String,
    /// On which stack.
    pub stack: String,
    /// When it was called.
    pub called_ns: u64,
    /// When it was answered, or given up.
    pub returned_ns: u64,
    /// What, and how it ended.
    pub did: Did,
}

/// Everything that is recorded by several clients at a time.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) operations: Vec<Recorded>,
    pub(super) local: Vec<LocalRead>,
    pub(super) samples: Vec<Sample>,
    /// Reads that got no answer: they say nothing.
    pub(super) unanswered: u64,
}

/// Records that clients share.
pub(super) type Shared = Arc<Mutex<Records>>;

/// The records, to write to.
pub(super) fn open(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a listing says of a stack.
pub(super) fn seen(stack: &v1::Stack) -> Seen {
    Seen {
        id: stack.id,
        revision: stack.revision,
        status: stack.status.clone(),
    }
}

/// Names and values of the objects that a stored template declares: the `value` of each resource's body.
///
/// # Errors
/// When a resource has none, or more than one.
pub(super) fn values(template: &str) -> Result<BTreeMap<String, u64>, String> {
    let mut values = BTreeMap::new();
    let mut name: Option<&str> = None;
    let mut in_resources = false;
    for line in template.lines() {
        let text = line.trim_start();
        match (line.len() - text.len(), text.strip_suffix(':')) {
            (0, _) => in_resources = text.starts_with("resources:"),
            (2, Some(one)) if in_resources => {
                if let Some(name) = name.filter(|name| !values.contains_key(*name)) {
                    return Err(format!("{name} has no value in {template}"));
                }
                name = Some(one.trim_matches(['"', '\'']));
            }
            _ => {}
        }
        let value = text
            .strip_prefix("value: ")
            .and_then(|value| value.parse().ok());
        if let (true, Some(value), Some(name)) = (in_resources, value, name)
            && values.insert(name.to_owned(), value).is_some()
        {
            return Err(format!("{name} has two values in {template}"));
        }
    }
    match name.filter(|name| !values.contains_key(*name)) {
        Some(name) => Err(format!("{name} has no value in {template}")),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_template_gives_names_and_values() {
        let text = "heat_template_version: '2021-04-16'\nresources:\n  r1:\n    type: Anneal::Http\n    properties:\n      \
                    body:\n        name: r1\n        value: 17\n      attributes:\n        value: /value\n  r20:\n    \
                    properties:\n      body:\n        value: 0\noutputs:\n  o:\n    value: 3\n";
        let expected = BTreeMap::from([("r1".to_owned(), 17), ("r20".to_owned(), 0)]);
        assert_eq!(values(text), Ok(expected));
        assert_eq!(values("resources: {}\n"), Ok(BTreeMap::new()));
        assert!(values("resources:\n  r1:\n    type: T\n").is_err());
    }
}
