//! `anneal stack list|resources`: listings, written page by page.

use anneal_client::v1;
use clap::{Args, ValueEnum};

use super::{Named, Reading};
use crate::call::Call;
use crate::cli::Form;
use crate::embedded::Purpose;
use crate::exit::Outcome;
use crate::output::listing::Listing;
use crate::output::{json, table};
use crate::refusal::failure;

/// Lists stacks.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Of every namespace
    #[arg(long)]
    all_namespaces: bool,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl List {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let namespace = (!self.all_namespaces).then_some(call.namespace());
            let mut pages = client.list_stacks(namespace, self.reading.local);
            let mut listing = Listing::open(call.form(), table::STACKS)?;
            while let Some(page) = pages.next().await.map_err(failure)? {
                listing.page(page, table::stack_row, |stack| {
                    json::Stack::new(stack, self.reading.show_secrets)
                })?;
            }
            listing.close("no stacks")
        })
        .await
    }
}

/// The phases of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// On what it requires.
    Waiting,
    /// To be assigned.
    Ready,
    /// Being acted on.
    InFlight,
    /// As desired.
    Settled,
    /// And not tried again.
    Failed,
    /// Until a person decides.
    OnHold,
    /// To be deleted.
    Unwanted,
}

/// Lists the resources of a stack.
#[derive(Debug, Args)]
pub(crate) struct Resources {
    #[command(flatten)]
    named: Named,

    /// Only those in this phase: waiting, ready, in_flight, settled, failed, on_hold or unwanted
    #[arg(long, value_name = "PHASE", value_enum, hide_possible_values = true)]
    phase: Option<Phase>,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl Resources {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let phase = self.phase.and_then(|phase| phase.to_possible_value());
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            // What a table does not show need not be read.
            let brief = call.form() == Form::Table;
            let mut pages = client.list_resources(&stack, self.reading.read(), brief);
            let mut listing = Listing::open(call.form(), table::RESOURCES)?;
            while let Some(mut page) = pages.next().await.map_err(failure)? {
                if let Some(phase) = &phase {
                    page.retain(|resource: &v1::Resource| resource.phase == phase.get_name());
                }
                listing.page(page, table::resource_row, |resource| {
                    json::Resource::new(resource, self.reading.show_secrets)
                })?;
            }
            listing.close("no resources")
        })
        .await
    }
}
