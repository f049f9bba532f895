//! How much a stack declares, and what a change makes of that. Knows nothing of what may be too much.

use crate::id::{Revision, StackId, Text};
use crate::row::DesiredRow;

/// Of some names, how many are declared, be it that a condition leaves them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) names: u64,
    /// How many of those are protected.
    pub(crate) protected: u64,
}

impl Tally {
    /// One more name.
    pub(crate) fn count(&mut self, declared: bool, protects: bool) {
        self.names += u64::from(declared);
        self.protected += u64::from(protects);
    }

    /// One more name that should be this.
    pub(crate) fn count_desired(&mut self, desired: Option<&DesiredRow>) {
        self.count(desired.is_some(), desired.is_some_and(DesiredRow::protects));
    }

    /// These instead of those, which are among them.
    pub(crate) fn exchanged(self, before: Tally, after: Tally) -> Tally {
        let exchanged = |now: u64, before, after: u64| {
            let left = now.checked_sub(before);
            left.expect("what changes is among what is declared") + after
        };
        Tally {
            names: exchanged(self.names, before.names, after.names),
            protected: exchanged(self.protected, before.protected, after.protected),
        }
    }

    fn and(self, other: Tally) -> Tally {
        Tally {
            names: self.names + other.names,
            protected: self.protected + other.protected,
        }
    }
}

/// Names of a change beside what a stack declares at a revision.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    /// `None`: there is no stack yet.
    pub(crate) to: Option<(StackId, Revision)>,
    /// These names as the stack declares them.
    pub(crate) before: Tally,
    /// And as the change does.
    pub(crate) after: Tally,
    /// The first, in the order of names, of what is protected and would not be kept.
    pub(crate) spoilt: Option<Text>,
}

impl Compared {
    /// No name yet.
    pub(crate) fn to(to: Option<(StackId, Revision)>) -> Compared {
        Compared {
            to,
            before: Tally::default(),
            after: Tally::default(),
            spoilt: None,
        }
    }

    pub(crate) fn note_spoilt(&mut self, name: &Text) {
        if self.spoilt.as_ref().is_none_or(|first| name < first) {
            self.spoilt = Some(name.clone());
        }
    }

    /// Together with other names, if those were compared to the same.
    pub(crate) fn and(self, other: Compared) -> Option<Compared> {
        let both = self.to == other.to;
        both.then(|| Compared {
            to: self.to,
            before: self.before.and(other.before),
            after: self.after.and(other.after),
            spoilt: self.spoilt.into_iter().chain(other.spoilt).min(),
        })
    }
}
