//! `anneal stack …`: the verbs on whole stacks.

pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod show;
pub(crate) mod submit;
pub(crate) mod verb;

use std::time::Duration;

use anneal_client::Read;
use clap::{Args, Subcommand};

use crate::call::Call;
use crate::cli::CallLimit;
use crate::exit::Outcome;

/// What to do with a stack.
#[derive(Debug, Subcommand)]
pub(crate) enum Stack {
    /// Create a stack; refused if it exists
    Create(submit::Create),
    /// Replace a stack's template; refused if there is no such stack
    Update(submit::Update),
    /// Set or remove single resources, without the rest of the template
    Patch(submit::Patch),
    /// Show what an update would do, and change nothing
    Preview(preview::Preview),
    /// Delete a stack and what it made
    Delete(verb::Delete),
    /// Read every resource now, and show what is not as desired
    Check(verb::Check),
    /// List the stacks of the namespace
    List(list::List),
    /// Show a stack, or its template
    Show(show::Show),
    /// List the resources of a stack
    Resources(list::Resources),
    /// Show the outputs of a stack, or one of them
    Outputs(show::Outputs),
    /// List what happened to a stack
    Events(events::Events),
    /// Show what happens to a stack, as it happens
    Watch(events::Watch),
    /// Show the graph of a stack, in DOT (or JSON)
    Graph(show::Graph),
    /// Say why a stack is not further than it is
    Explain(show::Explain),
    /// Start nothing new; what runs finishes
    Pause(verb::Plain),
    /// Go on after a pause
    Resume(verb::Plain),
    /// Interrupt what the stack is doing: pause it, or go back
    Cancel(verb::Cancel),
    /// Go back to the last settled revision, or to a given one
    Rollback(verb::Rollback),
}

/// The stack meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Named {
    /// Name of the stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: String,
}

/// How to read.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) limit: CallLimit,

    /// Read the asked member's copy as it is; it may be behind
    #[arg(long)]
    pub(crate) local: bool,

    /// Show hidden parameters, random strings and what is computed from them
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

impl Reading {
    /// The same in the client's words.
    pub(crate) fn read(&self) -> Read {
        Read {
            local: self.local,
            show_secrets: self.show_secrets,
        }
    }
}

impl Stack {
    /// The limit of one call, if given.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        match self {
            Self::Create(_) | Self::Update(_) => None,
            Self::Patch(patch) => patch.limit.timeout,
            Self::Preview(preview) => preview.limit.timeout,
            Self::Delete(delete) => delete.limit.timeout,
            Self::Check(check) => check.limit.timeout,
            Self::List(list) => list.reading.limit.timeout,
            Self::Show(show) => show.reading.limit.timeout,
            Self::Resources(resources) => resources.reading.limit.timeout,
            Self::Outputs(outputs) => outputs.reading.limit.timeout,
            Self::Events(events) => events.reading.limit.timeout,
            Self::Watch(watch) => watch.limit.timeout,
            Self::Graph(graph) => graph.reading.limit.timeout,
            Self::Explain(explain) => explain.reading.limit.timeout,
            Self::Pause(pause) => pause.limit.timeout,
            Self::Resume(resume) => resume.limit.timeout,
            Self::Cancel(cancel) => cancel.limit.timeout,
            Self::Rollback(rollback) => rollback.limit.timeout,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        match self {
            Self::Create(create) => create.run(call).await,
            Self::Update(update) => update.run(call).await,
            Self::Patch(patch) => patch.run(call).await,
            Self::Preview(preview) => preview.run(call).await,
            Self::Delete(delete) => delete.run(call).await,
            Self::Check(check) => check.run(call).await,
            Self::List(list) => list.run(call).await,
            Self::Show(show) => show.run(call).await,
            Self::Resources(resources) => resources.run(call).await,
            Self::Outputs(outputs) => outputs.run(call).await,
            Self::Events(events) => events.run(call).await,
            Self::Watch(watch) => watch.run(call).await,
            Self::Graph(graph) => graph.run(call).await,
            Self::Explain(explain) => explain.run(call).await,
            Self::Pause(pause) => pause.pause(call).await,
            Self::Resume(resume) => resume.resume(call).await,
            Self::Cancel(cancel) => cancel.run(call).await,
            Self::Rollback(rollback) => rollback.run(call).await,
        }
    }
}
