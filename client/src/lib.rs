//! The client library of Anneal: typed calls over `anneal.v1`, for scripts, programs and the command line.
//!
//! A [`Client`] knows a list of endpoints and hides which of them is up: each is tried in turn, dead, frozen and
//! not-yet-joined ones are passed over, a leader named by a refusal is asked next, and a call that changes something
//! carries a request id, so that trying again never does it twice. What a caller must still tell apart, the
//! [`Error`] tells: refused, invalid (with line and column), *unavailable* (nothing happened) and *outcome unknown*
//! (it may still be committed; ask again with the same request id).
//!
//! ```no_run
//! use anneal_client::{Client, Ended, Goal, StackName, Submission};
//!
//! # async fn run() -> Result<(), anneal_client::Error> {
//! let client = Client::connect("127.0.0.1:7400,127.0.0.1:7401")?;
//! let name = StackName::new("web");
//! let template = "heat_template_version: 2021-04-16\nresources: {}\n";
//!
//! let reply = client.submit(&Submission::up(name.clone(), "web.yaml", template)).await?;
//! println!("revision {} is committed", reply.revision);
//!
//! let mut follow = client.follow(&name, Goal::Converged { revision: reply.revision }, reply.index);
//! match follow.to_end(None).await? {
//!     Ended::Reached(stack) => println!("{} is {}", stack.name, stack.status),
//!     Ended::Failed(stack) => println!("failed: {}", stack.reason),
//!     Ended::Gone => println!("somebody deleted it"),
//!     Ended::DeadlinePassed(_) => unreachable!("no deadline was given"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `client/examples/up.rs` is the same as a program to run.
//!
//! This crate knows the wire alone: nothing of templates, of the state machine or of how a member works.

mod call;
mod client;
mod cluster;
mod endpoint;
mod error;
mod events;
mod follow;
mod name;
mod pages;
mod resources;
mod stacks;
mod submission;
mod watch;

pub use anneal_proto::v1;

pub use client::{Client, ClientBuilder};
pub use endpoint::{EndpointError, parse_endpoints};
pub use error::{Attempt, Error, Refusal};
pub use follow::{Ended, Follow, Goal, Step};
pub use name::{Read, RequestId, ResourceName, StackName};
pub use pages::Pages;
pub use stacks::Preview;
pub use submission::{Submission, Text};
pub use watch::{Cursor, From, Watch, WatchItem};
