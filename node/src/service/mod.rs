//! The client API: what a member answers on its port.
//!
//! Converts between the wire and the state, forwards to the leader what only the leader may answer, and holds the
//! state no longer than a page takes. Knows nothing of Raft, of storage, or of how changes are worked out.

mod cluster;
mod events;
mod explain;
mod forward;
mod graph;
mod mask;
mod outputs;
mod reads;
mod receipt;
mod resource;
mod resources;
mod stack;
mod stacks;
mod status;
mod submissions;
mod template;
mod token;
mod watch;

use std::sync::Arc;

use anneal_proto::v1::{
    cluster_server::ClusterServer, events_server::EventsServer, resources_server::ResourcesServer,
    stacks_server::StacksServer,
};
use anneal_provider::Registry;
use tokio::sync::watch as tokio_watch;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use crate::{member::Context, observe::Observer, replica::Replica, submit::Submitter};

/// The largest message that is taken, in bytes: a part of a text has 1 MiB, and there is nothing larger.
const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// What every service of a member works with; clones share it.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) replica: Replica,
    pub(crate) registry: Arc<Registry>,
    pub(crate) submitter: Submitter,
    /// Observation, while this member leads.
    pub(crate) observer: tokio_watch::Receiver<Option<Observer>>,
    /// For submissions in receipt.
    pub(crate) room: receipt::Room,
    /// The end of this member: streams without an end end then.
    pub(crate) stop: CancellationToken,
}

/// Adds the client API to a member's port.
pub fn mount(
    context: &Context,
    routes: &mut RoutesBuilder,
    submitter: Submitter,
    observer: tokio_watch::Receiver<Option<Observer>>,
) {
    let api = Api {
        replica: context.replica.clone(),
        registry: Arc::new(context.providers.clone()),
        submitter,
        observer,
        room: receipt::Room::new(),
        stop: context.stop.clone(),
    };
    routes
        .add_service(StacksServer::new(api.clone()).max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(ResourcesServer::new(api.clone()).max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(EventsServer::new(api.clone()).max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(ClusterServer::new(api).max_decoding_message_size(MESSAGE_LIMIT));
}
