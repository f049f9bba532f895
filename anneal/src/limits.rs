//! The bounds of templates, as flags and variables: a member checks what it takes, a client what it sends.
//!
//! Knows the names; what they bound, the template crate knows.

use anneal_template::Limits;
use clap::Args;

/// Where help lists them.
const BOUNDS: &str = "Bounds of templates (the same on every member)";

/// Bounds that can be set. The same on every member, and for clients that send more than the defaults.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct TemplateLimits {
    /// Resources of one template [default: 1000000]
    #[arg(
        long,
        value_name = "N",
        env = "ANNEAL_MAX_RESOURCES",
        hide_env_values = true,
        help_heading = BOUNDS
    )]
    max_resources: Option<usize>,

    /// Bytes of one template [default: 512 MiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "ANNEAL_MAX_TEMPLATE_BYTES",
        hide_env_values = true,
        help_heading = BOUNDS
    )]
    max_template_bytes: Option<usize>,

    /// Bytes of one scalar or included file [default: 16 MiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "ANNEAL_MAX_SCALAR_BYTES",
        hide_env_values = true,
        help_heading = BOUNDS
    )]
    max_scalar_bytes: Option<usize>,

    /// Levels of lists and maps inside each other, at most 1024 [default: 128]
    #[arg(
        long,
        value_name = "N",
        env = "ANNEAL_MAX_NESTING",
        value_parser = nesting,
        hide_env_values = true,
        help_heading = BOUNDS
    )]
    max_nesting: Option<usize>,
}

impl TemplateLimits {
    /// The bounds, with defaults for what was not set.
    pub(crate) fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            resources: self.max_resources.unwrap_or(usual.resources),
            text_bytes: self.max_template_bytes.unwrap_or(usual.text_bytes),
            scalar_bytes: self.max_scalar_bytes.unwrap_or(usual.scalar_bytes),
            nesting: self.max_nesting.unwrap_or(usual.nesting),
            ..usual
        }
    }
}

/// Reading recurses this deep, on a stack of a thread's usual size.
const NESTING_MOST: usize = 1024;

fn nesting(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(levels) if (1..=NESTING_MOST).contains(&levels) => Ok(levels),
        _ => Err(format!("expected a number from 1 to {NESTING_MOST}")),
    }
}
