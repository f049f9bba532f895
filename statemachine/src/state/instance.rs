//! An instance, and the one table of its legal changes. Knows nothing of why they happen.

use crate::digest::Digest;
use crate::id::Text;
use crate::row::{Action, AssignmentRow, InstanceRow, Observed, Role};
use crate::state::resource::{Slot, Trouble};

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) row: InstanceRow,
    /// How many of those that require it have an action in flight.
    pub(crate) busy_requirers: u32,
    /// It is counted among its stack's unwanted ones.
    pub(crate) unwanted: bool,
    /// Where its look or deletion stands with the dispatcher.
    pub(crate) slot: Slot,
    pub(crate) trouble: Option<Box<Trouble>>,
}

impl Instance {
    pub(crate) fn new(row: InstanceRow) -> Instance {
        Instance {
            row,
            busy_requirers: 0,
            unwanted: false,
            slot: Slot::None,
            trouble: None,
        }
    }
}

impl InstanceRow {
    /// The assignment that is in flight.
    pub(crate) fn flight(&self) -> Option<&AssignmentRow> {
        self.assignment
            .as_deref()
            .filter(|assignment| !assignment.lost)
    }

    pub(crate) fn is_current(&self) -> bool {
        self.role == Role::Current
    }

    pub(crate) fn goes_first(&self) -> bool {
        matches!(
            self.role,
            Role::Deposed {
                before_successor: true,
                ..
            }
        )
    }

    /// It goes although others require it, if its resource is wanted.
    pub(crate) fn may_make_way(&self) -> bool {
        self.goes_first() || (self.is_current() && (self.delete_begun || self.condemned))
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.observed == Observed::Unknown && self.flight().is_none()
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.observed == Observed::Absent && self.flight().is_none()
    }

    pub(crate) fn is_present(&self) -> bool {
        matches!(self.observed, Observed::Present { .. }) && self.flight().is_none()
    }

    /// A deposed instance that may become the current one again.
    pub(crate) fn may_come_back(&self) -> bool {
        self.observed == Observed::Present { healthy: true }
            && self.flight().is_none()
            && !self.delete_begun
            && !self.condemned
    }

    /// The digest of what it offers under this name.
    pub(crate) fn output(&self, name: Option<&Text>) -> Option<Digest> {
        self.outputs
            .iter()
            .find(|output| output.name.as_ref() == name)
            .map(|output| output.digest)
    }

    /// From this state time on, whatever the effect under way has brought about shows: a call may have its effect in the last
    /// millisecond of its time.
    pub(crate) fn quiet_from_ms(&self) -> Option<u64> {
        let last_ms = self.effect.as_deref()?.not_after_ms;
        Some(last_ms.saturating_add(u64::from(self.traits.lag_ms) + 1))
    }

    /// Definitions that it keeps in the catalogue.
    pub(crate) fn definitions(&self) -> [Option<Digest>; 3] {
        [
            Some(self.definition),
            self.assignment
                .as_ref()
                .map(|assignment| assignment.definition),
            self.effect.as_ref().map(|effect| effect.definition),
        ]
    }
}

/// Where an instance stands, as far as changes are restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stance {
    /// Not (yet, or any more) in the state.
    None,
    /// Nothing is there, nothing runs.
    Absent,
    /// Something may be there, nothing runs.
    Unknown,
    /// It is there, nothing runs.
    Present,
    /// This runs.
    Running(Action),
}

impl Stance {
    pub(crate) fn of(row: &InstanceRow) -> Stance {
        match (row.flight(), row.observed) {
            (Some(assignment), _) => Stance::Running(assignment.action),
            (None, Observed::Absent) => Stance::Absent,
            (None, Observed::Unknown) => Stance::Unknown,
            (None, Observed::Present { .. }) => Stance::Present,
        }
    }

    /// The table of legal changes, used for every change of every instance. Each line says which
    /// stances may follow.
    pub(crate) fn may_become(self, next: Stance) -> bool {
        use Action::{Create, Delete, Look, Update};
        use Stance::{Absent, None, Present, Running, Unknown};
        let legal: &[Stance] = match self {
            // It begins absent, about to be created, or as a late find.
            None => &[Absent, Present, Unknown],
            // Tried again, found late, reported late, or forgotten.
            Absent => &[Running(Create), Present, Unknown, None],
            // Looked at, made again under the same key, settled by a late report or a person.
            Unknown => &[Running(Look), Running(Create), Absent, Present, None],
            // Updated, deleted, found late to be in doubt, vanished or retained.
            Present => &[Running(Update), Running(Delete), Unknown, None],
            // Whatever runs may end well or ill, and may be lost.
            Running(Create) => &[Absent, Present, Unknown, None],
            Running(Update) => &[Present, Unknown, None],
            Running(Delete) => &[Present, Unknown, None],
            Running(Look) => &[Absent, Present, Unknown, None],
        };
        self == next || legal.contains(&next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Stance; 8] = [
        Stance::None,
        Stance::Absent,
        Stance::Unknown,
        Stance::Present,
        Stance::Running(Action::Create),
        Stance::Running(Action::Update),
        Stance::Running(Action::Delete),
        Stance::Running(Action::Look),
    ];

    #[test]
    fn what_is_unknown_is_looked_at_or_made_under_its_key_but_never_updated_or_deleted() {
        assert!(Stance::Unknown.may_become(Stance::Running(Action::Look)));
        assert!(Stance::Unknown.may_become(Stance::Running(Action::Create)));
        assert!(!Stance::Unknown.may_become(Stance::Running(Action::Update)));
        assert!(!Stance::Unknown.may_become(Stance::Running(Action::Delete)));
    }

    #[test]
    fn what_is_there_is_never_simply_absent_again() {
        assert!(!Stance::Present.may_become(Stance::Absent));
        assert!(!Stance::Running(Action::Update).may_become(Stance::Absent));
        assert!(!Stance::Running(Action::Delete).may_become(Stance::Absent));
    }

    #[test]
    fn one_action_ends_before_another_begins() {
        let running = |stance: &&Stance| matches!(stance, Stance::Running(_));
        for one in ALL.iter().filter(running) {
            for other in ALL.iter().filter(running).filter(|other| *other != one) {
                assert!(!one.may_become(*other), "{one:?} does not become {other:?}");
            }
        }
    }
}
