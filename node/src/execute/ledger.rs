//! What this engine has begun, compared with what the replicated state assigns to it.
//!
//! Pure: says what to begin and what to stop, and does neither. Knows nothing of providers or leases.

use std::collections::{BTreeMap, BTreeSet};

use anneal_statemachine::id::{EngineRef, InstanceId, Token};
use anneal_statemachine::view::AssignmentView;

/// One thing to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    /// The assignment, as it was when it was seen first.
    pub(crate) assignment: AssignmentView,
    /// Its type has no outside, so its provider most likely answers at once.
    pub(crate) derived: bool,
}

/// An instance as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which.
    pub(crate) instance: InstanceId,
    /// Its assignment, if it has one.
    pub(crate) assignment: Option<AssignmentView>,
    /// Its type has no outside.
    pub(crate) derived: bool,
}

/// What follows from a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Each to be begun; those of one chunk together, in order.
    pub(crate) begin: Vec<Vec<Duty>>,
    /// Assignments that stand no more while something of them may still run here.
    pub(crate) stop: Vec<(InstanceId, Token)>,
}

/// What was begun and is still in the state, or was.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    begun: BTreeMap<InstanceId, Token>,
}

impl Ledger {
    /// Takes in some instances as they are now.
    pub(crate) fn compare(&mut self, me: EngineRef, now: impl IntoIterator<Item = Seen>) -> Steps {
        let mut steps = Steps::default();
        let mut chunks: BTreeMap<(Token, u32), Vec<Duty>> = BTreeMap::new();
        for Seen {
            instance,
            assignment,
            derived,
        } in now
        {
            let mine = assignment.filter(|assignment| assignment.engine == me);
            let begun = self.begun.get(&instance).copied();
            let Some(assignment) = mine else {
                steps.stop.extend(begun.map(|token| (instance, token)));
                self.begun.remove(&instance);
                continue;
            };
            if begun == Some(assignment.token) {
                continue;
            }
            steps.stop.extend(begun.map(|token| (instance, token)));
            self.begun.insert(instance, assignment.token);
            let chunk = assignment.chunk;
            let token = assignment.token;
            let duty = Duty {
                assignment,
                derived,
            };
            match chunk {
                Some((number, _)) => chunks.entry((token, number)).or_default().push(duty),
                None => steps.begin.push(vec![duty]),
            }
        }
        for mut chunk in chunks.into_values() {
            chunk.sort_by_key(|duty| duty.assignment.chunk);
            steps.begin.push(chunk);
        }
        steps
    }

    /// Takes in everything that is assigned; what was begun and is not among it stands no more.
    pub(crate) fn compare_all(&mut self, me: EngineRef, assigned: Vec<Seen>) -> Steps {
        let present: BTreeSet<InstanceId> = assigned.iter().map(|seen| seen.instance).collect();
        let missing: Vec<Seen> = self
            .begun
            .keys()
            .filter(|instance| !present.contains(instance))
            .map(|instance| Seen {
                instance: *instance,
                assignment: None,
                derived: false,
            })
            .collect();
        self.compare(me, missing.into_iter().chain(assigned))
    }

    /// Forgets everything: another incarnation begins, and the old one's assignments are lost to it.
    pub(crate) fn clear(&mut self) {
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anneal_statemachine::digest::Digest;
    use anneal_statemachine::id::{ResourceId, StackId};
    use anneal_statemachine::row::{Action, Observed};

    const ME: EngineRef = EngineRef {
        member: 1,
        incarnation: 10,
    };

    fn assignment(token: u64, chunk: Option<(u32, u32)>) -> AssignmentView {
        AssignmentView {
            stack: StackId(1),
            resource: ResourceId(1),
            name: "name".into(),
            instance: InstanceId(0),
            origin: InstanceId(0),
            token: Token(token),
            engine: ME,
            action: Action::Create,
            type_name: "Type".into(),
            definition: Digest::default(),
            known_definition: Digest::default(),
            lost_action: None,
            key: token,
            aim: None,
            not_after_ms: 0,
            since_ms: 0,
            chunk,
            physical_id: None,
            observed: Observed::Absent,
            revoked: false,
            cancel: false,
        }
    }

    fn seen(instance: u64, assignment: Option<AssignmentView>) -> Seen {
        let instance = InstanceId(instance);
        Seen {
            instance,
            assignment: assignment.map(|assignment| AssignmentView {
                instance,
                origin: instance,
                ..assignment
            }),
            derived: false,
        }
    }

    fn begun(steps: &Steps) -> Vec<Vec<u64>> {
        let ids = |duties: &Vec<Duty>| {
            duties
                .iter()
                .map(|duty| duty.assignment.instance.0)
                .collect()
        };
        steps.begin.iter().map(ids).collect()
    }

    #[test]
    fn an_assignment_is_begun_once_however_often_it_is_seen() {
        let mut ledger = Ledger::default();
        let now = || [seen(7, Some(assignment(20, None)))];
        assert_eq!(begun(&ledger.compare(ME, now())), [[7]]);
        assert_eq!(ledger.compare(ME, now()), Steps::default());
    }

    #[test]
    fn one_that_ends_and_comes_again_is_begun_again_under_its_new_token() {
        let mut ledger = Ledger::default();
        ledger.compare(ME, [seen(7, Some(assignment(20, None)))]);
        let ended = ledger.compare(ME, [seen(7, None)]);
        assert_eq!(ended.stop, [(InstanceId(7), Token(20))]);
        let again = ledger.compare(ME, [seen(7, Some(assignment(30, None)))]);
        assert_eq!(begun(&again), [[7]]);
        assert!(again.stop.is_empty());
    }

    #[test]
    fn what_others_hold_is_not_ours() {
        let mut ledger = Ledger::default();
        let mut theirs = assignment(20, None);
        theirs.engine.incarnation = 11;
        let steps = ledger.compare(ME, [seen(1, Some(theirs))]);
        assert_eq!(steps, Steps::default());
    }

    #[test]
    fn a_chunk_is_begun_as_one_in_its_order() {
        let mut ledger = Ledger::default();
        let steps = ledger.compare(
            ME,
            [
                seen(1, Some(assignment(20, Some((0, 2))))),
                seen(2, Some(assignment(20, Some((0, 0))))),
                seen(3, Some(assignment(20, Some((0, 1))))),
                seen(4, Some(assignment(20, Some((1, 0))))),
            ],
        );
        assert_eq!(begun(&steps), [vec![2, 3, 1], vec![4]]);
    }

    #[test]
    fn after_a_snapshot_what_is_missing_is_stopped_and_what_is_new_begun() {
        let mut ledger = Ledger::default();
        ledger.compare(ME, [seen(1, Some(assignment(20, None)))]);
        let steps = ledger.compare_all(ME, vec![seen(2, Some(assignment(25, None)))]);
        assert_eq!(begun(&steps), [[2]]);
        assert_eq!(steps.stop, [(InstanceId(1), Token(20))]);
    }
}
