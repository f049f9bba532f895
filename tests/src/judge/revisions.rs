//! Assigned too late: an action of an older revision under a token that was given out after a newer one was committed.
//!
//! A fencing token is the log index of its assignment. So what a call makes under a token larger than the index of a
//! change must be what that change declares, or a later one.

use std::collections::BTreeMap;

use super::calls;
use crate::cloud::{Did, Happened, Record};

/// A change of a stack, as far as clients know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The stack.
    pub stack: String,
    /// The log index at which it was committed, or a larger one; `None`: nobody told whether it was.
    pub index: Option<u64>,
    /// What it declares, by name. `None`: the object is to be gone.
    pub values: BTreeMap<String, Option<u64>>,
    /// Whether what is not named is to be gone.
    pub is_whole: bool,
}

impl Change {
    /// What it says of an object; `None`: nothing.
    fn says(&self, name: &str) -> Option<Option<u64>> {
        match self.values.get(name) {
            Some(value) => Some(*value),
            None => self.is_whole.then_some(None),
        }
    }
}

/// Objects that were made or changed to what was not declared any more when that was assigned.
pub fn assigned_too_late(journal: &[Record], changes: &[Change]) -> Vec<String> {
    let calls = calls(journal);
    let mut of_stack: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        of_stack.entry(&change.stack).or_default().push(change);
    }
    let mut guilty = Vec::new();
    for record in journal {
        let Happened::Effect(Did::Created { body, .. } | Did::Updated { body, .. }) = &record.what
        else {
            continue;
        };
        let (Some(call), Some(changes)) =
            (calls.get(&record.call), of_stack.get(body.stack.as_str()))
        else {
            continue;
        };
        let says = |change: &&&Change| change.says(&body.name);
        let before = changes.iter().filter(|change| {
            let is_before = change.index.is_some_and(|index| index < call.token);
            is_before && says(change).is_some()
        });
        let Some(newest) = before.max_by_key(|change| change.index) else {
            continue;
        };
        let allowed = changes
            .iter()
            .filter(|change| change.index.is_none() || change.index >= newest.index);
        if !allowed
            .filter_map(|change| says(&change))
            .any(|value| value == Some(body.value))
        {
            guilty.push(format!(
                "call {}: {}/{} was made {} under token {}, though since index {} it is to be {:?}",
                record.call,
                body.stack,
                body.name,
                body.value,
                call.token,
                newest.index.unwrap_or_default(),
                newest.says(&body.name).flatten()
            ));
        }
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cloud::{Body, Operation},
        judge::guilty::Story,
    };

    fn made(token: u64, value: u64) -> Vec<Record> {
        let body = Body {
            stack: "s".to_owned(),
            name: "r".to_owned(),
            value,
            ..Body::default()
        };
        let id = "o1".to_owned();
        let did = Did::Created { id, body };
        let story = Story::default().call(Operation::Create, "i", Some("k"), token, did);
        story.told()
    }

    fn declares(index: Option<u64>, value: Option<u64>) -> Change {
        Change {
            stack: "s".to_owned(),
            index,
            values: BTreeMap::from([("r".to_owned(), value)]),
            is_whole: false,
        }
    }

    #[test]
    fn what_an_older_revision_declares_is_not_assigned_after_a_newer_one() {
        let changes = [declares(Some(10), Some(1)), declares(Some(20), Some(2))];
        assert_eq!(assigned_too_late(&made(15, 1), &changes), [""; 0]);
        assert_eq!(assigned_too_late(&made(25, 2), &changes), [""; 0]);
        assert_eq!(assigned_too_late(&made(25, 1), &changes).len(), 1);
        // Whether an engine may already know the newer one when it acts is not asked here.
        assert_eq!(assigned_too_late(&made(15, 2), &changes), [""; 0]);
    }

    #[test]
    fn what_is_to_be_gone_is_not_made_and_an_unknown_change_excuses() {
        let gone = Change {
            values: BTreeMap::new(),
            is_whole: true,
            ..declares(Some(20), None)
        };
        let mut changes = vec![declares(Some(10), Some(1)), gone];
        assert_eq!(assigned_too_late(&made(25, 1), &changes).len(), 1);
        changes.push(declares(None, Some(1)));
        assert_eq!(assigned_too_late(&made(25, 1), &changes), [""; 0]);
    }
}
