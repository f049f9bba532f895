//! The verdicts over all that was recorded: pure, at the end of a run and of one that was kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{
    evidence::Evidence,
    history::{Asked, Outcome},
    model::StackModel,
    record::{Did, Recorded},
};
use crate::judge::{
    Change, End, Made, accepted_backwards, all_events, assigned_too_late, broken_watches,
    done_without_a_call, forgot, is_covered,
    linear::{Budget, Entry, Linear, check, shortest_story},
    made_twice, out_of_order, read_too_early, revisions, two_leaders, went_back,
};

/// So many findings of a kind are told; the rest is counted.
const TOLD: usize = 10;

/// Of ten histories, so many may stay undecided; with more, a run says too little to be a pass.
const UNDECIDED_OF_TEN: usize = 1;

/// What was looked at, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// Changes and linearizable reads, of all stacks.
    pub operations: usize,
    /// Histories of stacks that have an order.
    pub linear: usize,
    /// Histories for which it would take too long to find out.
    pub undecided: Vec<String>,
    /// Local reads.
    pub local_reads: usize,
    /// Watches, each from its beginning to its end, and listings.
    pub watches: usize,
    /// Events that they heard, each counted once.
    pub events: usize,
    /// Watches that were told that the history no longer reaches back.
    pub history_gone: usize,
    /// What members said of themselves.
    pub samples: usize,
    /// Everything that is wrong, with the verdict that says so.
    pub guilty: Vec<(String, String)>,
}

impl Ruling {
    fn all_guilty(&mut self, kind: &str, findings: Vec<String>) {
        let more = findings.len().saturating_sub(TOLD);
        let told = findings.into_iter().take(TOLD);
        self.guilty
            .extend(told.map(|finding| (kind.to_owned(), finding)));
        if more > 0 {
            self.guilty
                .push((kind.to_owned(), format!("and {more} more")));
        }
    }

    /// Whether too many histories are undecided for the run to say anything, or something was not recorded at all.
    pub fn says_too_little(&self) -> bool {
        let seen = [self.operations, self.local_reads, self.events, self.samples];
        if seen.contains(&0) {
            return true;
        }
        let all = self.linear + self.undecided.len();
        self.undecided.len() * 10 > all * UNDECIDED_OF_TEN
    }

    /// 0: innocent. 1: the product is guilty. 2: it says too little.
    pub fn exit_code(&self) -> u8 {
        match (self.guilty.is_empty(), self.says_too_little()) {
            (false, _) => 1,
            (true, true) => 2,
            (true, false) => 0,
        }
    }
}

/// Judges everything that was recorded.
pub fn rule(evidence: &Evidence) -> Ruling {
    let events = all_events(&evidence.watches);
    let told = |recording: &&crate::judge::Recording| recording.end == End::HistoryGone;
    let mut ruling = Ruling {
        operations: evidence.operations.len(),
        local_reads: evidence.local.len(),
        watches: evidence.watches.len(),
        events: events.len(),
        history_gone: evidence.watches.iter().filter(told).count(),
        samples: evidence.samples.len(),
        ..Ruling::default()
    };
    let journal = &evidence.journal;
    ruling.all_guilty("made twice", made_twice(journal));
    ruling.all_guilty(
        "out of order",
        out_of_order(journal, events.values().copied()),
    );
    ruling.all_guilty("accepted backwards", accepted_backwards(journal));
    let changes = changes(&evidence.operations);
    ruling.all_guilty("assigned too late", assigned_too_late(journal, &changes));
    let done = done_without_a_call(events.values().copied(), journal);
    ruling.all_guilty("done without a call", done);
    ruling.all_guilty("watch", broken_watches(&evidence.watches));
    let (committed, not_in_turn) = revisions(&evidence.watches);
    ruling.all_guilty("revisions", not_in_turn);
    let unheard = acknowledged_unheard(evidence, &committed);
    ruling.all_guilty("acknowledged, and no event", unheard);
    ruling.all_guilty(
        "local read went back",
        went_back(&evidence.local, &evidence.restarts),
    );
    let made = made(&evidence.operations);
    // Some were committed while nobody listened, and were acknowledged.
    let acknowledged = made.iter().map(|one| (one.id, one.revision));
    let committed: BTreeSet<_> = committed.into_keys().chain(acknowledged).collect();
    let early = read_too_early(&evidence.local, &made, &committed);
    ruling.all_guilty("local read of the uncommitted", early);
    ruling.all_guilty("two leaders", two_leaders(&evidence.samples));
    ruling.all_guilty("forgot", forgot(&evidence.samples, &evidence.restarts));
    judge_histories(&evidence.operations, &mut ruling);
    ruling
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operations,
            linear,
            undecided,
            local_reads,
            watches,
            events,
            history_gone,
            samples,
            ..
        } = self;
        writeln!(
            f,
            "history           {operations} operations and reads; {linear} stacks linearizable, {} undecided {}",
            undecided.len(),
            undecided.join(" ")
        )?;
        writeln!(
            f,
            "local reads       {local_reads}; {samples} looks at terms and indexes"
        )?;
        write!(
            f,
            "watches           {watches}, of {events} events; {history_gone} were told that the history is gone"
        )
    }
}

fn judge_histories(operations: &[Recorded], ruling: &mut Ruling) {
    let mut histories: BTreeMap<&str, Vec<Entry<Recorded>>> = BTreeMap::new();
    for operation in operations {
        let history = histories.entry(&operation.stack).or_default();
        history.extend(entry(operation));
    }
    for (stack, history) in histories {
        match check(&StackModel, &history, Budget::ONE_STACK) {
            Linear::Ok => ruling.linear += 1,
            Linear::Undecided => ruling.undecided.push(stack.to_owned()),
            Linear::Illegal => {
                let is_read = |one: &Recorded| !matches!(one.did, Did::Changed { .. });
                let story = shortest_story(&StackModel, &history, Budget::ONE_STACK, is_read);
                ruling
                    .guilty
                    .push(("not linearizable".to_owned(), told(stack, &story)));
            }
        }
    }
}

/// As the checker wants it. What was refused because nobody could be asked was not done.
fn entry(operation: &Recorded) -> Option<Entry<Recorded>> {
    let returned_ns = match &operation.did {
        Did::Changed { outcome, .. } => match outcome {
            Outcome::Refused(why) if why == "unavailable" => return None,
            Outcome::Unknown(_) => None,
            Outcome::Refused(_) | Outcome::Ok { .. } => Some(operation.returned_ns),
        },
        Did::Shown(_) | Did::Read(_) => Some(operation.returned_ns),
    };
    Some(Entry {
        called_ns: operation.called_ns,
        returned_ns,
        operation: operation.clone(),
    })
}

/// So many operations before the one that can't be explained are told.
const STORY: usize = 25;

fn told(stack: &str, story: &[Entry<Recorded>]) -> String {
    let begin_ns = story.first().map_or(0, |entry| entry.called_ns);
    let ms = |at_ns: u64| at_ns.saturating_sub(begin_ns) / 1_000_000;
    let skipped = story.len().saturating_sub(STORY);
    let mut lines = vec![format!(
        "{stack}: no order explains the last answer; the {} operations before, {skipped} of them not told:",
        story.len().saturating_sub(1)
    )];
    for Entry {
        called_ns,
        returned_ns,
        operation,
    } in &story[skipped..]
    {
        let until = returned_ns.map_or("…".to_owned(), |at_ns| ms(at_ns).to_string());
        let (client, did) = (&operation.client, &operation.did);
        lines.push(format!(
            "  {:>7}-{until:<7} ms {client}: {did}",
            ms(*called_ns)
        ));
    }
    lines.join("\n")
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(None) | Self::Read(None) => f.write_str("read: there is none"),
            Self::Shown(Some(seen)) => write!(f, "read: {seen:?}"),
            Self::Read(Some(values)) => write!(f, "read: {values:?}"),
            Self::Changed {
                asked,
                base,
                outcome,
            } => {
                f.write_str(asked.word())?;
                match asked {
                    Asked::Create(content) | Asked::Up(content) => {
                        let values: BTreeMap<_, _> = named(content);
                        write!(f, " {values:?}")?;
                    }
                    Asked::Patch(patch) => {
                        let values: BTreeMap<_, _> = named(&patch.set);
                        write!(f, " {values:?} without {:?}", patch.remove)?;
                    }
                    Asked::Rollback { to, .. } => write!(f, " to {to}")?,
                    Asked::Delete | Asked::Pause | Asked::Resume => {}
                }
                if let Some(base) = base {
                    write!(f, " on {base}")?;
                }
                write!(f, " → {outcome:?}")
            }
        }
    }
}

fn named(content: &super::content::Content) -> BTreeMap<&str, u64> {
    let values = content
        .iter()
        .map(|(name, item)| (name.as_str(), item.value));
    values.collect()
}

/// Revisions that acknowledged requests made, and when they were asked for.
fn made(operations: &[Recorded]) -> Vec<Made> {
    let made = operations
        .iter()
        .filter_map(|operation| match &operation.did {
            Did::Changed {
                asked,
                outcome:
                    Outcome::Ok {
                        stack_id,
                        revision,
                        changed: true,
                        ..
                    },
                ..
            } if asked.revises() => Some(Made {
                id: *stack_id,
                revision: *revision,
                called_ns: operation.called_ns,
            }),
            _ => None,
        });
    made.collect()
}

/// Acknowledged revisions of which no event tells, though somebody listened, or one after the index that was answered.
fn acknowledged_unheard(evidence: &Evidence, committed: &BTreeMap<(u64, u64), u64>) -> Vec<String> {
    let mut guilty = Vec::new();
    for operation in &evidence.operations {
        let Did::Changed {
            asked,
            outcome:
                Outcome::Ok {
                    stack_id,
                    revision,
                    changed: true,
                    index,
                },
            ..
        } = &operation.did
        else {
            continue;
        };
        let heard = committed.get(&(*stack_id, *revision));
        let is_wrong = match heard {
            Some(heard) => heard > index,
            None => is_covered(&evidence.watches, *index),
        };
        if asked.revises() && is_wrong {
            guilty.push(format!(
                "{} of {} was acknowledged as revision {revision} of {stack_id} at index {index}, and events have it \
                 at {heard:?}",
                asked.word(),
                operation.stack
            ));
        }
    }
    guilty
}

/// What each request declares of objects, where that does not depend on what was there.
fn changes(operations: &[Recorded]) -> Vec<Change> {
    let mut changes = Vec::new();
    for operation in operations {
        let Did::Changed { asked, outcome, .. } = &operation.did else {
            continue;
        };
        let index = match outcome {
            Outcome::Ok { index, .. } => Some(*index),
            Outcome::Unknown(_) => None,
            Outcome::Refused(_) => continue,
        };
        let (values, is_whole) = match asked {
            Asked::Create(content) | Asked::Up(content) => (wanted(content), true),
            Asked::Rollback { content, .. } if !content.is_empty() => (wanted(content), true),
            Asked::Patch(patch) => {
                let mut values = wanted(&patch.set);
                values.extend(patch.remove.iter().map(|name| (name.clone(), None)));
                (values, false)
            }
            Asked::Delete => (BTreeMap::new(), true),
            Asked::Rollback { .. } | Asked::Pause | Asked::Resume => continue,
        };
        changes.push(Change {
            stack: operation.stack.clone(),
            index,
            values,
            is_whole,
        });
    }
    changes.extend(rollbacks(operations, &changes));
    changes
}

fn wanted(content: &super::content::Content) -> BTreeMap<String, Option<u64>> {
    let values = content
        .iter()
        .map(|(name, item)| (name.clone(), Some(item.value)));
    values.collect()
}

/// A rollback to what its client does not know may bring anything back that was ever declared of the stack.
fn rollbacks(operations: &[Recorded], changes: &[Change]) -> Vec<Change> {
    let mut back = Vec::new();
    for operation in operations {
        let Did::Changed {
            asked: Asked::Rollback { content, .. },
            outcome,
            ..
        } = &operation.did
        else {
            continue;
        };
        if !content.is_empty() {
            continue;
        }
        let index = match outcome {
            Outcome::Ok { index, .. } => Some(*index),
            Outcome::Unknown(_) => None,
            Outcome::Refused(_) => continue,
        };
        let of_stack = changes
            .iter()
            .filter(|change| change.stack == operation.stack);
        back.extend(of_stack.map(|change| Change {
            index,
            is_whole: false,
            ..change.clone()
        }));
    }
    back
}

#[cfg(test)]
mod tests;
