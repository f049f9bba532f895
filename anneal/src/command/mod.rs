//! The commands, one file per family: what each takes, and what it calls.

pub(crate) mod change;
pub(crate) mod cluster;
pub(crate) mod completion;
pub(crate) mod down;
pub(crate) mod engine;
#[cfg(feature = "failpoints")]
pub(crate) mod failpoints;
pub(crate) mod provider;
pub(crate) mod resource;
pub(crate) mod serve;
pub(crate) mod stack;
pub(crate) mod up;
pub(crate) mod validate;
pub(crate) mod version;

use std::time::Duration;

use clap::Subcommand;

use crate::call::Call;
use crate::exit::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create or update a stack, and follow it until the world matches the template
    Up(up::Up),
    /// Delete a stack, and follow it until it is gone
    Down(down::Down),
    /// Run a member of a cluster
    Serve(Box<serve::Serve>),
    /// Check a template without a cluster: all problems at once, with line and column
    Validate(validate::Validate),
    /// Work with stacks
    #[command(subcommand)]
    Stack(stack::Stack),
    /// Work with single resources of a stack
    #[command(subcommand)]
    Resource(resource::Resource),
    /// Look at and change the members of the cluster
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Look at the engines that carry out actions
    #[command(subcommand)]
    Engine(engine::Engine),
    /// Resource types and their properties
    #[command(subcommand)]
    Provider(provider::Provider),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Print the version
    Version(version::Version),
    /// Print the names of the points at which a member can be made to die or to wait
    #[cfg(feature = "failpoints")]
    #[command(hide = true)]
    Failpoints(failpoints::Failpoints),
}

impl Command {
    /// The limit of one call, if given after the command's name.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        match self {
            Self::Up(_)
            | Self::Serve(_)
            | Self::Validate(_)
            | Self::Completion(_)
            | Self::Version(_) => None,
            #[cfg(feature = "failpoints")]
            Self::Failpoints(_) => None,
            Self::Down(down) => down.limit.timeout,
            Self::Stack(stack) => stack.call_timeout(),
            Self::Resource(resource) => resource.call_timeout(),
            Self::Cluster(cluster) => cluster.call_timeout(),
            Self::Engine(engine) => engine.call_timeout(),
            Self::Provider(provider) => provider.call_timeout(),
        }
    }

    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        match self {
            Self::Up(up) => up.run(call).await,
            Self::Down(down) => down.run(call).await,
            Self::Serve(serve) => serve.run(call).await,
            Self::Validate(validate) => validate.run(call),
            Self::Stack(stack) => stack.run(call).await,
            Self::Resource(resource) => resource.run(call).await,
            Self::Cluster(cluster) => cluster.run(call).await,
            Self::Engine(engine) => engine.run(call).await,
            Self::Provider(provider) => provider.run(call).await,
            Self::Completion(completion) => completion.run(),
            Self::Version(version) => version.run(call),
            #[cfg(feature = "failpoints")]
            Self::Failpoints(failpoints) => failpoints.run(),
        }
    }
}
