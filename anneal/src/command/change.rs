//! What the commands that submit a template have in common: their arguments.
//!
//! Knows nothing of how a submission goes over the wire.

use std::path::PathBuf;
use std::time::Duration;

use anneal_client::v1;
use clap::{Args, ValueEnum};

use crate::duration;
use crate::limits::TemplateLimits;

/// Where the template and what goes with it are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Document {
    /// The template, `-` for standard input. Files that it includes are looked for relative to it
    #[arg(
        short,
        long,
        value_name = "FILE",
        short_alias = 't',
        alias = "template"
    )]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) inputs: Inputs,
}

/// What goes with a template.
#[derive(Debug, Clone, Args)]
pub(crate) struct Inputs {
    /// An environment; of several, the later wins
    #[arg(short, long = "environment", value_name = "FILE")]
    pub(crate) environments: Vec<PathBuf>,

    /// A parameter's value, winning over environments
    #[arg(short, long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) limits: TemplateLimits,
}

/// What to do when a resource fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Independent parts go on.
    Continue,
    /// Nothing new starts.
    Halt,
    /// Back to the last settled revision.
    Rollback,
}

/// What to do when the world has changed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drift {
    /// Make it match again.
    Heal,
    /// Only say so.
    Report,
}

/// Options of a stack, kept until changed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of the stack (kept until changed)")]
pub(crate) struct StackOptions {
    /// When a resource fails: continue (other parts go on), halt or rollback [default: continue]
    #[arg(long, value_name = "POLICY", value_enum, hide_possible_values = true)]
    pub(crate) on_failure: Option<OnFailure>,

    /// Time that the stack has to converge, 0 for no limit [default: no limit]. (The limit of one call is
    /// --timeout before the command's name: `anneal --timeout 5s …`)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,

    /// When the world has changed by itself: heal it or only report it [default: heal]
    #[arg(long, value_name = "POLICY", value_enum, hide_possible_values = true)]
    pub(crate) drift: Option<Drift>,

    /// Time between two looks at the world, 0 for never [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) observe_interval: Option<Duration>,

    /// Most actions at a time, 0 for as many as the engines take [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) parallelism: Option<u32>,

    /// Refuse to delete the stack or replace parts of it; --protect=false takes it back
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    pub(crate) protect: Option<bool>,
}

/// Guards against deciding on what is not there any more.
#[derive(Debug, Clone, Args)]
pub(crate) struct Base {
    /// Refuse if this is not the stack's current revision
    #[arg(long, value_name = "N")]
    pub(crate) base_revision: Option<u64>,
}

/// Applies exactly what a preview showed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    /// Apply exactly what the preview with this plan id showed, or refuse
    #[arg(long, value_name = "ID")]
    pub(crate) plan: Option<String>,
}

impl From<StackOptions> for v1::StackOptions {
    fn from(options: StackOptions) -> Self {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let on_failure = match options.on_failure {
            None => v1::OnFailure::Unspecified,
            Some(OnFailure::Continue) => v1::OnFailure::Continue,
            Some(OnFailure::Halt) => v1::OnFailure::Halt,
            Some(OnFailure::Rollback) => v1::OnFailure::Rollback,
        };
        let drift = match options.drift {
            None => v1::DriftPolicy::Unspecified,
            Some(Drift::Heal) => v1::DriftPolicy::Heal,
            Some(Drift::Report) => v1::DriftPolicy::Report,
        };
        Self {
            on_failure: on_failure.into(),
            timeout_ms: options.timeout.map(millis),
            drift: drift.into(),
            observe_interval_ms: options.observe_interval.map(millis),
            parallelism: options.parallelism,
            protect: options.protect,
        }
    }
}

/// KEY=VALUE.
pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_split_at_its_first_equals_sign() {
        assert_eq!(parameter("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parameter("a="), Ok(("a".into(), String::new())));
        assert!(parameter("=b").is_err());
        assert!(parameter("a").is_err());
    }
}
