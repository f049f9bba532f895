//! `anneal failpoints`: only in a build with the feature of that name, for the tests that use them.

use anneal_node::failpoint::Failpoint;
use clap::Args;

use crate::exit::Outcome;
use crate::output::Out;

/// Arguments: none.
#[derive(Debug, Args)]
pub(crate) struct Failpoints {}

impl Failpoints {
    /// Prints the name of every point, one a line.
    pub(crate) fn run(self) -> Outcome {
        let mut out = Out::new();
        for point in Failpoint::ALL {
            out.line(point.name())?;
        }
        out.done()
    }
}
