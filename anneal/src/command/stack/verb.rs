//! `anneal stack delete|check|pause|resume|cancel|rollback`: changes that need no document.

use anneal_client::{Client, Error, Goal, RequestId, StackName, v1};
use clap::Args;

use super::Named;
use crate::call::{Call, Session};
use crate::cli::{CallLimit, Form, Patience, Wait};
use crate::command::change::Base;
use crate::embedded::Purpose;
use crate::exit::Outcome;
use crate::follow::{Change, conclude};
use crate::output::{Out, json, table};
use crate::refusal::failure;

/// Deletes a stack.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Delete {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let base = self.base.base_revision;
        Verb {
            named: &self.named,
            wait: &self.wait,
            words: "being deleted",
            goal: |_| Goal::Deleted,
        }
        .run(call, async |client, request, stack| {
            client.delete_stack(request, stack, base).await
        })
        .await
    }
}

/// What pause and resume take.
#[derive(Debug, Args)]
pub(crate) struct Plain {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Plain {
    pub(crate) async fn pause(self, call: &Call) -> Outcome {
        Verb {
            named: &self.named,
            wait: &self.wait,
            words: "paused",
            goal: |_| Goal::Quiet,
        }
        .run(call, async |client, request, stack| {
            client.pause(request, stack).await
        })
        .await
    }

    pub(crate) async fn resume(self, call: &Call) -> Outcome {
        Verb {
            named: &self.named,
            wait: &self.wait,
            words: "resumed",
            goal: converged,
        }
        .run(call, async |client, request, stack| {
            client.resume(request, stack).await
        })
        .await
    }
}

/// Interrupts a stack.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    named: Named,

    /// Go back to the last settled revision instead of pausing
    #[arg(long)]
    rollback: bool,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Cancel {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let rollback = self.rollback;
        Verb {
            named: &self.named,
            wait: &self.wait,
            words: if rollback { "going back" } else { "paused" },
            goal: if rollback { converged } else { |_| Goal::Quiet },
        }
        .run(call, async |client, request, stack| {
            client.cancel(request, stack, rollback).await
        })
        .await
    }
}

/// Goes back.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    named: Named,

    /// To this revision instead of the last settled one
    #[arg(long, value_name = "N")]
    to: Option<u64>,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Rollback {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        Verb {
            named: &self.named,
            wait: &self.wait,
            words: "going back",
            goal: converged,
        }
        .run(call, async |client, request, stack| {
            client
                .rollback(request, stack, self.to, self.base.base_revision)
                .await
        })
        .await
    }
}

/// What all of them do: ask, then follow if that was asked for.
struct Verb<'a> {
    named: &'a Named,
    wait: &'a Wait,
    words: &'static str,
    goal: fn(&v1::ChangeReply) -> Goal,
}

impl Verb<'_> {
    async fn run(
        self,
        call: &Call,
        ask: impl AsyncFnOnce(&Client, &RequestId, &StackName) -> Result<v1::ChangeReply, Error>,
    ) -> Outcome {
        let stack = call.stack(&self.named.stack);
        let session = call.open_to_change(self.wait).await?;
        let outcome = async {
            let reply = ask(&session.client, &RequestId::fresh(), &stack)
                .await
                .map_err(failure)?;
            let goal = (self.goal)(&reply);
            let change = Change::of(&stack, reply, self.words);
            conclude(call, &session, change, goal, self.wait.patience()).await
        }
        .await;
        session.close().await;
        outcome
    }
}

/// Reads everything now.
#[derive(Debug, Args)]
#[command(
    after_help = "Differences are healed or only reported, as the stack's --drift says; with --wait, this follows \
the healing to its end."
)]
pub(crate) struct Check {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Check {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        // Somebody has to read the resources, so an embedded member is an engine too.
        let session = call.open(Purpose::Act).await?;
        let outcome = self.ask(call, &session).await;
        session.close().await;
        outcome
    }

    async fn ask(&self, call: &Call, session: &Session) -> Outcome {
        let stack = call.stack(&self.named.stack);
        let request = RequestId::fresh();
        let reply = session
            .client
            .check(&request, &stack)
            .await
            .map_err(failure)?;
        let mut out = Out::new();
        let index = reply.index;
        match call.form() {
            Form::Table => out.text(&table::check(&reply))?,
            Form::Json => out.json(&json::Check::from(reply))?,
        }
        out.done()?;
        match self.wait.patience() {
            Patience::Committed => Ok(()),
            patience => {
                let change = Change {
                    stack: &stack,
                    revision: 0,
                    index,
                    changed: true,
                    verb: "checked",
                };
                let goal = Goal::Converged { revision: 0 };
                crate::follow::quietly(call, session, change, goal, patience).await
            }
        }
    }
}

fn converged(reply: &v1::ChangeReply) -> Goal {
    Goal::Converged {
        revision: reply.revision,
    }
}
