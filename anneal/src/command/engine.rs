//! `anneal engine …`: the engines that carry out actions, and the hosts they live on.

use std::time::Duration;

use anneal_client::RequestId;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::call::Call;
use crate::cli::{CallLimit, Form, Wait};
use crate::embedded::Purpose;
use crate::exit::Outcome;
use crate::output::listing::Listing;
use crate::output::{Out, json, table};
use crate::refusal::failure;

/// What to do with engines.
#[derive(Debug, Subcommand)]
pub(crate) enum Engine {
    /// List engines: host, lease, capacity, actions in flight
    List(List),
    /// Say that a host is gone for good: what lived on it is made again elsewhere
    Forget(Forget),
}

/// Lists engines.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Read the asked member's copy as it is; it may be behind
    #[arg(long)]
    local: bool,

    #[command(flatten)]
    limit: CallLimit,
}

/// Forgets a host.
#[derive(Debug, Args)]
#[command(
    after_help = "Be sure: instances on a host that comes back later are no longer Anneal's. Refused while an \
engine of the host is alive."
)]
pub(crate) struct Forget {
    /// The host, as `engine list` shows it
    host: String,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    limit: CallLimit,
}

#[derive(Serialize)]
struct Forgotten {
    host_id: String,
    changed: bool,
}

impl Engine {
    /// The limit of one call, if given.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        match self {
            Self::List(list) => list.limit.timeout,
            Self::Forget(forget) => forget.limit.timeout,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        match self {
            Self::List(list) => list.run(call).await,
            Self::Forget(forget) => forget.run(call).await,
        }
    }
}

impl List {
    async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let engines = client.engines(self.local).await.map_err(failure)?;
            let mut listing = Listing::open(call.form(), table::ENGINES)?;
            listing.page(engines, table::engine_row, json::Engine::from)?;
            listing.close("no engines")
        })
        .await
    }
}

impl Forget {
    async fn run(self, call: &Call) -> Outcome {
        // Forgetting a host is done when it is committed; what follows belongs to the stacks.
        let _ = self.wait;
        call.with(Purpose::Look, async |client| {
            let reply = client
                .forget_host(&RequestId::fresh(), &self.host)
                .await
                .map_err(failure)?;
            let mut out = Out::new();
            match call.form() {
                Form::Table if reply.changed => out.line(&format!("{}: forgotten", self.host))?,
                Form::Table => out.line(&format!("{}: nothing to forget", self.host))?,
                Form::Json => out.json(&Forgotten {
                    host_id: self.host.clone(),
                    changed: reply.changed,
                })?,
            }
            out.done()
        })
        .await
    }
}
