//! Breaks the code on purpose, one mutant after the other, and sees whether the instrument that must find it does.
//!
//! A mutant is a patch in `tests/mutants/` with a head that says what it breaks, which test must find that, and within
//! how much. It is applied to a copy of the tree, never to the tree itself. Nothing here knows what the mutants are about.

mod instrument;
mod patch;
mod report;
mod run;
mod tree;

pub use instrument::{Instrument, Within};
pub use patch::{Mutant, all};
pub use report::{Examined, Report, Verdict};
pub use run::{Settings, run};
pub use tree::{applies, workspace};
