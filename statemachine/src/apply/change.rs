//! Changing a stack: create, update, patch, rollback, delete, pause, resume, cancel. A new revision
//! never waits for an old one.

mod check;
mod revise;

use crate::command::{Change, ChangeStack, Difference};
use crate::event::EventKind;
use crate::id::{Revision, StackId, Text};
use crate::outcome::{Outcome, Rejection, StackAnswer};
use crate::row::Pending;
use crate::state::Tally;
use crate::turn::Turn;

/// How a revision came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A person's declaration.
    Declared,
    /// Back to an earlier revision; automatically, if set.
    Rollback(Revision, bool),
}

impl Cause {
    /// An automatic rollback undoes the failed revision whole, with what that one protected.
    pub(crate) fn undoes(self) -> bool {
        matches!(self, Cause::Rollback(_, true))
    }
}

impl Turn<'_> {
    pub(crate) fn change_stack(&mut self, change: ChangeStack) -> Outcome {
        let ChangeStack {
            request,
            namespace,
            name,
            change,
        } = change;
        if let Change::Create { difference } = change {
            return match self.check_create(&namespace, &name, &difference) {
                Ok(declared) => self.create(namespace, name, difference, declared),
                Err(rejection) => Outcome::Rejected(rejection),
            };
        }
        let Some(id) = self.state.stack_named(&namespace, &name) else {
            return Outcome::Rejected(Rejection::StackNotFound { name });
        };
        // A difference that has to wait is staged under its request. What somebody else staged under that must not mix with it.
        if let Some(stage) = self.state.stages.get(&request) {
            return Outcome::Rejected(Rejection::StageIncomplete {
                stage: request,
                present: stage.row.parts,
                expected: 0,
            });
        }
        let answer = match change {
            Change::Create { .. } => unreachable!("creates were dealt with above"),
            Change::Update { base, difference } => {
                self.update(id, request, base, difference, Cause::Declared)
            }
            Change::Rollback {
                base,
                to,
                difference,
                failed,
            } => self.roll_back(id, request, base, to, difference, failed),
            Change::Delete { base } => self.delete_stack(id, base),
            Change::Pause => Ok(self.pause(id, false)),
            Change::Resume => Ok(self.resume(id)),
            Change::Cancel => Ok(self.pause(id, true)),
        };
        match answer {
            Ok(unchanged) => self.answer(id, unchanged),
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    pub(crate) fn answer(&self, id: StackId, unchanged: bool) -> Outcome {
        Outcome::Stack(StackAnswer {
            stack: id,
            revision: self.state.stack(id).row.revision,
            unchanged,
        })
    }

    fn create(
        &mut self,
        namespace: Text,
        name: Text,
        difference: Difference,
        declared: Tally,
    ) -> Outcome {
        let id = self.add_stack(namespace, name);
        let revision = self.revise(id, &difference, Cause::Declared, declared);
        self.take_difference(id, revision, &difference);
        self.answer(id, false)
    }

    fn update(
        &mut self,
        id: StackId,
        request: crate::id::RequestId,
        base: Revision,
        difference: Difference,
        cause: Cause,
    ) -> Result<bool, Rejection> {
        self.check_base(id, base)?;
        if difference == Difference::default()
            && cause == Cause::Declared
            && !self.state.stack(id).row.deleting
        {
            self.take_unchanged(id);
            return Ok(true);
        }
        let declared = self.check_difference(id, &difference, cause)?;
        let waits = self.state.stack(id).takes_in();
        let revision = self.revise(id, &difference, cause, declared);
        if waits {
            self.stage_difference(id, request, revision, &difference);
        } else {
            self.take_difference(id, revision, &difference);
        }
        Ok(false)
    }

    /// An unchanged declaration forgets failures. It is no new revision, so a pause stays.
    fn take_unchanged(&mut self, id: StackId) {
        self.tell(Some(id), EventKind::Unchanged, "declared again, unchanged");
        self.clear_failures(id);
        self.start_timeout(id);
        if self.state.stack(id).row.paused {
            self.hold_timeout(id);
        }
    }

    fn roll_back(
        &mut self,
        id: StackId,
        request: crate::id::RequestId,
        base: Revision,
        to: Revision,
        difference: Difference,
        failed: Option<Revision>,
    ) -> Result<bool, Rejection> {
        self.check_rollback(id, to, failed)?;
        let row = &self.state.stack(id).row;
        if to == row.revision && !row.deleting && failed.is_none() {
            // Nothing is to be done. It is decided here all the same: an answer that nobody remembers would let an earlier
            // attempt that was delayed go back to what is an old revision by then.
            self.check_base(id, base)?;
            return Ok(true);
        }
        self.update(
            id,
            request,
            base,
            difference,
            Cause::Rollback(to, failed.is_some()),
        )
    }

    fn delete_stack(&mut self, id: StackId, base: Option<Revision>) -> Result<bool, Rejection> {
        if let Some(base) = base {
            self.check_base(id, base)?;
        }
        self.check_delete(id)?;
        if self.state.stack(id).row.deleting {
            self.take_unchanged(id);
            return Ok(true);
        }
        let (nothing, declared) = (Difference::default(), Tally::default());
        let revision = self.revise(id, &nothing, Cause::Declared, declared);
        let row = self.edit_stack(id);
        row.deleting = true;
        row.queue.push(Pending::Clear {
            revision,
            after: None,
        });
        self.state.queues.insert(id);
        self.tell(Some(id), EventKind::Deleting, "everything is to go");
        self.work_off(id, self.items_per_entry());
        Ok(false)
    }

    fn pause(&mut self, id: StackId, cancel: bool) -> bool {
        let row = self.edit_stack(id);
        let unchanged = row.paused && (row.cancelling || !cancel);
        row.paused = true;
        row.cancelling |= cancel;
        self.hold_timeout(id);
        if !unchanged {
            let kind = if cancel {
                EventKind::Cancelled
            } else {
                EventKind::Paused
            };
            self.tell(Some(id), kind, "nothing new starts");
        }
        unchanged
    }

    fn resume(&mut self, id: StackId) -> bool {
        let row = self.edit_stack(id);
        let unchanged = !row.paused;
        row.paused = false;
        row.cancelling = false;
        self.resume_timeout(id);
        if !unchanged {
            self.tell(Some(id), EventKind::Resumed, "it goes on");
        }
        unchanged
    }
}
