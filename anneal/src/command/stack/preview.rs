//! `anneal stack preview`: what a submission would do. Changes nothing.

use anneal_client::{Client, Submission, v1};
use clap::Args;

use super::{Named, submit::warn};
use crate::call::Call;
use crate::cli::{CallLimit, Form};
use crate::command::change::{Base, Document};
use crate::exit::Outcome;
use crate::output::problems::Sources;
use crate::output::{Out, json, table};
use crate::refusal::{failure, with_sources};
use crate::submission::Gathered;

/// Previews a submission.
#[derive(Debug, Args)]
#[command(
    after_help = "To apply exactly what was shown: --plan ID, with the same files and parameters."
)]
pub(crate) struct Preview {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    document: Document,

    /// The file is a patch document
    #[arg(long)]
    patch: bool,

    #[command(flatten)]
    base: Base,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Preview {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let gathered = Gathered::read(&self.document.file, &self.document.inputs)?;
        let sources = gathered.sources();
        let verb = if self.patch {
            v1::Verb::Patch
        } else {
            v1::Verb::Up
        };
        let mut submission = gathered.submission(verb, call.stack(&self.named.stack));
        submission.base_revision = self.base.base_revision;
        let session = call.open_or_make().await?;
        let outcome = preview(call, &session.client, &submission, &sources).await;
        session.close().await;
        outcome
    }
}

/// Asks what a submission would do, and shows it.
pub(crate) async fn preview(
    call: &Call,
    client: &Client,
    submission: &Submission,
    sources: &Sources,
) -> Outcome {
    let mut preview = client
        .preview(submission)
        .await
        .map_err(|error| with_sources(error, sources))?;
    let mut out = Out::new();
    match call.form() {
        Form::Json => {
            let mut resources = Vec::new();
            while let Some(resource) = preview.next().await.map_err(failure)? {
                resources.push(resource);
            }
            out.json(&json::Preview::new(preview.summary, resources))?;
        }
        Form::Table => {
            warn(&preview.summary.warnings, sources);
            while let Some(resource) = preview.next().await.map_err(failure)? {
                out.line(&table::preview_line(&resource))?;
            }
            out.line(&table::preview_sum(&preview.summary))?;
            if !preview.summary.plan_id.is_empty() {
                out.line(&format!("plan: {}", preview.summary.plan_id))?;
            }
        }
    }
    out.done()
}
