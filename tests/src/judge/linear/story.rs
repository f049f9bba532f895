//! The smallest part of a history that has no order: what a person has to look at.

use super::{Budget, Entry, Linear, Model, check};

/// The history up to the first answer that can't be explained, without the reads that have nothing to do with it, in the
/// order of calls. Operations that were not answered by then have no return in it. Empty if there is an order, or none was
/// found within the budget.
pub fn shortest_story<M: Model>(
    model: &M,
    history: &[Entry<M::Operation>],
    budget: Budget,
    is_read: impl Fn(&M::Operation) -> bool,
) -> Vec<Entry<M::Operation>>
where
    M::Operation: Clone,
{
    let is_illegal =
        |history: &[Entry<M::Operation>]| matches!(check(model, history, budget), Linear::Illegal);
    let mut returns: Vec<u64> = history
        .iter()
        .filter_map(|entry| entry.returned_ns)
        .collect();
    returns.sort_unstable();
    let legal = returns.partition_point(|&at_ns| !is_illegal(&until(history, at_ns, &is_read)));
    let Some(&at_ns) = returns.get(legal) else {
        return Vec::new();
    };
    let mut story = until(history, at_ns, &is_read);
    // The first ones first: what is long ago is needed the least, and each that goes makes the next search shorter.
    let mut place = 0;
    while place < story.len() {
        if is_read(&story[place].operation) {
            let without = [&story[..place], &story[place + 1..]].concat();
            if is_illegal(&without) {
                story = without;
                continue;
            }
        }
        place += 1;
    }
    story.sort_by_key(|entry| entry.called_ns);
    story
}

/// The history as it was known at a moment.
fn until<O: Clone>(
    history: &[Entry<O>],
    at_ns: u64,
    is_read: impl Fn(&O) -> bool,
) -> Vec<Entry<O>> {
    let called = history.iter().filter(|entry| entry.called_ns <= at_ns);
    let known = called.map(|entry| Entry {
        returned_ns: entry
            .returned_ns
            .filter(|&returned_ns| returned_ns <= at_ns),
        ..entry.clone()
    });
    // A read that was not answered says nothing.
    known
        .filter(|entry| entry.returned_ns.is_some() || !is_read(&entry.operation))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::linear::register::{Did, Register, known};

    #[test]
    fn the_story_ends_with_the_answer_that_can_not_be_and_leaves_out_other_reads() {
        let mut history = Vec::new();
        for n in 0..10 {
            history.push(known(n * 10, n * 10 + 1, Did::Wrote(n)));
            history.push(known(n * 10 + 2, n * 10 + 3, Did::Read(n)));
        }
        let budget = Budget { steps: 10_000 };
        let is_read = |did: &Did| matches!(did, Did::Read(_));
        assert_eq!(shortest_story(&Register, &history, budget, is_read), []);
        history[11] = known(52, 53, Did::Read(4));
        let story = shortest_story(&Register, &history, budget, is_read);
        assert_eq!(story.last(), Some(&history[11]));
        let reads = story.iter().filter(|entry| is_read(&entry.operation));
        assert_eq!(reads.count(), 1);
        assert_eq!(story.len(), 7);
    }
}
