//! `anneal provider …`: resource types, their properties and attributes.
//!
//! With no cluster named, those that are built into this binary; a cluster may offer others.

use std::time::Duration;

use anneal_client::v1;
use anneal_provider::nearest;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::call::Call;
use crate::cli::{CallLimit, Form};
use crate::embedded::Purpose;
use crate::exit::{Failure, Outcome};
use crate::output::listing::Listing;
use crate::output::{Out, json, schema};
use crate::providers;
use crate::refusal::failure;

/// What to do with providers.
#[derive(Debug, Subcommand)]
pub(crate) enum Provider {
    /// List resource types
    List(List),
    /// Show the properties and attributes of resource types
    Schema(Schema),
}

/// Lists resource types.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: CallLimit,
}

/// Shows schemas.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// The resource type; all of them without it
    #[arg(value_name = "TYPE")]
    kind: Option<String>,

    #[command(flatten)]
    limit: CallLimit,
}

impl Provider {
    /// The limit of one call, if given.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        match self {
            Self::List(list) => list.limit.timeout,
            Self::Schema(schema) => schema.limit.timeout,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        let types = types(call).await?;
        match self {
            Self::List(_) => list(call, types),
            Self::Schema(schema) => schema.show(call, types),
        }
    }
}

fn list(call: &Call, types: Vec<v1::ProviderType>) -> Outcome {
    let mut listing = Listing::open(call.form(), &["type", "description"])?;
    let row = |found: &v1::ProviderType| vec![found.r#type.clone(), found.description.clone()];
    listing.page(types, row, json::ProviderType::from)?;
    listing.close("no resource types")
}

impl Schema {
    fn show(self, call: &Call, types: Vec<v1::ProviderType>) -> Outcome {
        let mut out = Out::new();
        match &self.kind {
            None => {
                let all = types.iter().map(parse).collect::<Outcome<Vec<_>>>()?;
                match call.form() {
                    Form::Json => out.json(&all)?,
                    Form::Table => {
                        for (number, schema) in all.iter().enumerate() {
                            out.text(if number > 0 { "\n" } else { "" })?;
                            out.text(&schema::show(schema))?;
                        }
                    }
                }
            }
            Some(kind) => {
                let found = types.iter().find(|found| found.r#type == *kind);
                let found = found.ok_or_else(|| unknown(kind, &types))?;
                let schema = parse(found)?;
                match call.form() {
                    Form::Json => out.json(&schema)?,
                    Form::Table => out.text(&schema::show(&schema))?,
                }
            }
        }
        out.done()
    }
}

fn unknown(kind: &str, types: &[v1::ProviderType]) -> Failure {
    let known = types.iter().map(|found| found.r#type.as_str());
    let hint = match nearest(kind, known) {
        Some(near) => format!("did you mean {near}?"),
        None => "the types that there are: anneal provider list".into(),
    };
    Failure::refused_with(format!("no provider has the type {kind}"), hint)
}

fn parse(found: &v1::ProviderType) -> Outcome<Value> {
    serde_json::from_str(&found.schema_json).map_err(|error| {
        Failure::refused(format!(
            "the schema of {} cannot be read: {error}",
            found.r#type
        ))
    })
}

async fn types(call: &Call) -> Outcome<Vec<v1::ProviderType>> {
    if !call.names_cluster() {
        return Ok(providers::types());
    }
    let session = call.open(Purpose::Look).await?;
    let types = session.client.provider_types(None).await.map_err(failure);
    session.close().await;
    types
}
