//! Proof that a run really met what it is meant to meet: counters by name. A fault that never happened has not been
//! survived.

use std::collections::BTreeMap;

use anneal_statemachine::outcome::{Outcome, Rejection};

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By name.
    pub seen: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// It happened.
    pub fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    /// A user's request was answered so.
    pub fn note_outcome(&mut self, outcome: &Outcome) {
        if let Outcome::Rejected(reason) = outcome {
            self.note(match reason {
                Rejection::AlreadyExists { .. } => "rejected: already exists",
                Rejection::BaseMoved { .. } => "rejected: base moved",
                Rejection::StageIncomplete { .. } => "rejected: stage incomplete",
                Rejection::ResourceProtected { .. } => "rejected: resource protected",
                Rejection::StackProtected { .. } => "rejected: stack protected",
                Rejection::TooManyResources { .. } => "rejected: too many resources",
                _ => "rejected otherwise",
            });
        }
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Coverage) {
        for (what, count) in &other.seen {
            *self.seen.entry(what).or_insert(0) += count;
        }
    }

    /// Those of the demanded that never happened.
    pub fn missing<'a>(&self, demanded: &[&'a str]) -> Vec<&'a str> {
        demanded
            .iter()
            .filter(|what| !self.seen.contains_key(*what))
            .copied()
            .collect()
    }
}
