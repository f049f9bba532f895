//! The search for an order. The algorithm is that of Wing and Gong ("Testing and verifying concurrent objects", 1993)
//! with the improvements of Lowe ("Testing for linearizability", 2017): what was found to lead nowhere, as a set of
//! operations that are in order already and the state that they led to, is remembered; and what changes nothing is
//! put in order as soon as it fits, since it would fit nowhere better.

use std::collections::HashSet;

use super::{Entry, Linear, Model};

/// How long to search.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Pairs of a set and a state that are looked at. Each is remembered: a few hundred bytes.
    pub steps: usize,
}

impl Budget {
    /// Enough for a few hundred operations a dozen of which are unknown; half a minute at most.
    pub const ONE_STACK: Self = Self { steps: 1_000_000 };
}

/// A set of places in the history.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Places(Box<[u64]>);

impl Places {
    fn none(of: usize) -> Self {
        Self(vec![0; of.div_ceil(64)].into())
    }

    fn contains(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn with(&self, place: usize) -> Self {
        let mut places = self.clone();
        places.0[place / 64] |= 1 << (place % 64);
        places
    }
}

/// A point of the search: what is in order, and the ways on from there that were not tried yet.
struct Point<S> {
    done: Places,
    /// No operation before this place is missing, but for unknown ones.
    first: usize,
    ways: Vec<(usize, S)>,
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Entry<M::Operation>],
    /// Places of the history in the order of calls.
    by_call: Vec<usize>,
    seen: HashSet<(Places, M::State)>,
}

/// Looks for an order of the history.
pub fn check<M: Model>(model: &M, history: &[Entry<M::Operation>], budget: Budget) -> Linear {
    let mut by_call: Vec<usize> = (0..history.len()).collect();
    by_call.sort_by_key(|&place| history[place].called_ns);
    let mut search = Search {
        model,
        history,
        by_call,
        seen: HashSet::new(),
    };
    search.run(budget)
}

impl<M: Model> Search<'_, M> {
    fn run(&mut self, budget: Budget) -> Linear {
        let mut points = Vec::new();
        let nothing = Places::none(self.history.len());
        match self.reach(nothing, 0, self.model.begin()) {
            Some(point) => points.push(point),
            None => return Linear::Ok,
        }
        while let Some(point) = points.last_mut() {
            let Some((place, state)) = point.ways.pop() else {
                points.pop();
                continue;
            };
            if self.seen.len() >= budget.steps {
                return Linear::Undecided;
            }
            let (done, first) = (point.done.with(place), point.first);
            match self.reach(done, first, state) {
                Some(point) => points.push(point),
                None => return Linear::Ok,
            }
        }
        Linear::Illegal
    }

    /// Puts in order what changes nothing, and finds the ways on. `None`: all is in order.
    fn reach(
        &mut self,
        mut done: Places,
        mut first: usize,
        state: M::State,
    ) -> Option<Point<M::State>> {
        loop {
            first = self.first_missing(&done, first);
            let (quiet, ways) = self.ways(&done, first, &state);
            for place in &quiet {
                done = done.with(*place);
            }
            if self.is_over(&done, first) {
                return None;
            }
            if !quiet.is_empty() {
                continue;
            }
            let is_new = self.seen.insert((done.clone(), state));
            let ways = if is_new { ways } else { Vec::new() };
            return Some(Point { done, first, ways });
        }
    }

    fn first_missing(&self, done: &Places, from: usize) -> usize {
        let missing = |&n: &usize| {
            let place = self.by_call[n];
            self.history[place].returned_ns.is_some() && !done.contains(place)
        };
        (from..self.by_call.len())
            .find(missing)
            .unwrap_or(self.by_call.len())
    }

    fn is_over(&self, done: &Places, first: usize) -> bool {
        self.first_missing(done, first) == self.by_call.len()
    }

    /// What may come next: all that was called before anything that is missing was answered. First what changes
    /// nothing; then what does, with what comes of it, the most promising last.
    fn ways(
        &self,
        done: &Places,
        first: usize,
        state: &M::State,
    ) -> (Vec<usize>, Vec<(usize, M::State)>) {
        let (mut quiet, mut ways, mut vague) = (Vec::new(), Vec::new(), Vec::new());
        let answered = self.by_call[first..]
            .iter()
            .filter(|place| !done.contains(**place));
        let mut horizon = u64::MAX;
        for place in answered {
            let entry = &self.history[*place];
            if entry.called_ns > horizon {
                break;
            }
            horizon = horizon.min(entry.returned_ns.unwrap_or(u64::MAX));
        }
        for place in &self.by_call {
            let entry = &self.history[*place];
            if entry.called_ns > horizon {
                break;
            }
            if done.contains(*place) {
                continue;
            }
            let is_known = entry.returned_ns.is_some();
            let mut after = self.model.step(state, &entry.operation);
            if is_known && after.len() == 1 && after[0] == *state {
                quiet.push(*place);
                continue;
            }
            // That an unknown one happened and changed nothing is as good as that it has not happened.
            after.retain(|after| is_known || after != state);
            let ways = if is_known { &mut ways } else { &mut vague };
            ways.extend(after.into_iter().map(|after| (*place, after)));
        }
        ways.reverse();
        vague.extend(ways);
        (quiet, vague)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::linear::register::{Did, Register, known, unknown};
    use Did::{Added, Read, Wrote};

    fn is_legal(history: &[Entry<Did>]) -> bool {
        match check(&Register, history, Budget { steps: 100_000 }) {
            Linear::Ok => true,
            Linear::Illegal => false,
            Linear::Undecided => panic!("so short a history is decided"),
        }
    }

    #[test]
    fn one_after_the_other_is_legal_if_each_reads_what_was_written() {
        assert!(is_legal(&[]));
        assert!(is_legal(&[known(0, 1, Wrote(7)), known(2, 3, Read(7))]));
        assert!(!is_legal(&[known(0, 1, Wrote(7)), known(2, 3, Read(8))]));
    }

    #[test]
    fn a_stale_read_is_illegal_unless_it_overlaps_the_write() {
        let written = known(0, 1, Wrote(1));
        assert!(!is_legal(&[
            written.clone(),
            known(2, 3, Wrote(2)),
            known(4, 5, Read(1))
        ]));
        assert!(is_legal(&[
            written.clone(),
            known(2, 6, Wrote(2)),
            known(4, 5, Read(1))
        ]));
        // Two reads during the write: not the new and then the old.
        let both = [
            written,
            known(2, 9, Wrote(2)),
            known(3, 4, Read(2)),
            known(5, 6, Read(1)),
        ];
        assert!(!is_legal(&both));
    }

    #[test]
    fn a_read_of_the_future_is_illegal() {
        assert!(!is_legal(&[known(0, 1, Read(5)), known(2, 3, Wrote(5))]));
        assert!(!is_legal(&[known(0, 1, Read(5)), unknown(2, Wrote(5))]));
        assert!(is_legal(&[known(0, 3, Read(5)), unknown(2, Wrote(5))]));
    }

    #[test]
    fn a_lost_update_is_illegal() {
        let lost = [
            known(0, 5, Added(0)),
            known(1, 6, Added(0)),
            known(7, 8, Read(1)),
        ];
        assert!(!is_legal(&lost));
        let right = [
            known(0, 5, Added(0)),
            known(1, 6, Added(1)),
            known(7, 8, Read(2)),
        ];
        assert!(is_legal(&right));
    }

    #[test]
    fn an_unknown_operation_took_effect_late_or_never() {
        let late = [
            unknown(0, Wrote(9)),
            known(1, 2, Wrote(1)),
            known(3, 4, Read(1)),
            known(5, 6, Read(9)),
        ];
        assert!(is_legal(&late));
        assert!(is_legal(&late[..3]), "never");
        let twice = [
            late.to_vec(),
            vec![known(7, 8, Wrote(2)), known(9, 10, Read(9))],
        ]
        .concat();
        assert!(!is_legal(&twice), "once at most");
        assert!(
            !is_legal(&[known(0, 1, Read(9)), unknown(2, Wrote(9))]),
            "not before it was asked"
        );
    }

    #[test]
    fn what_changes_by_itself_may_have_changed_whenever_that_explains() {
        let fell = [
            known(0, 1, Wrote(13)),
            known(2, 3, Read(13)),
            known(4, 5, Read(0)),
        ];
        assert!(is_legal(&fell));
        let rose = [
            known(0, 1, Wrote(13)),
            known(2, 3, Read(0)),
            known(4, 5, Read(13)),
        ];
        assert!(!is_legal(&rose));
    }

    #[test]
    fn a_budget_that_is_used_up_leaves_it_undecided() {
        let mut history: Vec<_> = (0..12).map(|n| known(n, 1000, Wrote(n + 1))).collect();
        history.push(known(1001, 1002, Read(99)));
        assert_eq!(
            check(&Register, &history, Budget { steps: 50 }),
            Linear::Undecided
        );
        assert!(matches!(
            check(&Register, &history, Budget { steps: 1_000_000 }),
            Linear::Illegal
        ));
    }

    #[test]
    fn hundreds_of_operations_with_some_unknown_ones_are_decided() {
        let mut history = Vec::new();
        for n in 0..300 {
            let at = n * 10;
            if n % 60 == 0 {
                history.push(unknown(at, Wrote(10_000 + n)));
            }
            history.push(known(at, at + 15, Wrote(n)));
            history.push(known(at + 16, at + 17, Read(n)));
        }
        // One of the unknown ones landed very late.
        history.push(known(4_000, 4_001, Read(10_000)));
        assert!(is_legal(&history));
        history.push(known(4_002, 4_003, Read(10_001)));
        assert!(!is_legal(&history));
    }
}
