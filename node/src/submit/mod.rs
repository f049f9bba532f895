//! From a submitted text to a change of a stack: receive, compile, compare with what the stack is, propose the
//! difference.
//!
//! Knows nothing of gRPC services, Raft or storage: it reads through [`Stored`] and what it decides is a value.

mod catalog;
mod define;
mod difference;
#[cfg(test)]
mod fake;
mod patch;
mod plan;
mod prepare;
mod propose;
mod reading;
mod receive;
mod refusal;
mod replica;
mod rollback;
mod stage;
mod stored;
mod submitter;
mod way_back;

pub use catalog::catalog;
pub(crate) use define::property_path;
#[cfg(test)]
pub(crate) use difference::tests::resource;
pub use plan::plan_id;
pub use prepare::{Prepared, Validated, Workshop};
pub(crate) use reading::PAGE;
pub use reading::{Page, StackNow, Stored};
pub use receive::{Received, Receiver, Text, check_name, namespace, request_id};
pub use refusal::{Invalid, Refused, TooLarge, Unavailable};
pub use rollback::rollback_difference;
pub(crate) use stored::{read_fragment, read_parameters, stored_head};
pub(crate) use submitter::unsure;
pub use submitter::{Answer, Asked, Submitter};
