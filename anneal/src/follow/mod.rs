//! After a change is committed: say so, or follow it to its end and say how it ended.
//!
//! Knows when a way has ended; nothing of how the change was asked for, or of how endings are told.

mod ending;
mod way;

use std::time::Duration;

use anneal_client::{Client, Ended, Error, Follow, Goal, Pages, Read, StackName, Step, v1};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::call::{Call, Session};
use crate::cli::{Form, Patience};
use crate::exit::Outcome;
use crate::interrupt::Interrupts;
use crate::output::progress::Progress;
use crate::refusal::failure;

pub(crate) use ending::reached;
use way::Way;

/// Between two looks at what runs now, for the bar.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A time so far away that nobody waits for it; `Instant` cannot hold forever.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A change that was committed.
pub(crate) struct Change<'a> {
    /// Of this stack.
    pub(crate) stack: &'a StackName,
    /// Made this revision, or left it.
    pub(crate) revision: u64,
    /// The log index: everything after it follows from the change.
    pub(crate) index: u64,
    /// False: there was nothing to do.
    pub(crate) changed: bool,
    /// What became of the stack, for people: `created`, `paused`, …
    pub(crate) verb: &'static str,
}

impl<'a> Change<'a> {
    /// From the reply of a verb.
    pub(crate) fn of(stack: &'a StackName, reply: v1::ChangeReply, verb: &'static str) -> Self {
        Self {
            stack,
            revision: reply.revision,
            index: reply.index,
            changed: reply.changed,
            verb,
        }
    }
}

/// How the way ended, seen from here.
enum End {
    /// The goal was reached, with the stack as it was last seen.
    Reached(Box<v1::Stack>),
    /// The change failed, and the stack went back to what it was; with what failed.
    WentBack(Box<v1::Stack>, Way),
    /// Nothing can move any more.
    Failed(Box<v1::Stack>),
    /// The stack is gone.
    Gone,
    /// The patience is used up.
    TimeUp,
    /// The person at the keyboard has seen enough.
    Interrupted,
}

/// After `create`, `update`, `patch`: returns, or follows the revision.
pub(crate) async fn follow_if_asked(
    call: &Call,
    session: &Session,
    change: Change<'_>,
    patience: Patience,
) -> Outcome {
    let goal = Goal::Converged {
        revision: change.revision,
    };
    conclude(call, session, change, goal, patience).await
}

/// Whether a stack is on its way out, before something is done to help it along: its end is then that it is gone.
pub(crate) async fn is_going(client: &Client, stack: &StackName) -> bool {
    let shown = client.show_stack(stack, Read::default()).await;
    shown.is_ok_and(|stack| stack.status == "deleting")
}

/// After `retry`, `resolve`: returns, or follows the stack to where it was going.
pub(crate) async fn follow_along(
    call: &Call,
    session: &Session,
    change: Change<'_>,
    going: bool,
    patience: Patience,
) -> Outcome {
    match going {
        true => conclude(call, session, change, Goal::Deleted, patience).await,
        false => follow_if_asked(call, session, change, patience).await,
    }
}

/// Says that the change is committed, or follows it to `goal` and tells the end.
pub(crate) async fn conclude(
    call: &Call,
    session: &Session,
    change: Change<'_>,
    goal: Goal,
    patience: Patience,
) -> Outcome {
    if patience == Patience::Committed {
        return ending::committed(call, session, &change).await;
    }
    let progress = match call.form() {
        Form::Table => Progress::for_people(),
        Form::Json => Progress::Silent,
    };
    let end = to_end(&session.client, &change, goal, patience, progress).await?;
    ending::tell(call, session, &change, goal, end).await
}

/// Follows without showing the way or the stack at its end; only the exit code and failures tell.
pub(crate) async fn quietly(
    call: &Call,
    session: &Session,
    change: Change<'_>,
    goal: Goal,
    patience: Patience,
) -> Outcome {
    let end = to_end(&session.client, &change, goal, patience, Progress::Silent).await?;
    match end {
        End::Reached(_) => Ok(()),
        other => ending::tell(call, session, &change, goal, other).await,
    }
}

async fn to_end(
    client: &Client,
    change: &Change<'_>,
    goal: Goal,
    patience: Patience,
    mut progress: Progress,
) -> Outcome<End> {
    let deadline = match patience {
        Patience::Limited(limit) => Instant::now() + limit,
        Patience::Committed | Patience::Endless => Instant::now() + FAR,
    };
    let mut interrupts = Interrupts::listen()?;
    let mut follow = client.follow(change.stack, goal, change.index);
    let mut way = Way::after(change.index);
    let mut was_paused = false;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        let step = tokio::select! {
            step = follow.next() => step,
            () = sleep_until(deadline) => break End::TimeUp,
            () = interrupts.next() => break End::Interrupted,
            _ = looks.tick(), if progress.wants_running() => {
                progress.running(running(client, change.stack).await);
                continue;
            }
        };
        match step {
            Ok(Step::Event(event)) => {
                way.event(&event);
                progress.event(&event)?;
            }
            Ok(Step::Stack(stack)) => {
                let paused = stack.status == "paused" && goal != Goal::Quiet;
                if paused && !std::mem::replace(&mut was_paused, paused) {
                    progress.remark("it is paused, and goes on with: anneal stack resume");
                }
                progress.stack(&stack)?;
            }
            Ok(Step::Ended(ended)) => break end_of(ended, change, way),
            Err(Error::Unavailable(_)) => progress.remark("no member answers; trying again"),
            // So much has happened that the beginning is forgotten: go on from what is.
            Err(Error::HistoryGone(_)) => follow = from_now(client, change, goal).await?,
            Err(error) => return Err(failure(error)),
        }
    };
    progress.done();
    Ok(end)
}

fn end_of(ended: Ended, change: &Change<'_>, way: Way) -> End {
    match ended {
        Ended::Reached(stack) if stack.revision > change.revision && way.went_back() => {
            End::WentBack(stack, way)
        }
        Ended::Reached(stack) => End::Reached(stack),
        Ended::Failed(stack) => End::Failed(stack),
        Ended::Gone => End::Gone,
        Ended::DeadlinePassed(_) => End::TimeUp,
    }
}

async fn from_now(client: &Client, change: &Change<'_>, goal: Goal) -> Outcome<Follow> {
    let status = client.cluster_status(false).await.map_err(failure)?;
    Ok(client.follow(change.stack, goal, status.applied_index))
}

/// The resources that are acted on now. Nobody waits for a better answer than the next look's.
async fn running(client: &Client, stack: &StackName) -> Vec<v1::Resource> {
    let mut pages: Pages<v1::Resource> = client.list_resources(stack, Read::default(), true);
    let mut page = pages.next().await.ok().flatten().unwrap_or_default();
    page.retain(|resource| !resource.action.is_empty());
    page
}
