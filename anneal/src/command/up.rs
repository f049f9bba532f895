//! `anneal up`: create or update, whichever fits, and follow it to the end.

use std::path::{Path, PathBuf};

use anneal_client::{Client, Goal, Read, StackName, v1};
use clap::Args;

use super::change::{Base, Inputs, Plan, StackOptions};
use super::stack::preview::preview;
use super::stack::submit::warn;
use crate::call::{Call, Session};
use crate::cli::{Patience, WaitAtMost};
use crate::exit::{Failure, Outcome};
use crate::follow::{Change, conclude, reached};
use crate::refusal::{failure, with_sources};
use crate::submission::Gathered;

/// The template that is taken when none is named.
const DEFAULT_TEMPLATE: &str = "anneal.yaml";

/// Creates or updates a stack, and follows it.
#[derive(Debug, Args)]
#[command(
    after_help = "With no cluster named, this runs an embedded one-member cluster in ./.anneal and ends when the \
world matches the template. Ctrl-C once detaches: what runs is finished, and the next `up` goes on; twice ends at \
once. The same template again does nothing, and says so."
)]
pub(crate) struct Up {
    /// Name of the stack [default: the template's file name without its ending; for anneal.yaml, the name of its
    /// directory]
    #[arg(value_name = "STACK")]
    name: Option<String>,

    /// The template, `-` for standard input [default: anneal.yaml]. Files that it includes are looked for relative
    /// to it
    #[arg(
        short,
        long,
        value_name = "FILE",
        short_alias = 't',
        alias = "template"
    )]
    file: Option<PathBuf>,

    #[command(flatten)]
    inputs: Inputs,

    /// Show what would happen, and change nothing
    #[arg(long, conflicts_with_all = ["wait", "plan"])]
    preview: bool,

    #[command(flatten)]
    wait: WaitAtMost,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    plan: Plan,

    #[command(flatten)]
    pub(crate) options: StackOptions,
}

impl Up {
    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let file = template(self.file.as_deref())?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&file)?,
        };
        let stack = call.stack(&name);
        let gathered = Gathered::read(&file, &self.inputs)?;
        let sources = gathered.sources();
        let mut submission = gathered.submission(v1::Verb::Up, stack.clone());
        submission.options = self.options.into();
        submission.base_revision = self.base.base_revision;
        submission.plan_id = self.plan.plan;
        let session = call.open_or_make().await?;
        let outcome = async {
            if self.preview {
                return preview(call, &session.client, &submission, &sources).await;
            }
            let reply = session
                .client
                .submit(&submission)
                .await
                .map_err(|error| with_sources(error, &sources))?;
            warn(&reply.warnings, &sources);
            let patience = self.wait.patience();
            follow(call, &session, &stack, reply, patience).await
        }
        .await;
        session.close().await;
        outcome
    }
}

async fn follow(
    call: &Call,
    session: &Session,
    stack: &StackName,
    reply: v1::SubmitReply,
    patience: Patience,
) -> Outcome {
    let change = Change {
        stack,
        revision: reply.revision,
        index: reply.index,
        changed: reply.changed,
        verb: if reply.created { "created" } else { "updated" },
    };
    if !reply.changed
        && let Some(converged) = converged_already(&session.client, stack, reply.revision).await?
    {
        return reached(call, session, &change, converged, "nothing to do: ").await;
    }
    let goal = Goal::Converged {
        revision: reply.revision,
    };
    conclude(call, session, change, goal, patience).await
}

async fn converged_already(
    client: &Client,
    stack: &StackName,
    revision: u64,
) -> Outcome<Option<v1::Stack>> {
    let stack = client
        .show_stack(stack, Read::default())
        .await
        .map_err(failure)?;
    let is_so = stack.status == "converged" && stack.revision == revision;
    Ok(is_so.then_some(stack))
}

fn template(given: Option<&Path>) -> Outcome<PathBuf> {
    match given {
        Some(file) => Ok(file.to_path_buf()),
        None if Path::new(DEFAULT_TEMPLATE).exists() => Ok(DEFAULT_TEMPLATE.into()),
        None => Err(Failure::Usage(format!(
            "no template: name one with -f FILE (there is no {DEFAULT_TEMPLATE} in this directory)"
        ))),
    }
}

/// The name of the stack that a template makes when none is given.
pub(crate) fn name_of(file: &Path) -> Outcome<String> {
    if file == Path::new("-") {
        return Err(Failure::Usage(
            "a template from standard input has no file name: name the stack, `anneal up -f - NAME`".into(),
        ));
    }
    let stem = if file
        .file_name()
        .is_some_and(|name| name == DEFAULT_TEMPLATE)
    {
        directory_of(file).and_then(|directory| Some(directory.file_name()?.to_os_string()))
    } else {
        file.file_stem().map(|stem| stem.to_os_string())
    };
    stem.and_then(|stem| stem.into_string().ok())
        .filter(|stem| !stem.is_empty())
        .ok_or_else(|| {
            Failure::Usage(format!(
                "no stack name can be made from {}: give one",
                file.display()
            ))
        })
}

fn directory_of(file: &Path) -> Option<PathBuf> {
    file.canonicalize().ok()?.parent().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_called_like_its_template() {
        assert_eq!(name_of(Path::new("a/web.yaml")).expect("a name"), "web");
        assert_eq!(name_of(Path::new("web")).expect("a name"), "web");
        assert_eq!(name_of(Path::new("-")).expect_err("no name").code(), 2);
        assert_eq!(name_of(Path::new("/")).expect_err("no name").code(), 2);
    }

    #[test]
    fn a_default_template_is_called_like_its_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let site = directory.path().join("site");
        std::fs::create_dir(&site).expect("a directory");
        let file = site.join(DEFAULT_TEMPLATE);
        std::fs::write(&file, "").expect("a file");
        assert_eq!(name_of(&file).expect("a name"), "site");
    }
}
