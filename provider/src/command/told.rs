//! The properties of an `Anneal::Command`, read: its commands, and with what they run.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RECORDS;
use crate::call::CallContext;
use crate::compare::Recorded;
use crate::failure::Failure;
use crate::read_values::{
    from_private, optional_seconds, optional_text, program, text_map, to_private,
};
use crate::request::{Made, Prior, Values};

/// A command that says nothing about its time may take so long.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The properties, read. Kept with the instance, so that it can be looked at and deleted alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) create: Vec<String>,
    pub(super) update: Option<Vec<String>>,
    pub(super) read: Option<Vec<String>>,
    pub(super) delete: Option<Vec<String>>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) working_directory: Option<PathBuf>,
    pub(super) timeout: Duration,
    /// What it was last made of. None while it is not what is wanted.
    pub(super) made_of: Option<Recorded>,
}

impl Told {
    pub(super) fn of(properties: &Values) -> Result<Self, Failure> {
        let create = program(properties, "create")?;
        Ok(Self {
            create: create
                .ok_or_else(|| Failure::refused("required property `create` is missing"))?,
            update: program(properties, "update")?,
            read: program(properties, "read")?,
            delete: program(properties, "delete")?,
            environment: text_map(properties, "environment")?,
            working_directory: optional_text(properties, "working_directory")?.map(PathBuf::from),
            timeout: optional_seconds(properties, "timeout_seconds")?.unwrap_or(DEFAULT_TIMEOUT),
            made_of: Some(Recorded::of(properties)),
        })
    }

    /// What is known of an instance, wherever it is known from.
    pub(super) fn known(prior: Prior<'_>) -> Option<Self> {
        from_private(prior.private).or_else(|| Self::of(prior.properties?).ok())
    }

    /// The same, on the host that may have its own record of it.
    pub(super) fn known_here(ctx: &CallContext, prior: Prior<'_>) -> Option<Self> {
        from_private(prior.private)
            .or_else(|| RECORDS.recall(ctx))
            .or_else(|| Self::of(prior.properties?).ok())
    }

    pub(super) fn made(&self, physical_id: String, attributes: Values) -> Made {
        Made {
            physical_id,
            attributes,
            private: to_private(self),
            ..Made::default()
        }
    }
}
