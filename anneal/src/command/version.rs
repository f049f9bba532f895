//! `anneal version`.

use clap::Args;
use serde::Serialize;

use crate::call::Call;
use crate::cli::Form;
use crate::exit::Outcome;
use crate::output::Out;

/// Arguments: none.
#[derive(Debug, Args)]
pub(crate) struct Version {}

#[derive(Serialize)]
struct Json {
    version: &'static str,
}

impl Version {
    /// Prints the version of this binary.
    pub(crate) fn run(self, call: &Call) -> Outcome {
        let version = env!("CARGO_PKG_VERSION");
        let mut out = Out::new();
        match call.form() {
            Form::Table => out.line(&format!("anneal {version}"))?,
            Form::Json => out.json(&Json { version })?,
        }
        out.done()
    }
}
