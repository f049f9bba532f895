//! `anneal stack create|update|patch`: submissions.

use std::path::{Path, PathBuf};

use anneal_client::{Text, v1};
use clap::Args;

use super::Named;
use crate::call::Call;
use crate::cli::{CallLimit, Wait};
use crate::command::change::{Base, Document, Inputs, Plan, StackOptions};
use crate::exit::Outcome;
use crate::follow::{Change, follow_if_asked};
use crate::output;
use crate::output::problems::{self, Sources};
use crate::refusal::with_sources;
use crate::submission::Gathered;

/// Creates a stack.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    document: Document,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    plan: Plan,

    #[command(flatten)]
    options: StackOptions,
}

impl Create {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let gathered = Gathered::read(&self.document.file, &self.document.inputs)?;
        Request {
            verb: v1::Verb::Create,
            named: self.named,
            gathered,
            wait: self.wait,
            base: None,
            plan: self.plan.plan,
            options: self.options,
        }
        .run(call)
        .await
    }
}

/// Updates a stack.
#[derive(Debug, Args)]
#[command(
    after_help = "Parameters that are not given return to their defaults; `stack patch` keeps them."
)]
pub(crate) struct Update {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    document: Document,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    plan: Plan,

    #[command(flatten)]
    options: StackOptions,
}

impl Update {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let gathered = Gathered::read(&self.document.file, &self.document.inputs)?;
        Request {
            verb: v1::Verb::Update,
            named: self.named,
            gathered,
            wait: self.wait,
            base: self.base.base_revision,
            plan: self.plan.plan,
            options: self.options,
        }
        .run(call)
        .await
    }
}

/// Patches a stack.
#[derive(Debug, Args)]
#[command(
    after_help = "A patch document has any of `resources` (whole definitions by name), `remove` (names), \
`parameters` and `outputs`. Its cost does not depend on the size of the stack."
)]
pub(crate) struct Patch {
    #[command(flatten)]
    named: Named,

    /// The patch document, `-` for standard input; not needed when only parameters change
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "parameters"
    )]
    file: Option<PathBuf>,

    #[command(flatten)]
    inputs: Inputs,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    plan: Plan,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Patch {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let gathered = match &self.file {
            Some(file) => Gathered::read(file, &self.inputs)?,
            None => {
                let nothing = Text::new("(no patch document)", "{}");
                Gathered::around(nothing, Path::new("."), &self.inputs)?.complete()?
            }
        };
        Request {
            verb: v1::Verb::Patch,
            named: self.named,
            gathered,
            wait: self.wait,
            base: self.base.base_revision,
            plan: self.plan.plan,
            options: StackOptions::default(),
        }
        .run(call)
        .await
    }
}

/// What all three ask for.
struct Request {
    verb: v1::Verb,
    named: Named,
    gathered: Gathered,
    wait: Wait,
    base: Option<u64>,
    plan: Option<String>,
    options: StackOptions,
}

impl Request {
    async fn run(self, call: &Call) -> Outcome {
        let sources = self.gathered.sources();
        let stack = call.stack(&self.named.stack);
        let mut submission = self.gathered.submission(self.verb, stack.clone());
        submission.options = self.options.into();
        submission.base_revision = self.base;
        submission.plan_id = self.plan;
        let session = match self.verb {
            v1::Verb::Create => call.open_or_make().await?,
            _ => call.open_to_change(&self.wait).await?,
        };
        let outcome = async {
            let reply = session
                .client
                .submit(&submission)
                .await
                .map_err(|error| with_sources(error, &sources))?;
            warn(&reply.warnings, &sources);
            let change = Change {
                stack: &stack,
                revision: reply.revision,
                index: reply.index,
                changed: reply.changed,
                verb: if reply.created { "created" } else { "updated" },
            };
            follow_if_asked(call, &session, change, self.wait.patience()).await
        }
        .await;
        session.close().await;
        outcome
    }
}

/// Tells warnings on standard error, with the lines they are on.
pub(crate) fn warn(warnings: &[v1::Problem], sources: &Sources) {
    if !warnings.is_empty() {
        output::note(problems::show(warnings, sources).trim_end());
    }
}
