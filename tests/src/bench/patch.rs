//! Later.

use clap::Args;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {}

/// Nothing yet.
///
/// # Errors
/// Always.
pub fn run(_flags: &Flags) -> Result<(), String> {
    Err("not yet".to_owned())
}
