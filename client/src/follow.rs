//! Follows a stack until what was asked of it has come to an end.

use std::time::Duration;

use anneal_proto::v1;
use tokio::time::{Instant, timeout_at};

use crate::{
    client::Client,
    error::Error,
    name::StackName,
    watch::{Cursor, From, Watch, WatchItem},
};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// That this revision, or a newer one, has converged.
    Converged {
        /// As the reply of the change gave it.
        revision: u64,
    },
    /// That the stack is gone.
    Deleted,
    /// That it is paused and nothing of it runs any more.
    Quiet,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// What was waited for came. A stack that has converged is as [`Client::show_stack`] gives it; of another, outputs may be
    /// missing; for a deletion it is the last that was seen.
    Reached(Box<v1::Stack>),
    /// Nothing can move any more; the stack's `reason` says why.
    Failed(Box<v1::Stack>),
    /// The stack is gone; also the answer to a deletion that was over before it could be seen.
    Gone,
    /// The time was up; with the last that was seen.
    DeadlinePassed(Option<Box<v1::Stack>>),
}

/// One step on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Something happened.
    Event(v1::Event),
    /// The stack as it is now.
    Stack(Box<v1::Stack>),
    /// It ended. Later steps say the same.
    Ended(Ended),
}

/// See [`Client::follow`].
#[derive(Debug)]
pub struct Follow {
    watch: Watch,
    goal: Goal,
    index: u64,
    last: Option<Box<v1::Stack>>,
    /// Given once as a step, and not yet as an end.
    pending: Option<Ended>,
    ended: Option<Ended>,
}

impl Follow {
    pub(crate) fn new(client: Client, stack: StackName, goal: Goal, index: u64) -> Self {
        // From just before the change, so that its own event is seen too.
        let from = From::After(Cursor::through(index.saturating_sub(1)));
        Self {
            watch: Watch::new(client, stack, from, true),
            goal,
            index,
            last: None,
            pending: None,
            ended: None,
        }
    }

    /// The next step. Cancel-safe.
    ///
    /// # Errors
    /// As those of [`Watch::next`].
    pub async fn next(&mut self) -> Result<Step, Error> {
        if let Some(ended) = &self.ended {
            return Ok(Step::Ended(ended.clone()));
        }
        if let Some(ended) = self.pending.take() {
            return Ok(self.end(ended));
        }
        loop {
            match self.watch.next().await {
                Ok(Some(WatchItem::Event(event))) => return Ok(Step::Event(event)),
                Ok(Some(WatchItem::Stack { stack, index })) => {
                    self.last = Some(stack.clone());
                    if index >= self.index {
                        self.pending = judge(self.goal, &stack);
                    }
                    return Ok(Step::Stack(stack));
                }
                Ok(Some(WatchItem::Progress(_))) => {}
                Ok(None) => {
                    let ended = self.gone();
                    return Ok(self.end(ended));
                }
                Err(Error::NotFound(_)) => {
                    let ended = self.gone();
                    return Ok(self.end(ended));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes all the way, or until the deadline. Members that come and go are ridden out for as long.
    ///
    /// # Errors
    /// As those of [`Watch::next`], except unavailable.
    pub async fn to_end(&mut self, within: Option<Duration>) -> Result<Ended, Error> {
        let deadline = within.map(|within| Instant::now() + within);
        loop {
            let next = match deadline {
                None => self.next().await,
                Some(deadline) => match timeout_at(deadline, self.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(Ended::DeadlinePassed(self.last.clone())),
                },
            };
            match next {
                Ok(Step::Ended(ended)) => return Ok(ended),
                Ok(_) | Err(Error::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The stack as last seen.
    pub fn stack(&self) -> Option<&v1::Stack> {
        self.last.as_deref()
    }

    fn gone(&self) -> Ended {
        match (self.goal, &self.last) {
            (Goal::Deleted, Some(stack)) => Ended::Reached(stack.clone()),
            _ => Ended::Gone,
        }
    }

    fn end(&mut self, ended: Ended) -> Step {
        self.ended = Some(ended.clone());
        Step::Ended(ended)
    }
}

/// What a snapshot that is not older than the change says about the goal.
fn judge(goal: Goal, stack: &v1::Stack) -> Option<Ended> {
    let running = stack.counts.as_ref().map_or(0, |counts| counts.in_flight);
    match (goal, stack.status.as_str()) {
        (Goal::Converged { revision }, "converged") if stack.revision >= revision => {
            Some(Ended::Reached(Box::new(stack.clone())))
        }
        (Goal::Quiet, "paused" | "converged" | "failed") if running == 0 => {
            Some(Ended::Reached(Box::new(stack.clone())))
        }
        (Goal::Converged { .. } | Goal::Deleted, "failed") => {
            Some(Ended::Failed(Box::new(stack.clone())))
        }
        (Goal::Deleted, "deleting") if stack.stuck => Some(Ended::Failed(Box::new(stack.clone()))),
        (Goal::Deleted, "deleted") => Some(Ended::Reached(Box::new(stack.clone()))),
        (_, "deleted") => Some(Ended::Gone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(status: &str, revision: u64, in_flight: u64) -> v1::Stack {
        v1::Stack {
            status: status.to_owned(),
            revision,
            counts: Some(v1::Counts {
                in_flight,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn an_older_revision_that_converged_is_not_the_end() {
        let goal = Goal::Converged { revision: 3 };
        assert_eq!(judge(goal, &stack("converged", 2, 0)), None);
        assert!(matches!(
            judge(goal, &stack("converged", 4, 0)),
            Some(Ended::Reached(_))
        ));
    }

    #[test]
    fn a_pause_is_reached_when_nothing_runs_any_more_and_never_ends_a_convergence() {
        assert_eq!(judge(Goal::Quiet, &stack("paused", 1, 2)), None);
        assert!(judge(Goal::Quiet, &stack("paused", 1, 0)).is_some());
        assert_eq!(
            judge(Goal::Converged { revision: 1 }, &stack("paused", 1, 0)),
            None
        );
    }

    #[test]
    fn a_stack_that_somebody_deleted_is_gone_and_one_that_failed_has_failed() {
        let goal = Goal::Converged { revision: 1 };
        assert_eq!(judge(goal, &stack("deleted", 1, 0)), Some(Ended::Gone));
        assert!(matches!(
            judge(goal, &stack("failed", 1, 0)),
            Some(Ended::Failed(_))
        ));
    }
}
