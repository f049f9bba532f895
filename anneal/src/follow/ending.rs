//! How a change ended, told: to people with reasons and advice, to programs as the stack, to both as an exit code.

use anneal_client::{Client, Error, Goal, Read, StackName, v1};

use super::{Change, End, Way};
use crate::call::{Call, Session};
use crate::cli::Form;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Out, json, table, text};
use crate::refusal::failure;

/// Failed resources that are told one by one; the rest is a listing of its own.
const FAILURES_TOLD: usize = 20;

/// Says that the change is committed.
pub(super) async fn committed(call: &Call, session: &Session, change: &Change<'_>) -> Outcome {
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
        output::note(
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

/// Tells the end, and makes the exit code of it.
pub(super) async fn tell(
    call: &Call,
    session: &Session,
    change: &Change<'_>,
    goal: Goal,
    end: End,
) -> Outcome {
    let stack = change.stack;
    match end {
        End::Reached(seen) if goal == Goal::Deleted => gone(call, change, *seen),
        End::Reached(seen) => reached(call, session, change, *seen, "").await,
        End::Gone if goal == Goal::Deleted => gone(call, change, deleted(change)),
        End::Gone => Err(Failure::StackFailed(format!(
            "{stack}: deleted by somebody else while it was followed"
        ))),
        End::Failed(seen) => failed(call, session, change, *seen).await,
        End::WentBack(seen, way) => went_back(call, change, *seen, &way),
        End::TimeUp => detached(call, session, stack, "gave up waiting").await,
        End::Interrupted => {
            if session.is_embedded() {
                output::note("finishing what runs; Ctrl-C ends at once");
            }
            detached(call, session, stack, "interrupted").await
        }
    }
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
    let stack = match seen.status.as_str() {
        "converged" => seen,
        // Of any other stack, what was seen on the way has no outputs.
        _ => {
            let shown = session.client.show_stack(change.stack, Read::default());
            shown.await.unwrap_or(seen)
        }
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

/// The wait ends, and the change goes on without us.
async fn detached(call: &Call, session: &Session, stack: &StackName, why: &str) -> Outcome {
    if call.form() == Form::Json {
        print_now(session, stack).await?;
    }
    let what = if session.is_embedded() {
        "the same command goes on where this one stopped".to_string()
    } else {
        format!(
            "it goes on in the cluster; follow it with: anneal stack watch {}",
            stack.name
        )
    };
    Err(Failure::GaveUp(format!("{stack}: {why}\n  {what}")))
}

/// The stack as it is, whatever comes of it: a program wants its object with every exit code.
async fn print_now(session: &Session, stack: &StackName) -> Outcome {
    let shown = session.client.show_stack(stack, Read::default()).await;
    let mut out = Out::new();
    out.json(&json::Stack::new(shown.map_err(failure)?, false))?;
    out.done()
}

fn went_back(call: &Call, change: &Change<'_>, stack: v1::Stack, way: &Way) -> Outcome {
    let mut message = format!(
        "{}: revision {} failed: {}; the stack went back, and is at revision {}",
        change.stack,
        change.revision,
        way.why(),
        stack.revision
    );
    for (resource, words) in way.failures() {
        message.push_str(&format!("\n  {resource}: {}", text::indented(words, 4)));
    }
    if call.form() == Form::Json {
        let mut out = Out::new();
        out.json(&json::Stack::new(stack, false))?;
        out.done()?;
    }
    Err(Failure::StackFailed(message))
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
        for resource in page.iter().filter(|resource| is_stuck(resource)) {
            if told == FAILURES_TOLD {
                more += 1;
                continue;
            }
            told += 1;
            let phase = resource.phase.replace('_', " ");
            let mut why = text::indented(&resource.reason, 4);
            if !why.starts_with(&phase) {
                why = format!("{phase}: {why}");
            }
            text.push_str(&format!(
                "\n  {} ({}): {why}",
                resource.name, resource.r#type
            ));
            if resource.phase == "on_hold" {
                text.push_str(&format!(
                    "\n    look yourself, then: anneal resource resolve {} {} --absent or --present[=ID]",
                    stack.name, resource.name
                ));
            }
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

fn is_stuck(resource: &v1::Resource) -> bool {
    match resource.phase.as_str() {
        "failed" | "on_hold" => true,
        "unwanted" => !resource.reason.is_empty(),
        _ => false,
    }
}
