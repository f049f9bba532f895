//! The wire: client API, engine traffic, peer traffic and the durable log format. No logic.
//!
//! Everything here is generated from `proto/proto/*.proto`, where each message is documented. This crate knows
//! nothing of the state machine: whoever needs both converts at its own edge.

/// The client API, `anneal.v1`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is the documentation"
)]
pub mod v1 {
    tonic::include_proto!("anneal.v1");
}

/// The durable log format: entries, votes, memberships, commands and rows.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is the documentation"
)]
pub mod log {
    pub mod v1 {
        tonic::include_proto!("anneal.log.v1");
    }
}

/// Traffic between members of one cluster.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is the documentation"
)]
pub mod peer {
    pub mod v1 {
        tonic::include_proto!("anneal.peer.v1");
    }
}

/// Traffic between engines and the leader, `anneal.engine.v1`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is the documentation"
)]
pub mod engine {
    pub mod v1 {
        tonic::include_proto!("anneal.engine.v1");
    }
}

/// What a stack's blobs contain: head, parameters, fragments.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is the documentation"
)]
pub mod stored {
    pub mod v1 {
        tonic::include_proto!("anneal.stored.v1");
    }
}

/// The encoded descriptor set of every file, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/anneal.bin"));
