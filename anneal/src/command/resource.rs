//! `anneal resource …`: single resources of a stack.

use std::time::Duration;

use anneal_client::v1::resolve_request::Verdict;
use anneal_client::{RequestId, ResourceName};
use clap::{Args, Subcommand};

use super::stack::{Reading, show};
use crate::call::Call;
use crate::cli::{CallLimit, Form, Wait};
use crate::embedded::Purpose;
use crate::exit::Outcome;
use crate::follow::{Change, follow_along, is_going};
use crate::output::{Out, json, table};
use crate::refusal::failure;

/// What to do with a resource.
#[derive(Debug, Subcommand)]
pub(crate) enum Resource {
    /// Show a resource: phase, reason, attributes, what it requires
    Show(Show),
    /// Say why a resource is not further than it is
    Explain(Explain),
    /// Forget the failure of a resource, and try again now
    Retry(Retry),
    /// Decide what became of a resource whose provider cannot look
    Resolve(Resolve),
}

/// The resource meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Named {
    /// Name of the stack
    stack: String,

    /// Name of the resource
    resource: String,
}

impl Named {
    fn name(&self, call: &Call) -> ResourceName {
        ResourceName::new(call.stack(&self.stack), &self.resource)
    }
}

/// Shows a resource.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    reading: Reading,
}

/// Explains a resource.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    reading: Reading,
}

/// Tries again.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    limit: CallLimit,
}

/// Decides.
#[derive(Debug, Args)]
#[command(
    after_help = "A resource is on hold when its engine was lost in mid-action and its provider cannot find out \
what is there. Look yourself, then say what you found."
)]
pub(crate) struct Resolve {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    verdict: Found,

    /// The instance meant, when it is not the current one (`resource show` lists them)
    #[arg(long, value_name = "ID")]
    instance: Option<u64>,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    limit: CallLimit,
}

/// What was found.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Found {
    /// Nothing is there
    #[arg(long)]
    absent: bool,

    /// It is there, under this physical id (or the one that is known)
    #[arg(
        long,
        value_name = "PHYSICAL_ID",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    present: Option<String>,
}

impl Resource {
    /// The limit of one call, if given.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        match self {
            Self::Show(show) => show.reading.limit.timeout,
            Self::Explain(explain) => explain.reading.limit.timeout,
            Self::Retry(retry) => retry.limit.timeout,
            Self::Resolve(resolve) => resolve.limit.timeout,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        match self {
            Self::Show(show) => show.run(call).await,
            Self::Explain(explain) => explain.run(call).await,
            Self::Retry(retry) => retry.run(call).await,
            Self::Resolve(resolve) => resolve.run(call).await,
        }
    }
}

impl Show {
    async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let resource = client
                .show_resource(&self.named.name(call), self.reading.read())
                .await
                .map_err(failure)?;
            let secrets = self.reading.show_secrets;
            let mut out = Out::new();
            match call.form() {
                Form::Table => out.text(&table::resource(&resource, secrets))?,
                Form::Json => out.json(&json::ResourceDetail::new(resource, secrets))?,
            }
            out.done()
        })
        .await
    }
}

impl Explain {
    async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            let resource = Some(self.named.resource.as_str());
            show::explain(call, client, &stack, resource, &self.reading).await
        })
        .await
    }
}

impl Retry {
    async fn run(self, call: &Call) -> Outcome {
        let resource = self.named.name(call);
        let session = call.open_to_change(&self.wait).await?;
        let outcome = async {
            let going = is_going(&session.client, &resource.stack).await;
            let reply = session
                .client
                .retry_resource(&RequestId::fresh(), &resource)
                .await
                .map_err(failure)?;
            let change = Change::of(&resource.stack, reply, "tried again");
            follow_along(call, &session, change, going, self.wait.patience()).await
        }
        .await;
        session.close().await;
        outcome
    }
}

impl Resolve {
    async fn run(self, call: &Call) -> Outcome {
        let resource = self.named.name(call);
        let verdict = match self.verdict.present {
            Some(physical_id) => Verdict::Present(physical_id),
            None => Verdict::Absent(true),
        };
        let instance = self.instance.unwrap_or(0);
        let session = call.open_to_change(&self.wait).await?;
        let outcome = async {
            let going = is_going(&session.client, &resource.stack).await;
            let reply = session
                .client
                .resolve_resource(&RequestId::fresh(), &resource, instance, verdict)
                .await
                .map_err(failure)?;
            let change = Change::of(&resource.stack, reply, "resolved");
            follow_along(call, &session, change, going, self.wait.patience()).await
        }
        .await;
        session.close().await;
        outcome
    }
}
