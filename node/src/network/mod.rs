//! Traffic between members: the client that Raft sends with, the service that receives, and connections.
//!
//! Every call names the cluster and the member it is meant for. Knows nothing of commands, rows or what
//! engines say to each other, except that all share one port and one set of connections.

mod address;
mod channels;
mod client;

mod receive_checkpoint;
mod send_checkpoint;
mod server;

pub use address::{Addressed, Addressee};
pub use channels::{Channels, Purpose, Tls};
pub use client::PeerNetwork;
pub use server::PeerService;

/// Bytes of one message: more than the largest command, which is bounded where it is proposed.
pub const MESSAGE_BYTES: usize = 64 << 20;
