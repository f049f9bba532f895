//! Local reads: a member's replica as it is. It may be behind; it never goes back, and never shows what was not committed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a read shows of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its id: a later stack of that name has a larger one.
    pub id: u64,
    /// Its revision.
    pub revision: u64,
    /// Its status.
    pub status: String,
}

/// A local read of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRead {
    /// Who read.
    pub client: String,
    /// HOST:PORT of the member.
    pub member: String,
    /// Of which stack.
    pub stack: String,
    /// When it was asked. Nanoseconds, on a clock that never goes back.
    pub called_ns: u64,
    /// When it was answered.
    pub returned_ns: u64,
    /// `None`: it has no such stack.
    pub seen: Option<Seen>,
}

/// A time in which member processes may have been started again. Nanoseconds.
pub type Restart = (u64, u64);

/// Which life of the members' processes a moment belongs to; `None`: they may be ending or starting just then.
pub(super) fn life(restarts: &[Restart], from_ns: u64, to_ns: u64) -> Option<usize> {
    if restarts
        .iter()
        .any(|(begin, end)| from_ns <= *end && *begin <= to_ns)
    {
        return None;
    }
    Some(restarts.iter().filter(|(_, end)| *end < from_ns).count())
}

/// Local reads that went back: what a member showed a client once, it shows it ever after, as long as its process lives.
pub fn went_back(reads: &[LocalRead], restarts: &[Restart]) -> Vec<String> {
    let mut newest: BTreeMap<_, (u64, u64, bool)> = BTreeMap::new();
    let mut guilty = Vec::new();
    for read in reads {
        let Some(life) = life(restarts, read.called_ns, read.returned_ns) else {
            continue;
        };
        let whose = (&read.client, &read.member, &read.stack, life);
        let before = newest.entry(whose).or_default();
        let (id, revision, is_gone) = *before;
        match &read.seen {
            None => before.2 = id > 0,
            Some(seen) if (seen.id, seen.revision) < (id, revision) || is_gone && seen.id == id => {
                let was = if is_gone { "gone" } else { "there" };
                guilty.push(format!(
                    "{} showed {} stack {} id {} at revision {}, after id {id} at revision {revision} was {was}",
                    read.member, read.client, read.stack, seen.id, seen.revision
                ));
            }
            Some(seen) => *before = (seen.id, seen.revision, false),
        }
    }
    guilty
}

/// A revision that an acknowledged request made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The stack.
    pub id: u64,
    /// The revision.
    pub revision: u64,
    /// When it was asked for.
    pub called_ns: u64,
}

/// Local reads of what was not committed: a revision that was asked for only after it had been read, or that, by the
/// events of the whole run, never was.
pub fn read_too_early(
    reads: &[LocalRead],
    made: &[Made],
    committed: &BTreeSet<(u64, u64)>,
) -> Vec<String> {
    let asked: BTreeMap<(u64, u64), u64> = made
        .iter()
        .map(|one| ((one.id, one.revision), one.called_ns))
        .collect();
    let mut guilty = Vec::new();
    for read in reads {
        let Some(seen) = &read.seen else { continue };
        let at = (seen.id, seen.revision);
        if asked
            .get(&at)
            .is_some_and(|&called_ns| called_ns > read.returned_ns)
        {
            guilty.push(format!(
                "{} showed revision {} of {} ({}) before anybody asked for it",
                read.member, seen.revision, read.stack, seen.id
            ));
        }
        // A stack has every revision before one that was committed.
        let later = (seen.id, u64::MAX);
        if committed.range(at..=later).next().is_none() {
            guilty.push(format!(
                "{} showed revision {} of {} ({}), which no event tells of",
                read.member, seen.revision, read.stack, seen.id
            ));
        }
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(at_ns: u64, seen: Option<(u64, u64)>) -> LocalRead {
        LocalRead {
            client: "c".to_owned(),
            member: "m".to_owned(),
            stack: "s".to_owned(),
            called_ns: at_ns,
            returned_ns: at_ns + 1,
            seen: seen.map(|(id, revision)| Seen {
                id,
                revision,
                status: "converged".to_owned(),
            }),
        }
    }

    #[test]
    fn a_replica_that_goes_back_is_guilty_unless_its_process_began_anew() {
        let reads = [read(0, Some((5, 2))), read(10, Some((5, 1)))];
        assert_eq!(went_back(&reads, &[]).len(), 1);
        assert_eq!(went_back(&reads, &[(4, 6)]), [""; 0]);
        assert_eq!(went_back(&reads, &[(9, 12)]), [""; 0], "while it starts");
        let forth = [
            read(0, Some((5, 2))),
            read(10, None),
            read(20, Some((9, 1))),
        ];
        assert_eq!(went_back(&forth, &[]), [""; 0]);
        let back = [
            read(0, Some((5, 2))),
            read(10, None),
            read(20, Some((5, 3))),
        ];
        assert_eq!(
            went_back(&back, &[]).len(),
            1,
            "a stack that is gone does not come back"
        );
    }

    #[test]
    fn a_read_of_the_future_or_of_what_never_was_is_guilty() {
        let made = |called_ns| {
            [Made {
                id: 5,
                revision: 1,
                called_ns,
            }]
        };
        let committed = BTreeSet::from([(5, 1)]);
        let reads = [read(10, Some((5, 1)))];
        assert_eq!(read_too_early(&reads, &made(9), &committed), [""; 0]);
        assert_eq!(read_too_early(&reads, &made(12), &committed).len(), 1);
        assert_eq!(read_too_early(&reads, &made(9), &BTreeSet::new()).len(), 1);
    }
}
