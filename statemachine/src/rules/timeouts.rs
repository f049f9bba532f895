//! Timeouts of stacks: deadlines in state time, which stand still while the stack is paused.

use crate::command::OnFailure;
use crate::event::EventKind;
use crate::id::StackId;
use crate::row::{Deadline, Stop};
use crate::turn::Turn;

impl Turn<'_> {
    /// A change begins: its timeout runs from now.
    pub(crate) fn start_timeout(&mut self, stack: StackId) {
        let now_ms = self.stamp.state_ms;
        let row = self.edit_stack(stack);
        let timeout_ms = row.options.timeout_ms;
        row.deadline = timeout_ms.map(|ms| Deadline::At(now_ms.saturating_add(ms)));
    }

    /// Time stands still.
    pub(crate) fn hold_timeout(&mut self, stack: StackId) {
        let now_ms = self.stamp.state_ms;
        let row = self.edit_stack(stack);
        if let Some(Deadline::At(at_ms)) = row.deadline {
            row.deadline = Some(Deadline::Left(at_ms.saturating_sub(now_ms)));
        }
    }

    /// Time goes on.
    pub(crate) fn resume_timeout(&mut self, stack: StackId) {
        let now_ms = self.stamp.state_ms;
        let row = self.edit_stack(stack);
        if let Some(Deadline::Left(left_ms)) = row.deadline {
            row.deadline = Some(Deadline::At(now_ms.saturating_add(left_ms)));
        }
    }

    /// The stack's timeout has passed.
    pub(crate) fn time_out(&mut self, stack: StackId) {
        let row = self.edit_stack(stack);
        row.deadline = None;
        if row.stop.is_some() {
            return;
        }
        let heal = row.settled_revision == row.revision;
        let back = row.options.on_failure == OnFailure::Rollback
            && !row.deleting
            && !row.rolling_back
            && !heal;
        row.stop = Some(if back {
            Stop::RollbackDue
        } else {
            Stop::TimedOut
        });
        self.tell(
            Some(stack),
            EventKind::Halted,
            "the stack's timeout has passed",
        );
    }
}
