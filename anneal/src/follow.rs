//! After a change is committed: say so, or follow it to its end and say how it ended.
//!
//! Knows how endings map to exit codes; nothing of how the change was asked for.

use std::time::Duration;

use anneal_client::{Client, Ended, Error, Follow, Goal, Read, StackName, Step, v1};
use tokio::time::{Instant, sleep_until};

use crate::call::{Call, Session};
use crate::cli::{Form, Patience};
use crate::exit::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::output::progress::Progress;
use crate::output::{Out, json, table, text};
use crate::refusal::failure;

/// Failed resources that are told one by one; the rest is a listing of its own.
const FAILURES_TOLD: usize = 20;

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

    fn converged(&self) -> Goal {
        Goal::Converged {
            revision: self.revision,
        }
    }
}

/// How the way ended, seen from here.
enum End {
    /// The goal was reached, with the stack as it was last seen.
    Reached(Box<v1::Stack>),
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
    let goal = change.converged();
    conclude(call, session, change, goal, patience).await
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
        return committed(call, session, &change).await;
    }
    let progress = match call.form() {
        Form::Table => Progress::for_people(),
        Form::Json => Progress::Silent,
    };
    let end = to_end(&session.client, &change, goal, patience, progress).await?;
    tell(call, session, &change, end).await
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
        End::Reached(_) | End::Gone => Ok(()),
        other => tell_trouble(call, session, &change, other).await,
    }
}

async fn committed(call: &Call, session: &Session, change: &Change<'_>) -> Outcome {
    let mut out = Out::new();
    match call.form() {
        Form::Json => {
            let shown = session
                .client
                .show_stack(change.stack, Read::default())
                .await;
            let stack = match shown {
                Ok(stack) => stack,
                Err(Error::NotFound(_)) => deleted(change),
                Err(error) => return Err(failure(error)),
            };
            out.json(&json::Stack::new(stack, false))?;
        }
        Form::Table => out.line(&sentence(change))?,
    }
    if session.is_embedded() {
        crate::output::note(
            "note: the embedded cluster ends with this command; `anneal up`, or --wait, carries the change out",
        );
    }
    out.done()
}

fn sentence(change: &Change<'_>) -> String {
    let Change {
        stack,
        revision,
        verb,
        ..
    } = change;
    if change.changed {
        format!("{stack}: {verb}, revision {revision}")
    } else {
        format!("{stack}: nothing to change, revision {revision}")
    }
}

/// A stack of which nothing is left but that it was.
fn deleted(change: &Change<'_>) -> v1::Stack {
    v1::Stack {
        name: change.stack.name.clone(),
        namespace: change.stack.namespace.clone(),
        revision: change.revision,
        status: "deleted".into(),
        ..Default::default()
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
    let end = loop {
        let step = tokio::select! {
            step = follow.next() => step,
            () = sleep_until(deadline) => break End::TimeUp,
            () = interrupts.next() => break End::Interrupted,
        };
        match step {
            Ok(Step::Event(event)) => progress.event(&event)?,
            Ok(Step::Stack(stack)) => progress.stack(&stack)?,
            Ok(Step::Ended(Ended::Reached(stack))) => break End::Reached(stack),
            Ok(Step::Ended(Ended::Failed(stack))) => break End::Failed(stack),
            Ok(Step::Ended(Ended::Gone)) => break End::Gone,
            Ok(Step::Ended(Ended::DeadlinePassed(_))) => break End::TimeUp,
            Err(Error::Unavailable(_)) => progress.remark("no member answers; trying again"),
            // So much has happened that the beginning is forgotten: go on from what is.
            Err(Error::HistoryGone(_)) => follow = from_now(client, change, goal).await?,
            Err(error) => return Err(failure(error)),
        }
    };
    progress.done();
    Ok(end)
}

/// A time so far away that nobody waits for it; `Instant` cannot hold forever.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

async fn from_now(client: &Client, change: &Change<'_>, goal: Goal) -> Outcome<Follow> {
    let status = client.cluster_status(false).await.map_err(failure)?;
    Ok(client.follow(change.stack, goal, status.applied_index))
}

async fn tell(call: &Call, session: &Session, change: &Change<'_>, end: End) -> Outcome {
    match end {
        End::Reached(stack) if stack.status == "deleted" => gone(call, change, *stack),
        End::Reached(stack) => reached(call, session, change, *stack, "").await,
        End::Gone if call_is_delete(change) => gone(call, change, deleted(change)),
        other => tell_trouble(call, session, change, other).await,
    }
}

fn call_is_delete(change: &Change<'_>) -> bool {
    change.verb == "being deleted"
}

fn gone(call: &Call, change: &Change<'_>, stack: v1::Stack) -> Outcome {
    let mut out = Out::new();
    match call.form() {
        Form::Json => {
            let stack = v1::Stack {
                status: "deleted".into(),
                ..stack
            };
            out.json(&json::Stack::new(stack, false))?;
        }
        Form::Table => out.line(&format!("{}: deleted", change.stack))?,
    }
    out.done()
}

/// Tells a stack that is as it was wanted; `prefix` says how it came to be so.
pub(crate) async fn reached(
    call: &Call,
    session: &Session,
    change: &Change<'_>,
    seen: v1::Stack,
    prefix: &str,
) -> Outcome {
    // Snapshots of a watch need not carry outputs.
    let stack = match session
        .client
        .show_stack(change.stack, Read::default())
        .await
    {
        Ok(stack) => stack,
        Err(_) => seen,
    };
    let mut out = Out::new();
    match call.form() {
        Form::Json => out.json(&json::Stack::new(stack, false))?,
        Form::Table => {
            let counts = text::counts(&stack.counts.unwrap_or_default());
            out.line(&format!(
                "{prefix}{}: {} at revision {}, {counts}",
                change.stack, stack.status, stack.revision
            ))?;
            if !stack.outputs.is_empty() {
                out.line("\nOutputs:")?;
                out.text(&table::outputs(&stack.outputs, false))?;
            }
        }
    }
    out.done()
}

async fn tell_trouble(call: &Call, session: &Session, change: &Change<'_>, end: End) -> Outcome {
    let stack = change.stack;
    match end {
        End::Failed(seen) => failed(call, session, change, *seen).await,
        End::Gone => Err(Failure::StackFailed(format!(
            "{stack}: deleted by somebody else while it was followed"
        ))),
        End::TimeUp | End::Interrupted => {
            if call.form() == Form::Json {
                print_now(session, stack).await?;
            }
            let why = match end {
                End::TimeUp => "gave up waiting",
                _ => "interrupted",
            };
            let what = if session.is_embedded() {
                crate::output::note("finishing what runs; Ctrl-C ends at once");
                "the same command goes on where it stopped; what runs now is finished first"
                    .to_string()
            } else {
                format!(
                    "it goes on in the cluster; follow it with: anneal stack watch {}",
                    stack.name
                )
            };
            Err(Failure::GaveUp(format!("{stack}: {why}\n  {what}")))
        }
        End::Reached(_) => Ok(()),
    }
}

/// The stack as it is, whatever comes of it: a program wants its object with every exit code.
async fn print_now(session: &Session, stack: &StackName) -> Outcome {
    let shown = session.client.show_stack(stack, Read::default()).await;
    let mut out = Out::new();
    out.json(&json::Stack::new(shown.map_err(failure)?, false))?;
    out.done()
}

async fn failed(call: &Call, session: &Session, change: &Change<'_>, seen: v1::Stack) -> Outcome {
    if call.form() == Form::Json {
        print_now(session, change.stack).await?;
    }
    let mut message = format!("{}: failed", change.stack);
    if !seen.reason.is_empty() {
        message.push_str(&format!(": {}", text::indented(&seen.reason, 2)));
    }
    message.push_str(&failures(&session.client, change.stack).await);
    message.push_str(&format!(
        "\n  to see more: anneal stack events {}; to try again: the same command, or anneal resource retry",
        change.stack.name
    ));
    Err(Failure::StackFailed(message))
}

/// The resources that cannot move, each with its provider's words.
async fn failures(client: &Client, stack: &StackName) -> String {
    let mut text = String::new();
    let mut told = 0_usize;
    let mut more = 0_usize;
    let mut pages = client.list_resources(stack, Read::default(), true);
    // What cannot be listed now is in `stack events`; the failure itself has been told.
    while let Ok(Some(page)) = pages.next().await {
        for resource in page {
            if !matches!(resource.phase.as_str(), "failed" | "on_hold")
                && (resource.phase != "unwanted" || resource.reason.is_empty())
            {
                continue;
            }
            if told == FAILURES_TOLD {
                more += 1;
                continue;
            }
            told += 1;
            text.push_str(&format!(
                "\n  {} ({}): {}: {}",
                resource.name,
                resource.r#type,
                resource.phase.replace('_', " "),
                text::indented(&resource.reason, 4)
            ));
        }
    }
    if more > 0 {
        text.push_str(&format!(
            "\n  and {more} more: anneal stack resources {} --phase failed",
            stack.name
        ));
    }
    text
}
