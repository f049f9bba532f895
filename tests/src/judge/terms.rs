//! Terms and indexes, as members tell of themselves: one leader a term; terms never go back, nor does what is applied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::local::{Restart, life};

/// What a member said of itself at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was asked. Nanoseconds, on a clock that never goes back.
    pub called_ns: u64,
    /// When it had answered.
    pub returned_ns: u64,
    /// Which member.
    pub member_id: u64,
    /// The term that it knows.
    pub term: u64,
    /// The leader that it knows; 0: none.
    pub leader: u64,
    /// The last entry that it has applied.
    pub applied_index: u64,
}

/// Terms in which members knew different leaders.
pub fn two_leaders(samples: &[Sample]) -> Vec<String> {
    let mut leaders: BTreeMap<u64, u64> = BTreeMap::new();
    let mut guilty = Vec::new();
    for sample in samples.iter().filter(|sample| sample.leader != 0) {
        let known = *leaders.entry(sample.term).or_insert(sample.leader);
        if known != sample.leader {
            guilty.push(format!(
                "in term {} member {} knows {} as leader, and {known} led in it",
                sample.term, sample.member_id, sample.leader
            ));
        }
    }
    guilty
}

/// Members whose term went back, also by a new start, or whose applied index did while they ran.
pub fn forgot(samples: &[Sample], restarts: &[Restart]) -> Vec<String> {
    let mut terms: BTreeMap<u64, u64> = BTreeMap::new();
    let mut applied: BTreeMap<(u64, usize), u64> = BTreeMap::new();
    let mut guilty = Vec::new();
    let mut back = |what: &str, sample: &Sample, known: &mut u64, now: u64| {
        if now < *known {
            let member = sample.member_id;
            guilty.push(format!(
                "member {member} went back from {what} {known} to {now}"
            ));
        }
        *known = now.max(*known);
    };
    for sample in samples {
        let term = terms.entry(sample.member_id).or_default();
        back("term", sample, term, sample.term);
        if let Some(life) = life(restarts, sample.called_ns, sample.returned_ns) {
            let index = applied.entry((sample.member_id, life)).or_default();
            back("applied index", sample, index, sample.applied_index);
        }
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ns: u64, member_id: u64, term: u64, leader: u64, applied_index: u64) -> Sample {
        Sample {
            called_ns: at_ns,
            returned_ns: at_ns,
            member_id,
            term,
            leader,
            applied_index,
        }
    }

    #[test]
    fn two_leaders_in_a_term_are_one_too_many() {
        let right = [
            sample(0, 1, 3, 1, 0),
            sample(1, 2, 3, 0, 0),
            sample(2, 2, 4, 2, 0),
        ];
        assert_eq!(two_leaders(&right), [""; 0]);
        let split = [sample(0, 1, 3, 1, 0), sample(1, 2, 3, 2, 0)];
        assert_eq!(two_leaders(&split).len(), 1);
    }

    #[test]
    fn a_term_never_goes_back_and_an_index_only_by_a_new_start() {
        let back = [sample(0, 1, 3, 0, 50), sample(10, 1, 2, 0, 50)];
        assert_eq!(forgot(&back, &[(4, 6)]).len(), 1);
        let unapplied = [sample(0, 1, 3, 0, 50), sample(10, 1, 3, 0, 49)];
        assert_eq!(forgot(&unapplied, &[]).len(), 1);
        assert_eq!(forgot(&unapplied, &[(4, 6)]), [""; 0]);
    }
}
