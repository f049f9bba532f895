//! The faults: which, when, how they are injected and taken back. One at a time, so that a majority is there but for
//! the moments in which a fault is that it is not. What a kind is, and how one is added, is told in `kind.rs`.

mod clock;
mod disks;
mod hand;
mod kind;
mod members;
mod network;
mod points;
mod processes;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{failure::Failure, run::Run};
use crate::{Chance, cloud::now_us};
use kind::Seen;

pub use kind::{Kind, Need, all};
pub(super) use points::compare;

/// A fault of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub kind: Kind,
    /// So long after the cluster was last whole. Milliseconds.
    pub after_ms: u64,
    /// So long it stays, beyond what the kind itself asks for. Milliseconds.
    pub hold_ms: u64,
}

/// A fault as it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Injected {
    pub(crate) kind: String,
    /// Microseconds since 1970.
    pub(crate) at_us: u64,
    /// When the cluster was whole again.
    pub(crate) whole_us: u64,
    /// What shows that it happened; or why it did not.
    pub(crate) seen: Result<Seen, String>,
}

/// So long the load runs on a whole cluster between two faults. Milliseconds.
const CALM_MS: (u64, u64) = (1_500, 5_000);

/// So long a fault lasts. Milliseconds.
const HOLD_MS: (u64, u64) = (200, 4_000);

/// A fault takes about this long with everything around it: how many go into a run. Milliseconds.
const ABOUT_MS: u64 = 10_000;

/// The schedule of a seed: every kind once before any comes again, and at least each once.
pub fn plan(seed: u64, duration: Duration, kinds: &[Kind]) -> Vec<Planned> {
    let mut chance = Chance::of(seed ^ 0x0f0f);
    let count = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) / ABOUT_MS;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut planned = Vec::new();
    while planned.len() < count.max(kinds.len()) {
        let mut deck = kinds.to_vec();
        chance.shuffle(&mut deck);
        planned.extend(deck.into_iter().map(|kind| Planned {
            kind,
            after_ms: chance.between(CALM_MS.0, CALM_MS.1),
            hold_ms: chance.between(HOLD_MS.0, HOLD_MS.1),
        }));
    }
    planned.truncate(count.max(kinds.len()));
    planned
}

impl Run {
    /// Injects a fault, holds it, takes it back, and waits until the cluster is whole again. One that did not happen is
    /// noted as such.
    pub(super) async fn inject(&mut self, planned: &Planned) {
        self.hold(Duration::from_millis(planned.after_ms)).await;
        if self.stop.is_told() {
            return;
        }
        let at_us = now_us();
        let word = planned.kind.word();
        self.say(word);
        let hold = Duration::from_millis(planned.hold_ms);
        let seen = planned.kind.act(self, hold).await;
        let seen = seen.map_err(|failure| {
            let told = format!("{word} did not happen: {failure}");
            match failure {
                Failure::Product(why) => self.guilty(&format!("{word}: {why}")),
                Failure::Harness(_) => self.say(&told),
            }
            told
        });
        if seen.is_err()
            && let Err(failure) = self.take_back()
        {
            self.say(&failure.to_string());
        }
        self.whole().await;
        self.injected.push(Injected {
            kind: word.to_owned(),
            at_us,
            whole_us: now_us(),
            seen,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_shortest_run_has_every_fault_and_a_seed_gives_its_schedule_again() {
        let drawn = |seed| plan(seed, Duration::from_secs(1), &all());
        let planned = drawn(5);
        for kind in all() {
            assert!(planned.iter().any(|one| one.kind == kind), "{kind:?}");
        }
        assert_eq!(planned, drawn(5));
        assert_ne!(planned, drawn(6));
    }

    #[test]
    fn no_two_kinds_have_a_word_in_common() {
        let words: BTreeSet<_> = all().iter().map(|kind| kind.word().to_owned()).collect();
        assert_eq!(words.len(), all().len());
    }
}
