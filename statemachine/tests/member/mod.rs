//! A state machine with its rows beside it, and resources to put into it, for tests of what one entry does.

use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{
    Blob, Command, CommandKind, Definition, Policy, Reference, SetResource, Stamp, TypeTraits,
};
use anneal_statemachine::digest::{blob_digest, definition_digest};
use anneal_statemachine::outcome::Applied;
use anneal_statemachine::row::{RowKey, RowValue};
use std::collections::BTreeMap;

pub(crate) struct Member {
    pub(crate) machine: StateMachine,
    rows: BTreeMap<RowKey, RowValue>,
    index: u64,
}

impl Member {
    pub(crate) fn new() -> Member {
        Member {
            machine: StateMachine::new(),
            rows: BTreeMap::new(),
            index: 0,
        }
    }

    pub(crate) fn apply(&mut self, kind: CommandKind) -> Applied {
        self.index += 1;
        let command = Command {
            stamp: Stamp::default(),
            kind,
        };
        let applied = self.machine.apply(self.index, command);
        for change in applied.rows.clone() {
            match change.value {
                Some(value) => self.rows.insert(change.key, value),
                None => self.rows.remove(&change.key),
            };
        }
        applied
    }

    /// Another one, which has only the rows.
    pub(crate) fn restarted(&self) -> Member {
        Member {
            machine: StateMachine::load(self.rows.clone()).expect("the rows make a state"),
            rows: self.rows.clone(),
            index: self.index,
        }
    }
}

/// A resource of the type `thing` that refers to another one, or to none.
pub(crate) fn item(name: &str, upon: Option<&str>) -> SetResource {
    let body = format!("{name} upon {upon:?}");
    let reference = |resource: &str| Reference {
        resource: resource.into(),
        attribute: None,
    };
    SetResource {
        name: name.into(),
        definition: Some(Definition {
            digest: definition_digest("thing", body.as_bytes()),
            type_name: "thing".into(),
            body: body.clone().into(),
            references: upon.map(reference).into_iter().collect(),
            depends_on: Vec::new(),
            policy: Policy::default(),
            traits: TypeTraits {
                can_look: true,
                ..TypeTraits::default()
            },
        }),
        fragment: Blob {
            digest: blob_digest(body.as_bytes()),
            bytes: body.into(),
        },
        parameters_used: Vec::new(),
    }
}
