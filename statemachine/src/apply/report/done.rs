//! Actions that went well.

use crate::command::{Done, ErrorClass, Value};
use crate::digest::fingerprint;
use crate::event::EventKind;
use crate::id::{InstanceId, Subject, Token};
use crate::row::{Action, AssignmentRow, AttributeRow, Observed, Output, RowKey, RowValue};
use crate::rules::failure::Count;
use crate::turn::Turn;
use bytes::Bytes;

impl Turn<'_> {
    pub(super) fn made(&mut self, id: InstanceId, assignment: &AssignmentRow, done: Done) {
        if self.id_is_taken(id, assignment.token, &done) {
            return;
        }
        let references = &self
            .state
            .catalogue
            .definition(assignment.definition)
            .references;
        let made_to_match = fingerprint(assignment.definition, references, &done.inputs);
        let unhealthy = done.unhealthy;
        self.edit(id, |row| {
            row.assignment = None;
            row.effect = None;
            row.definition = assignment.definition;
            row.fingerprint = Some(made_to_match);
            row.drift = None;
        });
        self.is_there(id, done);
        self.set_requires(id, assignment.requires_after.clone());
        self.count_drift(id, false);
        let owner = self.state.instance(id).row.resource;
        let kind = match assignment.action {
            Action::Create => EventKind::Created,
            _ => EventKind::Updated,
        };
        if unhealthy {
            let message = "it is there, but not well".into();
            let failure = Count::new(ErrorClass::Transient, message);
            self.count_failure(Subject::Resource(owner), failure);
        } else {
            self.tell_instance(id, kind, "done");
            self.clear_trouble(Subject::Resource(owner));
        }
        self.clear_trouble(Subject::Instance(id));
    }

    /// Another instance holds the reported id. One whose id another holds is forgotten, not deleted.
    /// True: the report says nothing more.
    pub(super) fn id_is_taken(&mut self, id: InstanceId, token: Token, done: &Done) -> bool {
        let Some(physical_id) = &done.physical_id else {
            return false;
        };
        let Some(holder) = self.other_holder(id, physical_id) else {
            return false;
        };
        if self.state.instance(id).row.traits.named {
            return self.name_is_disputed(id, token, holder);
        }
        let owner = self.state.instance(id).row.resource;
        let wanted = self.state.wanted(id);
        let message = format!("its id {physical_id} is held by instance {holder}");
        self.tell_instance(id, EventKind::Forgotten, message.clone());
        self.take_id(id, None);
        self.forget(id);
        if wanted {
            self.conflict(owner, Some(holder), message.into());
        }
        true
    }

    /// Where ids are names, a provider answers for what carries the instance's key alone, so that only
    /// one of the two is there. If the action began after everything known of the holder, the holder's
    /// object is gone; else nobody knows yet, and another look decides. True: nobody knows.
    fn name_is_disputed(&mut self, id: InstanceId, token: Token, holder: InstanceId) -> bool {
        let row = &self.state.instance(holder).row;
        if row.flight().is_none() && row.last_change < token.0 {
            let text = format!("instance {id} has been found under its name");
            self.tell_instance(holder, EventKind::Gone, text);
            self.forget(holder);
            return false;
        }
        let text = format!("instance {holder} is known under its name");
        self.tell_instance(id, EventKind::Unknown, text);
        self.edit(id, |row| {
            row.assignment = None;
            // It was answered for, not seen: a look that finds nothing may still be too early.
            row.observed = Observed::Unknown;
            row.lost_once = true;
            if let Some(effect) = &mut row.effect {
                effect.in_doubt = true;
            }
        });
        true
    }

    /// Something is there: its id and everything that it offers.
    pub(super) fn is_there(&mut self, id: InstanceId, done: Done) {
        let row = &self.state.instance(id).row;
        assert!(
            !row.is_current() || self.is_heard(row.resource),
            "nothing runs on what is still taken for settled"
        );
        self.keep_told(id, done.values, done.private);
        if let Some(properties) = done.properties {
            self.put(RowKey::Properties(id), RowValue::Properties(properties));
        }
        if done.physical_id.is_some() {
            self.take_id(id, done.physical_id);
        }
        let healthy = !done.unhealthy;
        self.edit(id, |row| {
            row.observed = Observed::Present { healthy };
            row.seen_present = true;
            row.on_hold = false;
        });
    }

    /// Keeps what it offers, which replaces what was known, and its provider's private bytes, if they are told.
    pub(super) fn keep_told(&mut self, id: InstanceId, values: Vec<Value>, private: Option<Bytes>) {
        let outputs: Box<[Output]> = values
            .iter()
            .map(|value| Output {
                name: value.name.clone(),
                digest: value.digest,
            })
            .collect();
        let before = self.state.instance(id).row.outputs.clone();
        let gone = before
            .iter()
            .filter(|old| !outputs.iter().any(|new| new.name == old.name));
        for output in gone {
            self.remove(RowKey::Attribute(id, output.name.clone()));
        }
        for value in values {
            let row = AttributeRow {
                digest: value.digest,
                bytes: value.bytes,
                sensitive: value.sensitive,
            };
            self.put(RowKey::Attribute(id, value.name), RowValue::Attribute(row));
        }
        if let Some(private) = private {
            self.put(RowKey::Private(id), RowValue::Private(private));
        }
        self.edit(id, |row| row.outputs = outputs);
    }
}
