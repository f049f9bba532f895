//! Keeps the history of each stack within its bounds: proposes that old events and revisions are forgotten.
//!
//! Looks at a stack only when enough was added to it. What is still needed is kept by the state machine, whatever
//! is proposed here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anneal_statemachine::command::CommandKind;
use anneal_statemachine::event::EventKind;
use anneal_statemachine::id::{Revision, StackId};
use tokio::sync::broadcast;

use crate::replica::{Changes, Leadership, Replica};

/// How much history a stack keeps.
#[derive(Clone, Copy, Debug)]
pub struct HistoryLimits {
    /// Bytes of its newest events. A watch from before them is refused.
    pub event_bytes: u64,
    /// Its newest revisions, besides the last settled one and what came after it.
    pub revisions: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            event_bytes: 64 << 20,
            revisions: 100,
        }
    }
}

/// A stack's history is looked at when a bound is passed by one part in this many, so that each look cuts enough.
const SLACK: u64 = 4;
/// What an event takes besides its text, in bytes, as a guess that only says when to look.
const EVENT_OVERHEAD: u64 = 64;
/// Between two rounds, so that many small additions share a look.
const ROUND: Duration = Duration::from_secs(1);

/// What was added to stacks since they were looked at.
#[derive(Default)]
struct Added {
    events: BTreeMap<StackId, u64>,
    revised: BTreeSet<StackId>,
}

impl Added {
    fn take_in(&mut self, changes: &Changes) {
        for event in &changes.events {
            let Some(stack) = event.stack else { continue };
            let bytes = event.text.len() as u64 + EVENT_OVERHEAD;
            *self.events.entry(stack).or_default() += bytes;
            if event.kind == EventKind::Revised {
                self.revised.insert(stack);
            }
        }
    }

    /// Takes in what was heard; false if there is nothing more to hear.
    fn hear(
        &mut self,
        heard: Result<Arc<Changes>, broadcast::error::RecvError>,
        replica: &Replica,
        limits: &HistoryLimits,
    ) -> bool {
        match heard {
            Ok(changes) if !changes.all => self.take_in(&changes),
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                self.everything(all(replica), limits);
            }
            Err(broadcast::error::RecvError::Closed) => return false,
        }
        true
    }

    /// Everything may have been added.
    fn everything(&mut self, stacks: Vec<StackId>, limits: &HistoryLimits) {
        self.revised.extend(&stacks);
        let enough = stacks.into_iter().map(|stack| (stack, limits.event_bytes));
        self.events.extend(enough);
    }

    /// The stacks to look at now.
    fn due(&mut self, limits: &HistoryLimits) -> BTreeSet<StackId> {
        let enough = limits.event_bytes / SLACK;
        let grown: Vec<StackId> = self
            .events
            .iter()
            .filter(|(_, bytes)| **bytes >= enough)
            .map(|(stack, _)| *stack)
            .collect();
        for stack in &grown {
            self.events.remove(stack);
        }
        let mut due = std::mem::take(&mut self.revised);
        due.extend(grown);
        due
    }
}

/// Keeps histories short for as long as the leadership lasts.
///
/// # Errors
/// If rows can't be read, or the replica has stopped.
pub(super) async fn run(
    replica: Replica,
    leadership: Leadership,
    limits: HistoryLimits,
) -> Result<(), String> {
    let mut changes = replica.changes();
    let mut added = Added::default();
    added.everything(all(&replica), &limits);
    loop {
        for stack in added.due(&limits) {
            let reader = replica.clone();
            let looked = tokio::task::spawn_blocking(move || outlived(&reader, stack, &limits));
            let looked = looked.await.map_err(|error| error.to_string())?;
            let Some(expire) = looked.map_err(|error| error.to_string())? else {
                continue;
            };
            tracing::debug!(%stack, ?expire, "forgetting old history");
            let forgotten = replica.insist(&leadership, expire).await;
            forgotten.map_err(|error| error.to_string())?;
        }
        if !added.hear(changes.recv().await, &replica, &limits) {
            return Ok(());
        }
        let round = tokio::time::sleep(ROUND);
        tokio::pin!(round);
        loop {
            tokio::select! {
                () = &mut round => break,
                heard = changes.recv() => if !added.hear(heard, &replica, &limits) {
                    return Ok(());
                },
            }
        }
    }
}

fn all(replica: &Replica) -> Vec<StackId> {
    replica.read(|machine| machine.stacks().map(|stack| stack.id).collect())
}

/// What a stack has outlived, if it is enough to be worth an entry.
fn outlived(
    replica: &Replica,
    stack: StackId,
    limits: &HistoryLimits,
) -> io::Result<Option<CommandKind>> {
    let revisions = replica.read(|machine| {
        let newest = machine.stack(stack)?.row.revision.0;
        let oldest = machine.revisions(stack).next()?.revision.0;
        let through = newest.saturating_sub(limits.revisions);
        (through > oldest + limits.revisions / SLACK).then_some(Revision(through))
    });
    let sizes = replica.rows().newest().event_sizes(stack)?;
    let events = first_kept(&sizes, limits.event_bytes);
    if revisions.is_none() && events.is_none() {
        return Ok(None);
    }
    Ok(Some(CommandKind::ExpireHistory {
        stack,
        revisions_through: revisions.unwrap_or_default(),
        events_before: events.unwrap_or_default(),
    }))
}

/// The log index of the first entry whose events are kept; `None` if all are.
fn first_kept(sizes: &[(u64, u64)], keep: u64) -> Option<u64> {
    let total: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    if total <= keep + keep / SLACK {
        return None;
    }
    let mut kept = 0;
    let newest_first = sizes.iter().rev();
    let fits = newest_first.take_while(|(_, bytes)| {
        kept += bytes;
        kept <= keep
    });
    // The newest entry's events are kept, however large.
    fits.last().or(sizes.last()).map(|(index, _)| *index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_fit_are_kept_and_a_little_more_is_no_reason() {
        let sizes: Vec<(u64, u64)> = (1..=10).map(|index| (index, 100)).collect();
        assert_eq!(first_kept(&sizes, 1_000), None);
        assert_eq!(first_kept(&sizes, 900), None, "within the slack");
        assert_eq!(first_kept(&sizes, 300), Some(8));
        assert_eq!(first_kept(&sizes, 10), Some(10), "the newest stays");
        assert_eq!(first_kept(&[], 0), None);
    }
}
