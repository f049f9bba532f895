//! Who takes work, and which of them may take this.

use std::cell::OnceCell;
use std::collections::HashMap;

use anneal_statemachine::StateMachine;
use anneal_statemachine::id::EngineRef;
use anneal_statemachine::row::{EngineRow, LeaseState};
use anneal_statemachine::view::{EngineView, WorkView};

/// An engine that takes work.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which.
    pub engine: EngineRef,
    /// What it is and offers.
    pub row: EngineRow,
}

impl Candidate {
    /// The engines that the state admits, in the order of their names. Which of them can be reached is for others to say.
    pub fn all(machine: &StateMachine) -> impl Iterator<Item = Self> {
        admitted(machine).map(|found| Self {
            engine: found.engine,
            row: found.row.clone(),
        })
    }

    pub(super) fn fits(&self, view: &WorkView) -> bool {
        let offers = &self.row.offers;
        let offered = offers
            .binary_search_by(|offer| (**offer).cmp(&view.type_name))
            .is_ok();
        let host = view.host.as_ref().is_none_or(|host| *host == self.row.host);
        let labels = || {
            view.labels
                .iter()
                .all(|label| self.row.labels.contains(label))
        };
        offered && host && labels()
    }
}

/// The engines that the state admits, in the order of their names.
pub(super) fn admitted(machine: &StateMachine) -> impl Iterator<Item = EngineView<'_>> {
    machine.engines().filter(|found| {
        found.row.lease == LeaseState::Live && !machine.is_forgetting(&found.row.host)
    })
}

/// All of them, to look one up in.
pub(super) struct Candidates<'a> {
    /// In the order of their names.
    all: &'a [Candidate],
    by_host: OnceCell<HashMap<&'a str, Vec<&'a Candidate>>>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(all: &'a [Candidate]) -> Self {
        Self {
            all,
            by_host: OnceCell::new(),
        }
    }

    pub(super) fn all(&self) -> &'a [Candidate] {
        self.all
    }

    pub(super) fn get(&self, engine: EngineRef) -> Option<&'a Candidate> {
        let found = self.all.binary_search_by_key(&engine, |it| it.engine);
        found.ok().and_then(|at| self.all.get(at))
    }

    pub(super) fn on_host(&self, host: &str) -> &[&'a Candidate] {
        let by_host = self.by_host.get_or_init(|| {
            let mut by_host: HashMap<&str, Vec<&Candidate>> = HashMap::new();
            for candidate in self.all {
                let here = by_host.entry(&candidate.row.host).or_default();
                here.push(candidate);
            }
            by_host
        });
        by_host.get(host).map_or(&[], Vec::as_slice)
    }
}
