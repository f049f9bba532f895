//! The Provider trait and the built-in providers.
//!
//! A provider is the adapter to one kind of outside world. This crate knows nothing about stacks, Raft or
//! templates: it is given plain values and a call's surroundings, and answers what it did or found.

mod call;
mod command;
mod companion;
mod compare;
mod failure;
mod files;
mod guard;
mod heat;
mod host_lock;
#[cfg(test)]
mod hostile;
mod http;
mod instance_record;
mod name;
mod path;
mod process;
mod process_id;
mod provider;
mod read_values;
mod registry;
mod request;
mod schema;
pub mod value;
mod wait;

pub use call::{BootTime, CallContext, HOST_DIR_VARIABLE, Progress, default_host_dir};
pub use command::CommandProvider;
pub use companion::{Companion, companion_main};
pub use failure::{Failure, FailureClass, MESSAGE_MAX_BYTES, Verdict};
pub use files::{DirectoryProvider, FileProvider};
pub use heat::{
    DelayProvider, NoneProvider, RandomStringProvider, TestResourceProvider, ValueProvider,
};
pub use http::HttpProvider;
pub use path::{PropertyPath, Step};
pub use process::ProcessProvider;
pub use provider::Provider;
pub use registry::{DoubleType, Registry};
pub use request::{
    ActionKind, Aim, Applied, ApplyRequest, Certain, Diagnostic, Found, ImportRequest,
    LookUpRequest, Made, Observed, Plan, PlanRequest, PlannedAction, Prior, PropertyDifference,
    ReadRequest, Values,
};
pub use schema::{
    AttributeSchema, Capabilities, Constraint, Kind, Limits, Nested, OnChange, PropertySchema,
    Reference, Scope, TypeSchema, When, nearest,
};
