//! Making a revision: what concerns the stack as a whole, and taking a difference in.

use crate::apply::change::Cause;
use crate::command::{Difference, StackOptions};
use crate::event::EventKind;
use crate::id::{RequestId, Revision, StackId, Text};
use crate::row::{Pending, RevisionRow, RowKey, RowValue, StackRow};
use crate::state::stack::Past;
use crate::state::{Stack, Tally};
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn add_stack(&mut self, namespace: Text, name: Text) -> StackId {
        let id = StackId(self.index);
        let row = StackRow {
            namespace: namespace.clone(),
            name: name.clone(),
            named: true,
            revision: Revision(0),
            settled_revision: Revision(0),
            options: StackOptions::default(),
            head: None,
            parameters: None,
            paused: false,
            cancelling: false,
            deleting: false,
            stop: None,
            rolling_back: false,
            deadline: None,
            events_from: self.index,
            queue: Vec::new(),
            telling: Vec::new(),
            unsettling: Vec::new(),
            created_wall_ms: self.stamp.wall_ms,
            revised_wall_ms: self.stamp.wall_ms,
        };
        self.state.stacks.insert(id, Stack::new(row));
        self.state
            .stack_names
            .entry(namespace)
            .or_default()
            .insert(name, id);
        self.edit_stack(id);
        id
    }

    /// Makes the next revision, by which so much is declared, as far as the stack as a whole is concerned.
    pub(crate) fn revise(
        &mut self,
        id: StackId,
        difference: &Difference,
        cause: Cause,
        declared: Tally,
    ) -> Revision {
        self.state.stack_mut(id).declared = declared;
        let row = &self.state.stack(id).row;
        let revision = row.revision.next();
        let rollback_to = match cause {
            Cause::Declared => None,
            Cause::Rollback(to, _) => Some(to),
        };
        let past = RevisionRow {
            head: row.head,
            parameters: row.parameters,
            options: row.options.clone(),
            wall_ms: self.stamp.wall_ms,
            rollback_to,
        };
        self.keep_past(id, revision, past);
        self.exchange_texts(id, difference);
        let wall_ms = self.stamp.wall_ms;
        let row = self.edit_stack(id);
        row.revision = revision;
        row.revised_wall_ms = wall_ms;
        row.deleting = false;
        row.rolling_back = matches!(cause, Cause::Rollback(_, true));
        if let Some(options) = &difference.options {
            row.options = options.clone();
        }
        row.paused = false;
        row.cancelling = false;
        self.clear_failures(id);
        self.start_timeout(id);
        self.wake_drifted(id);
        let text = match cause {
            Cause::Declared => format!("revision {revision}"),
            Cause::Rollback(to, _) => format!("revision {revision}: back to revision {to}"),
        };
        self.tell(Some(id), EventKind::Revised, text);
        revision
    }

    /// The past holds the head and parameters that it replaced.
    fn keep_past(&mut self, id: StackId, revision: Revision, row: RevisionRow) {
        for blob in [row.head, row.parameters].into_iter().flatten() {
            self.hold_blob(blob);
        }
        self.put(
            RowKey::Revision(id, revision),
            RowValue::Revision(Box::new(row.clone())),
        );
        let past = Past {
            row,
            items: Default::default(),
        };
        self.state.stack_mut(id).past.insert(revision, past);
    }

    fn exchange_texts(&mut self, id: StackId, difference: &Difference) {
        if let Some(head) = &difference.head {
            let before = self.state.stack(id).row.head;
            self.exchange_blob(before, head);
            self.edit_stack(id).head = Some(head.digest);
        }
        if let Some(parameters) = &difference.parameters {
            let before = self.state.stack(id).row.parameters;
            self.exchange_blob(before, parameters);
            self.edit_stack(id).parameters = Some(parameters.digest);
        }
    }

    /// Forgets failures, and what the stack did about them.
    pub(crate) fn clear_failures(&mut self, id: StackId) {
        self.edit_stack(id).stop = None;
        if !self.forgive(id, self.items_per_entry()) {
            self.edit_stack(id).queue.push(Pending::Forgive);
            self.state.queues.insert(id);
        }
    }

    /// Options may have changed what is done about drift.
    fn wake_drifted(&mut self, id: StackId) {
        let drifted: Vec<_> = self.state.stack(id).drifted.iter().copied().collect();
        for instance in drifted {
            let owner = self.state.instance(instance).row.resource;
            self.enqueue(owner);
        }
    }

    /// Takes a difference in at once: it is bounded by the size of an entry.
    pub(crate) fn take_difference(
        &mut self,
        id: StackId,
        revision: Revision,
        difference: &Difference,
    ) {
        for item in &difference.set {
            let desired = self.take_item(item, revision);
            self.desire(id, &item.name, Some(desired), revision);
        }
        for name in &difference.remove {
            self.desire(id, name, None, revision);
        }
    }

    /// Puts a difference behind those that are still being taken in.
    pub(crate) fn stage_difference(
        &mut self,
        id: StackId,
        request: RequestId,
        revision: Revision,
        difference: &Difference,
    ) {
        if !difference.set.is_empty() || !difference.remove.is_empty() {
            self.stage_items(request, &difference.set, &difference.remove);
            self.commit_stage(id, request, revision);
        }
    }
}
