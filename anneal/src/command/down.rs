//! `anneal down`: delete a stack and follow it until it is gone.

use std::path::{Path, PathBuf};

use anneal_client::{Client, Goal, RequestId, v1};
use clap::Args;

use super::change::Base;
use super::up::name_of;
use crate::call::Call;
use crate::cli::{CallLimit, WaitAtMost};
use crate::embedded::Purpose;
use crate::exit::{Failure, Outcome};
use crate::follow::{Change, conclude};
use crate::refusal::failure;

/// Deletes a stack, and follows it.
#[derive(Debug, Args)]
#[command(
    after_help = "Undoes `anneal up`: without a name, the stack that -f FILE makes, or else the only one that there is. \
It follows the deletion to its end; --wait=DURATION sets how long at most."
)]
pub(crate) struct Down {
    /// Name of the stack
    #[arg(value_name = "STACK", conflicts_with = "file")]
    pub(crate) name: Option<String>,

    /// The stack that `up -f FILE` makes
    #[arg(
        short,
        long,
        value_name = "FILE",
        short_alias = 't',
        alias = "template"
    )]
    file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) wait: WaitAtMost,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Down {
    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let session = call.open(Purpose::Act).await?;
        let outcome = async {
            let name = self.stack_name(call, &session.client).await?;
            let stack = call.stack(&name);
            let reply = session
                .client
                .delete_stack(&RequestId::fresh(), &stack, self.base.base_revision)
                .await
                .map_err(failure)?;
            let patience = self.wait.patience();
            let change = Change::of(&stack, reply, "being deleted");
            conclude(call, &session, change, Goal::Deleted, patience).await
        }
        .await;
        session.close().await;
        outcome
    }

    async fn stack_name(&self, call: &Call, client: &Client) -> Outcome<String> {
        match (&self.name, &self.file) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(file)) => name_of(Path::new(file)),
            (None, None) => the_only(call, client).await,
        }
    }
}

async fn the_only(call: &Call, client: &Client) -> Outcome<String> {
    let stacks = client
        .list_stacks(Some(call.namespace()), false)
        .all()
        .await
        .map_err(failure)?;
    match stacks.as_slice() {
        [v1::Stack { name, .. }] => Ok(name.clone()),
        [] => Err(Failure::refused("there is no stack to delete")),
        several => {
            let names: Vec<_> = several.iter().map(|stack| stack.name.as_str()).collect();
            Err(Failure::refused_with(
                format!("there are {} stacks: say which", several.len()),
                format!("one of: {}", names.join(", ")),
            ))
        }
    }
}
