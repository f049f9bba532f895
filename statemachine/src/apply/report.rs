//! Report: what engines did is judged against the assignment that stands, and against what is desired
//! by now. A report with an older token changes nothing, except that a physical id in it is kept.

mod done;
mod failed;
mod late;
mod looked;

use crate::command::{ActionResult, Failure, ReportItem};
use crate::event::EventKind;
use crate::id::{InstanceId, Text};
use crate::outcome::{Judgement, Outcome};
use crate::row::{Action, AssignmentRow, Observed};
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn report(&mut self, items: Vec<ReportItem>) -> Outcome {
        let mut judgements = Vec::with_capacity(items.len());
        for item in items {
            judgements.push(self.judge(item));
            // The next item may stand on this one: a chunk reports in order.
            self.drain();
        }
        Outcome::Reported(judgements)
    }

    fn judge(&mut self, item: ReportItem) -> Judgement {
        let ReportItem {
            instance: id,
            token,
            engine,
            result,
        } = item;
        let Some(instance) = self.state.instances.get(&id) else {
            return self.late_for_forgotten(id, result);
        };
        let standing = instance.row.assignment.as_deref();
        let Some(assignment) =
            standing.filter(|standing| standing.token == token && standing.engine == engine)
        else {
            return self.late_for_known(id, result);
        };
        let assignment = assignment.clone();
        match result {
            ActionResult::LatePhysicalId { .. } => return self.late_for_known(id, result),
            result => self.conclude(id, &assignment, result),
        }
        Judgement::Counts
    }

    fn conclude(&mut self, id: InstanceId, assignment: &AssignmentRow, result: ActionResult) {
        match (assignment.action, result) {
            (Action::Create | Action::Update, ActionResult::Done(done)) => {
                self.made(id, assignment, done)
            }
            (Action::Delete, ActionResult::Done(_) | ActionResult::Gone) => self.deleted(id),
            (Action::Update, ActionResult::Gone) => self.gone(id),
            (Action::Update, ActionResult::NeedsReplace { because }) => {
                self.needs_replace(id, assignment, &because)
            }
            (
                Action::Create,
                ActionResult::Conflict {
                    message,
                    physical_id,
                },
            ) => self.create_conflicts(id, assignment, message, physical_id),
            (Action::Look, ActionResult::Looked(looked)) => self.looked(id, assignment, looked),
            (_, ActionResult::Declined { reason }) => self.declined(id, assignment, &reason),
            (Action::Look, ActionResult::Failed(failure)) => self.look_failed(id, failure),
            (_, ActionResult::Failed(failure)) => self.failed(id, assignment, failure),
            (
                _,
                ActionResult::NoVerdict {
                    message,
                    physical_id,
                },
            ) => self.no_verdict(id, assignment, message, physical_id),
            // An answer that does not fit the action is no verdict.
            (_, other) => {
                let message = format!(
                    "the engine's answer does not fit the action: {}",
                    kind(&other)
                );
                let physical_id = other.physical_id().cloned();
                self.no_verdict(id, assignment, message.into(), physical_id);
            }
        }
    }

    fn deleted(&mut self, id: InstanceId) {
        self.tell_instance(id, EventKind::InstanceDeleted, "deleted");
        self.forget(id);
    }

    /// Nothing was there: it is forgotten, and what is made next is a new instance.
    fn gone(&mut self, id: InstanceId) {
        self.tell_instance(id, EventKind::Gone, "nothing was there any more");
        self.forget(id);
    }

    /// Nothing was changed: a successor is made, unless something else is desired by now.
    fn needs_replace(&mut self, id: InstanceId, assignment: &AssignmentRow, because: &Text) {
        self.edit(id, |row| {
            row.assignment = None;
            row.effect = None;
        });
        self.set_requires(id, assignment.requires_before.clone());
        let owner = self.state.instance(id).row.resource;
        let resource = self.state.resource(owner);
        let wanted = self.state.wanted(id)
            && resource.unsettled == 0
            && resource.definition() == Some(assignment.definition)
            && self.state.instance(id).row.observed != Observed::Absent;
        if !wanted {
            return;
        }
        let stack = self.state.stack(resource.row.stack);
        let protect =
            stack.row.options.protect || resource.policy().is_some_and(|policy| policy.protect);
        if protect {
            let message = format!("it would have to be replaced, but is protected: {because}");
            let failure = Failure {
                class: crate::command::ErrorClass::Permanent,
                before_effect: true,
                left_something: false,
                message: message.into(),
                retry_after_ms: None,
                physical_id: None,
                left: None,
            };
            self.count_making(owner, failure);
        } else {
            self.replace(owner, because);
        }
    }

    /// Never begun: all is as before the assignment. A create that was taken for lost stays unknown, since only a look ends
    /// that; and the look is told what it was to make, or there is nothing to look by.
    fn declined(&mut self, id: InstanceId, assignment: &AssignmentRow, reason: &Text) {
        let first_attempt = |row: &crate::row::InstanceRow| {
            let key = row.effect.as_ref().map(|effect| effect.key);
            key == Some(assignment.token.0) && assignment.action != Action::Look
        };
        self.edit(id, |row| {
            let looked_for = assignment.action == Action::Create && row.is_unknown();
            if first_attempt(row) && !looked_for {
                row.effect = None;
            }
            if assignment.first_delete {
                row.delete_begun = false;
            }
            row.assignment = None;
        });
        match assignment.action {
            Action::Create => self.create_left_nothing(id),
            Action::Update => self.set_requires(id, assignment.requires_before.clone()),
            Action::Delete => self.join_requirers(id, &assignment.cut),
            Action::Look => {}
        }
        self.tell_instance(id, EventKind::Declined, &**reason);
    }

    /// Undoes [`Turn::cut_requirers`] for those that are still there.
    fn join_requirers(&mut self, id: InstanceId, requirers: &[InstanceId]) {
        for requirer in requirers {
            let Some(instance) = self.state.instances.get(requirer) else {
                continue;
            };
            let mut requires = instance.row.requires.to_vec();
            if let Err(at) = requires.binary_search(&id) {
                requires.insert(at, id);
            }
            self.set_requires(*requirer, requires.into());
        }
    }

    /// A create that left nothing behind requires nothing; unless an earlier attempt may have.
    fn create_left_nothing(&mut self, id: InstanceId) {
        if !self.state.instance(id).row.is_unknown() {
            self.set_requires(id, Box::default());
        }
    }
}

fn kind(result: &ActionResult) -> &'static str {
    match result {
        ActionResult::Done(_) => "done",
        ActionResult::NeedsReplace { .. } => "needs replace",
        ActionResult::Declined { .. } => "declined",
        ActionResult::Failed(_) => "failed",
        ActionResult::NoVerdict { .. } => "no verdict",
        ActionResult::Looked(_) => "looked",
        ActionResult::Gone => "gone",
        ActionResult::Conflict { .. } => "conflict",
        ActionResult::LatePhysicalId { .. } => "late physical id",
    }
}
