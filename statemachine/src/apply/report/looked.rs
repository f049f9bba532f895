//! What a look found. Only here (and where a person resolves, or a report is late) does an Unknown
//! end.

use crate::command::{Done, Looked};
use crate::event::EventKind;
use crate::id::{InstanceId, Subject, Text};
use crate::row::{Action, AssignmentRow, Observed};
use crate::turn::Turn;

impl Turn<'_> {
    pub(super) fn looked(&mut self, id: InstanceId, assignment: &AssignmentRow, looked: Looked) {
        self.clear_trouble(Subject::Instance(id));
        match looked {
            Looked::Absent => self.looked_absent(id, assignment),
            Looked::AsAimed(done) => self.looked_present(id, assignment, done, true),
            Looked::Otherwise(done) => self.looked_present(id, assignment, done, false),
            Looked::CannotLook { message } => self.cannot_look(id, &message),
        }
    }

    fn looked_absent(&mut self, id: InstanceId, assignment: &AssignmentRow) {
        let row = &self.state.instance(id).row;
        if row.seen_present {
            self.tell_instance(id, EventKind::Gone, "looked: it is not there any more");
            self.forget(id);
            return;
        }
        if self.is_final(id, assignment) {
            self.tell_instance(id, EventKind::Looked, "looked: nothing is there");
            self.becomes_absent(id);
            return;
        }
        self.tell_instance(id, EventKind::Looked, "looked: nothing is there yet");
        let now_ms = self.stamp.state_ms;
        self.edit(id, |row| {
            row.assignment = None;
            let fences = row.traits.fences;
            if let Some(effect) = &mut row.effect {
                effect.seen_absent = true;
                if fences {
                    // From this look on no older call has an effect; one that had may still show up.
                    effect.not_after_ms = effect.not_after_ms.min(now_ms);
                }
            }
        });
    }

    /// Is what this look has not found certainly not there?
    fn is_final(&self, id: InstanceId, assignment: &AssignmentRow) -> bool {
        let row = &self.state.instance(id).row;
        let (Some(effect), Some(quiet_from_ms)) = (&row.effect, row.quiet_from_ms()) else {
            return true;
        };
        if row.traits.fences && row.traits.lag_ms == 0 {
            return true;
        }
        effect.seen_absent && assignment.since_ms >= quiet_from_ms
    }

    /// It is certain that nothing is there.
    pub(crate) fn becomes_absent(&mut self, id: InstanceId) {
        self.set_physical_id(id, None);
        self.edit(id, |row| {
            row.assignment = None;
            row.effect = None;
            row.on_hold = false;
            row.observed = Observed::Absent;
        });
        self.set_requires(id, Box::default());
    }

    fn looked_present(
        &mut self,
        id: InstanceId,
        assignment: &AssignmentRow,
        done: Done,
        as_aimed: bool,
    ) {
        if self.id_is_taken(id, assignment.token, &done) {
            return;
        }
        let effect = self.state.instance(id).row.effect.clone();
        let made = effect.filter(|effect| effect.action != Action::Delete);
        self.edit(id, |row| {
            row.assignment = None;
            row.effect = None;
            match made {
                Some(effect) if as_aimed => {
                    row.fingerprint = effect.aim;
                    row.definition = effect.definition;
                }
                // A lost delete leaves what it found as it was known, to be deleted.
                None if as_aimed => {}
                _ => row.fingerprint = None,
            }
        });
        self.is_there(id, done);
        let text = if as_aimed {
            "looked: it is there as aimed"
        } else {
            "looked: it is there, otherwise"
        };
        self.tell_instance(id, EventKind::Looked, text);
    }

    fn cannot_look(&mut self, id: InstanceId, message: &Text) {
        self.edit(id, |row| {
            row.assignment = None;
            row.on_hold = true;
        });
        self.wake_unknown_requirers(id);
        self.tell_instance(id, EventKind::OnHold, &**message);
    }
}
