//! Actions that failed, and calls that ended without a verdict.

use crate::command::{ErrorClass, Failure};
use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId, Subject, Text};
use crate::row::{Action, AssignmentRow, Observed};
use crate::rules::failure::Count;
use crate::rules::settle::desired_fingerprint;
use crate::turn::Turn;

/// A call that was ended without a verdict, by its engine or with its engine's lease, has no effect that begins later
/// than this, however long it might have taken: what was on its way dies out. What a provider's world delays
/// beyond it, its schema declares as lag. Milliseconds.
const CALL_DIES_MS: u64 = 2_500;

impl Turn<'_> {
    pub(super) fn failed(&mut self, id: InstanceId, assignment: &AssignmentRow, failure: Failure) {
        if !failure.before_effect && !failure.left_something {
            return self.doubtful(id, assignment, failure);
        }
        let counts = self.still_the_goal(id, assignment);
        let owner = self.state.instance(id).row.resource;
        self.edit(id, |row| row.assignment = None);
        self.keep_id(id, failure.physical_id.as_ref());
        if let Some(left) = failure.left.clone() {
            self.keep_told(id, left.values, Some(left.private));
        }
        match (assignment.action, failure.before_effect) {
            (Action::Create, true) => self.create_left_nothing(id),
            (Action::Create, false) => self.half_made(id, failure.physical_id.is_some()),
            (Action::Update, true) => self.set_requires(id, assignment.requires_before.clone()),
            (Action::Update, false) => self.edit(id, |row| row.fingerprint = None),
            (Action::Delete | Action::Look, _) => {}
        }
        if assignment.action == Action::Delete {
            self.count_failure(Subject::Instance(id), count(failure));
        } else if counts {
            self.count_making(owner, failure);
        }
    }

    /// A create stopped half-way: what is there can't be kept. If nobody knows its id, a look
    /// (or a person) finds it. An id that was heard of otherwise is an earlier attempt's, unless ids are names.
    fn half_made(&mut self, id: InstanceId, named_it: bool) {
        if !named_it && !self.state.instance(id).row.traits.named {
            self.take_id(id, None);
        }
        self.edit(id, |row| {
            row.condemned = true;
            if row.physical_id.is_none() && !row.traits.derived_id {
                row.observed = Observed::Unknown;
                if let Some(effect) = &mut row.effect {
                    effect.in_doubt = true;
                    effect.seen_absent = false;
                }
            } else {
                row.observed = Observed::Present { healthy: false };
                row.seen_present = true;
                row.effect = None;
            }
        });
    }

    /// A failure that the provider does not declare to come before any effect is no verdict, but it
    /// counts.
    fn doubtful(&mut self, id: InstanceId, assignment: &AssignmentRow, failure: Failure) {
        let counts = self.still_the_goal(id, assignment);
        let owner = self.state.instance(id).row.resource;
        self.keep_id(id, failure.physical_id.as_ref());
        self.becomes_unknown(id, false);
        self.tell_instance(id, EventKind::Unknown, &*failure.message);
        if assignment.action == Action::Delete {
            self.count_failure(Subject::Instance(id), count(failure));
        } else if counts {
            self.count_making(owner, failure);
        }
    }

    /// A call that ended without a verdict counts as an attempt, so that what always runs into its
    /// deadline fails some day.
    pub(super) fn no_verdict(
        &mut self,
        id: InstanceId,
        assignment: &AssignmentRow,
        message: Text,
        physical_id: Option<Text>,
    ) {
        let failure = Failure {
            class: ErrorClass::Transient,
            before_effect: false,
            left_something: false,
            message,
            retry_after_ms: None,
            physical_id,
            left: None,
        };
        match assignment.action {
            Action::Look => self.look_failed(id, failure),
            _ => self.doubtful(id, assignment, failure),
        }
    }

    pub(super) fn look_failed(&mut self, id: InstanceId, failure: Failure) {
        self.edit(id, |row| row.assignment = None);
        self.count_failure(Subject::Instance(id), count(failure));
    }

    /// A create found its name held: nothing was done.
    pub(super) fn create_conflicts(
        &mut self,
        id: InstanceId,
        assignment: &AssignmentRow,
        message: Text,
        physical_id: Option<Text>,
    ) {
        let counts = self.still_the_goal(id, assignment);
        let owner = self.state.instance(id).row.resource;
        let holder = physical_id.and_then(|physical_id| self.other_holder(id, &physical_id));
        self.edit(id, |row| row.assignment = None);
        self.create_left_nothing(id);
        if counts {
            self.conflict(owner, holder, message);
        }
    }

    /// A failure of a making, whose goal still stands.
    pub(super) fn count_making(&mut self, owner: ResourceId, failure: Failure) {
        self.count_failure(Subject::Resource(owner), count(failure));
    }

    /// The failure of a superseded goal is no failure.
    fn still_the_goal(&self, id: InstanceId, assignment: &AssignmentRow) -> bool {
        let row = &self.state.instance(id).row;
        let resource = self.state.resource(row.resource);
        if !self.state.wanted(id) || resource.definition() != Some(assignment.definition) {
            return false;
        }
        let aim = row.effect.as_ref().and_then(|effect| effect.aim);
        resource.unsettled > 0
            || aim.is_none()
            || aim == desired_fingerprint(self.state, row.resource)
    }

    /// Keeps an id that a failure told, unless another instance holds it, or it is known by one for certain.
    fn keep_id(&mut self, id: InstanceId, physical_id: Option<&Text>) {
        let open = self.state.instance(id).row.physical_id.is_none() || self.heard_id(id).is_some();
        if let Some(physical_id) = physical_id
            && open
            && self.other_holder(id, physical_id).is_none()
        {
            self.take_id(id, Some(physical_id.clone()));
        }
    }

    /// An action on the instance was lost, or ended without a verdict.
    pub(crate) fn becomes_unknown(&mut self, id: InstanceId, lost: bool) {
        let over_ms = self.stamp.state_ms.saturating_add(CALL_DIES_MS);
        self.edit(id, |row| {
            let action = row.assignment.as_ref().map(|assignment| assignment.action);
            match &mut row.assignment {
                Some(assignment) if lost => assignment.lost = true,
                assignment => *assignment = None,
            }
            row.lost_once = true;
            if action == Some(Action::Look) {
                return;
            }
            if row.traits.derived_id {
                // There is no outside: what was lost did not happen, or will be done over.
                row.observed = match action {
                    Some(Action::Create) => Observed::Absent,
                    _ => Observed::Present { healthy: true },
                };
                if action == Some(Action::Update) {
                    row.fingerprint = None;
                }
                return;
            }
            row.observed = Observed::Unknown;
            if let Some(effect) = &mut row.effect {
                effect.in_doubt = true;
                effect.seen_absent = false;
                effect.not_after_ms = effect.not_after_ms.min(over_ms);
            }
        });
        if self.state.instance(id).row.is_absent() {
            // An id that a broken-off call told of is of nothing.
            self.set_physical_id(id, None);
            self.set_requires(id, Box::default());
        }
        self.learn_aim(id);
    }

    /// Notes what a lost action aimed at while what it was built on still says so.
    fn learn_aim(&mut self, id: InstanceId) {
        let row = &self.state.instance(id).row;
        let Some(effect) = row.effect.as_ref().filter(|effect| effect.aim.is_none()) else {
            return;
        };
        if effect.action == Action::Delete {
            return;
        }
        let aim = crate::rules::look::aim_of(self.state, id, effect.definition);
        if aim.is_some() {
            self.note(id, |row| {
                if let Some(effect) = &mut row.effect {
                    effect.aim = aim;
                }
            });
        }
    }
}

fn count(failure: Failure) -> Count {
    Count {
        class: failure.class,
        message: failure.message,
        retry_after_ms: failure.retry_after_ms,
        holder: None,
    }
}
